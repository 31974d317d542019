// SPDX-License-Identifier: MIT
//
// The control messages that choose a source, one for each local address, made once and never changed: so the
// kernel can read them where they lie, and whatever interrupts a call between our choice and the kernel's
// look at it (a signal handler, another thread) finds nothing to change.
//
// In memory of our own and not in the shared state: a worker with fewer rights shares that, and must not be
// able to have its parent send messages of other kinds.
#pragma once

#include "shim/base/address.hpp"
#include "shim/base/control.hpp"
#include "shim/peers/peer_table.hpp"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace multihome {

class SourceMessage {
public:
    // For msg_control and msg_controllen, which need not count the padding after the last message.
    void* control() const { return const_cast<std::atomic<uint64_t>*>(words_.data()); }
    size_t length() const { return words_[0].load(std::memory_order_relaxed); }

    static constexpr size_t ipv4_length = CMSG_SPACE(sizeof(in_pktinfo));
    static constexpr size_t ipv6_length = CMSG_SPACE(sizeof(in6_pktinfo));

    // The message for the local address `index`, null where it has not been made. Async-signal-safe.
    static const SourceMessage* find(LocalIndex index) {
        const SourceMessage& message = all[index % count];
        // Acquire pairs with the release in make(): then the rest is there as well.
        return message.words_[0].load(std::memory_order_acquire) != 0 ? &message : nullptr;
    }

    // The same, made now if need be: `local` is the address. Async-signal-safe.
    static const SourceMessage& make(LocalIndex index, const Local& local);

private:
    static constexpr size_t count = size_t{1} << local_index_bits;
    static constexpr size_t word_count = ipv6_length / sizeof(uint64_t);
    static_assert(ipv6_length % sizeof(uint64_t) == 0 && ipv4_length <= ipv6_length);

    static std::array<SourceMessage, count> all;

    // A control message (cmsg(3)). The first word is its length, 0 where it has not been made.
    std::array<std::atomic<uint64_t>, word_count> words_;
};
static_assert(std::atomic<uint64_t>::is_always_lock_free &&
              sizeof(std::atomic<uint64_t>) == sizeof(uint64_t));

} // namespace multihome
