// SPDX-License-Identifier: MIT
//
// What the bench knows of the shim's inside: its table of conversations as one of the tables that are
// compared (tables.hpp), and its hash key.
#pragma once

#include "shim/base/settings.hpp"
#include "shim/peers/shared_state.hpp"

#include <cstdint>
#include <fstream>
#include <new>
#include <random>
#include <string>
#include <sys/mman.h>

namespace multihome::bench {

constexpr size_t default_peers = ::multihome::Settings::default_peers;

// Knuth's MMIX generator: the numbers are always the same.
using Random = std::linear_congruential_engine<uint64_t, 6364136223846793005, 1442695040888963407, 0>;

inline HashKey bench_key() {
    HashKey key{};
    Random random(1);
    for (uint64_t& word : key.words) {
        word = random();
        word ^= word >> 32;
    }
    key.make_odd();
    return key;
}

// Under the key that the server drew by lot, its clients lie in other places of the table each time, and a
// count is not exact. Called inside a server, after its bind(): gives the table another key, always the same.
// Does nothing where no shim is.
inline void use_steady_key() {
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);) {
        if (line.find(" rw-s ") == std::string::npos || line.find("/dev/zero") == std::string::npos)
            continue;
        auto* state = reinterpret_cast<SharedState*>(std::stoull(line, nullptr, 16));
        if (std::string_view(state->magic) == SharedState::expected_magic)
            state->key = bench_key();
    }
}

// An IPv4 peer and the port that it asks, as small as they go.
struct TableKey {
    uint32_t address;
    uint16_t port;
    uint16_t local_port;

    friend bool operator==(const TableKey&, const TableKey&) = default;
};

inline uint64_t hash_of(const TableKey& key) {
    static const HashKey secret = bench_key();
    return multihome::hash_of(
        ConversationKey({Address::from_ipv4({key.address}), 0, key.port}, key.local_port), secret);
}

// One for all tables, which are measured: a process has one.
inline LocalAddresses& local_addresses() {
    static LocalAddresses all{};
    return all;
}

// What the shim uses, made as the shim makes it.
class ShimTable {
public:
    explicit ShimTable(size_t peers)
        : bits_(ConversationTable::bucket_bits_for(peers)), buckets_(map(bits_)),
          table_(buckets_, (uint64_t{1} << bits_) - 1, &local_addresses(), {}) {}
    ~ShimTable() { munmap(buckets_, sizeof(ConversationTable::Bucket) << bits_); }
    ShimTable(const ShimTable&) = delete;
    ShimTable& operator=(const ShimTable&) = delete;

    void set(const TableKey& key, LocalIndex local, Ticks now = 1) {
        const uint64_t hash = hash_of(key);
        table_.hear(hash, local, now, table_.find(hash));
    }
    LocalIndex find(const TableKey& key) const { return table_.find(hash_of(key)).state().asked_last(); }
    // The source of an answer that comes late.
    LocalIndex answer(const TableKey& key, Ticks now) {
        const uint64_t hash = hash_of(key);
        return table_.speak(hash, now, table_.find(hash), true).from;
    }

    static uint64_t entries_for(size_t peers) {
        return uint64_t{ConversationTable::ways} << ConversationTable::bucket_bits_for(peers);
    }

private:
    static ConversationTable::Bucket* map(unsigned bits) {
        void* memory = mmap(nullptr, sizeof(ConversationTable::Bucket) << bits, PROT_READ | PROT_WRITE,
                            MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (memory == MAP_FAILED)
            throw std::bad_alloc();
        return static_cast<ConversationTable::Bucket*>(memory);
    }

    unsigned bits_;
    ConversationTable::Bucket* buckets_;
    ConversationTable table_;
};

} // namespace multihome::bench
