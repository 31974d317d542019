// SPDX-License-Identifier: MIT
//
// A network of our own: a namespace with a loopback interface, so that nothing else is on it, and so that
// there are several IPv6 addresses to ask.
#pragma once

#include <cstdint>
#include <netinet/in.h>
#include <string>

namespace multihome::bench {

// The addresses that clients ask, not those that the routing table would answer from, so that a wrong answer
// shows: from 127.0.0.2 (host byte order) and 2001:db8::2 on.
constexpr in_addr_t first_asked = INADDR_LOOPBACK + 1;
constexpr const char* server_prefix = "2001:db8::";
constexpr uint32_t first_server_number = 2;
// Those that clients ask from: 127.16.0.0 and 2001:db8:1::1 on. All of 127.0.0.0/8 is local.
constexpr in_addr_t first_client = 0x7f100000;
constexpr const char* client_prefix = "2001:db8:1::";
constexpr uint32_t most_clients = 1U << 23;

// Moves this process there. Returns why it cannot, or nothing. Root is not needed where the kernel lets users
// make namespaces.
std::string enter_own_network();
// Back to where it was before.
void leave_own_network();

} // namespace multihome::bench
