// SPDX-License-Identifier: MIT
#include "shim/base/address.hpp"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <initializer_list>
#include <sys/socket.h>

namespace multihome::address_test {

namespace {

in_addr ipv4(const char* text) {
    in_addr address{};
    REQUIRE(inet_pton(AF_INET, text, &address) == 1);
    return address;
}

Address address(const char* text) {
    in6_addr ipv6{};
    if (inet_pton(AF_INET6, text, &ipv6) == 1)
        return Address::from_ipv6(ipv6);
    return Address::from_ipv4(ipv4(text));
}

sockaddr_in6 ipv6_name(const char* text, uint32_t scope) {
    sockaddr_in6 name{};
    name.sin6_family = AF_INET6;
    name.sin6_port = htons(53);
    name.sin6_addr = address(text).ipv6();
    name.sin6_scope_id = scope;
    return name;
}

template <typename Name>
bool read(const Name& name, Peer& peer, socklen_t length = sizeof(Name)) {
    return read_peer(reinterpret_cast<const sockaddr*>(&name), length, peer);
}

} // namespace

TEST_SUITE_BEGIN("address");

TEST_CASE("an IPv4 address and its v4-mapped form are one address") {
    const Address plain = Address::from_ipv4(ipv4("192.0.2.3"));
    CHECK(plain == address("::ffff:192.0.2.3"));
    CHECK(plain.is_ipv4());
    CHECK(plain.ipv4().s_addr == ipv4("192.0.2.3").s_addr);
    const in6_addr mapped = plain.ipv6();
    CHECK(IN6_IS_ADDR_V4MAPPED(&mapped));
    CHECK(address("::ffff:192.0.2.3").ipv4().s_addr == ipv4("192.0.2.3").s_addr);
}

TEST_CASE("only v4-mapped addresses are IPv4") {
    for (const char* text : {"2001:db8::1", "::", "::1", "::192.0.2.3", "::fffe:192.0.2.3",
                             "0:0:1::ffff:c000:203", "1::ffff:192.0.2.3", "fe80::1"}) {
        CAPTURE(text);
        CHECK_FALSE(address(text).is_ipv4());
    }
}

TEST_CASE("an IPv6 address comes back as it was") {
    in6_addr given{};
    REQUIRE(inet_pton(AF_INET6, "2001:db8:1:2:3:4:5:6", &given) == 1);
    const in6_addr returned = Address::from_ipv6(given).ipv6();
    CHECK(IN6_ARE_ADDR_EQUAL(&given, &returned));
}

TEST_CASE("link-local and group addresses are told from others") {
    CHECK(address("fe80::1").is_link_local());
    CHECK(address("febf::1").is_link_local());
    CHECK_FALSE(address("fec0::1").is_link_local());
    CHECK_FALSE(address("169.254.0.1").is_link_local());

    for (const char* text :
         {"224.0.0.1", "239.255.255.255", "255.255.255.255", "ff02::1", "::ffff:224.0.0.1"}) {
        CAPTURE(text);
        CHECK(address(text).is_group());
    }
    for (const char* text : {"192.0.2.255", "223.255.255.255", "240.0.0.1", "fe80::1", "::"}) {
        CAPTURE(text);
        CHECK_FALSE(address(text).is_group());
    }
}

TEST_CASE("an empty local address is false") {
    CHECK_FALSE(static_cast<bool>(Local{}));
    CHECK_FALSE(static_cast<bool>(Local{{}, 3}));
    CHECK(static_cast<bool>(Local{address("192.0.2.3"), 0}));
    CHECK(static_cast<bool>(Local{address("2001:db8::"), 0}));
    CHECK(static_cast<bool>(Local{address("::1"), 0}));
}

TEST_CASE("an IPv4 peer is read from a socket address") {
    sockaddr_in name{};
    name.sin_family = AF_INET;
    name.sin_port = htons(5353);
    name.sin_addr = ipv4("203.0.113.1");
    Peer peer;
    REQUIRE(read(name, peer));
    CHECK(peer == Peer{address("203.0.113.1"), 0, htons(5353)});
    // Padding is nobody's business.
    Peer again;
    name.sin_zero[3] = 7;
    REQUIRE(read(name, again));
    CHECK(again == peer);
}

TEST_CASE("an IPv6 peer is read from a socket address, a v4-mapped one as IPv4") {
    Peer peer;
    REQUIRE(read(ipv6_name("2001:db8::1", 0), peer));
    CHECK(peer == Peer{address("2001:db8::1"), 0, htons(53)});

    Peer mapped;
    REQUIRE(read(ipv6_name("::ffff:203.0.113.1", 0), mapped));
    CHECK(mapped == Peer{address("203.0.113.1"), 0, htons(53)});
}

TEST_CASE("the scope counts for a link-local peer alone") {
    Peer peer;
    REQUIRE(read(ipv6_name("fe80::1", 2), peer));
    CHECK(peer.scope == 2);
    // A program may leave anything there for other addresses.
    REQUIRE(read(ipv6_name("2001:db8::1", 2), peer));
    CHECK(peer.scope == 0);
}

TEST_CASE("the short form of an IPv6 socket address is taken, as the kernel does") {
    Peer peer;
    REQUIRE(read(ipv6_name("fe80::1", 2), peer, 24));
    CHECK(peer == Peer{address("fe80::1"), 0, htons(53)});
    CHECK_FALSE(read(ipv6_name("fe80::1", 2), peer, 23));
}

TEST_CASE("what is no peer is refused") {
    Peer peer;
    sockaddr_in name{};
    name.sin_family = AF_INET;
    CHECK_FALSE(read(name, peer, sizeof name - 1));
    CHECK_FALSE(read(name, peer, 0));
    for (const int family : {AF_UNSPEC, AF_UNIX, AF_NETLINK}) {
        sockaddr_storage other{};
        other.ss_family = static_cast<sa_family_t>(family);
        CHECK_FALSE(read(other, peer));
    }
}

TEST_CASE("a socket address may lie at any alignment") {
    sockaddr_in6 name = ipv6_name("2001:db8::1", 0);
    unsigned char bytes[sizeof name + 1];
    std::memcpy(bytes + 1, &name, sizeof name);
    Peer peer;
    REQUIRE(read_peer(reinterpret_cast<const sockaddr*>(bytes + 1), sizeof name, peer));
    CHECK(peer.address == address("2001:db8::1"));
}

TEST_SUITE_END();

} // namespace multihome::address_test
