// SPDX-License-Identifier: MIT
//
// What the files with the exported functions share. Those are named like libc's, a few lines each: is this
// descriptor ours? Then the room that knows what to do, else straight on to libc. Their exception
// specifications are those of glibc's headers; the cancellation points must not be noexcept, because glibc
// unwinds a cancelled thread through them.
#pragma once

#include "shim/sockets/sockets.hpp"

#define EXPORT extern "C" [[gnu::visibility("default")]]

namespace multihome::entry {

inline bool is_ours(Socket socket) {
    return socket.is(Socket::Kind::ours);
}

inline bool is_passed_on(Socket socket) {
    return socket.is(Socket::Kind::other);
}

} // namespace multihome::entry
