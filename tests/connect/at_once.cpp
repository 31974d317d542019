// SPDX-License-Identifier: MIT
//
// Two threads connect one socket at once, again and again: its IP_MULTICAST_IF is the program's whenever
// neither does, and its peer and its address are what one of the two has asked for. A third thread reads
// IP_MULTICAST_IF meanwhile, and sees the program's as well.
#include "names.hpp"

#include <atomic>
#include <thread>

namespace {

constexpr unsigned rounds = 200;
constexpr unsigned connects = 50;

in_addr multicast_interface(int fd) {
    in_addr chosen{};
    socklen_t length = sizeof chosen;
    must(getsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &chosen, &length) == 0, "IP_MULTICAST_IF");
    return chosen;
}

} // namespace

int main() {
    unsigned wrong_interface = 0;
    unsigned wrong_address = 0;
    unsigned long reads = 0;
    unsigned long wrong_reads = 0;
    for (unsigned round = 0; round < rounds; ++round) {
        sockaddr_in peers[2];
        const int fd = server(peers);
        const in_addr chosen = name_at(9).sin_addr;
        must(setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &chosen, sizeof chosen) == 0, "IP_MULTICAST_IF");
        const auto connect_often = [&](const sockaddr_in& peer) {
            for (unsigned time = 0; time < connects; ++time)
                must(connect(fd, any(peer), sizeof peer) == 0, "connect");
        };
        std::atomic<bool> connecting{true};
        std::thread reader([&] {
            for (; connecting; ++reads)
                wrong_reads += multicast_interface(fd).s_addr != chosen.s_addr;
        });
        std::thread other(connect_often, std::cref(peers[1]));
        connect_often(peers[0]);
        other.join();
        connecting = false;
        reader.join();
        wrong_interface += multicast_interface(fd).s_addr != chosen.s_addr;
        sockaddr_in peer{};
        socklen_t length = sizeof peer;
        must(getpeername(fd, any(peer), &length) == 0, "getpeername");
        const in_port_t port = name_of(fd).sin_port;
        wrong_address += !equal(name_of(fd), name_at(equal(peer, peers[0]) ? 2 : 3, port));
        close(fd);
    }
    std::printf("%s: IP_MULTICAST_IF wrong %u times of %u\n%s: address wrong %u times\n",
                wrong_interface == 0 ? "ok" : "FAIL", wrong_interface, rounds,
                wrong_address == 0 ? "ok" : "FAIL", wrong_address);
    // Who has waited for its turn for too long reads what there is.
    const bool reads_well = wrong_reads <= reads / 100'000;
    std::printf("%s: IP_MULTICAST_IF read wrong %lu times of %lu\n", reads_well ? "ok" : "FAIL", wrong_reads,
                reads);
    return wrong_interface == 0 && wrong_address == 0 && reads_well ? 0 : 1;
}
