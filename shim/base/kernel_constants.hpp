// SPDX-License-Identifier: MIT
//
// What tells recvfrom() from recvmsg(), and sendto() from sendmsg(), in the kernel; its headers for programs
// do not have it.
#pragma once

#include <climits>
#include <cstddef>

namespace multihome {

// The lengths that both calls treat alike. The kernel cuts longer ones (MAX_RW_COUNT) in one of them.
constexpr size_t maximum_length = INT_MAX & ~4095;

// MSG_CMSG_COMPAT, include/linux/socket.h: the call for messages refuses the flag, the other one ignores it.
constexpr int msg_cmsg_compat = INT_MIN;

} // namespace multihome
