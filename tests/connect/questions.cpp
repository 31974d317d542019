// SPDX-License-Identifier: MIT
//
// A resolver's upstream: a socket for each question. Its system calls are counted by questions.sh.
//
//   questions FAMILY PORT SOCKETS DATAGRAMS
//
// FAMILY: 4 or 6. PORT: 0 for one of the kernel's choice. Each socket sends and hears so many DATAGRAMS.
#include "names.hpp"

#include <arpa/inet.h>

int main(int count, char** arguments) {
    if (count != 5)
        return 2;
    const bool six = std::atoi(arguments[1]) == 6;
    const auto port = htons(static_cast<in_port_t>(std::atoi(arguments[2])));
    const int sockets = std::atoi(arguments[3]);
    const int datagrams = std::atoi(arguments[4]);
    const sa_family_t family = six ? AF_INET6 : AF_INET;
    const auto make_name = [&](const char* text, in_port_t number, sockaddr_storage& name) {
        name = {};
        name.ss_family = family;
        auto* ipv4 = reinterpret_cast<sockaddr_in*>(&name);
        auto* ipv6 = reinterpret_cast<sockaddr_in6*>(&name);
        (six ? ipv6->sin6_port : ipv4->sin_port) = number;
        inet_pton(family, text, six ? static_cast<void*>(&ipv6->sin6_addr) : &ipv4->sin_addr);
        return static_cast<socklen_t>(six ? sizeof *ipv6 : sizeof *ipv4);
    };
    sockaddr_storage upstream;
    const socklen_t length = make_name(six ? "::1" : "127.0.0.1", 0, upstream);
    auto* upstream_name = reinterpret_cast<sockaddr*>(&upstream);
    const int other = socket(family, SOCK_DGRAM, 0);
    if (other < 0 || bind(other, upstream_name, length) != 0) {
        std::puts("SKIP: no such addresses here");
        return 77;
    }
    socklen_t name_length = length;
    must(getsockname(other, upstream_name, &name_length) == 0, "getsockname");
    for (int number = 0; number < sockets; ++number) {
        const int fd = socket(family, SOCK_DGRAM, 0);
        sockaddr_storage own;
        make_name(six ? "::" : "0.0.0.0", port, own);
        must(bind(fd, reinterpret_cast<const sockaddr*>(&own), length) == 0, "bind");
        for (int datagram = 0; datagram < datagrams; ++datagram) {
            char data[16];
            sockaddr_storage peer;
            socklen_t peer_length = sizeof peer;
            must(sendto(fd, "question", 8, 0, upstream_name, length) == 8, "sendto");
            must(recvfrom(other, data, sizeof data, 0, reinterpret_cast<sockaddr*>(&peer), &peer_length) == 8,
                 "recvfrom");
            must(sendto(other, "answer", 6, 0, reinterpret_cast<sockaddr*>(&peer), peer_length) == 6,
                 "sendto");
            must(recvfrom(fd, data, sizeof data, 0, reinterpret_cast<sockaddr*>(&peer), &peer_length) == 6,
                 "recvfrom");
        }
        close(fd);
    }
    return 0;
}
