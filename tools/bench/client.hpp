// SPDX-License-Identifier: MIT
//
// The clients of the servers that are measured. One socket plays them all, from addresses of its own.
#pragma once

#include "tools/bench/network.hpp"
#include "tools/bench/process.hpp"
#include "tools/bench/processors.hpp"
#include "tools/bench/server.hpp"

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <netinet/in.h>
#include <sys/socket.h>
#include <thread>
#include <vector>

namespace multihome::bench {

constexpr unsigned largest_window = 64;

// Who asks, and where.
struct Clients {
    uint32_t count = 1;       // they ask in turn
    uint32_t addresses = 1;   // client i always asks address i mod `addresses`,
    bool alternating = false; // or the next one each time
    bool ipv6 = false;
    in_addr_t server = first_asked; // host byte order: the first of the addresses
    uint16_t port = 0;              // the server's
    in_addr_t first = first_client; // host byte order: the first client's address
    uint16_t own_port = 0;          // 0: any. The same addresses with another port are other clients
    size_t size = 4;                // of a datagram
    int patience_ms = 50;           // what has not come by then was lost
};

struct Answers {
    uint64_t all = 0;
    uint64_t right = 0; // from the address that was asked

    Answers operator-(const Answers& before) const { return {all - before.all, right - before.right}; }
};

class Client {
public:
    explicit Client(const Clients& clients);
    ~Client();

    // Sends the next `count` requests, at most largest_window. Returns how many were sent.
    unsigned send(unsigned count);
    // Takes what has come: how many; 0 where nothing did in time.
    unsigned receive(int flags = MSG_WAITFORONE);
    const Answers& answers() const { return answers_; }

    // Asks `requests` times, `together` before their answers are waited for; a byte is written to `gate`
    // meanwhile, unless it is negative. Fails where an answer does not come.
    void ask(uint64_t requests, unsigned together, int gate = -1);

private:
    struct Messages;

    Clients clients_;
    Descriptor fd_;
    std::unique_ptr<Messages> messages_;
    uint64_t next_ = 0;
    Answers answers_;
};

// Asks from several threads until it ends, as fast as the server answers.
class Load {
public:
    struct Settings {
        Clients clients; // of each thread: they may be the same
        unsigned threads = 1;
        unsigned window = 1; // requests that each thread keeps under way
        Place place = Place::anywhere;
    };

    explicit Load(const Settings& settings);

    Answers answers() const;
    // Waits until `count` answers have come, or for very long.
    void wait_for(uint64_t count) const;
    // Those after `duration`. On a busy machine it may take longer until they are enough beyond `before` to
    // tell anything; fails where that takes very long.
    Answers answers_after(std::chrono::milliseconds duration, const Answers& before) const;

private:
    // One cache line for each thread.
    struct alignas(64) Count {
        std::atomic<uint64_t> all{0};
        std::atomic<uint64_t> right{0};
    };

    Settings settings_;
    std::vector<Count> counts_;
    std::vector<std::jthread> threads_; // last: they use the others
};

// Asks once from each of the clients, a window at a time, `passes` times with more than two seconds between
// them. Returns the answers to the last pass.
Answers sweep(const Clients& clients, unsigned passes);

// Asks `rate` times a second for `duration`, whether answers come or not.
struct Paced {
    uint64_t asked = 0;
    Answers answers;
};
Paced ask_at_rate(const Clients& clients, unsigned rate, std::chrono::milliseconds duration);

} // namespace multihome::bench
