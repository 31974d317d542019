// SPDX-License-Identifier: MIT
//
// The numbers of system calls, also of those that older headers do not have.
#pragma once

#include <sys/syscall.h>

#ifndef SYS_pidfd_getfd
#define SYS_pidfd_getfd 438 // the same everywhere; Linux 5.6
#endif
#ifndef SYS_recvmmsg_time64
#define SYS_recvmmsg_time64 417 // the same on all 32-bit processors; Linux 5.1
#endif
