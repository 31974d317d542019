// SPDX-License-Identifier: MIT
//
// The local addresses that peers have used, each under a small number that fits into an entry of the table.
//
// Local addresses are few, but 127/8 and AnyIP routes make them many. So a slot is taken back when another
// address needs it: from those that the fewest conversations have begun at, the one that was given out first,
// so that what was asked just now can still be answered. What the table still says of the old address must
// not be taken for the new one: each generation of a slot has a random-looking *salt*, which is part of the
// fingerprint of every entry that names the slot. An entry of an old generation is nobody's entry any more,
// and nobody has to look for it.
//
// Invariants
//  - The salt is written last, and made void before anything else of a slot is changed. So whoever reads the
//    salt, the address, and the same salt again has read the salt's address.
//  - A writer that stops between the two costs that one slot.
//  - Two writers may put the same address into two slots, which is harmless.
#pragma once

#include "shim/base/address.hpp"
#include "shim/peers/conversation.hpp"

#include <array>
#include <atomic>
#include <cstdint>

namespace multihome {

namespace detail {

// A fence for this kind of atomics: the kind of the tests' explorer has its own.
template <template <typename> class Atomic>
[[gnu::always_inline]] inline void fence(std::memory_order order) {
    std::atomic_thread_fence(order);
}

} // namespace detail

template <template <typename> class Atomic = std::atomic>
class BasicLocalAddresses {
public:
    static constexpr unsigned first = local_by_route + 1;
    static constexpr unsigned count = 1U << local_index_bits;
    static constexpr uint64_t salt_mask = ~Conversation::mask;
    // Of the first generation of every slot.
    static constexpr uint64_t first_salt = uint64_t{0x9e3779b97f4a7c15} & salt_mask;

    // The salt of the slot, in the bits of the fingerprint; of no slot, where the slot is being filled; 0 for
    // local_by_route, whose slot is never filled.
    // Async-signal-safe.
    uint64_t salt(LocalIndex index) const {
        // Acquire pairs with the release in fill(): who knows the salt reads its address.
        return slots_[index].salt.load(std::memory_order_acquire);
    }
    static constexpr bool is_void(uint64_t salt) { return (salt & ~salt_mask) != 0 || salt == 0; }
    // True while no other address has had the slot: what was made of this one is good for ever. Relaxed: who
    // comes too early for the flag comes too early for the salt as well.
    bool is_first_generation(LocalIndex index) const {
        return is_reused_.load(std::memory_order_relaxed) == 0 || salt(index) == first_salt;
    }

    // The address under `index`; the empty one where there is none. Async-signal-safe.
    Local at(LocalIndex index) const {
        const Slot& slot = slots_[index];
        const uint64_t before = salt(index);
        if (is_void(before))
            return {};
        const Local local{
            {slot.first.load(std::memory_order_relaxed), slot.second.load(std::memory_order_relaxed)},
            slot.interface_index.load(std::memory_order_relaxed)};
        // Pairs with the fence in fill(): had any of these been new, so would the salt be.
        detail::fence<Atomic>(std::memory_order_acquire);
        return slot.salt.load(std::memory_order_relaxed) == before ? local : Local{};
    }

    // True where `index` stands for `local`. Async-signal-safe.
    [[gnu::always_inline]] bool is_at(LocalIndex index, const Local& local) const {
        const Slot& slot = slots_[index];
        const bool equal = slot.second.load(std::memory_order_relaxed) == local.address.second &&
                           slot.first.load(std::memory_order_relaxed) == local.address.first &&
                           slot.interface_index.load(std::memory_order_relaxed) == local.interface_index;
        // The salt was matched before. One that has changed since would have to be checked again; but then a
        // writer stands in fill(), and what it puts in is not yet anybody's answer.
        return equal;
    }

    // The number of `local`, given out now if it is new; local_by_route where every slot that it may have is
    // being filled. Never waits. Async-signal-safe.
    LocalIndex intern(const Local& local) {
        const unsigned start = slot_hash(local);
        const uint32_t order = order_.load(std::memory_order_relaxed);
        unsigned victim = 0;
        uint32_t least = ~uint32_t{0};
        for (unsigned step = 0; step < reach; ++step) {
            const unsigned index = (start + step) % count;
            if (index < first)
                continue;
            Slot& slot = slots_[index];
            const uint64_t salt = slot.salt.load(std::memory_order_acquire);
            if (salt == 0) {
                if (fill(slot, salt, local, order))
                    return static_cast<LocalIndex>(index);
                continue; // somebody else is filling it
            }
            if (is_void(salt))
                continue;
            if (is_at(static_cast<LocalIndex>(index), local))
                return static_cast<LocalIndex>(index);
            const uint32_t worth = worth_of(slot.uses.load(std::memory_order_relaxed), order);
            if (worth <= least) {
                least = worth;
                victim = index;
            }
        }
        if (victim == 0)
            return local_by_route;
        if (least >> order_bits == most_uses)
            forget_uses(start);
        Slot& slot = slots_[victim];
        const uint64_t salt = slot.salt.load(std::memory_order_relaxed);
        return !is_void(salt) && fill(slot, salt, local, order) ? static_cast<LocalIndex>(victim)
                                                                : local_by_route;
    }

    // A conversation begins at this address. Relaxed: a hint for the replacement.
    void use(LocalIndex index) {
        Atomic<uint32_t>& uses = slots_[index].uses;
        const uint32_t now = uses.load(std::memory_order_relaxed);
        if ((now & uses_mask) < most_uses)
            uses.store(now + 1, std::memory_order_relaxed);
    }

private:
    // So many slots are looked at for one address.
    static constexpr unsigned reach = 64;
    static constexpr unsigned most_uses = 3;
    static constexpr unsigned order_bits = 30;
    static constexpr uint64_t void_bit = 1;

    struct alignas(32) Slot {
        Atomic<uint64_t> salt; // 0: empty; with void_bit: being filled
        Atomic<uint64_t> first;
        Atomic<uint64_t> second;
        Atomic<uint32_t> interface_index;
        Atomic<uint32_t> uses; // 0-1: how many conversations have begun at it; 2-31: its place in the order
    };
    static constexpr unsigned order_shift = 2;
    static constexpr uint32_t uses_mask = (1U << order_shift) - 1;
    static constexpr uint32_t order_mask = (uint32_t{1} << order_bits) - 1;

    // How much a slot is worth keeping, when the next one will be given out in this order: for its uses, and
    // among equals for its youth. One that was given out just now counts as used, because what asked there is
    // still to be answered.
    static constexpr uint32_t worth_of(uint32_t word, uint32_t order) {
        constexpr uint32_t young = 256; // more than two runs (run.hpp)
        uint32_t age = (order - (word >> order_shift)) & order_mask;
        if (age > order_mask / 2)
            age = 0; // given out by another thread since `order` was read
        uint32_t uses = word & uses_mask;
        if (age < young && uses < most_uses - 1)
            uses = most_uses - 1;
        return uses << order_bits | (order_mask - age);
    }

    // A linear congruential generator (D. Knuth, MMIX): no two of a slot's generations in a row are alike.
    static constexpr uint64_t next_salt(uint64_t salt) {
        if (salt == 0)
            return first_salt;
        const uint64_t next = salt * 6364136223846793005U + 1442695040888963407U;
        return (next & salt_mask) != 0 ? next & salt_mask : first_salt;
    }

    // Puts `local` into a slot that has `salt`. False where another writer has come first.
    bool fill(Slot& slot, uint64_t salt, const Local& local, uint32_t order) {
        const uint64_t next = next_salt(salt);
        uint64_t expected = salt;
        if (!slot.salt.compare_exchange_strong(expected, next | void_bit, std::memory_order_relaxed))
            return false;
        if (salt != 0)
            is_reused_.store(1, std::memory_order_relaxed); // the new salt's release says so to its readers
        // Pairs with the fence in at(): whoever reads what follows finds the salt void, or new.
        detail::fence<Atomic>(std::memory_order_release);
        slot.first.store(local.address.first, std::memory_order_relaxed);
        slot.second.store(local.address.second, std::memory_order_relaxed);
        slot.interface_index.store(local.interface_index, std::memory_order_relaxed);
        slot.uses.store(order << order_shift, std::memory_order_relaxed);
        // A hint: two that are filled at the same time may have the same place.
        order_.store(order + 1, std::memory_order_relaxed);
        slot.salt.store(next, std::memory_order_release); // pairs with the acquire in salt()
        return true;
    }

    // All slots within reach are in use by many: from now on they have to be used again to stay.
    void forget_uses(unsigned start) {
        for (unsigned step = 0; step < reach; ++step) {
            Atomic<uint32_t>& uses = slots_[(start + step) % count].uses;
            uses.store(uses.load(std::memory_order_relaxed) & ~uses_mask, std::memory_order_relaxed);
        }
    }

    // Spreads the addresses of one host; there is nothing to defend, whoever can choose among them owns the
    // host.
    static unsigned slot_hash(const Local& local) {
        const uint64_t sum = local.address.first ^ local.address.second ^ local.interface_index;
        // An address's last bytes, in which neighbours differ, are the word's highest, of which a product
        // keeps least.
        const uint64_t mixed = (sum ^ sum >> 32) * 0x9e3779b97f4a7c15U;
        return static_cast<unsigned>(mixed >> 48) % count;
    }

    std::array<Slot, count> slots_;
    Atomic<uint32_t> order_;     // of the next slot that is given out
    Atomic<uint32_t> is_reused_; // a slot has had more than one address
};

using LocalAddresses = BasicLocalAddresses<>;

} // namespace multihome
