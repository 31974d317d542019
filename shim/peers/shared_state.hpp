// SPDX-License-Identifier: MIT
//
// The memory that threads and forked children share: counters, local addresses and the table of
// conversations. It is one anonymous shared mapping. It is made for the first socket that is about to be
// taken over, or before a fork where sockets were inherited.
#pragma once

#include "shim/peers/conversation_table.hpp"
#include "shim/peers/counters.hpp"
#include "shim/peers/handover.hpp"
#include "shim/peers/hash.hpp"
#include "shim/peers/local_addresses.hpp"
#include "shim/peers/question_times.hpp"

#include <atomic>
#include <cstdint>

namespace multihome {

struct SharedState;

namespace shared_state::detail {
extern std::atomic<SharedState*> state;
// In memory of our own: a worker with fewer rights must not be able to make its parent look beyond the state.
extern std::atomic<uint64_t> bucket_mask;
extern Lifetimes lifetimes;
} // namespace shared_state::detail

// The layout is fixed: multihomectl looks for `magic` at the start of each shared anonymous mapping.
struct SharedState { // NOLINT(clang-analyzer-optin.performance.Padding): the order is that of the reader
    static constexpr char expected_magic[16] = "multihome-state";
    static constexpr uint32_t expected_version = 9;

    char magic[16];
    uint32_t version;
    uint32_t bucket_bits;
    uint64_t mapping_size;
    Lifetimes lifetimes;

    Counters counters;

    // Written once. On lines of its own: every datagram reads it.
    alignas(64) HashKey key;

    // Written now and then.
    alignas(64) std::atomic<uint32_t> threads; // threads that have counted
    std::atomic<uint32_t> readers;             // threads that have received something
    // Not 0 where this program answers questions late, or in other threads: see answers_late() in usual.hpp.
    std::atomic<uint32_t> answers_late;

    alignas(64) LocalAddresses locals;
    Handover handover;
    QuestionTimes question_times;
    // The buckets follow at table_offset().

    static constexpr size_t table_offset() { return (sizeof(SharedState) + 4095) / 4096 * 4096; }
    static constexpr size_t size_for(unsigned bucket_bits) {
        return table_offset() + (sizeof(ConversationTable::Bucket) << bucket_bits);
    }

    ConversationTable table() {
        auto* buckets =
            reinterpret_cast<ConversationTable::Bucket*>(reinterpret_cast<char*>(this) + table_offset());
        return {buckets, shared_state::detail::bucket_mask.load(std::memory_order_relaxed), &locals,
                shared_state::detail::lifetimes};
    }

    // The hash of a conversation.
    uint64_t hash_of(const Peer& peer, in_port_t local_port) const {
        return multihome::hash_of(peer, local_port, key);
    }
    // The hash of the peer alone, whichever port of ours it talks to.
    uint64_t hash_of(const Peer& peer) const { return hash_of(peer, 0); }
};

// All of these are async-signal-safe.
namespace shared_state {

// Returns the state; null until create() has succeeded.
inline SharedState* get() {
    // Acquire pairs with the release in create(): the header is complete.
    return detail::state.load(std::memory_order_acquire);
}

// Counts a UDP socket that was made. Returns how many there are now.
uint32_t count_socket();
// Returns how many were counted.
uint32_t sockets_made();

// Makes the state for a table of `peers` peers, or for fewer where the program's memory is locked or short.
// Returns the state that is there already, if any; null where the kernel refuses the memory.
SharedState* create(size_t peers);

} // namespace shared_state
} // namespace multihome
