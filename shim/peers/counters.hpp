// SPDX-License-Identifier: MIT
//
// The counters that an operator can read. The layout is fixed: multihomectl reads it in another process.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <netinet/in.h>

namespace multihome {

// In the order in which they lie in memory.
enum class Counter : unsigned {
    sockets,     // sockets taken over
    requests,    // datagrams whose destination was noted
    answered,    // datagrams that got the address which their peer had asked, the refused ones among them
    not_heard,   // left to the routing table: nothing is known of the peer
    spoke_first, // left to the routing table: the program spoke first, or the peer asked a group
    refused,     // sent as the program made them, because the kernel refused the source
    clients,     // conversations that were new to the table
    crowded,     // of those, how many pushed out a question that had hardly been asked
    count
};

// Each thread counts in cache lines of its own, one for each port, so that none waits for another one's. A
// reader adds them up. All functions are async-signal-safe.
class Counters {
public:
    static constexpr unsigned threads = 16;
    static constexpr unsigned ports = 16; // the last one counts for all further ports together

    struct alignas(64) Line {
        void add(Counter counter, uint64_t amount = 1) {
            // Relaxed: a sum that nothing else depends on.
            values[static_cast<unsigned>(counter)].fetch_add(amount, std::memory_order_relaxed);
        }

        std::array<std::atomic<uint64_t>, static_cast<size_t>(Counter::count)> values;
    };
    static_assert(sizeof(Line) == 64);

    // The line of a thread for a port (network byte order). `thread`: any number, best one for each thread of
    // each process.
    Line& line(in_port_t port, unsigned thread) { return lines_[place_of(port)][thread % threads]; }

    // Returns the port (network byte order) for which a place counts; 0 where it counts for none or for many.
    in_port_t port_at(unsigned place) const {
        return static_cast<in_port_t>(ports_[place].load(std::memory_order_relaxed));
    }

    uint64_t sum_at(unsigned place, Counter counter) const {
        uint64_t total = 0;
        for (const Line& part : lines_[place])
            total += part.values[static_cast<unsigned>(counter)].load(std::memory_order_relaxed);
        return total;
    }

    uint64_t sum(Counter counter) const {
        uint64_t total = 0;
        for (unsigned place = 0; place < ports; ++place)
            total += sum_at(place, counter);
        return total;
    }

private:
    // Relaxed throughout: the word is the whole truth, and the lines are there from the start.
    unsigned place_of(in_port_t port) {
        if (port == 0) [[unlikely]]
            return ports - 1;
        for (unsigned place = 0; place + 1 < ports; ++place) {
            uint32_t taken = ports_[place].load(std::memory_order_relaxed);
            if (taken == 0)
                ports_[place].compare_exchange_strong(taken, port, std::memory_order_relaxed);
            if (taken == port || taken == 0)
                return place;
        }
        return ports - 1;
    }

    std::array<std::atomic<uint32_t>, ports> ports_;
    std::array<std::array<Line, threads>, ports> lines_;
};

} // namespace multihome
