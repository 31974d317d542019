// SPDX-License-Identifier: MIT
#include "shim/recent.hpp"

#include <cstring>
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
    result.record = {Record::key_of_ipv4(result.peer), local, false};
    return result;
}

// Which local address an answer to this peer is given in order; 0 where none.
LocalIndex take(Recent& received, uint64_t number) {
    return received.take(Record::key_of_ipv4(heard(number, 0).peer)).local();
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

namespace {

// A datagram that was answered, and whose entry in the table says so.
struct Answered {
    static constexpr uint64_t socket = uint64_t{tag} << 32 | 3;
    static constexpr uint64_t arrival = 11;

    Answered() {
        Recent::Heard datagram = heard(1, 7);
        datagram.arrival = arrival;
        datagram.word |= Entry::answered_bit;
        datagram.slot = &slot;
        slot = datagram.word;
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
        uint64_t first;
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
        Recent::Heard again = heard(1, 7);
        again.slot = &answered.slot;
        again.word |= Entry::answered_bit;
        answered.received.begin_call(tag, false);
        answered.received.add(again);
        answered.received.sent();
        CHECK_FALSE(answered.received.may_set_shortcut(tag, heard(1, 7).peer, heard(1, 7).local));
    }
    SUBCASE("not where its interface leaves no room for the mark of a datagram that waits") {
        Recent::Heard again = heard(1, 7);
        again.arrival = uint64_t{1} << 31 | Answered::arrival;
        again.slot = &answered.slot;
        again.word |= Entry::answered_bit;
        answered.received.begin_call(tag, false);
        answered.received.add(again);
        answered.received.sent();
        CHECK_FALSE(answered.received.may_set_shortcut(tag, heard(1, 7).peer, heard(1, 7).local));
    }
    SUBCASE("not while the table does not know of the answer") {
        Recent::Heard again = heard(1, 7);
        again.arrival = Answered::arrival;
        again.slot = &answered.slot;
        answered.received.begin_call(tag, false);
        answered.received.add(again);
        answered.received.sent();
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

TEST_CASE("the shortcut serves IPv6 as well") {
    constexpr uint64_t socket = Answered::socket;
    in6_addr address{};
    address.s6_addr[0] = 0xfd;
    address.s6_addr[15] = 1;
    const Address local = Address::from_ipv6(address);
    address.s6_addr[15] = 2;
    const Peer peer{Address::from_ipv6(address), 0, htons(1000)};
    sockaddr_in6 whole{AF_INET6, peer.port, 0, address, 0};
    uint32_t interface = 0;
    SUBCASE("of any interface") {
        interface = 0;
    }
    SUBCASE("of one interface") {
        interface = 3;
    }
    std::atomic<uint64_t> slot;
    Counters::Shard counters{};
    Recent received;
    Recent::Heard datagram;
    datagram.peer = peer;
    datagram.local = {local, interface};
    datagram.tag = tag;
    datagram.word = Entry::identity(9, tag) | uint64_t{8} << Entry::local_shift | Entry::answered_bit;
    datagram.record = {Record::key_of_ipv6(9), 8, true};
    datagram.slot = &slot;
    std::memcpy(&datagram.name, &whole, sizeof datagram.name);
    slot = datagram.word;
    received.begin_call(tag, false);
    received.add(datagram);
    received.sent();
    REQUIRE(received.may_set_shortcut(tag, peer, datagram.local));
    REQUIRE(received.enter());
    received.set_shortcut(socket, &whole, counters);
    CHECK(received.continues(socket, {0, local, 3}));
    CHECK(received.continues(socket, {0, local, 4}) == (interface == 0));
    CHECK_FALSE(received.continues(socket, {0, peer.address, 3}));
    CHECK_FALSE(received.continues(socket, {Answered::arrival, {}, 0}));
    const SourceMessage* source = nullptr;
    REQUIRE(received.answers(socket, &whole, sizeof whole, source));
    CHECK(control::read_source(source->control(), source->length()).address == local);
    CHECK_FALSE(received.answers(socket + 4, &whole, sizeof whole, source));
    SUBCASE("to its peer alone") {
        sockaddr_in6 other = whole;
        other.sin6_port = htons(1001);
        CHECK_FALSE(received.answers(socket, &other, sizeof other, source));
        other = whole;
        other.sin6_addr.s6_addr[0] ^= 1;
        CHECK_FALSE(received.answers(socket, &other, sizeof other, source));
        other = whole;
        other.sin6_addr.s6_addr[15] ^= 1;
        CHECK_FALSE(received.answers(socket, &other, sizeof other, source));
        CHECK_FALSE(received.answers(socket, &whole, sizeof(sockaddr_in), source));
    }
    received.leave();
    // Nor does it ever look like an IPv4 one: each name has its family.
    CHECK_FALSE(received.repeats(socket, &whole, 0));
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
