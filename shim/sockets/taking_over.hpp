// SPDX-License-Identifier: MIT
//
// How a socket becomes ours (see also sockets.hpp). For this room alone.
#pragma once

#include "shim/base/address.hpp"
#include "shim/sockets/socket.hpp"

#include <cstdint>
#include <optional>

namespace multihome::sockets {

// What the address that the kernel says is the socket's own makes of its word.
uint64_t address_options(Socket socket, const Address& own);

// The socket is bound, to where the kernel says it is, and not prepared yet: what it is now. `found`: it
// comes from elsewhere, with options that we have not seen.
Socket take_over_bound(int fd, Socket socket, const std::optional<Peer>& own, bool found);

} // namespace multihome::sockets
