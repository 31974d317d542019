// SPDX-License-Identifier: MIT
//
// A peer table in memory that forked children share, as the shim has it, and peers whose bucket and whose
// possible local addresses the tests choose.
#pragma once

#include "shim/peers/peer_table.hpp"

#include <cstddef>
#include <cstdint>
#include <new>
#include <sys/mman.h>

namespace multihome::test {

// Anonymous shared memory for one Type, zeroed.
template <typename Type>
class SharedMemory {
public:
    explicit SharedMemory(size_t count = 1) : size_(count * sizeof(Type)) {
        memory_ = mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (memory_ == MAP_FAILED)
            throw std::bad_alloc{};
    }
    ~SharedMemory() { munmap(memory_, size_); }
    SharedMemory(const SharedMemory&) = delete;
    SharedMemory& operator=(const SharedMemory&) = delete;

    Type* get() const { return static_cast<Type*>(memory_); }
    Type* operator->() const { return get(); }
    Type& operator*() const { return *get(); }

private:
    size_t size_;
    void* memory_ = nullptr;
};

template <unsigned FingerprintBits = 43>
class TableMemory {
public:
    using Table = BasicPeerTable<FingerprintBits>;
    using Bucket = typename Table::Bucket;

    explicit TableMemory(unsigned bucket_bits)
        : bucket_bits_(bucket_bits), buckets_(size_t{1} << bucket_bits) {}

    Table table() const { return {buckets_.get(), bucket_bits_, insertions_.get()}; }
    size_t bucket_count() const { return size_t{1} << bucket_bits_; }
    Bucket& bucket(size_t index) const { return buckets_.get()[index]; }
    uint64_t insertions() const { return insertions_->load(); }

    void clear() const {
        insertions_->store(0);
        for (size_t index = 0; index < bucket_count(); ++index)
            for (std::atomic<uint64_t>& word : bucket(index).words)
                word.store(0);
    }

    // The hash of a made-up peer: its number is its fingerprint. `number`: from 1.
    uint64_t hash(size_t bucket, uint64_t number) const {
        return uint64_t{bucket} << (64 - bucket_bits_) | number;
    }

    // How many entries with this fingerprint there are.
    unsigned count(uint64_t hash) const {
        unsigned found = 0;
        for (const std::atomic<uint64_t>& word : bucket(hash >> (64 - bucket_bits_)).words)
            if ((word.load() & Table::Entry::fingerprint_mask) == Table::Entry::fingerprint(hash))
                ++found;
        return found;
    }

private:
    unsigned bucket_bits_;
    SharedMemory<Bucket> buckets_;
    SharedMemory<std::atomic<uint64_t>> insertions_;
};

// The two local addresses at which the tests let the peer with this number ask. Different from those of most
// others, so that a word which mixes two entries is seen.
constexpr LocalIndex local_of(uint64_t number, bool second) {
    return static_cast<LocalIndex>(1 + number % 500 + (second ? 500 : 0));
}

// True where `word` is empty or was written, as a whole, for its fingerprint.
template <unsigned FingerprintBits = 43>
bool is_whole(uint64_t word) {
    using Entry = BasicEntry<FingerprintBits>;
    if (word == 0)
        return true;
    const uint64_t number = word & Entry::fingerprint_mask;
    const LocalIndex local = Entry::local(word);
    return number != 0 && (local == local_of(number, false) || local == local_of(number, true));
}

template <unsigned FingerprintBits = 43>
bool is_whole(const typename BasicPeerTable<FingerprintBits>::Bucket& bucket) {
    for (const std::atomic<uint64_t>& word : bucket.words)
        if (!is_whole<FingerprintBits>(word.load()))
            return false;
    return true;
}

// A generator of numbers that is the same on every machine (splitmix64).
class Random {
public:
    explicit Random(uint64_t seed) : state_(seed) {}

    uint64_t next() {
        state_ += 0x9e3779b97f4a7c15;
        uint64_t mixed = state_;
        mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9;
        mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111eb;
        return mixed ^ mixed >> 31;
    }
    uint64_t below(uint64_t limit) { return next() % limit; }

private:
    uint64_t state_;
};

} // namespace multihome::test
