// SPDX-License-Identifier: MIT
//
// A server with a socket for each of many clients, all of one port: how long a datagram takes to one of them,
// from the client's sendto() to the server's recvfrom().
//
//   many_connected right|steered COUNT
//
// Prints the median of the nanoseconds. `right`: the clients ask where the routing table has the sockets
// connected from. `steered`: they ask another address, and without the shim no socket hears them.
#include "names.hpp"
#include "nanoseconds.hpp"

#include <string_view>
#include <sys/resource.h>
#include <vector>

namespace {

struct Pair {
    int client;
    int server;
};

int bound_socket(const sockaddr_in& name, bool shares_port) {
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const int value = shares_port ? 1 : 0;
    must(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &value, sizeof value) == 0, "SO_REUSEADDR");
    must(bind(fd, any(name), sizeof name) == 0, "bind");
    return fd;
}

} // namespace

int main(int count, char** arguments) {
    if (count != 3)
        return 2;
    const unsigned asked_last = std::string_view{arguments[1]} == "steered" ? 2 : 1;
    rlimit limit{};
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    const int listener = bound_socket(name_at(0), true);
    const sockaddr_in own = name_at(0, name_of(listener).sin_port);
    const sockaddr_in asked = name_at(asked_last, own.sin_port);
    std::vector<Pair> pairs(static_cast<size_t>(std::atoi(arguments[2])));
    for (auto& [client, server] : pairs) {
        client = bound_socket(name_at(1), false);
        must(sendto(client, "question", 8, 0, any(asked), sizeof asked) == 8, "sendto");
        char data[16];
        sockaddr_in peer{};
        socklen_t length = sizeof peer;
        must(recvfrom(listener, data, sizeof data, 0, any(peer), &length) == 8, "recvfrom");
        server = bound_socket(own, true);
        must(connect(server, any(peer), sizeof peer) == 0, "connect");
    }
    std::vector<long> nanoseconds;
    for (int round = 0; round < 5; ++round)
        for (size_t number = 0; number < pairs.size(); number += 10) {
            const long start = now();
            char data[16];
            must(sendto(pairs[number].client, "more", 4, 0, any(asked), sizeof asked) == 4, "sendto");
            must(recvfrom(pairs[number].server, data, sizeof data, MSG_DONTWAIT, nullptr, nullptr) == 4,
                 "the client's socket hears it");
            nanoseconds.push_back(now() - start);
        }
    std::printf("%ld\n", median(nanoseconds));
    return 0;
}
