// SPDX-License-Identifier: MIT
#include "shim/peers/counters.hpp"

#include "table_memory.hpp"

#include <doctest/doctest.h>
#include <thread>
#include <vector>

namespace multihome {

TEST_SUITE_BEGIN("counters");

TEST_CASE("a counter is the sum over the threads' shares") {
    const test::SharedMemory<Counters> counters;
    CHECK(counters->sum(Counter::received) == 0);
    counters->shard(0).add(Counter::received);
    counters->shard(31).add(Counter::received, 10);
    counters->shard(32).add(Counter::received, 100); // wraps around
    counters->shard(~0U).add(Counter::received, 1000);
    CHECK(counters->sum(Counter::received) == 1111);
    for (unsigned other = 0; other < static_cast<unsigned>(Counter::count); ++other)
        if (static_cast<Counter>(other) != Counter::received)
            CHECK(counters->sum(static_cast<Counter>(other)) == 0);
}

TEST_CASE("no count is lost between threads") {
    const test::SharedMemory<Counters> counters;
    constexpr unsigned each = 20'000;
    std::vector<std::thread> threads;
    // More threads than one a share would be, so that some share.
    for (unsigned number = 0; number < 4; ++number)
        threads.emplace_back([&counters, number] {
            for (unsigned step = 0; step < each; ++step)
                counters->shard(number % 2).add(Counter::injected);
        });
    for (std::thread& thread : threads)
        thread.join();
    CHECK(counters->sum(Counter::injected) == 4 * each);
}

TEST_CASE("each thread's share has a cache line of its own") {
    // Another process reads this memory by its layout.
    CHECK(sizeof(Counters) == size_t{Counters::shards} * 64);
    CHECK(alignof(Counters) == 64);
}

TEST_SUITE_END();

} // namespace multihome
