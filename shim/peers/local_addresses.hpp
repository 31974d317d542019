// SPDX-License-Identifier: MIT
//
// The local addresses that peers have used, each under an index that fits into an entry of the table.
//
// Local addresses are few, but 127/8 and AnyIP routes make them many. So an address may take another one's
// slot: that where the fewest conversations were answered, and of several the one given out first. So what
// was asked just now can still be answered. Which slots an address may have depends on a secret, and 127/8,
// at which any user of the host can ask, has its own. So who asks at many addresses pushes out their own.
//
// What the table still says of the old address must not be taken for the new one. So each generation of a
// slot has a random-looking *salt*, which is part of the fingerprint of every entry that names the slot. An
// entry of an old generation is nobody's entry any more, and nobody has to look for it.
//
// Invariants
//  - A writer first makes the salt void, and writes the new one last. So if a reader finds the same salt
//    before and after it reads the address, the two belong together.
//  - A writer that stops between the two costs that one slot.
//  - Two writers may put the same address into two slots, which is harmless.
//
// All functions are async-signal-safe, and never wait.
#pragma once

#include "shim/base/address.hpp"
#include "shim/peers/conversation.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>

namespace multihome {

namespace detail {

// A fence for this kind of atomics. The atomics of the tests' explorer have a fence of their own.
template <template <typename> class Atomic>
[[gnu::always_inline]] inline void fence(std::memory_order order) {
    std::atomic_thread_fence(order);
}

} // namespace detail

template <template <typename> class Atomic = std::atomic>
class BasicLocalAddresses { // NOLINT(clang-analyzer-optin.performance.Padding): slots are aligned
public:
    static constexpr unsigned first = local_by_route + 1;
    static constexpr unsigned count = 1U << local_index_bits;
    static constexpr uint64_t salt_mask = ~Conversation::mask;

    // The slot's salt. In the bits of a fingerprint it is 0 for the first address in the slot, and for
    // local_by_route, whose slot is never filled. The bits below tell whether it is void.
    uint64_t salt(LocalIndex index) const {
        // Acquire pairs with the release in fill(): who knows the salt reads its address.
        return slots_[index].salt.load(std::memory_order_acquire);
    }
    // True where the slot is empty, or being filled.
    static constexpr bool is_void(uint64_t salt) { return (salt & ~salt_mask) != given_bit; }
    // True once any slot has had more than one address. Relaxed: who reads it too early reads an old salt.
    bool is_any_reused() const { return is_reused_.load(std::memory_order_relaxed) != 0; }
    // True while no second address has had the slot. What somebody made from the first one is good for ever.
    bool is_first_generation(LocalIndex index) const {
        return !is_any_reused() || (salt(index) & salt_mask) == 0;
    }

    // The address under `index`; the empty one where there is none, as for local_by_route.
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

    // A number for the slot's generation: different for 256 generations in a row (see next_salt()).
    uint8_t generation(LocalIndex index) const { return generation_of(salt(index)); }
    static constexpr uint8_t generation_of(uint64_t salt) {
        return static_cast<uint8_t>(salt >> Conversation::bits);
    }
    static constexpr uint8_t first_generation = 0;

    // True where `index` stands for `local`.
    [[gnu::always_inline]] bool is_at(LocalIndex index, const Local& local) const {
        const Slot& slot = slots_[index];
        // The salt was matched before, and is not checked again. If it has changed since, a writer stands in
        // fill(), and what it puts in is not yet anybody's answer.
        return slot.second.load(std::memory_order_relaxed) == local.address.second &&
               slot.first.load(std::memory_order_relaxed) == local.address.first &&
               slot.interface_index.load(std::memory_order_relaxed) == local.interface_index;
    }

    // An index, and the salt of its slot while it stood for an address.
    struct SaltedIndex {
        LocalIndex index = local_by_route;
        uint64_t salt = 0;
    };

    // Returns the index of `local`, and gives it out now if `local` is new. None where every slot that it
    // may have is being filled. Looks at `likely` first.
    [[gnu::always_inline]] SaltedIndex index_of(const Local& local, LocalIndex likely = local_by_route) {
        const uint64_t salt = this->salt(likely);
        return !is_void(salt) && is_at(likely, local) ? SaltedIndex{likely, salt} : search(local);
    }
    // True where the index has stood for its address ever since.
    bool is_still(SaltedIndex salted) const {
        // Pairs with the fence in fill(): had is_at() read another address, this salt would be that one's.
        detail::fence<Atomic>(std::memory_order_acquire);
        return slots_[salted.index].salt.load(std::memory_order_relaxed) == salted.salt;
    }

    // Sets the secret: random words. Before anything else.
    void set_secret(const std::array<uint64_t, 2>& secret) { secret_ = secret; }

    // A conversation at this address is answered for the first time. Relaxed: a hint for the replacement.
    void use(LocalIndex index) {
        Atomic<uint32_t>& uses = slots_[index].uses;
        const uint32_t now = uses.load(std::memory_order_relaxed);
        if ((now & uses_mask) < most_uses)
            uses.store(now + 1, std::memory_order_relaxed);
    }

private:
    // index_of() where it is not the likely one.
    SaltedIndex search(const Local& local) {
        const Window window = window_of(local);
        for (unsigned step = 0; step < reach; ++step) {
            const LocalIndex index = window.at(step);
            const uint64_t salt = this->salt(index);
            if (salt == 0) {
                if (const SaltedIndex filled = fill(index, salt, local); filled.index != local_by_route)
                    return filled;
            } else if (!is_void(salt) && is_at(index, local)) {
                return {index, salt};
            }
        }
        return replace(window, local);
    }

    // How many slots an address may have.
    static constexpr unsigned reach = 64;
    static constexpr unsigned most_uses = 63;
    static constexpr unsigned order_bits = 26;
    // The bits below the salt: another address is about to have the slot; the slot has an address.
    static constexpr uint64_t void_bit = 1;
    static constexpr uint64_t given_bit = 2;
    // The slots below this one are for loopback addresses.
    static constexpr unsigned first_beyond = 256;

    // The slots that an address may have.
    struct Window {
        unsigned first;
        unsigned count;
        unsigned start;

        LocalIndex at(unsigned step) const {
            const unsigned place = start + step;
            return static_cast<LocalIndex>(first + (place < count ? place : place - count));
        }
        // So many that were given out last are spared: more than a run (run.hpp), and not all.
        unsigned young() const { return std::min(count / 2, 256U); }
    };

    struct alignas(32) Slot {
        Atomic<uint64_t> salt; // 0: empty; with void_bit: being filled
        Atomic<uint64_t> first;
        Atomic<uint64_t> second;
        Atomic<uint32_t> interface_index;
        Atomic<uint32_t> uses; // 0-5: how many conversations were answered; 6-31: its place in the order
    };
    static constexpr unsigned order_shift = 6;
    static constexpr uint32_t uses_mask = (1U << order_shift) - 1;
    static constexpr uint32_t order_mask = (uint32_t{1} << order_bits) - 1;

    // How much a slot is worth keeping: first for its uses, among equals for its youth. `order`: the place of
    // the next slot that is given out. One given out just now counts as used: who asked there still waits.
    static constexpr uint32_t worth_of(uint32_t word, uint32_t order, uint32_t young) {
        uint32_t age = (order - (word >> order_shift)) & order_mask;
        if (age > order_mask / 2)
            age = 0; // given out by another thread since `order` was read
        uint32_t uses = word & uses_mask;
        if (age < young)
            uses = std::max(uses, most_uses - 1);
        return uses << order_bits | (order_mask - age);
    }

    // A linear congruential generator (D. Knuth, MMIX). Its lowest 8 bits, too, go through all their values.
    static constexpr uint64_t next_salt(uint64_t salt) {
        if (salt == 0)
            return given_bit;
        const auto after = [](uint64_t last) {
            return (last * 6364136223846793005U + 1442695040888963407U) & salt_mask;
        };
        const uint64_t next = after(salt & salt_mask);
        return (next != 0 ? next : after(0)) | given_bit;
    }

    // Puts `local` into the slot, which has `salt`. Returns no index where another writer came first.
    SaltedIndex fill(LocalIndex index, uint64_t salt, const Local& local) {
        Slot& slot = slots_[index];
        const uint64_t next = next_salt(salt);
        uint64_t expected = salt;
        // Acquire pairs with the release below: the writer before this one has written its address.
        if (!slot.salt.compare_exchange_strong(expected, next | void_bit, std::memory_order_acquire))
            return {};
        if (salt != 0 && is_reused_.load(std::memory_order_relaxed) == 0)
            is_reused_.store(1, std::memory_order_relaxed); // the new salt's release says so to its readers
        // Pairs with the fences in at() and is_still(): who reads what follows finds the salt void, or new.
        detail::fence<Atomic>(std::memory_order_release);
        slot.first.store(local.address.first, std::memory_order_relaxed);
        slot.second.store(local.address.second, std::memory_order_relaxed);
        slot.interface_index.store(local.interface_index, std::memory_order_relaxed);
        // A hint: two that are filled at the same time may have the same place.
        const uint32_t order = order_.load(std::memory_order_relaxed);
        slot.uses.store(order << order_shift, std::memory_order_relaxed);
        order_.store(order + 1, std::memory_order_relaxed);
        slot.salt.store(next, std::memory_order_release); // pairs with the acquire in salt()
        return {index, next};
    }

    // Gives `local` the slot of another address: see above.
    [[gnu::noinline]] SaltedIndex replace(const Window& window, const Local& local) {
        const uint32_t order = order_.load(std::memory_order_relaxed);
        LocalIndex victim = local_by_route;
        uint32_t least = ~uint32_t{0};
        for (unsigned step = 0; step < reach; ++step) {
            const LocalIndex index = window.at(step);
            if (is_void(salt(index))) // somebody else is filling it
                continue;
            const uint32_t worth =
                worth_of(slots_[index].uses.load(std::memory_order_relaxed), order, window.young());
            if (worth <= least) {
                least = worth;
                victim = index;
            }
        }
        if (victim == local_by_route)
            return {};
        if (least >> order_bits == most_uses)
            forget_uses(window);
        const uint64_t salt = slots_[victim].salt.load(std::memory_order_relaxed);
        return is_void(salt) ? SaltedIndex{} : fill(victim, salt, local);
    }

    // Called when all slots within reach have been used often. To stay, they have to be used again.
    void forget_uses(const Window& window) {
        for (unsigned step = 0; step < reach; ++step) {
            Atomic<uint32_t>& uses = slots_[window.at(step)].uses;
            uses.store(uses.load(std::memory_order_relaxed) & ~uses_mask, std::memory_order_relaxed);
        }
    }

    Window window_of(const Local& local) const {
        const Address& address = local.address;
        // Neighbours differ in an address's last bytes. Those are the word's highest, and a product keeps
        // least of them. So they are folded into the lower ones.
        const uint64_t mixed =
            (address.first ^ address.first >> 32) * ((secret_[0] ^ 0x9e3779b97f4a7c15U) | 1) +
            (address.second ^ address.second >> 32) * ((secret_[1] ^ 0xc2b2ae3d27d4eb4fU) | 1) +
            local.interface_index * 0x165667b19e3779f9U;
        const auto window_in = [mixed](unsigned from, unsigned slots) {
            return Window{from, slots, static_cast<unsigned>((mixed >> 32) * slots >> 32)};
        };
        return address.is_ipv4_loopback() ? window_in(first, first_beyond - first)
                                          : window_in(first_beyond, count - first_beyond);
    }

    std::array<uint64_t, 2> secret_;
    Atomic<uint32_t> is_reused_; // a slot has had more than one address
    std::array<Slot, count> slots_;
    Atomic<uint32_t> order_; // of the next slot that is given out
};

using LocalAddresses = BasicLocalAddresses<>;

} // namespace multihome
