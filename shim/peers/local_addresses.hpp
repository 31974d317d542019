// SPDX-License-Identifier: MIT
//
// The local addresses that peers have used, each under a small number that fits into an entry of the peer
// table.
//
// Invariants: a slot goes from empty to claimed to ready and never changes again, so a number, once given
// out, means the same address for ever. A writer that stops between claimed and ready costs that one slot.
// Two writers may put the same address into two slots, which is harmless.
#pragma once

#include "shim/base/address.hpp"
#include "shim/peers/peer_table.hpp"

#include <array>
#include <atomic>
#include <cstdint>

namespace multihome {

class LocalAddresses {
public:
    // Number 0 and the highest number have meanings of their own, see peer_table.hpp.
    static constexpr unsigned first = local_by_route + 1;
    static constexpr unsigned end = local_asked_first;
    static constexpr unsigned capacity = end - first;

    // The number of `local`, given out now if it is new; local_by_route where the list is full. Never waits.
    // Async-signal-safe.
    LocalIndex intern(const Local& local) {
        const unsigned start = slot_hash(local);
        for (unsigned step = 0; step < capacity; ++step) {
            const unsigned index = first + (start + step) % capacity;
            Slot& slot = slots_[index];
            // Acquire pairs with the release below: a ready slot's address is complete.
            State state = slot.state.load(std::memory_order_acquire);
            if (state == State::empty &&
                slot.state.compare_exchange_strong(state, State::claimed, std::memory_order_relaxed,
                                                   std::memory_order_acquire)) {
                slot.local = local;
                slot.state.store(State::ready, std::memory_order_release);
                return static_cast<LocalIndex>(index);
            }
            if (state == State::ready && slot.local == local)
                return static_cast<LocalIndex>(index);
        }
        return local_by_route;
    }

    // The address under `index`; the empty one where there is none. Async-signal-safe.
    Local at(LocalIndex index) const {
        if (index < first || index >= end)
            return {};
        const Slot& slot = slots_[index];
        return slot.state.load(std::memory_order_acquire) == State::ready ? slot.local : Local{};
    }

private:
    enum class State : uint32_t { empty, claimed, ready };

    struct Slot {
        std::atomic<State> state;
        Local local;
    };

    // Spreads the addresses of one host; there is nothing to defend, whoever can choose among them owns the
    // host.
    static unsigned slot_hash(const Local& local) {
        const uint64_t mixed =
            (local.address.first ^ local.address.second ^ local.interface_index) * 0x9e3779b97f4a7c15U;
        return static_cast<unsigned>(mixed >> 48) % capacity;
    }

    std::array<Slot, size_t{1} << local_index_bits> slots_;
};

} // namespace multihome
