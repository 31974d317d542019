// SPDX-License-Identifier: MIT
#include "shim/peers/question_times.hpp"

#include "shared_memory.hpp"

#include <doctest/doctest.h>

namespace multihome::question_times_test {

TEST_SUITE_BEGIN("question_times");

TEST_CASE("a question is recent for its life, and one that another thread has just noted is, too") {
    constexpr Lifetimes lifetimes;
    constexpr Ticks start = 100'000;
    const uint64_t hash = 0x123456789abcdef0;
    const Conversation state = Conversation::question(1, start);
    const test::SharedMemory<QuestionTimes> times;
    CHECK_FALSE(times->is_recent(hash, state, start, lifetimes));
    times->note(hash, state, start);
    for (const Ticks time : {start - 1, start, start + lifetimes.question})
        CHECK(times->is_recent(hash, state, time, lifetimes));
    CHECK_FALSE(times->is_recent(hash, state, start + lifetimes.question + 1, lifetimes));
    CHECK_FALSE(times->is_recent(~hash, state, start, lifetimes)); // another place
}

// Else their number would decide whether a stranger's question of a known peer has run out.
TEST_CASE("new peers' questions do not keep those of moving conversations") {
    constexpr Lifetimes lifetimes;
    constexpr Ticks start = 100'000;
    const uint64_t hash = 0x123456789abcdef0;
    const Conversation question = Conversation::question(2, start);
    const Conversation moving = Conversation::known(1, start).heard(2, start, lifetimes);
    const test::SharedMemory<QuestionTimes> times;
    times->note(hash, question, start);
    CHECK_FALSE(times->is_recent(hash, moving, start, lifetimes));
    times->note(hash, moving, start - 1);
    CHECK(times->is_recent(hash, moving, start, lifetimes));
    CHECK_FALSE(times->is_recent(hash, moving, start + lifetimes.question, lifetimes));
    CHECK(times->is_recent(hash, question, start + lifetimes.question, lifetimes));
}

TEST_CASE("a moving conversation's question is recent, too, where it has become one of a new peer") {
    constexpr Lifetimes lifetimes;
    constexpr Ticks start = 100'000;
    const uint64_t hash = 0x123456789abcdef0;
    const Conversation moving = Conversation::known(1, start).heard(2, start, lifetimes);
    const Conversation left = moving.without(1, start, lifetimes);
    REQUIRE(left.kind() == Conversation::Kind::question);
    const test::SharedMemory<QuestionTimes> times;
    times->note(hash, moving, start);
    CHECK(times->is_recent(hash, left, start, lifetimes));
}

TEST_SUITE_END();

} // namespace multihome::question_times_test
