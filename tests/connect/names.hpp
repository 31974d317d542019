// SPDX-License-Identifier: MIT
//
// Addresses of the loopback network.
#pragma once

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

inline void must(bool good, const char* what) {
    if (!good) {
        std::printf("FAIL: %s: %s\n", what, std::strerror(errno));
        std::exit(1);
    }
}

// 127.0.0.`last`; 0.0.0.0 for 0.
inline sockaddr_in name_at(unsigned last, in_port_t port = 0) {
    sockaddr_in name{};
    name.sin_family = AF_INET;
    name.sin_port = port;
    name.sin_addr.s_addr = last != 0 ? htonl(INADDR_LOOPBACK - 1 + last) : htonl(INADDR_ANY);
    return name;
}

inline sockaddr* any(sockaddr_in& name) {
    return reinterpret_cast<sockaddr*>(&name);
}
inline const sockaddr* any(const sockaddr_in& name) {
    return reinterpret_cast<const sockaddr*>(&name);
}

inline sockaddr_in name_of(int fd) {
    sockaddr_in name{};
    socklen_t length = sizeof name;
    must(getsockname(fd, any(name), &length) == 0, "getsockname");
    return name;
}

inline bool equal(const sockaddr_in& one, const sockaddr_in& other) {
    return one.sin_addr.s_addr == other.sin_addr.s_addr && one.sin_port == other.sin_port;
}
