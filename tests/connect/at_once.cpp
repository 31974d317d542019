// SPDX-License-Identifier: MIT
//
// Two threads connect one socket at once, again and again: its interface for groups is the program's whenever
// neither does, and its peer and its address are what one of the two has asked for. A third thread reads the
// interface for groups meanwhile, and sees the program's as well.
//
//   at_once v4|v6
#include "two_peers.hpp"

#include <atomic>
#include <net/if.h>
#include <thread>

using namespace probe;

namespace {

constexpr unsigned rounds = 200;
constexpr unsigned connects = 50;

// What the program chooses itself: of IPv4 an address that nobody asks, of IPv6 an interface.
uint32_t chosen_interface(const Addresses& at) {
    return multicast_level(at) == IPPROTO_IP ? inet_addr("127.0.0.9") : if_nametoindex("lo");
}

} // namespace

int main(int count, char** arguments) {
    if (count != 2)
        return 2;
    const Addresses& at = addresses_of(arguments[1]);
    const uint32_t chosen = chosen_interface(at);
    unsigned wrong_interface = 0;
    unsigned wrong_address = 0;
    unsigned long reads = 0;
    unsigned long wrong_reads = 0;
    for (unsigned round = 0; round < rounds; ++round) {
        Name peers[2];
        const int fd = server(at, peers);
        const in_port_t port = name_of(fd).port();
        must(setsockopt(fd, multicast_level(at), multicast_option(at), &chosen, sizeof chosen) == 0,
             "the interface for groups");
        const auto connect_often = [&](const Name& peer) {
            for (unsigned time = 0; time < connects; ++time)
                must(connect(fd, peer.get(), peer.length) == 0, "connect");
        };
        std::atomic<bool> connecting{true};
        std::thread reader([&] {
            for (; connecting; ++reads)
                wrong_reads += multicast_interface(fd, at) != chosen;
        });
        std::thread other(connect_often, std::cref(peers[1]));
        connect_often(peers[0]);
        other.join();
        connecting = false;
        reader.join();
        wrong_interface += multicast_interface(fd, at) != chosen;
        Name peer;
        peer.length = sizeof peer.storage;
        must(getpeername(fd, peer.get(), &peer.length) == 0, "getpeername");
        const Name right(equal(peer, peers[0]) ? at.asked : at.other, port);
        wrong_address += !equal(name_of(fd), right);
        close(fd);
    }
    std::printf("%s: interface for groups wrong %u times of %u\n%s: address wrong %u times\n",
                wrong_interface == 0 ? "ok" : "FAIL", wrong_interface, rounds,
                wrong_address == 0 ? "ok" : "FAIL", wrong_address);
    // Who has waited for its turn for too long reads what there is.
    const bool reads_well = wrong_reads <= reads / 10'000 + 5;
    std::printf("%s: interface for groups read wrong %lu times of %lu\n", reads_well ? "ok" : "FAIL",
                wrong_reads, reads);
    return wrong_interface == 0 && wrong_address == 0 && reads_well ? 0 : 1;
}
