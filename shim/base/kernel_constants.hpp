// SPDX-License-Identifier: MIT
//
// The kernel's interface, as far as headers for programs do not have it, or not under one name for all
// processors.
#pragma once

#include <climits>
#include <cstddef>
#include <sys/syscall.h>

namespace multihome {

// What libc calls for fstat() and mmap(): 32-bit kernels have older calls of these names, and that fstat()
// fills in another structure.
#if defined(SYS_fstat64)
constexpr long number_of_fstat = SYS_fstat64;
#else
constexpr long number_of_fstat = SYS_fstat;
#endif
#if defined(SYS_mmap2)
constexpr long number_of_mmap = SYS_mmap2;
#else
constexpr long number_of_mmap = SYS_mmap;
#endif
#if defined(SYS_clock_gettime64)
constexpr long number_of_clock_gettime = SYS_clock_gettime64;
#else
constexpr long number_of_clock_gettime = SYS_clock_gettime;
#endif

// What tells recvfrom() from recvmsg(), and sendto() from sendmsg(): the lengths that both treat alike, where
// the kernel cuts longer ones (MAX_RW_COUNT) in one of them; and MSG_CMSG_COMPAT (include/linux/socket.h), a
// flag that the call for messages refuses and the other one ignores.
constexpr size_t maximum_length = INT_MAX & ~4095;
constexpr int msg_cmsg_compat = INT_MIN;

// MSG_PROBE, the same header: look up the route, then stop before anything is sent and before a pending error
// is taken from the socket (ip_make_skb(), ip6_make_skb()).
constexpr int msg_probe = 0x10;

} // namespace multihome
