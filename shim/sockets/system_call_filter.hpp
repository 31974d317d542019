// SPDX-License-Identifier: MIT
//
// Programs that lock themselves into a system-call filter (seccomp(2)). A filter that was written for the
// program alone may kill it where our recvfrom() calls recvmsg(). So we read a filter when the program
// installs it, and run it for each system call that we make, with the arguments that we use. From then on we
// make none that it forbids. A filter from before the program's start cannot be read.
#pragma once

#include "shim/base/permissions.hpp"

namespace multihome::system_call_filter {

// Returns the activities that a filter forbids: runs it for the system calls that we make. `program`: what
// the program hands to the kernel (struct sock_fprog), not checked yet. Makes no system call but to look at
// bad pointers.
Activities judge(const void* program);

} // namespace multihome::system_call_filter
