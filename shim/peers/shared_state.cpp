// SPDX-License-Identifier: MIT
#include "shim/peers/shared_state.hpp"

#include "shim/base/libc.hpp"
#include "shim/base/log.hpp"
#include "shim/base/mapping.hpp"
#include "shim/base/permissions.hpp"
#include "shim/base/settings.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <functional>
#include <sys/auxv.h>
#include <sys/random.h>
#include <sys/syscall.h>

namespace multihome::shared_state {

namespace detail {
constinit std::atomic<SharedState*> state{nullptr};
constinit std::atomic<uint64_t> bucket_mask{0}; // relaxed: published by `state`
constinit Lifetimes lifetimes;
} // namespace detail

namespace {

// The sockets that were made before there was a state. Relaxed: a number that is given while another
// thread makes the state may be given once more.
constinit std::atomic<uint32_t> sockets_before{0};

std::atomic<uint32_t>& counted_sockets() {
    SharedState* const state = get();
    return state != nullptr ? state->handover.sockets_made() : sockets_before;
}

struct Secrets {
    HashKey key;
    std::array<uint64_t, 2> local_addresses;
};
// With GRND_NONBLOCK, because a daemon that starts early in boot must not hang in its first bind(). Else the
// 16 random bytes that the kernel gave the process (getauxval(3), AT_RANDOM) are good enough.
Secrets draw_secrets() {
    Secrets secrets{};
    if (permissions::may(Activity::random_key) &&
        libc::raw_syscall(SYS_getrandom, reinterpret_cast<long>(&secrets), sizeof secrets, GRND_NONBLOCK) ==
            long{sizeof secrets})
        return secrets;
    multihome::detail::SecretWords words;
    const auto* given =
        reinterpret_cast<const void*>(getauxval(AT_RANDOM)); // NOLINT(performance-no-int-to-ptr)
    if (given != nullptr)
        std::memcpy(&words.seed, given, sizeof words.seed);
    std::ranges::generate(secrets.key.words, std::ref(words)); // else a copy of it
    std::ranges::generate(secrets.local_addresses, std::ref(words));
    return secrets;
}

// Maps the state, zeroed, for a table of 2^`bucket_bits` buckets. Null where the kernel refuses.
SharedState* map_state(unsigned bucket_bits) {
    return static_cast<SharedState*>(mapping::create(SharedState::size_for(bucket_bits), MAP_SHARED));
}

// Maps the state for `peers` peers or fewer, and writes `bucket_bits`. All pages of a locked mapping cost
// memory, and its size counts against RLIMIT_MEMLOCK: so a program that locks its memory gets a small table.
SharedState* map_state_for(size_t peers, unsigned& bucket_bits) {
    constexpr size_t few_peers = 4096; // 64 KiB
    const bool locked = peers > few_peers && mapping::memory_is_locked();
    for (const size_t wanted : {peers, few_peers, Settings::minimum_peers}) {
        if (wanted > peers || (locked && wanted > few_peers))
            continue;
        bucket_bits = ConversationTable::bucket_bits_for(wanted);
        SharedState* mapped = map_state(bucket_bits);
        if (mapped == nullptr)
            continue;
        if (wanted != peers)
            log::write(LogLevel::warn, FMT_COMPILE("room for {} peers instead of {}: {}"), wanted, peers,
                       locked ? "the program locks its memory (mlockall)"
                              : "the program's memory limits leave no more");
        return mapped;
    }
    return nullptr;
}

} // namespace

uint32_t count_socket() {
    return counted_sockets().fetch_add(1, std::memory_order_relaxed) + 1;
}

uint32_t sockets_made() {
    return counted_sockets().load(std::memory_order_relaxed);
}

SharedState* create(size_t peers) {
    if (SharedState* existing = get())
        return existing;
    unsigned bucket_bits = 0;
    SharedState* created = map_state_for(peers, bucket_bits);
    if (created == nullptr)
        return nullptr;
    // Two threads that get here may have found different sizes. The first one's counts.
    const uint64_t mask = ConversationTable::bucket_mask_for(bucket_bits);
    uint64_t chosen = 0;
    if (!detail::bucket_mask.compare_exchange_strong(chosen, mask, std::memory_order_relaxed) &&
        chosen != mask) {
        mapping::destroy(created, SharedState::size_for(bucket_bits));
        bucket_bits = static_cast<unsigned>(std::popcount(chosen));
        created = map_state(bucket_bits);
        if (created == nullptr)
            return get();
    }
    // The mapping is all zero bytes, which is what every atomic in it starts with.
    created->version = SharedState::expected_version;
    created->bucket_bits = bucket_bits;
    created->mapping_size = SharedState::size_for(bucket_bits);
    // The settings never change, so that two threads that get here store the same values.
    const Settings::Timeouts& timeouts = settings::get().timeouts;
    detail::lifetimes = {timeouts.question * ticks_a_second, timeouts.spoke_first * ticks_a_second};
    created->lifetimes = detail::lifetimes;
    const Secrets secrets = draw_secrets();
    created->key = secrets.key;
    created->key.make_odd();
    created->handover.sockets_made().store(sockets_before.load(std::memory_order_relaxed),
                                           std::memory_order_relaxed);
    created->locals.set_secret(secrets.local_addresses);
    std::memcpy(created->magic, SharedState::expected_magic, sizeof created->magic);
    SharedState* winner = nullptr;
    // Release pairs with the acquire in get().
    if (!detail::state.compare_exchange_strong(winner, created, std::memory_order_acq_rel,
                                               std::memory_order_acquire)) {
        mapping::destroy(created, SharedState::size_for(bucket_bits));
        return winner;
    }
    return created;
}

} // namespace multihome::shared_state
