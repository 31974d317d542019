// SPDX-License-Identifier: MIT
//
// The shim's table of conversations, and those that are compared with it, each behind the same few functions.
// All of them map (peer, local port) to the number of a local address, all of them hash with the same keyed
// function, because a table that is not keyed can be attacked.
//
//     explicit Table(size_t peers);
//     void set(const TableKey&, LocalIndex local); // of a new peer, or of one that is there
//     LocalIndex find(const TableKey&);            // 0: not there
#pragma once

#include "tools/bench/programs.hpp"

#include <bit>
#include <mutex>
#include <new>
#include <sys/mman.h>
#include <unordered_map>

#if __has_include(<oneapi/tbb/concurrent_hash_map.h>)
#include <oneapi/tbb/concurrent_hash_map.h>
#endif
#if __has_include(<libcuckoo/cuckoohash_map.hh>)
#include <libcuckoo/cuckoohash_map.hh>
#endif
#if __has_include(<urcu/rculfhash.h>)
#define _LGPL_SOURCE // its read side is then inlined
#include <urcu.h>
#include <urcu/rculfhash.h>
#endif

namespace multihome::bench {

// An IPv4 peer and the port that it asks, as small as they go.
struct TableKey {
    uint32_t address;
    uint16_t port;
    uint16_t local_port;

    friend bool operator==(const TableKey&, const TableKey&) = default;
};

inline uint64_t hash_of(const TableKey& key) {
    static const HashKey secret = steady_key();
    return multihome::hash_of({Address::from_ipv4({key.address}), 0, key.port}, key.local_port, secret);
}

} // namespace multihome::bench

template <>
struct std::hash<multihome::bench::TableKey> {
    size_t operator()(const multihome::bench::TableKey& key) const { return hash_of(key); }
};

namespace multihome::bench {

// One for all tables, which are measured: a process has one.
inline LocalAddresses local_addresses{};

// Made as the shim makes it.
class ShimTable {
    using Bucket = ConversationTable::Bucket;

public:
    explicit ShimTable(size_t peers) : bucket_bits_(ConversationTable::bucket_bits_for(peers)) {
        if (memory_ == MAP_FAILED)
            throw std::bad_alloc();
    }
    ~ShimTable() { munmap(memory_, size_); }
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

private:
    unsigned bucket_bits_;
    size_t size_ = sizeof(Bucket) << bucket_bits_;
    void* memory_ =
        mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    ConversationTable table_{static_cast<Bucket*>(memory_),
                             ConversationTable::bucket_mask_for(bucket_bits_),
                             &local_addresses,
                             {}};
};

struct MutexTable {
    std::mutex mutex;
    std::unordered_map<TableKey, LocalIndex> map;

    explicit MutexTable(size_t peers) : map(peers) {}

    void set(const TableKey& key, LocalIndex local) {
        const std::lock_guard lock(mutex);
        map[key] = local;
    }
    LocalIndex find(const TableKey& key) {
        const std::lock_guard lock(mutex);
        const auto found = map.find(key);
        return found != map.end() ? found->second : LocalIndex{};
    }
};

#if __has_include(<oneapi/tbb/concurrent_hash_map.h>)
struct TbbTable : oneapi::tbb::concurrent_hash_map<TableKey, LocalIndex> {
    using concurrent_hash_map::concurrent_hash_map;

    void set(const TableKey& key, LocalIndex local) {
        accessor entry;
        insert(entry, key);
        entry->second = local;
    }
    LocalIndex find(const TableKey& key) const {
        const_accessor entry;
        return concurrent_hash_map::find(entry, key) ? entry->second : LocalIndex{};
    }
};
#endif

#if __has_include(<libcuckoo/cuckoohash_map.hh>)
struct CuckooTable : libcuckoo::cuckoohash_map<TableKey, LocalIndex> {
    using cuckoohash_map::cuckoohash_map;

    void set(const TableKey& key, LocalIndex local) { insert_or_assign(key, local); }
    LocalIndex find(const TableKey& key) const {
        LocalIndex local{};
        cuckoohash_map::find(key, local);
        return local;
    }
};
#endif

// As long as a thread uses any of the tables.
struct TableUser {
#if __has_include(<urcu/rculfhash.h>)
    TableUser() {
        rcu_register_thread();
    }
    ~TableUser() {
        rcu_unregister_thread();
    }
    TableUser(const TableUser&) = delete;
    TableUser& operator=(const TableUser&) = delete;
#endif
};

#if __has_include(<urcu/rculfhash.h>)
struct UrcuTable {
    struct Entry {
        cds_lfht_node node; // first, so that its address is the entry's
        TableKey key;
        std::atomic<LocalIndex> local;
    };
    cds_lfht* table;

    explicit UrcuTable(size_t peers)
        : table(
              cds_lfht_new(std::bit_ceil(peers), 1, 0, CDS_LFHT_AUTO_RESIZE | CDS_LFHT_ACCOUNTING, nullptr)) {
        if (table == nullptr)
            throw std::bad_alloc();
    }

    // In place where the peer is there, which is all that so small a value needs.
    void set(const TableKey& key, LocalIndex local) {
        rcu_read_lock();
        if (Entry* entry = look_up(key)) {
            entry->local.store(local, std::memory_order_release);
        } else {
            entry = new Entry{{}, key, local}; // lives as long as the process
            cds_lfht_node_init(&entry->node);
            cds_lfht_add(table, hash_of(key), &entry->node);
        }
        rcu_read_unlock();
    }
    LocalIndex find(const TableKey& key) {
        rcu_read_lock();
        const Entry* entry = look_up(key);
        const LocalIndex local =
            entry != nullptr ? entry->local.load(std::memory_order_acquire) : LocalIndex{};
        rcu_read_unlock();
        return local;
    }

    Entry* look_up(const TableKey& key) {
        const auto matches = [](cds_lfht_node* node, const void* wanted) -> int {
            return reinterpret_cast<const Entry*>(node)->key == *static_cast<const TableKey*>(wanted);
        };
        cds_lfht_iter iterator{};
        cds_lfht_lookup(table, hash_of(key), matches, &key, &iterator);
        return reinterpret_cast<Entry*>(cds_lfht_iter_get_node(&iterator));
    }
};
#endif

} // namespace multihome::bench
