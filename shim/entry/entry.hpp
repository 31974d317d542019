// SPDX-License-Identifier: MIT
//
// What the files with the exported functions share. Those are named like libc's, a few lines each: is this
// descriptor ours? Then the room that knows what to do, else straight on to libc. Their exception
// specifications are those of glibc's headers; the cancellation points must not be noexcept, because glibc
// unwinds a cancelled thread through them.
#pragma once

#include "shim/base/libc.hpp"
#include "shim/sockets/sockets.hpp"

#define EXPORT extern "C" [[gnu::visibility("default")]]

namespace multihome::entry {

inline bool is_ours(Socket socket) {
    return socket.is(Socket::Kind::ours);
}

inline bool is_passed_on(Socket socket) {
    return socket.is(Socket::Kind::other);
}

// Notes the descriptors that came over a UNIX socket. Only looked for where control messages came at all.
void look_for_descriptors(const msghdr& message);

} // namespace multihome::entry

// fcntl() and fcntl64(), see descriptors.cpp.
EXPORT int fcntl_with_argument(int fd, int command, long argument) asm("fcntl");
EXPORT int fcntl64_with_argument(int fd, int command, long argument) asm("fcntl64");

#if __SIZEOF_POINTER__ == 4
EXPORT int __recvmmsg64(int fd, mmsghdr* messages, unsigned int count, int flags,
                        multihome::libc::Time64* timeout);
#endif
