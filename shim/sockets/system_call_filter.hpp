// SPDX-License-Identifier: MIT
//
// Programs that lock themselves into a system-call filter (seccomp(2)). Where recvfrom() becomes recvmsg(), a
// filter written for the program alone may kill it. So we read a filter when the program installs it, run it
// for each system call that we make, with the arguments that we give it, and do not do from then on what
// takes a call that it does not allow. A filter that was there before the program was started cannot be read.
#pragma once

#include "shim/base/permissions.hpp"

namespace multihome::system_call_filter {

// Runs the filter for the system calls that we make. Returns the activities that it forbids. `program`: what
// the program hands to the kernel (struct sock_fprog), not checked yet. Makes no system call of its own but
// to look at bad pointers.
Activity judge(const void* program);

// The filter is in force: what it forbids is not done any more. Makes no system call.
void enforce(Activity forbidden);

} // namespace multihome::system_call_filter
