// SPDX-License-Identifier: MIT
#pragma once

#include "shim/sockets/socket.hpp"

namespace multihome {

// Takes the peer and the local address off a connected socket. The kernel takes the device as well, and the
// port of a socket for which it chose that itself (udp_disconnect()); those two are put back.
void dissolve(int fd, Socket socket);

} // namespace multihome
