// SPDX-License-Identifier: MIT
//
// Addresses of the loopback network, and servers that have been asked there.
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

// A client, on a port that the kernel chooses.
inline int client() {
    const int fd = socket(AF_INET, SOCK_DGRAM, 0);
    const sockaddr_in own = name_at(1);
    must(bind(fd, any(own), sizeof own) == 0, "bind");
    return fd;
}

// The client asks the server at 127.0.0.`asked`. Returns the client's name.
inline sockaddr_in ask(int client, int server, unsigned asked) {
    const sockaddr_in to = name_at(asked, name_of(server).sin_port);
    must(sendto(client, "question", 8, 0, any(to), sizeof to) == 8, "sendto");
    char data[16];
    sockaddr_in peer{};
    socklen_t length = sizeof peer;
    must(recvfrom(server, data, sizeof data, 0, any(peer), &length) == 8, "recvfrom");
    return peer;
}

// A server on a port of its own, which two clients have asked, at 127.0.0.2 and 127.0.0.3. The port is chosen
// by number: such a one stays when the peer is taken off.
inline int server(sockaddr_in (&peers)[2]) {
    static unsigned next_port = 20000;
    const int fd = socket(AF_INET, SOCK_DGRAM, 0);
    for (;; ++next_port) {
        must(next_port < 30000, "a free port");
        const sockaddr_in own = name_at(0, htons(static_cast<in_port_t>(next_port)));
        if (bind(fd, any(own), sizeof own) == 0)
            break;
    }
    // Both at once: one after the other may get the same port.
    const int clients[] = {client(), client()};
    for (unsigned number = 0; number < 2; ++number)
        peers[number] = ask(clients[number], fd, 2 + number);
    for (const int client : clients)
        close(client);
    return fd;
}
