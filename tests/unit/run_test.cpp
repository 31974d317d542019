// SPDX-License-Identifier: MIT
#include "shim/peers/run.hpp"

#include <doctest/doctest.h>

namespace multihome::run_test {

namespace {

// Of a made-up conversation: its number stands in the hash's upper bits. The others do not count.
constexpr uint64_t hash_of_number(uint64_t number) {
    return number << 23 | 0x2aaaaa;
}

void add(Run& run, uint64_t number, LocalIndex at) {
    run.add({hash_of_number(number), at, 7, false});
}

LocalIndex take(Run& run, uint64_t number) {
    return run.answer_first(hash_of_number(number)).at();
}

LocalIndex take_steady(Run& run, uint64_t number) {
    const Run::Record* const record = run.answer_steady(hash_of_number(number));
    return record != nullptr ? record->at() : local_by_route;
}

} // namespace

TEST_SUITE_BEGIN("run");

TEST_CASE("an empty run knows nobody") {
    Run run;
    CHECK(run.count() == 0);
    CHECK_FALSE(static_cast<bool>(run.answer_first(hash_of_number(1))));
    CHECK_FALSE(static_cast<bool>(run.answer_latest(hash_of_number(1))));
    CHECK(run.latest(hash_of_number(1)) == nullptr);
    CHECK_FALSE(static_cast<bool>(run.answer_first(0)));
}

TEST_CASE("a record is what was put into it") {
    const Run::Record record{~uint64_t{0}, 1023, 255, true};
    CHECK(record.is_of(~uint64_t{0}));
    CHECK_FALSE(record.is_of(~uint64_t{0} >> 1));
    CHECK(record.at() == 1023);
    CHECK(record.generation() == 255);
    CHECK(record.is_steady());
    CHECK_FALSE(record.is_answered());
    const Run::Record other{0, local_by_route, 0, false};
    CHECK(static_cast<bool>(other)); // heard, at no address to answer from
    CHECK(other.is_of(0));
    CHECK(other.at() == local_by_route);
    CHECK(other.generation() == 0);
    CHECK_FALSE(other.is_steady());
}

TEST_CASE("41 bits tell conversations apart") {
    const Run::Record record{0x123456789abcdef0, 7, 7, false};
    unsigned taken_for_it = 0;
    for (unsigned bit = 0; bit < 64; ++bit)
        if (record.is_of(0x123456789abcdef0 ^ uint64_t{1} << bit))
            ++taken_for_it;
    CHECK(taken_for_it == 64 - 41);
}

TEST_CASE("each conversation is answered in the order it asked in") {
    Run run;
    add(run, 1, 7);
    add(run, 2, 9);
    add(run, 1, 8);
    add(run, 2, 7);
    CHECK(run.count() == 4);
    SUBCASE("in the order of all") {
        CHECK(take(run, 1) == 7);
        CHECK(take(run, 2) == 9);
        CHECK(take(run, 1) == 8);
        CHECK(take(run, 2) == 7);
    }
    SUBCASE("one conversation after the other") {
        CHECK(take(run, 2) == 9);
        CHECK(take(run, 2) == 7);
        CHECK(take(run, 1) == 7);
        CHECK(take(run, 1) == 8);
    }
    SUBCASE("what is answered twice is answered from where it asked last") {
        CHECK(take(run, 1) == 7);
        CHECK(take(run, 1) == 8);
        CHECK(take(run, 1) == 8);
        CHECK(take(run, 2) == 9);
    }
    SUBCASE("a stranger is no part of it") {
        CHECK(take(run, 3) == local_by_route);
        CHECK(take(run, 1) == 7);
    }
}

TEST_CASE("to look at the latest takes nothing") {
    Run run;
    add(run, 1, 7);
    add(run, 1, 8);
    CHECK(run.latest(hash_of_number(1))->at() == 8);
    CHECK(run.latest(hash_of_number(1))->at() == 8);
    CHECK(take(run, 1) == 7);
}

TEST_CASE("the latest is answered first, and then the others that asked at the same address") {
    Run run;
    add(run, 1, 8);
    add(run, 1, 7);
    add(run, 2, 8);
    add(run, 1, 8);
    const auto answer = [&] {
        const Run::Record before = run.answer_latest(hash_of_number(1));
        CHECK(before.at() == 8);
        return !before.is_answered();
    };
    CHECK(answer());
    CHECK(answer());
    CHECK_FALSE(answer());
    CHECK_FALSE(static_cast<bool>(run.answer_latest(hash_of_number(3))));
}

TEST_CASE("an address that is no source any more keeps its datagrams' places") {
    Run run;
    add(run, 1, 7);
    add(run, 1, 8);
    add(run, 2, 7);
    run.forget(hash_of_number(1), [](LocalIndex at) { return at == 7; });
    CHECK(run.count() == 3);
    CHECK(take(run, 1) == local_by_route);
    CHECK(take(run, 1) == 8);
    CHECK(take(run, 2) == 7);
}

TEST_CASE("what a record says of one thing says nothing of another") {
    const Run::Record group = Run::Record::to_group(hash_of_number(1));
    CHECK(group.is_to_group());
    CHECK_FALSE(group.is_at_home());
    CHECK_FALSE(group.is_steady());
    CHECK(group.is_question());
    Run::Record at_home{hash_of_number(1), 1023, 255, false};
    at_home.set_at_home();
    CHECK(at_home.is_at_home());
    CHECK_FALSE(at_home.is_to_group());
    CHECK_FALSE(at_home.is_steady());
    CHECK(at_home.is_question());
    CHECK(at_home.at() == 1023);
    CHECK(at_home.generation() == 255);
}

TEST_CASE("a steady question whose turn it is needs no search") {
    Run run;
    CHECK(take_steady(run, 0) == local_by_route);
    run.add({hash_of_number(1), 7, 0, true});
    run.add({hash_of_number(2), 8, 0, false});
    run.add({hash_of_number(1), 9, 0, true});
    SUBCASE("in order, the first one that is not answered") {
        run.begin_answers(true);
        CHECK(take_steady(run, 3) == local_by_route);
        CHECK(take_steady(run, 1) == 7);
        CHECK(take_steady(run, 2) == local_by_route); // not steady
        CHECK(take(run, 2) == 8);
        CHECK(take(run, 1) == 9);
        CHECK(take_steady(run, 1) == local_by_route); // answered
    }
    SUBCASE("else the last one") {
        run.begin_answers(false);
        CHECK(take_steady(run, 1) == 9);
        CHECK(take_steady(run, 1) == local_by_route);
    }
    SUBCASE("in an empty run, none") {
        run.clear();
        run.begin_answers(false);
        CHECK(take_steady(run, 1) == local_by_route);
    }
    SUBCASE("none that was dropped") {
        run.clear();
        run.add({hash_of_number(1), 7, 0, true});
        run.add({hash_of_number(2), 8, 0, true});
        run.drop(1);
        run.begin_answers(true);
        CHECK(take_steady(run, 1) == 7);
        CHECK(take_steady(run, 2) == local_by_route);
    }
}

TEST_CASE("beyond the capacity requests are left to the table, never mixed up") {
    Run run;
    for (unsigned number = 1; number <= Run::capacity + 50; ++number)
        add(run, number, static_cast<LocalIndex>(number));
    CHECK(run.count() == Run::capacity);
    for (unsigned number = Run::capacity + 50; number > 0; --number)
        CHECK(take(run, number) == (number <= Run::capacity ? number : 0));
}

TEST_CASE("what came after is taken back, and nothing else") {
    Run run;
    add(run, 1, 7);
    add(run, 1, 8);
    run.drop(5);
    CHECK(run.count() == 2);
    run.drop(1);
    CHECK(run.count() == 1);
    CHECK(take(run, 1) == 7);
    CHECK(take(run, 1) == 7);
    run.drop(0);
    CHECK(run.latest(hash_of_number(1)) == nullptr);
}

TEST_CASE("a round's first datagrams are forgotten, the others keep their order") {
    Run run;
    add(run, 1, 7);
    add(run, 2, 8);
    add(run, 1, 9);
    add(run, 1, 10);
    run.forget_first(2);
    CHECK(run.latest(hash_of_number(2)) == nullptr);
    CHECK(take(run, 1) == 9);
    CHECK(take(run, 1) == 10);
    run.forget_first(4);
    CHECK(run.count() == 0);
}

TEST_CASE("a cleared run begins anew") {
    Run run;
    for (LocalIndex at = 1; at <= 10; ++at)
        add(run, 1, at);
    while (take(run, 1) != 10) {
        // Answers them all.
    }
    run.clear();
    CHECK(run.count() == 0);
    add(run, 1, 20);
    add(run, 1, 21);
    CHECK(take(run, 1) == 20);
    CHECK(take(run, 1) == 21);
}

TEST_SUITE_END();

} // namespace multihome::run_test
