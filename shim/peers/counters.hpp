// SPDX-License-Identifier: MIT
//
// What an operator can count. The layout is fixed: multihomectl reads it out of another process's memory.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace multihome {

// In the order in which they lie in memory; new ones are added at the end.
enum class Counter : unsigned {
    sockets,   // sockets taken over
    received,  // datagrams whose destination was noted
    injected,  // datagrams sent with the source that their peer had used
    not_known, // datagrams sent as the program made them, because the peer had not been heard
    fallbacks, // datagrams sent as the program made them, because the kernel refused the source
    peers,     // peers that were new to the table
    count
};

// Each thread counts in one of several cache lines, so that threads do not wait for each other's; a reader
// adds up.
class Counters {
public:
    static constexpr unsigned shards = 32;
    static constexpr unsigned per_shard = 8;
    static_assert(static_cast<unsigned>(Counter::count) <= per_shard);

    struct alignas(64) Shard {
        // Async-signal-safe.
        void add(Counter counter, uint64_t amount = 1) {
            // Relaxed: a sum that nothing else depends on.
            values[static_cast<unsigned>(counter)].fetch_add(amount, std::memory_order_relaxed);
        }

        std::array<std::atomic<uint64_t>, per_shard> values;
    };

    // `number`: any, best the same one for each call of a thread.
    Shard& shard(unsigned number) { return shards_[number % shards]; }

    uint64_t sum(Counter counter) const {
        uint64_t total = 0;
        for (const Shard& part : shards_)
            total += part.values[static_cast<unsigned>(counter)].load(std::memory_order_relaxed);
        return total;
    }

private:
    std::array<Shard, shards> shards_;
};
static_assert(sizeof(Counters) == size_t{32} * 64);

} // namespace multihome
