// SPDX-License-Identifier: MIT
//
// What the kernel says of a socket: a system call each, through libc's function. On failure errno says why.
#pragma once

#include "shim/base/address.hpp"
#include "shim/base/libc.hpp"

#include <optional>
#include <sys/socket.h>
#include <sys/syscall.h>

namespace multihome::socket_calls {

// The value of an option; `otherwise` where the kernel does not tell.
template <typename Value = int>
Value read(int fd, int level, int name, Value otherwise = 0) {
    Value value = 0;
    socklen_t length = sizeof value;
    return libc::getsockopt(fd, level, name, &value, &length) == 0 ? value : otherwise;
}

inline bool write(int fd, int level, int name, int value) {
    return libc::setsockopt(fd, level, name, &value, sizeof value) == 0;
}

// SO_COOKIE: the same for every descriptor of the socket, in every process. 0 where there is none.
inline uint64_t cookie(int fd) {
    return read<uint64_t>(fd, SOL_SOCKET, SO_COOKIE);
}

// The index of the device that the socket is bound to (SO_BINDTOIFINDEX); 0 where it is bound to none.
inline int device(int fd) {
    return read(fd, SOL_SOCKET, SO_BINDTOIFINDEX);
}

// The socket's own address and port; empty where the kernel does not tell.
inline std::optional<Peer> own_name(int fd) {
    sockaddr_storage name{};
    socklen_t length = sizeof name;
    Peer own;
    if (getsockname(fd, reinterpret_cast<sockaddr*>(&name), &length) != 0 ||
        !read_peer(reinterpret_cast<const sockaddr*>(&name), length, own))
        return {};
    return own;
}

// The socket's own port (network byte order); 0 where it has none.
inline in_port_t own_port(int fd) {
    return own_name(fd).value_or(Peer{}).port;
}

// connect() by a raw system call, which is no cancellation point.
inline int connect(int fd, const sockaddr* address, socklen_t length) {
    return static_cast<int>(libc::checked_syscall(SYS_connect, fd, address, length));
}

} // namespace multihome::socket_calls
