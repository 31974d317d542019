// SPDX-License-Identifier: MIT
//
// Tells whether an IPv6 address on no interface is local by a route ("ip -6 route add local 2001:db8::/64 dev
// lo").
#pragma once

#include <cstddef>
#include <netinet/in.h>

namespace multihome::local_route {

// Asks the kernel (rtnetlink(7)) on a socket that it closes at once. False also where the kernel does not
// answer. Leaves errno alone. Async-signal-safe.
bool covers(const in6_addr& address);

// The bytes of the question and of the room for the answer. A system-call filter may look at them.
constexpr size_t question_length = 48;
constexpr size_t answer_length = 28;

} // namespace multihome::local_route
