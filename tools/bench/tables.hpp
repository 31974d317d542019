// SPDX-License-Identifier: MIT
//
// The tables that are compared, each behind the same few functions. All of them map (peer, local port) to the
// number of a local address, all of them hash with the same keyed function, because a table that is not keyed
// can be attacked.
//
//     explicit Table(size_t peers);
//     void insert(const TableKey&, uint32_t local);     // a new peer
//     void update(const TableKey&, uint32_t local);     // one that is there
//     uint32_t find(const TableKey&);                   // 0: not there
//     struct Thread;                                    // lives as long as a thread uses the table
#pragma once

#include "tools/bench/shim_table.hpp"

#include <cstdlib>
#include <mutex>
#include <unordered_map>

#ifdef MULTIHOME_BENCH_TBB
#include <oneapi/tbb/concurrent_hash_map.h>
#endif
#ifdef MULTIHOME_BENCH_CUCKOO
#include <libcuckoo/cuckoohash_map.hh>
#endif
#ifdef MULTIHOME_BENCH_URCU
#define _LGPL_SOURCE // its read side is then inlined
#include <urcu.h>
#include <urcu/rculfhash.h>
#endif

namespace multihome::bench {

struct TableHash {
    size_t operator()(const TableKey& key) const { return hash_of(key); }
};

class MutexTable {
public:
    struct Thread {};

    explicit MutexTable(size_t peers) { map_.reserve(peers); }

    void insert(const TableKey& key, uint32_t local) { update(key, local); }
    void update(const TableKey& key, uint32_t local) {
        const std::lock_guard lock(mutex_);
        map_[key] = local;
    }
    uint32_t find(const TableKey& key) {
        const std::lock_guard lock(mutex_);
        const auto found = map_.find(key);
        return found != map_.end() ? found->second : 0;
    }

private:
    std::mutex mutex_;
    std::unordered_map<TableKey, uint32_t, TableHash> map_;
};

#ifdef MULTIHOME_BENCH_TBB
class TbbTable {
public:
    struct Thread {};

    explicit TbbTable(size_t peers) : map_(peers) {}

    void insert(const TableKey& key, uint32_t local) { map_.insert(std::make_pair(key, local)); }
    void update(const TableKey& key, uint32_t local) {
        Map::accessor entry;
        if (map_.find(entry, key))
            entry->second = local;
    }
    uint32_t find(const TableKey& key) const {
        Map::const_accessor entry;
        return map_.find(entry, key) ? entry->second : 0;
    }

private:
    struct Compare {
        static size_t hash(const TableKey& key) { return hash_of(key); }
        static bool equal(const TableKey& one, const TableKey& other) { return one == other; }
    };
    using Map = oneapi::tbb::concurrent_hash_map<TableKey, uint32_t, Compare>;

    Map map_;
};
#endif

#ifdef MULTIHOME_BENCH_CUCKOO
class CuckooTable {
public:
    struct Thread {};

    explicit CuckooTable(size_t peers) : map_(peers) {}

    void insert(const TableKey& key, uint32_t local) { map_.insert(key, local); }
    void update(const TableKey& key, uint32_t local) { map_.update(key, local); }
    uint32_t find(const TableKey& key) const {
        uint32_t local = 0;
        map_.find(key, local);
        return local;
    }

private:
    libcuckoo::cuckoohash_map<TableKey, uint32_t, TableHash> map_;
};
#endif

#ifdef MULTIHOME_BENCH_URCU
class UrcuTable {
public:
    struct Thread {
        Thread() { rcu_register_thread(); }
        ~Thread() { rcu_unregister_thread(); }
        Thread(const Thread&) = delete;
        Thread& operator=(const Thread&) = delete;
    };

    explicit UrcuTable(size_t peers) {
        unsigned long buckets = 1;
        while (buckets < peers)
            buckets *= 2;
        table_ = cds_lfht_new(buckets, 1, 0, CDS_LFHT_AUTO_RESIZE | CDS_LFHT_ACCOUNTING, nullptr);
        if (table_ == nullptr)
            throw std::bad_alloc();
    }

    void insert(const TableKey& key, uint32_t local) {
        auto* entry = new Entry; // lives as long as the process
        cds_lfht_node_init(&entry->node);
        entry->key = key;
        entry->local.store(local, std::memory_order_relaxed);
        rcu_read_lock();
        cds_lfht_add(table_, hash_of(key), &entry->node);
        rcu_read_unlock();
    }
    // In place, which is all that so small a value needs.
    void update(const TableKey& key, uint32_t local) {
        rcu_read_lock();
        if (Entry* entry = look_up(key))
            entry->local.store(local, std::memory_order_release);
        rcu_read_unlock();
    }
    uint32_t find(const TableKey& key) {
        rcu_read_lock();
        const Entry* entry = look_up(key);
        const uint32_t local = entry != nullptr ? entry->local.load(std::memory_order_acquire) : 0;
        rcu_read_unlock();
        return local;
    }

private:
    struct Entry {
        cds_lfht_node node; // first, so that its address is the entry's
        TableKey key;
        std::atomic<uint32_t> local;
    };

    static int matches(cds_lfht_node* node, const void* key) {
        return reinterpret_cast<const Entry*>(node)->key == *static_cast<const TableKey*>(key);
    }

    Entry* look_up(const TableKey& key) {
        cds_lfht_iter iterator{};
        cds_lfht_lookup(table_, hash_of(key), matches, &key, &iterator);
        return reinterpret_cast<Entry*>(cds_lfht_iter_get_node(&iterator));
    }

    cds_lfht* table_;
};
#endif

} // namespace multihome::bench
