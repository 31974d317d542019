// SPDX-License-Identifier: MIT
//
// How a socket becomes ours (see also sockets.hpp). For this room alone.
#pragma once

#include "shim/base/address.hpp"
#include "shim/sockets/socket.hpp"

#include <cstdint>
#include <optional>

namespace multihome::sockets {

// Returns the bits that a socket's word has because of its own address, which the kernel has told.
uint64_t address_bits(Socket socket, const Address& own);

// Takes over a bound socket that is not set up yet, if it can be ours. Returns what it is now. `own`: where
// the kernel says that it is bound. `found`: it comes from elsewhere, with options that we have not seen.
Socket take_over_bound(int fd, Socket socket, const std::optional<Peer>& own, bool found);

} // namespace multihome::sockets
