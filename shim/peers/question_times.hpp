// SPDX-License-Identifier: MIT
//
// When peers have asked last. A conversation's word has few bits for the age of a question, so that the age
// wraps (Conversation::age()), and a moving conversation's counts by halves of its life. Here a part of the
// conversation's hash leads to the whole time. Conversations that share a place keep each other's questions
// as young as their words say, and no more.
#pragma once

#include "shim/peers/conversation.hpp"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace multihome {

class QuestionTimes {
public:
    // A question of this conversation was heard. Async-signal-safe, as the other one.
    void note(uint64_t hash, Ticks now) {
        // Relaxed: the word is the whole truth.
        std::atomic<Ticks>& time = times_[place_of(hash)];
        if (time.load(std::memory_order_relaxed) != now)
            time.store(now, std::memory_order_relaxed);
    }

    // False where its last question has run out for certain.
    bool is_recent(uint64_t hash, Ticks now, const Lifetimes& lifetimes) const {
        // Signed: another thread may have noted a question since this one read the clock.
        const auto age = static_cast<int32_t>(now - times_[place_of(hash)].load(std::memory_order_relaxed));
        return age <= static_cast<int32_t>(lifetimes.question);
    }

private:
    static constexpr unsigned place_bits = 12;
    static size_t place_of(uint64_t hash) { return static_cast<size_t>(hash >> (64 - place_bits)); }

    std::array<std::atomic<Ticks>, size_t{1} << place_bits> times_;
};

} // namespace multihome
