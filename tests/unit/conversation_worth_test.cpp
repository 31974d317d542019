// SPDX-License-Identifier: MIT
//
// What each state of a conversation is worth: to the quick look, to the replacement, and as a word.
#include "shim/base/settings.hpp"
#include "shim/peers/conversation.hpp"

#include "story.hpp"

#include <initializer_list>

namespace multihome::conversation_test {

// Of the suite of the states.
TEST_SUITE_BEGIN("conversation");

TEST_CASE("a steady conversation is one that hearing at home does not change") {
    for (const Story& story :
         {asked(x), asked(x).answer(x), spoken_first(), moving(x, y), contested(x, y), known(x)}) {
        const bool steady = story.state().is_steady();
        CHECK(steady == (Story{story}.hear(x).state() == story.state() && story.kind() == Kind::known));
    }
    CHECK(known(x).state().is_steady());
    const Conversation unused = known(x).state().unused();
    CHECK_FALSE(unused.is_used());
    CHECK_FALSE(unused.is_steady());
    CHECK(unused.heard(x, start, lifetimes).is_used());
    CHECK(unused.used() == known(x).state());
    CHECK(unused.kind() == Kind::known);
    CHECK(unused.first_index() == x);
}

TEST_CASE("what is settled, and where a peer asked last") {
    CHECK_FALSE(asked(x).state().is_settled());
    CHECK_FALSE(spoken_first().state().is_settled());
    CHECK(known(x).state().is_settled());
    CHECK(moving(x, y).state().is_settled());
    CHECK_FALSE(contested(x, y).state().is_settled());
    CHECK(asked(x).state().asked_last() == x);
    CHECK(known(x).state().asked_last() == x);
    CHECK(moving(x, y).state().asked_last() == y);
    CHECK(spoken_first().state().asked_last() == local_by_route);
    // Only a known one that nobody has heard lately has not been used.
    CHECK(asked(x).state().is_used());
    CHECK(moving(x, y).state().is_used());
}

TEST_CASE("the age of a moving one is that of its question, in halves of its life") {
    for (const Ticks waited : {Ticks{0}, Ticks{30}, Ticks{120}, Ticks{350}})
        CHECK(contested(x, y).state().age(start + waited, lifetimes) / 60 == (start % 60 + waited) / 60);
}

TEST_CASE("the age of a question and of a known one, in any part of the clock's round") {
    for (const Ticks now : {Ticks{0}, Ticks{1}, start, Ticks{0x3fff}, Ticks{0x4000}, ~Ticks{0}}) {
        CAPTURE(now);
        CHECK(Conversation::question(x, now).age(now, lifetimes) == 0);
        CHECK(Conversation::question(x, now).age(now + 100, lifetimes) == 100);
        CHECK(Conversation::question(x, now).age(now + 0x3f00, lifetimes) == 0x3f00);
        CHECK(Conversation::question(x, now).age(now + 0x4000, lifetimes) == 0); // it wraps after 68 minutes
        // The word of ours is 18 hours old before it seems to be new, to a minute.
        for (const Ticks seconds : {Ticks{120}, Ticks{4096}, Ticks{65400}})
            CHECK(Conversation::spoke_first(now).age(now + 4 * seconds, lifetimes) == 4 * seconds);
        CHECK(Conversation::spoke_first(now).age(now + 4 * 65536, lifetimes) == 0);
    }
    CHECK(Conversation::known(x, start).age_when_known(start) < 256);
    CHECK(Conversation::known(x, start).age_when_known(start + 256 * 100) == 256 * 100);
}

// Another thread may have noted a time since this one read the clock.
TEST_CASE("what was noted later than now is new") {
    for (const Ticks now : {Ticks{0}, Ticks{59}, start, Ticks{0x3fff}, Ticks{0x4000}}) {
        CAPTURE(now);
        for (const Ticks later : {Ticks{1}, Ticks{4}}) {
            CHECK(Conversation::question(x, now + later).is_alive(now, lifetimes));
            CHECK(Conversation::spoke_first(now + later).is_alive(now, lifetimes));
            CHECK(Conversation::known(x, now).heard(y, now + later, lifetimes).is_alive(now, lifetimes));
        }
    }
}

TEST_CASE("what has run out stays so for as long again, even with the longest times that can be set") {
    constexpr Ticks longest = Settings::maximum_timeout * ticks_a_second;
    constexpr Lifetimes times{longest, longest};
    for (const Ticks begin : {Ticks{0}, start, Ticks{0x3fff}}) {
        const Conversation known = Conversation::known(x, begin);
        for (const Conversation state : {Conversation::question(x, begin), Conversation::spoke_first(begin),
                                         known.heard(y, begin, times)}) {
            CAPTURE(state.kind());
            Ticks later = 0;
            while (state.is_alive(begin + later, times))
                ++later;
            CHECK(later >= longest);
            CHECK(later <= longest + longest / 2 + 1); // the time of a moving one has halves
            for (; later <= 2 * longest; ++later)
                REQUIRE_FALSE(state.is_alive(begin + later, times));
        }
    }
}

TEST_CASE("every state fits into its bits, and none is the empty word") {
    for (LocalIndex first = 1; first < 1U << local_index_bits; first = static_cast<LocalIndex>(first + 51))
        for (LocalIndex second = 1; second < 1U << local_index_bits;
             second = static_cast<LocalIndex>(second + 73)) {
            if (second == first)
                continue;
            const Conversation question = Conversation::question(first, ~Ticks{0});
            const Conversation home = Conversation::known(first, ~Ticks{0});
            const Conversation away = home.heard(second, ~Ticks{0}, lifetimes).answered(second);
            const Conversation rival =
                question.answered(first).answered(first).heard(second, ~Ticks{0}, lifetimes).answered(second);
            for (const Conversation state : {question, home, away, rival}) {
                REQUIRE(static_cast<bool>(state));
                REQUIRE((state.word() & ~Conversation::mask) == 0);
                REQUIRE(state.first_index() == first);
                // The fingerprint above it is none of its business.
                REQUIRE(Conversation{state.word() | ~Conversation::mask} == state);
            }
            REQUIRE(away.second_index() == second);
            REQUIRE(away.is_answered());
            REQUIRE(rival.is_contested());
            REQUIRE(rival.second_index() == second);
        }
    CHECK(static_cast<bool>(Conversation::spoke_first(0)));
    CHECK(static_cast<bool>(Conversation::question(1, 0)));
}

TEST_SUITE_END();

} // namespace multihome::conversation_test
