// SPDX-License-Identifier: MIT
//
// Constants of the kernel's interface. Headers for programs lack them, or name them by processor.
#pragma once

#include <climits>
#include <cstddef>
#include <cstdint>
#include <sys/syscall.h>

namespace multihome {

// The numbers of what libc calls for fstat(), mmap() and clock_gettime(). 32-bit kernels have older calls of
// these names, and their old fstat() fills in another structure.
#if __SIZEOF_POINTER__ == 4
constexpr long number_of_fstat = SYS_fstat64;
constexpr long number_of_mmap = SYS_mmap2;
constexpr long number_of_clock_gettime = SYS_clock_gettime64;
#else
constexpr long number_of_fstat = SYS_fstat;
constexpr long number_of_mmap = SYS_mmap;
constexpr long number_of_clock_gettime = SYS_clock_gettime;
#endif

// Where recvfrom() differs from recvmsg(), and sendto() from sendmsg(). Both treat lengths up to this one
// alike; the kernel cuts longer ones in one of them (MAX_RW_COUNT). The call for messages refuses the flag
// MSG_CMSG_COMPAT (include/linux/socket.h), and the other one ignores it.
constexpr size_t maximum_length = INT_MAX & ~4095;
constexpr int msg_cmsg_compat = INT_MIN;

// The first of the ports that the kernel chooses from, as it is set at first (net.ipv4.ip_local_port_range).
constexpr uint16_t first_given_port = 32768;

// MSG_PROBE, from the same header: looks up the route, then stops before it sends anything and before it
// takes a pending error from the socket (ip_make_skb(), ip6_make_skb()).
constexpr int msg_probe = 0x10;

} // namespace multihome
