// SPDX-License-Identifier: MIT
//
// What happens in a conversation, told event by event.
#pragma once

#include "shim/peers/conversation.hpp"

#include <doctest/doctest.h>

namespace multihome::conversation_test {

using Kind = Conversation::Kind;
constexpr Lifetimes lifetimes;
constexpr LocalIndex x = 5;
constexpr LocalIndex y = 1023;
constexpr LocalIndex z = 7;
constexpr Ticks start = 1'000'003;

// A conversation that time passes for.
class Story {
public:
    explicit Story(const Lifetimes& times = lifetimes, Ticks now = start) : lifetimes_(times), now_(now) {}

    Story& hear(LocalIndex at) {
        state_ = state_.heard(at, now_, lifetimes_);
        return *this;
    }
    Story& answer(LocalIndex at) {
        state_ = state_.answered(at);
        return *this;
    }
    // Where it leaves from.
    LocalIndex speak(bool late = false) {
        const Conversation::Spoken spoken = state_.spoken(now_, lifetimes_, late);
        state_ = spoken.after;
        return spoken.from;
    }
    Story& wait(Ticks ticks) {
        now_ += ticks;
        return *this;
    }

    Conversation state() const { return state_; }
    Kind kind() const { return state_.kind(); }
    bool is_alive() const { return state_.is_alive(now_, lifetimes_); }
    Ticks now() const { return now_; }

private:
    Lifetimes lifetimes_;
    Ticks now_;
    Conversation state_;
};

inline Story asked(LocalIndex at) {
    return Story{}.hear(at);
}
inline Story known(LocalIndex at) {
    return Story{}.hear(at).answer(at).hear(at);
}
inline Story moving(LocalIndex home, LocalIndex to) {
    return known(home).hear(to);
}
// Asked and pushed to at the one address, heard at the other.
inline Story contested(LocalIndex first, LocalIndex then) {
    Story story = asked(first).answer(first);
    story.speak(); // the program's own
    return story.hear(then);
}
inline Story spoken_first() {
    Story story;
    story.speak();
    return story;
}

inline bool is(const Story& story, Kind kind, LocalIndex first, LocalIndex second = local_by_route) {
    const Conversation state = story.state();
    CAPTURE(static_cast<int>(state.kind()));
    CHECK(state.kind() == kind);
    CHECK(state.first_index() == first);
    CHECK(state.second_index() == second);
    return state.kind() == kind && state.first_index() == first && state.second_index() == second;
}

} // namespace multihome::conversation_test
