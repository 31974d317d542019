// SPDX-License-Identifier: MIT
//
// What the programs here need of sockets.
#pragma once

#include <cerrno>
#include <netinet/in.h>
#include <sys/socket.h>
#include <system_error>

namespace multihome::bench {

[[noreturn]] inline void fail(const char* what) {
    throw std::system_error(errno, std::generic_category(), what);
}

// `result`, unless it is negative: then fails with errno.
inline int check(int result, const char* what) {
    if (result < 0)
        fail(what);
    return result;
}

inline int make_socket(int family, int type) {
    return check(socket(family, type | SOCK_CLOEXEC, 0), "socket");
}

template <typename Value>
void set_option(int fd, int level, int option, const Value& value, const char* what) {
    check(setsockopt(fd, level, option, &value, sizeof value), what);
}

// Room for what comes while its owner has to wait. The kernel gives as much as it allows, to root all of it.
inline void enlarge_buffers(int fd) {
    const int size = 8 << 20;
    for (const int option : {SO_RCVBUF, SO_SNDBUF, SO_RCVBUFFORCE, SO_SNDBUFFORCE})
        setsockopt(fd, SOL_SOCKET, option, &size, sizeof size);
}

template <typename Address>
void bind_to(int fd, const Address& address) {
    check(bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), "bind");
}

inline void connect_to(int fd, const sockaddr_in& address) {
    check(connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), "connect");
}

// What it is bound to. IPv6 has the port in the same place.
inline sockaddr_in name_of(int fd) {
    sockaddr_in address{};
    socklen_t length = sizeof address;
    check(getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length), "getsockname");
    return address;
}

} // namespace multihome::bench
