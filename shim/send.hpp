// SPDX-License-Identifier: MIT
//
// Sending on a socket of ours: finds where the peer reached us and adds that as the source. Whatever is in
// the way, the program's own call is made as the program made it.
//
// The descriptor's word says that it is ours. Each function takes the interposed function's arguments and
// returns what libc returns. They may be cancelled where the libc function may be, and are async-signal-safe
// where it is.
#pragma once

#include "shim/sockets.hpp"

#include <sys/types.h>

namespace multihome::send {

ssize_t one(int fd, const void* buffer, size_t length, int flags, const sockaddr* address,
            socklen_t address_length);
ssize_t one(int fd, const msghdr* message, int flags);
int many(int fd, mmsghdr* messages, unsigned count, int flags);

} // namespace multihome::send
