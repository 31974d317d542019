// SPDX-License-Identifier: MIT
//
// How a socket becomes ours: the settings want its port, there is memory for its peers, and packet
// information is on. For sockets.cpp alone, which knows when.
#pragma once

#include "shim/base/address.hpp"
#include "shim/sockets/socket.hpp"

#include <optional>

namespace multihome::sockets::taking_over {

// What is none of our business.
Socket other_socket(int domain);

// False where MULTIHOME_PORTS leaves the port (network byte order) alone.
bool is_wanted(int fd, in_port_t port);

// The memory for peers, which the first socket makes, and packet information on, which the word says then.
// False where one of them is not to be had. `found`: see take_over_bound().
bool prepare(int fd, Socket& socket, in_port_t port, bool found = false);

// What the address that the kernel says is the socket's own makes of it.
uint64_t address_options(Socket socket, const Address& own);

// The socket is prepared and bound: what it is now.
Socket now_ours(int fd, Socket socket, in_port_t port);

// The socket is bound, to where the kernel says it is, and not prepared yet: what it is now. `found`: it
// comes from elsewhere, with options that we have not seen.
Socket take_over_bound(int fd, Socket socket, const std::optional<Peer>& own, bool found);

// Descriptors from take_unmarked_end() on have no sockets of ours without the mark (options.cpp): from now on
// there are none before it either, unless there are new ones.
bool has_unmarked();
int take_unmarked_end();

} // namespace multihome::sockets::taking_over
