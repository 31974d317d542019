// SPDX-License-Identifier: MIT
#include "shim/peers/recent.hpp"

#include "tests/unit/heard.hpp"

#include <doctest/doctest.h>
#include <initializer_list>

namespace multihome {

TEST_SUITE_BEGIN("recent");

TEST_CASE("it leaves room on the smallest stacks") {
    CHECK(sizeof(Recent) <= 1024);
}

TEST_CASE("what was received last is there, on its socket alone") {
    Recent received;
    CHECK(received.last(tag) == nullptr);
    received.begin_call(tag, false);
    CHECK(received.last(tag) == nullptr);
    received.add(heard(1, 7));
    REQUIRE(received.last(tag) != nullptr);
    CHECK(received.last(tag)->peer == heard(1, 7).peer);
    CHECK(received.last(tag)->local == heard(1, 7).local);
    CHECK_FALSE(received.in_order());
    CHECK(received.last(tag + 1) == nullptr);
    received.begin_call(tag + 1, false);
    CHECK(received.last(tag) == nullptr);
    CHECK(received.last(tag + 1) == nullptr);
}

TEST_CASE("the next call's datagram takes the place of the last one's") {
    Recent received;
    received.begin_call(tag, false);
    received.add(heard(1, 7));
    received.sent();
    received.begin_call(tag, false);
    received.add(heard(1, 8));
    CHECK(received.last(tag)->local == heard(1, 8).local);
    CHECK_FALSE(received.in_order());
    CHECK(take(received, 1) == 8);
}

TEST_CASE("a batch is answered in its order") {
    Recent received;
    received.begin_call(tag, true);
    received.add(heard(1, 7));
    received.add(heard(2, 9));
    received.add(heard(1, 8));
    REQUIRE(received.in_order());
    CHECK(take(received, 1) == 7);
    CHECK(take(received, 1) == 8);
    CHECK(take(received, 2) == 9);
    CHECK(take(received, 3) == 0);
    SUBCASE("answers beyond the requests go where the last one went") {
        CHECK(take(received, 1) == 8);
        CHECK(take(received, 2) == 9);
    }
    SUBCASE("the next batch starts anew") {
        received.begin_call(tag, true);
        received.add(heard(2, 7));
        received.add(heard(2, 8));
        CHECK(take(received, 1) == 0);
        CHECK(take(received, 2) == 7);
        CHECK(take(received, 2) == 8);
    }
}

TEST_CASE("a batch that is answered out of order is answered in order for each peer") {
    Recent received;
    received.begin_call(tag, true);
    received.add(heard(1, 7));
    received.add(heard(2, 8));
    received.add(heard(2, 9));
    CHECK(take(received, 2) == 8);
    CHECK(take(received, 2) == 9);
    CHECK(take(received, 1) == 7);
}

TEST_CASE("a batch of one is like a single datagram") {
    Recent received;
    received.begin_call(tag, true);
    received.add(heard(1, 7));
    CHECK_FALSE(received.in_order());
    CHECK(received.last(tag)->local == heard(1, 7).local);
}

TEST_CASE("a socket that was drained call by call is answered in order") {
    Recent received;
    for (const LocalIndex local : {LocalIndex{7}, LocalIndex{8}, LocalIndex{9}}) {
        received.begin_call(tag, false);
        received.add(heard(1, local));
        CHECK_FALSE(received.in_order());
    }
    received.drained(tag);
    REQUIRE(received.in_order());
    received.sent();
    CHECK(take(received, 1) == 7);
    received.sent();
    CHECK(take(received, 1) == 8);
    CHECK(take(received, 1) == 9);
}

TEST_CASE("a datagram on another socket starts a new run") {
    Recent received;
    received.begin_call(tag, false);
    received.add(heard(1, 7));
    received.begin_call(tag + 1, false);
    received.add(heard(2, 8, tag + 1));
    received.drained(tag + 1);
    CHECK_FALSE(received.in_order());
    CHECK(take(received, 1) == 0);
}

TEST_CASE("draining that is interrupted by an answer starts a new run") {
    Recent received;
    received.begin_call(tag, false);
    received.add(heard(1, 7));
    received.sent();
    received.begin_call(tag, false);
    received.add(heard(1, 8));
    received.drained(tag);
    CHECK_FALSE(received.in_order());
    CHECK(received.last(tag)->local == heard(1, 8).local);
}

TEST_CASE("another socket that has nothing does not end the run") {
    Recent received;
    received.begin_call(tag, false);
    received.add(heard(1, 7));
    received.drained(tag + 1);
    received.begin_call(tag, false);
    received.add(heard(1, 8));
    received.drained(tag);
    CHECK(received.in_order());
}

TEST_CASE("a datagram that was only looked at is not counted twice") {
    Recent received;
    received.begin_call(tag, false);
    received.add(heard(1, 7));
    received.end_peek();
    received.begin_call(tag, false);
    received.add(heard(1, 7));
    received.drained(tag);
    CHECK_FALSE(received.in_order());
}

TEST_CASE("each datagram may be looked at first, on the way to an empty socket") {
    Recent received;
    for (const LocalIndex local : {LocalIndex{7}, LocalIndex{8}, LocalIndex{7}}) {
        received.begin_call(tag, false);
        received.add(heard(1, local));
        received.end_peek();
        CHECK(received.last(tag)->local == heard(1, local).local);
        received.begin_call(tag, false);
        received.add(heard(1, local));
    }
    received.begin_call(tag, false); // looks, and learns nothing
    received.end_peek();
    received.drained(tag);
    REQUIRE(received.in_order());
    CHECK(take(received, 1) == 7);
    CHECK(take(received, 1) == 8);
    CHECK(take(received, 1) == 7);
}

TEST_CASE("the same datagram once more is noted without being given again") {
    Recent received;
    received.begin_call(tag, false);
    received.add(heard(1, 7));
    REQUIRE(received.previous(tag) != nullptr);
    CHECK(received.previous(tag + 1) == nullptr);
    received.begin_call(tag, false);
    REQUIRE(received.previous(tag) != nullptr);
    CHECK(received.previous(tag)->peer == heard(1, 7).peer);
    received.note();
    received.begin_call(tag, false);
    received.add(heard(1, 8));
    received.drained(tag);
    CHECK(take(received, 1) == 7);
    CHECK(take(received, 1) == 7);
    CHECK(take(received, 1) == 8);
}

TEST_CASE("beyond the capacity requests are forgotten, never mixed up") {
    Recent received;
    received.begin_call(tag, true);
    for (unsigned number = 1; number <= Run::capacity + 50; ++number)
        received.add(heard(number, static_cast<LocalIndex>(number)));
    REQUIRE(received.in_order());
    for (unsigned number = 1; number <= Run::capacity + 50; ++number)
        CHECK(take(received, number) == (number <= Run::capacity ? number : 0));
}

TEST_CASE("an address that is no source any more is forgotten") {
    Recent received;
    received.begin_call(tag, false);
    received.add(heard(1, 7));
    received.forget(heard(2, 7).peer);
    CHECK(received.last(tag)->local == heard(1, 7).local);
    received.forget(heard(1, 7).peer);
    const Recent::Heard* last = received.last(tag);
    CHECK((last == nullptr || !last->local));
}

TEST_SUITE_END();

} // namespace multihome
