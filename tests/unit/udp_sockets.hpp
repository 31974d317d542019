// SPDX-License-Identifier: MIT
#pragma once

#include "shim/sockets/sockets.hpp"

#include <cerrno>
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace multihome::test {

using Kind = Socket::Kind;

// A descriptor that is forgotten and closed.
class Descriptor {
public:
    explicit Descriptor(int fd) : fd_(fd) { REQUIRE(fd_ >= 0); }
    ~Descriptor() {
        sockets::forget_range(static_cast<unsigned>(fd_), static_cast<unsigned>(fd_));
        close(fd_);
    }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;

    operator int() const { return fd_; } // NOLINT(google-explicit-constructor): stands for the number

private:
    int fd_;
};

inline int udp() {
    return socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
}

inline sockaddr_in name_at(in_addr_t address, in_port_t port = 0) {
    sockaddr_in name{};
    name.sin_family = AF_INET;
    name.sin_port = htons(port);
    name.sin_addr.s_addr = htonl(address);
    return name;
}

// Where no interposed function sees it.
inline void bind_to(int fd, in_addr_t address) {
    const sockaddr_in name = name_at(address);
    REQUIRE(bind(fd, reinterpret_cast<const sockaddr*>(&name), sizeof name) == 0);
}

inline int bind_seen(int fd, in_addr_t address, in_port_t port = 0) {
    const sockaddr_in name = name_at(address, port);
    return sockets::bind(fd, reinterpret_cast<const sockaddr*>(&name), sizeof name);
}

inline in_port_t port_of(int fd) {
    sockaddr_in name{};
    socklen_t length = sizeof name;
    REQUIRE(getsockname(fd, reinterpret_cast<sockaddr*>(&name), &length) == 0);
    return name.sin_port;
}

// A port that is free now. Those of the kernel's own choice are 32768 and above.
inline in_port_t free_port(in_port_t first) {
    for (in_port_t port = first; port < first + 1000; ++port) {
        const Descriptor fd{udp()};
        const sockaddr_in name = name_at(INADDR_ANY, port);
        if (bind(fd, reinterpret_cast<const sockaddr*>(&name), sizeof name) == 0)
            return port;
    }
    FAIL("no free port");
    return 0;
}

inline int option(int fd, int level, int name) {
    int value = -1;
    socklen_t length = sizeof value;
    REQUIRE(getsockopt(fd, level, name, &value, &length) == 0);
    return value;
}

} // namespace multihome::test
