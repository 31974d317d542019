// SPDX-License-Identifier: MIT
//
// The clients of the servers that are measured.
#pragma once

#include "tools/bench/process.hpp"
#include "tools/bench/processors.hpp"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <netinet/in.h>
#include <stop_token>
#include <sys/socket.h>
#include <thread>
#include <vector>

namespace multihome::bench {

// The address that clients ask: not the one that the routing table would answer from, so that a wrong answer
// shows.
constexpr in_addr_t asked_address = INADDR_LOOPBACK + 1; // 127.0.0.2, host byte order

sockaddr_in address_of(in_addr_t host_order, uint16_t port);

// An unconnected UDP socket whose receive calls give up after `timeout_ms`.
Descriptor client_socket(int timeout_ms, int family = AF_INET);

// Asks `requests` times, one after the other, from `peers` sockets in turn; with 0 peers each request comes
// from a new socket. Fails where an answer does not come. Returns how many answers came from the address that
// was asked. `ipv6`: at ::1, else at asked_address.
uint64_t ask_in_turn(uint16_t port, unsigned peers, uint64_t requests, bool ipv6 = false);

// Asks in batches from one socket: a whole batch waits for the server when a byte is written to its `gate`.
uint64_t ask_in_batches(uint16_t port, int gate, uint64_t batches, bool ipv6 = false);

// Where clients that play many peers ask from: all of 127.0.0.0/8 is local.
constexpr in_addr_t many_peers_base = 0x7f100000; // 127.16.0.0, host byte order
constexpr uint32_t most_peers = 1U << 20;

// Makes `source` (host byte order) the source of `message`, which lives as long as `control`.
struct SourceControl {
    alignas(cmsghdr) char bytes[CMSG_SPACE(sizeof(in_pktinfo))];
};
void prepare_source(msghdr& message, SourceControl& control);
void set_source(SourceControl& control, in_addr_t source);

struct LoadSettings {
    sockaddr_in server{};
    unsigned threads = 1;
    unsigned window = 1; // requests that each thread keeps under way
    size_t size = 32;    // of a datagram
    uint32_t peers = 0;  // 0: each thread is one peer; else each thread plays that many in turn,
    in_addr_t first_peer = many_peers_base; // from this address on (host byte order)
    Place place = Place::anywhere;
};

// Asks from several threads until it ends.
class Load {
public:
    // What has been answered so far.
    struct Answers {
        uint64_t all = 0;
        uint64_t right = 0; // from the address that was asked
    };

    explicit Load(const LoadSettings& settings);

    // Holds its breath. What is under way is still answered.
    void pause(bool on) { paused_ = on; }

    Answers answers() const;
    // Those after `duration`. On a busy machine it may take longer until they are enough beyond `before` to
    // tell anything; fails where that takes very long.
    Answers answers_after(std::chrono::milliseconds duration, const Answers& before) const;

private:
    // One cache line for each thread.
    struct alignas(64) Count {
        std::atomic<uint64_t> all{0};
        std::atomic<uint64_t> right{0};
    };

    void ask(const std::stop_token& stop, Count& count) const;

    LoadSettings settings_;
    std::atomic<bool> paused_{false};
    std::vector<Count> counts_;
    std::vector<std::jthread> threads_; // last: they use the others
};

// Asks from each of `count` addresses from `first` (host byte order) on, a window at a time, `passes` times
// with more than two seconds between them. Returns the answers to the last pass. `own_port`: 0: any.
Load::Answers sweep(const sockaddr_in& server, in_addr_t first, uint32_t count, uint16_t own_port,
                    unsigned passes);

// Asks `rate` times a second for `duration`, from `count` addresses from `first` on in turn, whether answers
// come or not.
struct Paced {
    uint64_t asked = 0;
    Load::Answers answers;
};
Paced ask_at_rate(const sockaddr_in& server, in_addr_t first, uint32_t count, uint16_t own_port,
                  unsigned rate, std::chrono::milliseconds duration);

} // namespace multihome::bench
