// SPDX-License-Identifier: MIT
//
// The table of conversations under threads, signal handlers and forks. Each made-up peer asks at two local
// addresses of its own (table_memory.hpp), so a word of which one part came from another entry is seen.

#include "shim/peers/conversation_table.hpp"

#include "child.hpp"
#include "random.hpp"
#include "table_memory.hpp"

#include <array>
#include <atomic>
#include <csignal>
#include <doctest/doctest.h>
#include <pthread.h>
#include <sched.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace multihome::conversation_table_races_test {

namespace {

using Memory = test::TableMemory;
using Entry = ConversationTable::Entry;
constexpr Ticks start = 100'000;

// Does what the packet path does with one peer of those below `limit`; returns how often it saw what cannot
// be.
unsigned use(const Memory& memory, test::Random& random, uint64_t limit) {
    ConversationTable table = memory.table();
    const uint64_t number = 1 + random.below(limit - 1);
    const uint64_t hash = Memory::hash(number % memory.bucket_count(), number);
    const LocalIndex at = memory.local_of(number, random.below(2) != 0);
    const Ticks now = start + static_cast<Ticks>(random.below(200));
    const Entry found = table.find(hash);
    Entry seen = found;
    LocalIndex from = local_by_route;
    switch (random.below(8)) {
    case 0:
        table.forget(hash);
        break;
    case 1:
        from = table.speak(hash, now, found, random.below(2) != 0).from;
        break;
    case 2:
        table.forget_addresses(hash, now, [=](LocalIndex lost) { return lost == at; });
        break;
    case 3:
    case 4:
    case 5:
        seen = table.hear(hash, at, now, found).entry;
        if (seen && random.below(2) != 0)
            seen = table.answer(at, seen);
        break;
    default:
        break;
    }
    const auto is_its_own = [&](const Entry& entry) {
        return !entry || (memory.number_of(entry.held) == number && memory.is_whole(entry.held, limit));
    };
    const bool leaves_well = from == local_by_route || from == memory.local_of(number, false) ||
                             from == memory.local_of(number, true);
    return is_its_own(found) && is_its_own(seen) && leaves_well ? 0 : 1;
}

// For the handler below.
const Memory* interrupted_memory = nullptr;
std::atomic<unsigned> handled{0};
std::atomic<unsigned> handled_wrong{0};

void use_in_handler(int) {
    test::Random random{handled.fetch_add(1)};
    for (unsigned step = 0; step < 4; ++step)
        handled_wrong.fetch_add(use(*interrupted_memory, random, 40));
}

} // namespace

TEST_SUITE_BEGIN("conversation_table_races");

TEST_CASE("threads find every peer where it was heard, or not at all") {
    // More peers than there is room for, so that replacement goes on all the time.
    const Memory memory{6};
    constexpr uint64_t limit = 2'000;
    std::atomic<unsigned> wrong{0};
    std::vector<std::thread> threads;
    for (unsigned number = 0; number < 4; ++number)
        threads.emplace_back([&memory, &wrong, number] {
            test::Random random{number};
            unsigned mine = 0;
            for (unsigned step = 0; step < 100'000; ++step)
                mine += use(memory, random, limit);
            wrong.fetch_add(mine);
        });
    for (std::thread& thread : threads)
        thread.join();
    CHECK(wrong.load() == 0);
    CHECK(memory.count_broken(limit) == 0);
}

TEST_CASE("a new peer that all threads hear at the same time is known afterwards") {
    const Memory memory{1};
    constexpr unsigned rounds = 3'000;
    constexpr unsigned crowd = 4;
    std::atomic<unsigned> arrived{0};
    std::atomic<unsigned> unknown{0};
    std::atomic<unsigned> twice{0};
    std::vector<std::thread> threads;
    for (unsigned thread = 0; thread < crowd; ++thread)
        threads.emplace_back([&, thread] {
            ConversationTable table = memory.table();
            for (unsigned round = 0; round < rounds; ++round) {
                // Three steps: all there, all hear; all have heard, all look; all have looked, one forgets.
                const uint64_t number = 1 + round % 900;
                const uint64_t hash = Memory::hash(0, number);
                for (unsigned step = 0; step < 3; ++step) {
                    if (step == 1)
                        table.hear(hash, memory.local_of(number, thread % 2 != 0), start, table.find(hash));
                    else if (step == 2 && !table.find(hash))
                        unknown.fetch_add(1);
                    arrived.fetch_add(1);
                    while (arrived.load() < (round * 3 + step + 1) * crowd)
                        sched_yield();
                }
                if (thread == 0) {
                    if (memory.count(hash) > 1)
                        twice.fetch_add(1);
                    table.forget(hash);
                }
            }
        });
    for (std::thread& thread : threads)
        thread.join();
    CHECK(unknown.load() == 0);
    MESSAGE("peers left with two entries, which look-ups and forgetting cope with: " << twice.load());
    CHECK(memory.count_broken(1000) == 0);
}

TEST_CASE("a signal handler looks up and writes while the flow that it interrupts does") {
    const Memory memory{1};
    interrupted_memory = &memory;
    handled = 0;
    handled_wrong = 0;
    struct sigaction action {};
    struct sigaction before {};
    action.sa_handler = use_in_handler;
    action.sa_flags = SA_RESTART;
    REQUIRE(sigaction(SIGUSR1, &action, &before) == 0);

    std::atomic<bool> done{false};
    const pthread_t self = pthread_self();
    std::thread interrupter([&done, self] {
        for (unsigned count = 0; count < 20'000; ++count) {
            pthread_kill(self, SIGUSR1);
            if (count % 16 == 0)
                sched_yield();
        }
        done = true;
    });
    test::Random random{7};
    unsigned wrong = 0;
    while (!done)
        for (unsigned step = 0; step < 100; ++step)
            wrong += use(memory, random, 40);
    interrupter.join();
    sched_yield(); // a system call, at which the last signal is delivered
    REQUIRE(sigaction(SIGUSR1, &before, nullptr) == 0);
    CHECK(wrong == 0);
    CHECK(handled > 0);
    CHECK(handled_wrong == 0);
    CHECK(memory.count_broken(40) == 0);
}

TEST_CASE("a child forked at any moment completes look-ups and writes") {
    const Memory memory{2};
    std::atomic<bool> done{false};
    std::array<std::thread, 2> threads;
    unsigned seed = 0;
    for (std::thread& thread : threads)
        thread = std::thread([&memory, &done, seed = seed++] {
            test::Random random{seed};
            while (!done)
                use(memory, random, 100);
        });
    unsigned good_children = 0;
    constexpr unsigned children = 60;
    for (unsigned number = 0; number < children; ++number) {
        const pid_t child = test::fork_clean();
        REQUIRE(child >= 0);
        if (child == 0) {
            // The memory is shared: here, too, others write in between.
            test::Random random{1000 + number};
            unsigned wrong = 0;
            for (unsigned step = 0; step < 500; ++step)
                wrong += use(memory, random, 100);
            _exit(wrong == 0 ? 0 : 1);
        }
        int status = -1;
        if (waitpid(child, &status, 0) == child && status == 0)
            ++good_children;
    }
    done = true;
    for (std::thread& thread : threads)
        thread.join();
    CHECK(good_children == children);
    CHECK(memory.count_broken(100) == 0);
}

TEST_CASE("what a forked child hears the parent knows") {
    const Memory memory{4};
    const uint64_t hash = Memory::hash(3, 77);
    const pid_t child = test::fork_clean();
    REQUIRE(child >= 0);
    if (child == 0) {
        memory.table().hear(hash, memory.local_of(77, false), start, {});
        _exit(0);
    }
    int status = -1;
    REQUIRE(waitpid(child, &status, 0) == child);
    CHECK(memory.table().find(hash).state() == Conversation::question(memory.local_of(77, false), start));
}

TEST_SUITE_END();

} // namespace multihome::conversation_table_races_test
