// SPDX-License-Identifier: MIT
#include "shim/recent.hpp"

#include <doctest/doctest.h>
#include <initializer_list>

namespace multihome {

namespace {

using Entry = PeerTable::Entry;
constexpr uint32_t tag = 5;

Recent::Heard heard(uint64_t number, LocalIndex local, uint32_t socket = tag) {
    Recent::Heard result;
    result.peer = {Address::from_ipv4({htonl(0x0a000000 + static_cast<uint32_t>(number))}), 0, htons(1000)};
    result.local = {Address::from_ipv4({htonl(0xc0000200 + local)}), 0};
    result.tag = socket;
    result.word = Entry::identity(number, socket) | uint64_t{local} << Entry::local_shift;
    return result;
}

// Which local address an answer to this peer is given in order; 0 where none.
LocalIndex take(Recent& received, uint64_t number) {
    return Entry::local(received.take(Entry::identity(number, tag)));
}

} // namespace

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

TEST_CASE("only the answer to the last datagram opens the shortcut") {
    constexpr uint64_t name = 1;
    constexpr uint64_t other_name = 2;
    Recent::Heard datagram = heard(1, 7);
    std::atomic<uint64_t> slot{datagram.word};
    datagram.info.ipi_addr.s_addr = datagram.local.address.ipv4().s_addr;
    datagram.slot = &slot;
    Recent received;
    received.begin_call(tag, false);
    received.add(datagram);
    received.sent();
    // A datagram to somebody else, whom the table knows.
    received.set_shortcut(tag, other_name, heard(2, 8).peer);
    CHECK(received.answer(tag, other_name) == nullptr);
    received.set_shortcut(tag, name, datagram.peer);
    REQUIRE(received.answer(tag, name) != nullptr);
    CHECK(*received.answer(tag, name) == datagram.local);
    CHECK(received.answer(tag, other_name) == nullptr);
    CHECK(received.answer(tag + 1, name) == nullptr);
}

TEST_CASE("beyond the capacity requests are forgotten, never mixed up") {
    Recent received;
    received.begin_call(tag, true);
    for (unsigned number = 1; number <= Recent::capacity + 50; ++number)
        received.add(heard(number, static_cast<LocalIndex>(number)));
    REQUIRE(received.in_order());
    for (unsigned number = 1; number <= Recent::capacity + 50; ++number)
        CHECK(take(received, number) == (number <= Recent::capacity ? number : 0));
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

TEST_CASE("the shortcut is for the same datagram once more, after it was answered") {
    constexpr uint64_t name = 0x0100007f35000002;
    in_pktinfo info{};
    info.ipi_addr.s_addr = htonl(INADDR_LOOPBACK);
    info.ipi_spec_dst.s_addr = htonl(INADDR_LOOPBACK);
    std::atomic<uint64_t> slot{heard(1, 7).word};
    Recent::Heard datagram = heard(1, 7);
    datagram.info = info;
    datagram.slot = &slot;

    Recent received;
    CHECK_FALSE(received.repeats(tag, name, info));
    CHECK(received.answer(tag, name) == nullptr);
    received.begin_call(tag, false);
    received.add(datagram);
    received.sent();
    received.set_shortcut(tag, name, datagram.peer);

    SUBCASE("heard and answered again and again") {
        for (unsigned round = 0; round < 3; ++round) {
            REQUIRE(received.repeats(tag, name, info));
            REQUIRE(received.last(tag) != nullptr);
            CHECK(received.last(tag)->local == datagram.local);
            CHECK_FALSE(received.in_order());
            const Local* source = received.answer(tag, name);
            REQUIRE(source != nullptr);
            CHECK(*source == datagram.local);
        }
    }
    SUBCASE("twice without an answer in between is a run") {
        REQUIRE(received.repeats(tag, name, info));
        CHECK_FALSE(received.repeats(tag, name, info));
        received.begin_call(tag, false);
        received.add(heard(1, 8));
        CHECK(received.answer(tag, name) == nullptr);
        received.drained(tag);
        REQUIRE(received.in_order());
        CHECK(take(received, 1) == 7);
        CHECK(take(received, 1) == 8);
    }
    SUBCASE("another socket, peer, address or interface") {
        CHECK_FALSE(received.repeats(tag + 1, name, info));
        CHECK_FALSE(received.repeats(tag, name + 1, info));
        CHECK(received.answer(tag + 1, name) == nullptr);
        CHECK(received.answer(tag, name + 1) == nullptr);
        in_pktinfo other = info;
        other.ipi_spec_dst.s_addr = htonl(INADDR_LOOPBACK + 1);
        CHECK_FALSE(received.repeats(tag, name, other));
        other = info;
        other.ipi_addr.s_addr = htonl(INADDR_LOOPBACK + 1);
        CHECK_FALSE(received.repeats(tag, name, other));
        other = info;
        other.ipi_ifindex = 3;
        CHECK_FALSE(received.repeats(tag, name, other));
    }
    SUBCASE("its entry in the table has changed") {
        slot = heard(1, 8).word;
        CHECK_FALSE(received.repeats(tag, name, info));
        CHECK(received.answer(tag, name) == nullptr);
    }
    SUBCASE("another datagram came") {
        received.begin_call(tag, false);
        CHECK_FALSE(received.repeats(tag, name, info));
        CHECK(received.answer(tag, name) == nullptr);
    }
    SUBCASE("its source was refused") {
        received.forget(datagram.peer);
        CHECK_FALSE(received.repeats(tag, name, info));
        CHECK(received.answer(tag, name) == nullptr);
    }
}

TEST_CASE("there is no shortcut to what is no answer to one plain datagram") {
    constexpr uint64_t name = 0x0100007f35000002;
    std::atomic<uint64_t> slot{heard(1, 7).word};
    Recent::Heard datagram = heard(1, 7);
    datagram.info.ipi_addr.s_addr = htonl(INADDR_LOOPBACK);
    datagram.slot = &slot;
    Recent received;
    received.begin_call(tag, false);
    SUBCASE("an answer to another peer") {
        received.add(datagram);
        received.sent();
        received.set_shortcut(tag, name, heard(2, 7).peer);
    }
    SUBCASE("an answer from another socket") {
        received.add(datagram);
        received.sent();
        received.set_shortcut(tag + 1, name, datagram.peer);
    }
    SUBCASE("a datagram with more than IP_PKTINFO") {
        datagram.info = {};
        received.add(datagram);
        received.sent();
        received.set_shortcut(tag, name, datagram.peer);
    }
    SUBCASE("one that the table has not taken") {
        datagram.slot = nullptr;
        received.add(datagram);
        received.sent();
        received.set_shortcut(tag, name, datagram.peer);
    }
    SUBCASE("one of several") {
        received.add(datagram);
        received.begin_call(tag, false);
        received.add(datagram);
        received.sent();
        received.set_shortcut(tag, name, datagram.peer);
    }
    CHECK_FALSE(received.repeats(tag, name, datagram.info));
    CHECK(received.answer(tag, name) == nullptr);
}

TEST_SUITE_END();

} // namespace multihome
