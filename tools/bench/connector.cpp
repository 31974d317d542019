// SPDX-License-Identifier: MIT
//
// A server that makes a socket for each client, binds it to the same port, and connects it. Between bind()
// and connect() that socket takes datagrams of other clients, which are lost to them (strays).
#include "tools/bench/programs.hpp"
#include "tools/bench/sockets.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <unistd.h>
#include <vector>

namespace multihome::bench {

namespace {

using Clock = std::chrono::steady_clock;

int bind_shared(const sockaddr_in& own, bool information) {
    const int fd = make_socket(AF_INET, SOCK_DGRAM);
    set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1, "SO_REUSEPORT");
    if (information)
        set_option(fd, IPPROTO_IP, IP_PKTINFO, 1, "IP_PKTINFO");
    bind_to(fd, own);
    return fd;
}

// The first one whose requests are longer.
sockaddr_in answer_client(int fd) {
    for (char data[8];;) {
        sockaddr_in peer{};
        socklen_t length = sizeof peer;
        if (recvfrom(fd, data, sizeof data, 0, reinterpret_cast<sockaddr*>(&peer), &length) != 4)
            continue;
        sendto(fd, data, 4, 0, reinterpret_cast<const sockaddr*>(&peer), length);
        return peer;
    }
}

} // namespace

int run(const Connector& settings) {
    const int listener = bind_shared(ipv4_address(INADDR_ANY), false);
    announce(listener);
    const sockaddr_in peer = answer_client(listener);
    std::vector<double> times;
    uint64_t strays = 0;
    for (unsigned index = 0; index < settings.count; ++index) {
        const int fd = bind_shared(name_of(listener), settings.information);
        const auto start = Clock::now();
        if (settings.steer) { // the least that does: a multicast group, whose source is the address asked
            const in_addr source{htonl(INADDR_LOOPBACK + 1)};
            set_option(fd, IPPROTO_IP, IP_MULTICAST_IF, source, "IP_MULTICAST_IF");
            connect_to(fd, ipv4_address(INADDR_ALLHOSTS_GROUP, 9));
        }
        connect_to(fd, peer);
        times.push_back(std::chrono::duration<double, std::nano>(Clock::now() - start).count());
        for (char data = 0; recv(fd, &data, 1, MSG_DONTWAIT) >= 0;)
            ++strays;
        close(fd);
    }
    std::sort(times.begin(), times.end());
    std::printf("%f %f\n", times[settings.count / 2], static_cast<double>(strays) / settings.count);
    return 0;
}

} // namespace multihome::bench
