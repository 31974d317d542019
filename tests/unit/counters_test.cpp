// SPDX-License-Identifier: MIT
#include "shim/peers/counters.hpp"

#include "shared_memory.hpp"

#include <doctest/doctest.h>
#include <set>
#include <thread>
#include <vector>

namespace multihome::counters_test {

TEST_SUITE_BEGIN("counters");

TEST_CASE("a counter is the sum over all threads and ports") {
    const test::SharedMemory<Counters> counters;
    CHECK(counters->sum(Counter::requests) == 0);
    counters->line(htons(53), 0).add(Counter::requests);
    counters->line(htons(53), 15).add(Counter::requests, 10);
    counters->line(htons(53), 16).add(Counter::requests, 100); // shares with thread 0
    counters->line(htons(123), ~0U).add(Counter::requests, 1000);
    CHECK(counters->sum(Counter::requests) == 1111);
    for (unsigned other = 0; other < static_cast<unsigned>(Counter::count); ++other)
        if (static_cast<Counter>(other) != Counter::requests)
            CHECK(counters->sum(static_cast<Counter>(other)) == 0);
}

TEST_CASE("each port counts for itself, as long as there are places") {
    const test::SharedMemory<Counters> counters;
    for (unsigned port = 1; port < Counters::ports; ++port)
        counters->line(static_cast<in_port_t>(port), 0).add(Counter::answered, port);
    std::set<in_port_t> ports;
    for (unsigned place = 0; place + 1 < Counters::ports; ++place) {
        const in_port_t port = counters->port_at(place);
        CHECK(ports.insert(port).second);
        CHECK(counters->sum_at(place, Counter::answered) == port);
    }
    // All further ones share the last place, which is no port's.
    constexpr unsigned last = Counters::ports - 1;
    CHECK(counters->port_at(last) == 0);
    CHECK(counters->sum_at(last, Counter::answered) == 0);
    counters->line(1000, 0).add(Counter::answered, 5);
    counters->line(1001, 3).add(Counter::answered, 6);
    CHECK(counters->sum_at(last, Counter::answered) == 11);
    CHECK(counters->port_at(last) == 0);
    // Who has a place keeps it.
    counters->line(3, 1).add(Counter::answered, 100);
    CHECK(counters->sum(Counter::answered) == 15 * 16 / 2 + 11 + 100);
    CHECK(counters->sum_at(last, Counter::answered) == 11);
}

TEST_CASE("a socket without a port takes no place from those that have one") {
    const test::SharedMemory<Counters> counters;
    counters->line(0, 0).add(Counter::not_heard);
    CHECK(counters->sum_at(Counters::ports - 1, Counter::not_heard) == 1);
    counters->line(htons(53), 0).add(Counter::not_heard);
    CHECK(counters->port_at(0) == htons(53));
}

TEST_CASE("no count is lost between threads, and each port gets one place") {
    const test::SharedMemory<Counters> counters;
    constexpr unsigned each = 20'000;
    std::vector<std::thread> threads;
    for (unsigned number = 0; number < 4; ++number)
        threads.emplace_back([&counters, number] {
            for (unsigned step = 0; step < each; ++step)
                counters->line(static_cast<in_port_t>(1 + step % 8), number % 2).add(Counter::answered);
        });
    for (std::thread& thread : threads)
        thread.join();
    CHECK(counters->sum(Counter::answered) == 4 * each);
    for (unsigned place = 0; place < 8; ++place)
        CHECK(counters->sum_at(place, Counter::answered) == each / 2);
}

TEST_CASE("two threads, and two ports of one, count in cache lines of their own") {
    const test::SharedMemory<Counters> counters;
    std::set<const void*> lines;
    for (in_port_t port = 1; port <= 4; ++port)
        for (unsigned thread = 0; thread < Counters::threads; ++thread) {
            const Counters::Line& line = counters->line(port, thread);
            CHECK(reinterpret_cast<uintptr_t>(&line) % 64 == 0);
            CHECK(lines.insert(&line).second);
            CHECK(&counters->line(port, thread) == &line);
        }
    // Another process reads this memory by its layout.
    CHECK(sizeof(Counters) == 64 + Counters::ports * Counters::threads * 64);
}

TEST_SUITE_END();

} // namespace multihome::counters_test
