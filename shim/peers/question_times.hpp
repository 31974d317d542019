// SPDX-License-Identifier: MIT
//
// When peers have asked last. A conversation's word has few bits for the age of a question, so that the age
// wraps (Conversation::age()). Here a part of the conversation's hash leads to the whole time. Conversations
// that share a place keep each other's questions as young as their words say. All is async-signal-safe.
#pragma once

#include "shim/peers/conversation.hpp"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace multihome {

class QuestionTimes {
public:
    // A question of this conversation was heard, which is in `state` since.
    void note(uint64_t hash, Conversation state, Ticks now) {
        // Relaxed: the word is the whole truth.
        if (!is_noted(hash, state, now))
            times_[is_moving(state)][place_of(hash)].store(now, std::memory_order_relaxed);
    }

    // False where none was noted `now`.
    bool is_noted(uint64_t hash, Conversation state, Ticks now) const {
        return times_[is_moving(state)][place_of(hash)].load(std::memory_order_relaxed) == now;
    }

    // False where its last question has run out for certain.
    bool is_recent(uint64_t hash, Conversation state, Ticks now, const Lifetimes& lifetimes) const {
        // A moving conversation that loses an address becomes a question.
        return is_recent_in(times_[1], hash, now, lifetimes) ||
               (!is_moving(state) && is_recent_in(times_[0], hash, now, lifetimes));
    }

private:
    static constexpr unsigned place_bits = 12;
    using Times = std::array<std::atomic<Ticks>, size_t{1} << place_bits>;

    static bool is_moving(Conversation state) { return state.kind() == Conversation::Kind::moving; }
    static size_t place_of(uint64_t hash) { return static_cast<size_t>(hash >> (64 - place_bits)); }
    static bool is_recent_in(const Times& times, uint64_t hash, Ticks now, const Lifetimes& lifetimes) {
        // Signed: another thread may have noted a question since this one read the clock.
        const auto age = static_cast<int32_t>(now - times[place_of(hash)].load(std::memory_order_relaxed));
        return age <= static_cast<int32_t>(lifetimes.question);
    }

    // Moving ones have the second: their ages wrap soonest, and peers that ask once, however many, make none.
    std::array<Times, 2> times_;
};

} // namespace multihome
