// SPDX-License-Identifier: MIT
#include "shim/peers/recent.hpp"
#include "tests/unit/heard.hpp"

#include <cstring>
#include <doctest/doctest.h>

namespace multihome {

using Entry = PeerTable::Entry;

namespace {

// A datagram that was answered, and whose entry in the table says so.
struct Answered {
    static constexpr uint64_t socket = uint64_t{tag} << 32 | 3;
    static constexpr uint64_t arrival = 11;

    Answered() {
        slot = heard(1, 7).word | Entry::answered_bit;
        hear_again(arrival, true);
    }

    // The peer's datagram, and something sent after it. `is_noted`: whether the entry says that it was
    // answered.
    void hear_again(uint64_t at, bool is_noted) {
        Recent::Heard datagram = heard(1, 7);
        datagram.arrival = at;
        datagram.word |= is_noted ? Entry::answered_bit : 0;
        datagram.slot = &slot;
        received.begin_call(tag, false);
        received.add(datagram);
        received.sent();
    }

    static sockaddr_in address(uint64_t number) {
        const Peer peer = heard(number, 0).peer;
        return {AF_INET, peer.port, peer.address.ipv4(), {}};
    }
    bool repeats(uint64_t number, uint64_t on_socket = socket, uint64_t at = arrival) {
        const sockaddr_in whole = address(number);
        return received.repeats(on_socket, &whole, at);
    }
    static uint64_t name(uint64_t number) {
        const sockaddr_in whole = address(number);
        uint64_t first = 0;
        std::memcpy(&first, &whole, sizeof first);
        return first;
    }
    void open() {
        const sockaddr_in whole = address(1);
        enter([&] { received.set_shortcut(socket, &whole, counters); });
    }
    template <typename Change>
    void enter(Change change) {
        REQUIRE(received.enter());
        change();
        received.leave();
    }
    bool answers(uint64_t number, uint64_t on_socket = socket) {
        const sockaddr_in whole = address(number);
        const SourceMessage* found = nullptr;
        return received.answers(on_socket, &whole, found) &&
               control::read_source(found->control(), found->length()) == heard(1, 7).local;
    }

    std::atomic<uint64_t> slot;
    Counters::Shard counters{};
    Recent received;
};

} // namespace

TEST_SUITE_BEGIN("shortcut");

TEST_CASE("only the answer to the last datagram may open the shortcut") {
    Answered answered;
    CHECK_FALSE(answered.received.may_set_shortcut(tag, heard(2, 7).peer, heard(1, 7).local));
    CHECK_FALSE(answered.received.may_set_shortcut(tag, heard(1, 7).peer, heard(1, 8).local));
    CHECK_FALSE(answered.received.may_set_shortcut(tag + 1, heard(1, 7).peer, heard(1, 7).local));
    CHECK(answered.received.may_set_shortcut(tag, heard(1, 7).peer, heard(1, 7).local));
    SUBCASE("not after two datagrams") {
        answered.received.begin_call(tag, true);
        answered.received.add(heard(1, 7));
        answered.received.add(heard(1, 7));
        CHECK_FALSE(answered.received.may_set_shortcut(tag, heard(1, 7).peer, heard(1, 7).local));
    }
    SUBCASE("not where more than its arrival decides") {
        answered.hear_again(0, true);
        CHECK_FALSE(answered.received.may_set_shortcut(tag, heard(1, 7).peer, heard(1, 7).local));
    }
    SUBCASE("not where its interface leaves no room for the mark of a datagram that waits") {
        answered.hear_again(uint64_t{1} << 31 | Answered::arrival, true);
        CHECK_FALSE(answered.received.may_set_shortcut(tag, heard(1, 7).peer, heard(1, 7).local));
    }
    SUBCASE("not while the table does not know of the answer") {
        answered.hear_again(Answered::arrival, false);
        CHECK_FALSE(answered.received.may_set_shortcut(tag, heard(1, 7).peer, heard(1, 7).local));
    }
}

TEST_CASE("the shortcut answers its peer on its socket alone") {
    Answered answered;
    CHECK_FALSE(answered.answers(1));
    answered.open();
    CHECK(answered.answers(1));
    CHECK_FALSE(answered.answers(2));
    CHECK_FALSE(answered.answers(1, Answered::socket + 4));
    SUBCASE("until another datagram takes the long way") {
        answered.enter([&] { answered.received.begin_call(tag, false); });
        CHECK_FALSE(answered.answers(1));
    }
    SUBCASE("while it may be half-written, for a signal handler") {
        REQUIRE(answered.received.enter());
        CHECK_FALSE(answered.received.enter());
        CHECK_FALSE(answered.answers(1));
        answered.received.leave();
        CHECK(answered.answers(1));
    }
    SUBCASE("until another thread hears the peer") {
        answered.slot = heard(1, 8).word;
        CHECK_FALSE(answered.answers(1));
    }
    SUBCASE("until its address is refused") {
        answered.enter([&] { answered.received.forget(heard(1, 7).peer); });
        CHECK_FALSE(answered.answers(1));
    }
}

TEST_CASE("a datagram takes the shortcut where nothing has changed") {
    constexpr uint64_t socket = Answered::socket;
    const control::SimpleArrival arrival{Answered::arrival, {}, 0};
    const control::SimpleArrival elsewhere{Answered::arrival + 1, {}, 0};
    Answered answered;
    Recent& received = answered.received;
    CHECK_FALSE(received.continues(socket, arrival));
    CHECK_FALSE(answered.repeats(1));
    answered.open();
    REQUIRE(received.continues(socket, arrival));
    CHECK_FALSE(received.continues(socket, elsewhere));
    CHECK_FALSE(received.continues(socket + 4, arrival));
    CHECK_FALSE(answered.repeats(2));
    CHECK_FALSE(answered.repeats(1, socket, Answered::arrival + 1));
    CHECK_FALSE(answered.repeats(1, socket + 4));
    std::atomic<uint64_t> slot{heard(2, 7).word | Entry::answered_bit};
    const auto continue_with_another = [&] {
        const Peer peer = heard(2, 7).peer;
        received.continue_with(Answered::name(2), peer, 2, Record::key_of_ipv4(peer), {&slot, slot});
    };
    SUBCASE("the same peer") {
        REQUIRE(answered.repeats(1));
        // Two in a row belong together until something is sent.
        CHECK_FALSE(received.continues(socket, arrival));
        CHECK_FALSE(answered.repeats(1));
        CHECK(answered.answers(1));
        CHECK(received.continues(socket, arrival));
    }
    SUBCASE("the same peer, found the other way") {
        received.continue_with_same();
        CHECK_FALSE(received.continues(socket, arrival));
        CHECK(answered.answers(1));
        CHECK(received.continues(socket, arrival));
    }
    SUBCASE("the same peer, whose entry is another one by now") {
        answered.slot = 0;
        CHECK_FALSE(received.is_settled());
        CHECK_FALSE(answered.repeats(1));
    }
    SUBCASE("another peer") {
        continue_with_another();
        CHECK(received.last(tag)->peer == heard(2, 7).peer);
        CHECK(received.last(tag)->local == heard(1, 7).local);
        CHECK(answered.answers(2));
        CHECK_FALSE(answered.answers(1));
    }
    SUBCASE("a second one before the answer is matched in order") {
        continue_with_another();
        received.begin_call(tag, false);
        received.add(heard(2, 9));
        received.drained(tag);
        REQUIRE(received.in_order());
        CHECK(take(received, 2) == 7);
        CHECK(take(received, 2) == 9);
    }
}

TEST_SUITE_END();

} // namespace multihome
