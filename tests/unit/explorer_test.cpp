// SPDX-License-Identifier: MIT
//
// The explorer itself: does it allow what C++20's memory model allows, and nothing that it forbids? The
// programs are the usual litmus tests.

#include "explored.hpp"

#include <array>
#include <atomic>
#include <doctest/doctest.h>
#include <set>
#include <string>
#include <vector>

namespace multihome::explorer_test {

namespace {

using test::Explored;
using test::Explorer;
using Fault = Explorer::Fault;
using Word = Explored<uint64_t>;
constexpr auto relaxed = std::memory_order_relaxed;
constexpr auto acquire = std::memory_order_acquire;
constexpr auto release = std::memory_order_release;

void fence(std::memory_order order) {
    detail::fence<Explored>(order);
}

// What a program's threads have seen, as text. Both ways of changing places must come to the same.
using Outcomes = std::set<std::string>;

class Litmus {
public:
    Word x, y, z;
    std::array<uint64_t, 4> seen{};

    Outcomes outcomes(const std::vector<Explorer::Thread>& threads, Fault fault = Fault::none) {
        Outcomes after_writes = explore(threads, {.fault = fault});
        if (threads.size() < 4)
            CHECK(explore(threads, {.fault = fault, .change_everywhere = true}) == after_writes);
        return after_writes;
    }

private:
    Outcomes explore(const std::vector<Explorer::Thread>& threads, const Explorer::Options& options) {
        Outcomes found;
        const Explorer::Result result = Explorer::explore(
            threads,
            [&] {
                std::string outcome;
                for (const uint64_t value : seen)
                    outcome += std::to_string(value);
                found.insert(outcome);
                return std::string();
            },
            options);
        CHECK(result.is_complete);
        return found;
    }
};

// A message in x, and a flag in y that says that it is there.
Outcomes pass_message(std::memory_order stored, std::memory_order loaded, Fault fault = Fault::none) {
    Litmus all;
    return all.outcomes({[&] {
                             all.x.store(1, relaxed);
                             all.y.store(1, stored);
                         },
                         [&] {
                             all.seen[0] = all.y.load(loaded);
                             all.seen[1] = all.x.load(relaxed);
                         }},
                        fault);
}

// The same with fences.
Outcomes pass_message_by_fences(Fault fault) {
    Litmus all;
    return all.outcomes({[&] {
                             all.x.store(1, relaxed);
                             fence(release);
                             all.y.store(1, relaxed);
                         },
                         [&] {
                             all.seen[0] = all.y.load(relaxed);
                             fence(acquire);
                             all.seen[1] = all.x.load(relaxed);
                         }},
                        fault);
}

const Outcomes passed{"0000", "0100", "1100"};
const Outcomes lost{"0000", "0100", "1000", "1100"};

} // namespace

TEST_SUITE_BEGIN("explorer");

TEST_CASE("a message is passed by a release and an acquire, and by nothing less") {
    CHECK(pass_message(release, acquire) == passed);
    CHECK(pass_message(relaxed, acquire) == lost);
    CHECK(pass_message(release, relaxed) == lost);
    CHECK(pass_message(release, acquire, Fault::release_is_relaxed) == lost);
    CHECK(pass_message(release, acquire, Fault::acquire_is_relaxed) == lost);
    CHECK(pass_message_by_fences(Fault::none) == passed);
    CHECK(pass_message_by_fences(Fault::no_acquire_fence) == lost);
    CHECK(pass_message_by_fences(Fault::no_release_fence) == lost);
}

TEST_CASE("two threads that write and then look may miss each other") {
    Litmus all;
    CHECK(all.outcomes({[&] {
                            all.x.store(1, release);
                            all.seen[0] = all.y.load(acquire);
                        },
                        [&] {
                            all.y.store(1, release);
                            all.seen[1] = all.x.load(acquire);
                        }}) == Outcomes{"0000", "0100", "1000", "1100"});
}

TEST_CASE("of one location nobody sees the writes in another order") {
    Litmus all;
    CHECK(all.outcomes({[&] {
                            all.x.store(1, relaxed);
                            all.x.store(2, relaxed);
                        },
                        [&] {
                            all.seen[0] = all.x.load(relaxed);
                            all.seen[1] = all.x.load(relaxed);
                        }}) == Outcomes{"0000", "0100", "0200", "1100", "1200", "2200"});
}

TEST_CASE("two readers may see two writers in different orders") {
    Litmus all;
    const Outcomes found = all.outcomes({[&] { all.x.store(1, release); }, [&] { all.y.store(1, release); },
                                         [&] {
                                             all.seen[0] = all.x.load(acquire);
                                             all.seen[1] = all.y.load(acquire);
                                         },
                                         [&] {
                                             all.seen[2] = all.y.load(acquire);
                                             all.seen[3] = all.x.load(acquire);
                                         }});
    CHECK(found.size() == 16);
}

TEST_CASE("what a third thread passes on is passed") {
    Litmus all;
    const Outcomes found = all.outcomes({[&] { all.x.store(1, relaxed); },
                                         [&] {
                                             all.seen[0] = all.x.load(relaxed);
                                             all.y.store(1, release);
                                         },
                                         [&] {
                                             all.seen[1] = all.y.load(acquire);
                                             all.seen[2] = all.x.load(relaxed);
                                         }});
    CHECK(found.count("1100") == 0);
    CHECK(found.count("1110") == 1);
    CHECK(found.count("0100") == 1);
}

TEST_CASE("an exchange reads the newest, and hands on the release that it read") {
    Litmus all;
    const auto add = [&all](size_t place) {
        all.seen[place] = 0;
        for (uint64_t expected = 0; !all.x.compare_exchange_strong(expected, expected + 1, relaxed);)
            ++all.seen[place];
        all.seen[place + 2] = all.x.load(relaxed);
    };
    const auto add_twice = [&all, &add] {
        const std::vector<Explorer::Thread> threads{[&add] { add(0); }, [&add] { add(1); }};
        return [&all, threads](Fault fault) { return all.outcomes(threads, fault); };
    }();
    // Each fails once at most, and one of them is the second.
    CHECK(add_twice(Fault::none) == Outcomes{"0112", "0122", "1021", "1022"});
    CHECK(add_twice(Fault::torn_exchange).count("0011") == 1);
    CHECK(add_twice(Fault::blind_exchange).count("0011") == 1);

    const Outcomes found = all.outcomes({[&] {
                                             all.y.store(1, relaxed);
                                             all.z.store(1, release);
                                         },
                                         [&] {
                                             uint64_t expected = 1;
                                             all.seen[0] =
                                                 all.z.compare_exchange_strong(expected, 2, relaxed) ? 1 : 0;
                                         },
                                         [&] {
                                             all.seen[1] = all.z.load(acquire);
                                             all.seen[2] = all.y.load(relaxed);
                                             all.seen[3] = 0;
                                         }});
    CHECK(found.count("1210") == 1);
    CHECK(found.count("1200") == 0);
}

TEST_CASE("a bound on preemptions, and on executions, leaves something out and says so") {
    Litmus all;
    const std::vector<Explorer::Thread> threads(2, [&all] {
        all.x.store(1, relaxed);
        all.x.store(2, relaxed);
    });
    const auto nothing_wrong = [] { return std::string(); };
    CHECK(Explorer::explore(threads, nothing_wrong, {}).executions == 6);
    CHECK(Explorer::explore(threads, nothing_wrong, {.preemptions = 0}).executions == 2);
    const Explorer::Result cut_short = Explorer::explore(threads, nothing_wrong, {.limit = 3});
    CHECK(cut_short.executions == 3);
    CHECK_FALSE(cut_short.is_complete);
}

TEST_CASE("a violation is reported with what led to it") {
    Litmus all;
    const Explorer::Result result = Explorer::explore(
        {[&all] { all.x.store(1, relaxed); }, [&all] { all.seen[0] = all.x.load(relaxed); }},
        [&all] { return all.seen[0] == 0 ? std::string("seen too early") : std::string(); }, {});
    CHECK(result.violation.rfind("seen too early\n  thread 0: store location 1 = 1", 0) == 0);
    CHECK_FALSE(result.is_complete);
}

TEST_SUITE_END();

} // namespace multihome::explorer_test
