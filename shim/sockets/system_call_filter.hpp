// SPDX-License-Identifier: MIT
//
// Programs that lock themselves into a system-call filter (seccomp(2)). Where recvfrom() becomes recvmsg(), a
// filter written for the program alone may kill it. So we read a filter when the program installs it, and
// stay out of the way from then on if it does not allow what we do. A filter that was there before the
// program was started cannot be read.
#pragma once

namespace multihome::system_call_filter {

// What a filter leaves us.
enum class Verdict : unsigned char {
    harmless,       // everything that we do is allowed
    no_new_sockets, // sockets that are ours can go on, others cannot be looked at any more
    stay_out,       // not even the packet path
};

struct Judgement {
    Verdict verdict = Verdict::harmless;
    bool may_log = true; // lines can still be written
};

// Runs the filter for the system calls that we make. `program`: what the program hands to the kernel (struct
// sock_fprog), not checked yet. Makes no system call of its own but to look at bad pointers.
Judgement judge(const void* program);

// The filter is in force: does what the verdict asks for. Makes no system call.
void enforce(const Judgement& judgement);

} // namespace multihome::system_call_filter
