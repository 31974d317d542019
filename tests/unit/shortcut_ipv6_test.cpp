// SPDX-License-Identifier: MIT
#include "shim/peers/recent.hpp"
#include "tests/unit/heard.hpp"

#include <array>
#include <cstring>
#include <doctest/doctest.h>
#include <sys/time.h>

namespace multihome {

namespace {

using Entry = PeerTable::Entry;
using Control = std::array<unsigned char, control::own_space + CMSG_SPACE(sizeof(int))>;

constexpr uint64_t socket_word = uint64_t{tag} << 33 | 4;
constexpr uint32_t interface = 3;

Address ipv6(unsigned char last, unsigned char first = 0xfd) {
    in6_addr address{};
    address.s6_addr[0] = first;
    address.s6_addr[1] = 0x80;
    address.s6_addr[15] = last;
    return Address::from_ipv6(address);
}

sockaddr_in6 name_of(const Peer& peer) {
    return {AF_INET6, peer.port, 0, peer.address.ipv6(), peer.scope};
}

// What the kernel writes to `buffer` for a datagram to this address on an IPv6 socket; returns the length.
size_t arrive(Control& buffer, const Address& local) {
    size_t length = control::write_message(buffer.data(), IPPROTO_IPV6, IPV6_PKTINFO,
                                           in6_pktinfo{local.ipv6(), interface});
    if (local.is_ipv4())
        length += control::write_message(buffer.data() + length, IPPROTO_IP, IP_PKTINFO,
                                         in_pktinfo{interface, local.ipv4(), local.ipv4()});
    return length;
}

// A datagram from `peer` that reached us at `local` and was answered, and the shortcut that this opened.
struct Conversation {
    Conversation(const Peer& from, const Local& at) : peer(from), local(at), name(name_of(from)) {
        Recent::Heard datagram;
        datagram.peer = peer;
        datagram.local = local;
        datagram.tag = tag;
        datagram.word = Entry::identity(9, tag) | uint64_t{8} << Entry::local_shift | Entry::answered_bit;
        datagram.record = {Record::key_of_ipv6(9), 8, true};
        datagram.slot = &slot;
        std::memcpy(&datagram.name, &name, sizeof datagram.name);
        control_length = arrive(control, local.address);
        control::SimpleArrival simple;
        REQUIRE(control::read_simple(control.data(), control_length, simple));
        datagram.arrival = simple.word;
        slot = datagram.word;
        received.begin_call(tag, false);
        received.add(datagram);
        received.sent();
        REQUIRE(received.may_set_shortcut(tag, peer, local));
        REQUIRE(received.enter());
        received.set_shortcut(socket_word, &name, counters);
        received.leave();
    }

    bool repeats(const sockaddr_in6& from, const Address& at, uint64_t on_socket = socket_word) {
        Control messages{};
        const size_t length = arrive(messages, at);
        return received.repeats_ipv6(on_socket, &from, messages.data(), length);
    }
    bool answers(const sockaddr_in6& to, uint64_t on_socket = socket_word) {
        const SourceMessage* found = nullptr;
        return received.answers_ipv6(on_socket, &to, found) &&
               control::read_source(found->control(), found->length()).address == local.address;
    }
    bool answers_the_longer_way(const sockaddr_in6& to, socklen_t length = sizeof(sockaddr_in6),
                                uint64_t on_socket = socket_word) {
        const SourceMessage* found = nullptr;
        REQUIRE(received.enter());
        const bool result = received.answers(on_socket, &to, length, found) &&
                            control::read_source(found->control(), found->length()).address == local.address;
        received.leave();
        return result;
    }
    bool continues(const control::SimpleArrival& arrival) {
        REQUIRE(received.enter());
        const bool result = received.continues(socket_word, arrival);
        received.leave();
        return result;
    }

    Peer peer;
    Local local;
    sockaddr_in6 name;
    Control control{};
    size_t control_length = 0;
    std::atomic<uint64_t> slot;
    Counters::Shard counters{};
    Recent received;
};

// Every name but the peer's own: another port, another address in either half.
template <typename Check>
void with_other_names(const sockaddr_in6& name, Check check) {
    sockaddr_in6 other = name;
    other.sin6_port = htons(1001);
    check(other);
    for (const unsigned byte : {0U, 7U, 8U, 15U}) {
        other = name;
        other.sin6_addr.s6_addr[byte] ^= 1;
        check(other);
    }
}

void is_known_again(bool mapped) {
    const Address local = mapped ? Address::from_ipv4({htonl(0xc0000207)}) : ipv6(1);
    const Address elsewhere = mapped ? Address::from_ipv4({htonl(0xc0000208)}) : ipv6(7);
    Conversation with({mapped ? Address::from_ipv4({htonl(0x0a000001)}) : ipv6(2), 0, htons(1000)},
                      {local, 0});

    CHECK_FALSE(with.repeats(with.name, elsewhere));
    CHECK_FALSE(with.repeats(with.name, local, socket_word + 8));
    with_other_names(with.name, [&](const sockaddr_in6& other) { CHECK_FALSE(with.repeats(other, local)); });
    SUBCASE("and its answer, from the address it asked") {
        REQUIRE(with.repeats(with.name, local));
        // Two in a row belong together until something is sent.
        CHECK_FALSE(with.repeats(with.name, local));
        CHECK_FALSE(with.answers(with.name, socket_word + 8));
        with_other_names(with.name, [&](const sockaddr_in6& other) { CHECK_FALSE(with.answers(other)); });
        CHECK(with.answers(with.name));
        CHECK(with.repeats(with.name, local));
        CHECK(with.answers_the_longer_way(with.name));
        CHECK(with.repeats(with.name, local));
    }
    SUBCASE("unless another thread has heard it elsewhere") {
        with.slot = with.slot + (uint64_t{1} << Entry::local_shift);
        CHECK_FALSE(with.repeats(with.name, local));
        CHECK_FALSE(with.answers(with.name));
    }
    SUBCASE("unless somebody is at work, as a signal handler sees it") {
        REQUIRE(with.received.enter());
        CHECK_FALSE(with.repeats(with.name, local));
        CHECK_FALSE(with.answers(with.name));
        with.received.leave();
    }
    SUBCASE("unless more came than where it reached us") {
        Control messages{};
        size_t length = arrive(messages, local);
        length += control::write_message(messages.data() + length, IPPROTO_IPV6, IPV6_TCLASS, 0);
        CHECK_FALSE(with.received.repeats_ipv6(socket_word, &with.name, messages.data(), length));
    }
    SUBCASE("unless others came that take the same space") {
        // A timestamp, and an address whose halves are what the second of two messages starts with and what
        // the shortcut has for an arrival.
        Control messages{};
        size_t length = control::write_message(messages.data(), SOL_SOCKET, SO_TIMESTAMP, timeval{});
        in6_pktinfo info{local.ipv6(), interface};
        const uint64_t arrival = with.received.shortcut().arrival;
        std::memcpy(&info.ipi6_addr.s6_addr[0], &control::ipv4_kind, sizeof control::ipv4_kind);
        std::memcpy(&info.ipi6_addr.s6_addr[8], &arrival, sizeof arrival);
        length += control::write_message(messages.data() + length, IPPROTO_IPV6, IPV6_PKTINFO, info);
        CHECK(length == CMSG_SPACE(sizeof(in6_pktinfo)) + CMSG_SPACE(sizeof(in_pktinfo)));
        CHECK_FALSE(with.received.repeats_ipv6(socket_word, &with.name, messages.data(), length));
    }
    SUBCASE("unless another peer came by another way") {
        REQUIRE(with.received.enter());
        const Peer other{ipv6(3), 0, htons(1000)};
        const sockaddr_in6 other_name = name_of(other);
        uint64_t first_bytes = 0;
        std::memcpy(&first_bytes, &other_name, sizeof first_bytes);
        with.received.continue_with(first_bytes, other, 10, Record::key_of_ipv6(10), {&with.slot, with.slot});
        with.received.leave();
        CHECK_FALSE(with.answers(with.name));
        CHECK(with.answers(other_name));
        CHECK(with.repeats(other_name, local));
    }
}

} // namespace

TEST_SUITE_BEGIN("shortcut_ipv6");

TEST_CASE("the peer that was answered last is known again") {
    SUBCASE("an IPv6 peer") {
        is_known_again(false);
    }
    SUBCASE("an IPv4 peer of a dual-stack socket") {
        is_known_again(true);
    }
}

TEST_CASE("where an interface decides, the longer way does it") {
    const Address local = ipv6(1);
    Peer peer{ipv6(2), 0, htons(1000)};
    Local at{local, 0};
    SUBCASE("the interface that it came in on") {
        at.interface_index = interface;
    }
    SUBCASE("the interface of a link-local peer") {
        peer = {ipv6(2, 0xfe), interface, htons(1000)};
    }
    Conversation with(peer, at);
    CHECK_FALSE(with.repeats(with.name, local));
    CHECK_FALSE(with.answers(with.name));
    CHECK(with.continues({0, local, interface}));
    CHECK(with.continues({0, local, interface + 1}) == (at.interface_index == 0));
    CHECK(with.answers_the_longer_way(with.name));
    sockaddr_in6 other = with.name;
    other.sin6_scope_id = interface + 1;
    CHECK(with.answers_the_longer_way(other) == (peer.scope == 0));
}

TEST_CASE("the longer way knows the peer as well, and nobody else") {
    Conversation with({ipv6(2), 0, htons(1000)}, {ipv6(1), 0});
    CHECK(with.continues({0, with.local.address, interface}));
    CHECK_FALSE(with.continues({0, with.peer.address, interface}));
    CHECK_FALSE(with.continues({11, {}, 0}));
    CHECK(with.answers_the_longer_way(with.name));
    CHECK_FALSE(with.answers_the_longer_way(with.name, sizeof with.name, socket_word + 8));
    CHECK_FALSE(with.answers_the_longer_way(with.name, sizeof(sockaddr_in)));
    with_other_names(with.name,
                     [&](const sockaddr_in6& other) { CHECK_FALSE(with.answers_the_longer_way(other)); });
}

TEST_CASE("an IPv4 name that the program wrote is never taken for an IPv6 one") {
    Conversation with({Address::from_ipv4({htonl(0x0a000001)}), 0, htons(1000)},
                      {Address::from_ipv4({htonl(0xc0000207)}), 0});
    sockaddr_in6 whole = with.name; // the rest as it would be
    const sockaddr_in shorter{AF_INET, with.peer.port, with.peer.address.ipv4(), {}};
    constexpr size_t start = sizeof(uint64_t);
    std::memcpy(&whole, &shorter, start);
    REQUIRE(with.received.may_set_shortcut(tag, with.peer, with.local));
    REQUIRE(with.received.enter());
    with.received.set_shortcut(socket_word, &whole, with.counters);
    with.received.leave();
    const SourceMessage* found = nullptr;
    CHECK(with.received.answers(socket_word, &whole, found));
    CHECK_FALSE(with.answers(whole));
    CHECK_FALSE(with.answers(with.name));
    CHECK_FALSE(with.repeats(with.name, with.local.address));
    // Nor is an IPv6 name looked for where this one was read.
    CHECK(with.received.shortcut().address != &whole);
}

TEST_CASE("an IPv6 peer is never taken for an IPv4 one") {
    Conversation with({ipv6(2), 0, htons(1000)}, {ipv6(1), 0});
    for (const uint64_t arrival : {uint64_t{0}, uint64_t{interface}, with.received.shortcut().arrival})
        CHECK_FALSE(with.received.repeats(socket_word, &with.name, arrival));
    const SourceMessage* found = nullptr;
    CHECK_FALSE(with.received.answers(socket_word, &with.name, found));
}

TEST_SUITE_END();

} // namespace multihome
