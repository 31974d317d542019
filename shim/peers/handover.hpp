// SPDX-License-Identifier: MIT
//
// Peers that wait for an answer which may come from another socket than the one that heard them: a TFTP
// server opens a socket for each transfer, a DTLS server connects one for each client.
//
// The rule: a peer is offered when a socket hears it on which the peer spoke first, and through which it has
// not been answered so far. The offer stands for `seconds_offered` seconds. So what a resolver hears on the
// sockets that it asks questions from is never offered, and neither are the clients that it answers in the
// ordinary way.
//
// A direct-mapped array of words, each the whole truth about one offer, written by plain stores: an offer
// that is overwritten by another peer's is lost, and that peer's transfer leaves from where the routing table
// says.
#pragma once

#include "shim/peers/peer_table.hpp"

#include <array>
#include <atomic>
#include <cstdint>

namespace multihome {

class Handover {
public:
    static constexpr uint32_t seconds_offered = 16;

    // `hash`: of the peer. `now`: seconds of any clock that only goes forward. Async-signal-safe.
    void offer(uint64_t hash, LocalIndex local, uint32_t now) {
        const uint64_t time = uint64_t{now} << local_index_bits & time_mask;
        // Release pairs with the acquire in find(): who reads the index reads the interned address too.
        slot(hash).store((hash & fingerprint_mask) | time | local, std::memory_order_release);
    }

    // Where the peer waits for its answer from; local_by_route where no offer stands. Async-signal-safe.
    LocalIndex find(uint64_t hash, uint32_t now) const {
        const uint64_t word = slot(hash).load(std::memory_order_acquire);
        if (word == 0 || ((word ^ hash) & fingerprint_mask) != 0)
            return local_by_route;
        const uint64_t age = (now - (word >> local_index_bits)) & (time_mask >> local_index_bits);
        return age <= seconds_offered ? static_cast<LocalIndex>(word & local_mask) : local_by_route;
    }

    // The offer is no longer good, if it stands. Async-signal-safe.
    void withdraw(uint64_t hash) {
        uint64_t word = slot(hash).load(std::memory_order_relaxed);
        // Relaxed: there is nothing to read behind an empty word. A failed exchange means a newer offer.
        if (word != 0 && ((word ^ hash) & fingerprint_mask) == 0)
            slot(hash).compare_exchange_strong(word, 0, std::memory_order_relaxed);
    }

private:
    // Of a word: the local address, the time of the offer (18 bits, three days), 36 bits of the peer's hash.
    // The slot is chosen by bits of the hash that are not among those, so a false match takes 48 equal bits.
    static constexpr unsigned slot_bits = 12;
    static constexpr unsigned time_bits = 18;
    static constexpr unsigned fingerprint_shift = local_index_bits + time_bits;
    static constexpr uint64_t local_mask = (uint64_t{1} << local_index_bits) - 1;
    static constexpr uint64_t time_mask = ((uint64_t{1} << time_bits) - 1) << local_index_bits;
    static constexpr uint64_t fingerprint_mask = ~uint64_t{0} << fingerprint_shift;

    static size_t index(uint64_t hash) { return hash & ((size_t{1} << slot_bits) - 1); }
    std::atomic<uint64_t>& slot(uint64_t hash) { return slots_[index(hash)]; }
    const std::atomic<uint64_t>& slot(uint64_t hash) const { return slots_[index(hash)]; }

    std::array<std::atomic<uint64_t>, size_t{1} << slot_bits> slots_;
};

} // namespace multihome
