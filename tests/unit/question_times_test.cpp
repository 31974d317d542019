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
    const test::SharedMemory<QuestionTimes> times;
    CHECK_FALSE(times->is_recent(hash, start, lifetimes));
    times->note(hash, start);
    for (const Ticks time : {start - 1, start, start + lifetimes.question})
        CHECK(times->is_recent(hash, time, lifetimes));
    CHECK_FALSE(times->is_recent(hash, start + lifetimes.question + 1, lifetimes));
    CHECK_FALSE(times->is_recent(~hash, start, lifetimes)); // another place
}

TEST_SUITE_END();

} // namespace multihome::question_times_test
