// SPDX-License-Identifier: MIT
//
// Which local address each peer used last: a set-associative table of 64-bit words, lock-free and
// async-signal-safe, for threads and for processes that share the memory it lies in.
//
// Invariants
//  - A word is the whole truth about one entry. It changes by one compare-and-swap, so a reader sees an entry
//  as it
//    was or as it is, never half of it. There is nothing to lock, and a writer that stops anywhere (a signal,
//    a killed process, a fork) leaves a table that everybody else can go on using.
//  - A look-up reads one bucket, a bucket is one cache line.
//  - Losing a race is harmless: the word that won is as true as ours, or the peer is heard again.
//  - A false match needs FingerprintBits equal bits of a keyed hash: 8 * 2^-43 = 2^-40 for each look-up.
//
// Replacement. An entry is `answered` once an answer used it. While a bucket holds at least `probation`
// entries that were never answered, the oldest of those makes room, else the oldest of the others. So a flood
// of peers that nobody answers pushes out its own, a peer that waits for its first answer has time to get it,
// and peers long gone are replaced. Age is counted in epochs: the table counts its insertions, not time,
// because reading a clock is dear.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace multihome {

// The index of an interned local address, see local_addresses.hpp.
using LocalIndex = uint16_t;
constexpr unsigned local_index_bits = 10;
// Leave the choice to the routing table.
constexpr LocalIndex local_by_route = 0;
// We spoke first: the peer's datagrams are answers, and no reason to choose a source.
constexpr LocalIndex local_asked_first = (1U << local_index_bits) - 1;

// The layout of an entry, for each number of fingerprint bits. Fewer than 43 are for tests that measure false
// matches.
template <unsigned FingerprintBits>
struct BasicEntry {
    static constexpr unsigned tag_bits = 7;
    static constexpr unsigned epoch_bits = 3;

    static constexpr unsigned tag_shift = 43;
    static constexpr unsigned local_shift = tag_shift + tag_bits;
    static constexpr unsigned answered_shift = local_shift + local_index_bits;
    static constexpr unsigned epoch_shift = answered_shift + 1;
    static_assert(FingerprintBits <= tag_shift && epoch_shift + epoch_bits == 64);

    static constexpr uint64_t fingerprint_mask = (uint64_t{1} << FingerprintBits) - 1;
    static constexpr uint64_t tag_mask = ((uint64_t{1} << tag_bits) - 1) << tag_shift;
    static constexpr uint64_t identity_mask = fingerprint_mask | tag_mask;
    static constexpr uint64_t local_mask = ((uint64_t{1} << local_index_bits) - 1) << local_shift;
    static constexpr uint64_t answered_bit = uint64_t{1} << answered_shift;
    static constexpr unsigned epochs = 1U << epoch_bits;

    // Never 0, which is the empty word.
    static constexpr uint64_t fingerprint(uint64_t hash) {
        const uint64_t bits = hash & fingerprint_mask;
        return bits != 0 ? bits : 1;
    }
    // `socket_tag`: the low bits of the socket's cookie. The kernel counts cookies up, so that sockets made
    // one after the other differ in them.
    static constexpr uint64_t identity(uint64_t hash, uint32_t socket_tag) {
        return fingerprint(hash) | (uint64_t{socket_tag} << tag_shift & tag_mask);
    }
    static constexpr LocalIndex local(uint64_t word) {
        return static_cast<LocalIndex>((word & local_mask) >> local_shift);
    }
    static constexpr unsigned epoch(uint64_t word) { return static_cast<unsigned>(word >> epoch_shift); }
};

// What learn() did, and where, so that a caller that hears the same peer again can see with one load that
// nothing has changed since.
struct Learned {
    std::atomic<uint64_t>* slot = nullptr; // null: not recorded
    uint64_t word = 0;                     // what the slot held
    bool inserted = false;                 // the peer was new to the table
    bool crowded = false;                  // and pushed out one that had hardly come
};

template <unsigned FingerprintBits = 43>
class BasicPeerTable {
public:
    using Entry = BasicEntry<FingerprintBits>;
    static constexpr unsigned ways = 8;
    static constexpr unsigned probation = 4;
    static constexpr unsigned maximum_bucket_bits =
        21; // with 43 fingerprint bits, all 64 of the hash are used

    struct alignas(64) Bucket {
        std::array<std::atomic<uint64_t>, ways> words;
    };
    static_assert(sizeof(Bucket) == 64 && std::atomic<uint64_t>::is_always_lock_free);

    // Buckets for `peers` peers at two words each, as a power of two: between 16 and 32 bytes a peer asked
    // for.
    static constexpr unsigned bucket_bits_for(size_t peers) {
        unsigned bits = 1;
        while (bits < maximum_bucket_bits && (size_t{1} << bits) * (ways / 2) < peers)
            ++bits;
        return bits;
    }

    // `buckets`: 2^bucket_bits zeroed buckets; `insertions`: a zeroed counter in the same memory. Neither is
    // owned.
    BasicPeerTable(Bucket* buckets, unsigned bucket_bits, std::atomic<uint64_t>* insertions)
        : buckets_(buckets), bucket_bits_(bucket_bits), insertions_(insertions) {}

    // Records that the peer reached the socket `tag` at `local`. An entry that says that we asked first stays
    // as it is. Async-signal-safe.
    Learned learn(uint64_t hash, uint32_t tag, LocalIndex local) {
        const uint64_t identity = Entry::identity(hash, tag);
        const uint64_t content = uint64_t{local} << Entry::local_shift;
        Bucket& bucket = bucket_of(hash);
        // Bounded: each failed exchange means that another writer changed this very slot.
        for (unsigned attempt = 0; attempt < ways; ++attempt) {
            const uint64_t epoch = current_epoch();
            std::atomic<uint64_t>* slot = find_word(bucket, identity);
            if (slot != nullptr) {
                // Relaxed: only this word is looked at, and the value is checked by the exchange.
                uint64_t word = slot->load(std::memory_order_relaxed);
                if ((word & Entry::identity_mask) != identity)
                    continue;
                if (Entry::local(word) == local_asked_first && local != local_asked_first)
                    return {slot, word, false};
                const uint64_t wanted = (word & ~Entry::local_mask & ~epoch_mask) | content | epoch;
                // Release pairs with the acquire in find(): who reads the index reads the interned address
                // too.
                if (word == wanted || slot->compare_exchange_strong(word, wanted, std::memory_order_release,
                                                                    std::memory_order_relaxed))
                    return {slot, wanted, false};
                continue;
            }
            const uint64_t wanted = identity | content | epoch;
            slot = victim(bucket, epoch);
            uint64_t word = slot->load(std::memory_order_relaxed);
            if (slot->compare_exchange_strong(word, wanted, std::memory_order_release,
                                              std::memory_order_relaxed)) {
                // Relaxed: a count that nothing depends on but the age of entries.
                insertions_->fetch_add(1, std::memory_order_relaxed);
                remove_duplicates(bucket, identity);
                const unsigned age = (Entry::epoch(wanted) - Entry::epoch(word)) % Entry::epochs;
                return {slot, wanted, true, word != 0 && (word & Entry::answered_bit) == 0 && age <= 1};
            }
        }
        return {};
    }

    // The entry of the peer on the socket `tag`, or 0 where there is none. Async-signal-safe.
    uint64_t find(uint64_t hash, uint32_t tag) const {
        const uint64_t identity = Entry::identity(hash, tag);
        for (const std::atomic<uint64_t>& slot : bucket_of(hash).words) {
            // Acquire pairs with the release in learn(): see there.
            const uint64_t word = slot.load(std::memory_order_acquire);
            if ((word & Entry::identity_mask) == identity)
                return word;
        }
        return 0;
    }

    // Where the entry of a peer lies, and what it holds.
    struct Found {
        std::atomic<uint64_t>* slot;
        uint64_t word;
    };

    // The peer's entry, if it is as `like`, an answered entry of the same socket, but for who the peer is,
    // and of the current epoch: then learn() would have nothing to store. Null otherwise. Async-signal-safe.
    Found find_settled(uint64_t hash, uint64_t like) const {
        const uint64_t identity = Entry::fingerprint(hash) | (like & Entry::tag_mask);
        const uint64_t wanted =
            identity | (like & (Entry::local_mask | Entry::answered_bit)) | current_epoch();
        std::atomic<uint64_t>* slot = find_word(bucket_of(hash), identity);
        // Relaxed: only the equality counts.
        if (slot == nullptr || slot->load(std::memory_order_relaxed) != wanted)
            return {nullptr, 0};
        return {slot, wanted};
    }

    // Marks the entry as one that an answer has used. Async-signal-safe.
    void mark_answered(uint64_t hash, uint32_t tag) {
        std::atomic<uint64_t>* slot = find_word(bucket_of(hash), Entry::identity(hash, tag));
        if (slot != nullptr)
            mark_answered(slot, slot->load(std::memory_order_relaxed));
    }

    // The same for a slot that held `word` when it was last looked at. Returns `word`, with the bit where it
    // has it; not what another writer has put there, which is not about what the caller has heard.
    static uint64_t mark_answered(std::atomic<uint64_t>* slot, uint64_t word) {
        if ((word & Entry::answered_bit) != 0)
            return word;
        // Relaxed: the bit only guides replacement. A lost race leaves it for the next answer.
        uint64_t expected = word;
        return slot->compare_exchange_strong(expected, word | Entry::answered_bit, std::memory_order_relaxed)
                   ? word | Entry::answered_bit
                   : word;
    }

    // Forgets the peer: its address turned out not to be a source. Async-signal-safe.
    void forget(uint64_t hash, uint32_t tag) {
        remove_matching(bucket_of(hash), Entry::identity(hash, tag), 0);
    }

private:
    static constexpr uint64_t epoch_mask = ~uint64_t{0} << Entry::epoch_shift;

    Bucket& bucket_of(uint64_t hash) const { return buckets_[hash >> (64 - bucket_bits_)]; }

    // Two insertions a bucket make an epoch, so that the eight epochs outlast a bucket's eight entries.
    uint64_t current_epoch() const {
        return insertions_->load(std::memory_order_relaxed) >> (bucket_bits_ + 1) << Entry::epoch_shift;
    }

    static std::atomic<uint64_t>* find_word(Bucket& bucket, uint64_t identity) {
        for (std::atomic<uint64_t>& slot : bucket.words)
            if ((slot.load(std::memory_order_relaxed) & Entry::identity_mask) == identity)
                return &slot;
        return nullptr;
    }

    // The slot that makes room: an empty one, else the oldest of those that replacement looks at (see above).
    static std::atomic<uint64_t>* victim(Bucket& bucket, uint64_t epoch) {
        std::atomic<uint64_t>* oldest[2] = {nullptr, nullptr}; // never answered, answered
        unsigned oldest_age[2] = {0, 0};
        unsigned count[2] = {0, 0};
        for (std::atomic<uint64_t>& slot : bucket.words) {
            const uint64_t word = slot.load(std::memory_order_relaxed);
            if (word == 0)
                return &slot;
            const unsigned group = (word & Entry::answered_bit) != 0;
            const unsigned age = (Entry::epoch(epoch) - Entry::epoch(word)) % Entry::epochs;
            if (count[group]++ == 0 || age > oldest_age[group]) {
                oldest[group] = &slot;
                oldest_age[group] = age;
            }
        }
        return oldest[count[0] >= probation ? 0 : 1];
    }

    // Two threads that hear a new peer at the same time may both insert it. Both keep the entry that look-ups
    // find first; were each to keep its own, both could go.
    static void remove_duplicates(Bucket& bucket, uint64_t identity) { remove_matching(bucket, identity, 1); }

    // Empties the slots that hold `identity`, but for the first `keep` of them.
    static void remove_matching(Bucket& bucket, uint64_t identity, unsigned keep) {
        for (std::atomic<uint64_t>& slot : bucket.words) {
            uint64_t word = slot.load(std::memory_order_relaxed);
            if ((word & Entry::identity_mask) != identity)
                continue;
            if (keep > 0)
                --keep;
            else
                slot.compare_exchange_strong(word, 0, std::memory_order_relaxed);
        }
    }

    Bucket* buckets_;
    unsigned bucket_bits_;
    std::atomic<uint64_t>* insertions_;
};

using PeerTable = BasicPeerTable<>;

} // namespace multihome
