// SPDX-License-Identifier: MIT
#include "shim/base/family.hpp"

#include "control_messages.hpp"

#include <doctest/doctest.h>
#include <initializer_list>

namespace multihome::family_test {

namespace {

using test::broadcast;
using test::ControlBuffer;
using test::ipv4_info;
using test::ipv6;
using test::ipv6_info;
using test::primary;
using test::secondary;

sockaddr_in ipv4_name(in_addr_t address, uint16_t port) {
    sockaddr_in name{};
    name.sin_family = AF_INET;
    name.sin_port = htons(port);
    name.sin_addr.s_addr = htonl(address);
    return name;
}

sockaddr_in6 ipv6_name(const char* address, uint16_t port) {
    sockaddr_in6 name{};
    name.sin6_family = AF_INET6;
    name.sin6_port = htons(port);
    name.sin6_addr = ipv6(address);
    return name;
}

// The kernel's messages for each form.
ControlBuffer ipv4_control(in_addr_t asked, in_addr_t specific) {
    return ControlBuffer{}.add(IPPROTO_IP, IP_PKTINFO, ipv4_info(specific, asked, 3));
}
ControlBuffer ipv4_control(in_addr_t local) {
    return ipv4_control(local, local);
}
ControlBuffer ipv6_control(const char* local, unsigned interface_index = 3) {
    return ControlBuffer{}.add(IPPROTO_IPV6, IPV6_PKTINFO, ipv6_info(ipv6(local), interface_index));
}
ControlBuffer mapped_control(in_addr_t asked, in_addr_t specific) {
    return ControlBuffer{}
        .add(IPPROTO_IPV6, IPV6_PKTINFO, ipv6_info(ipv6("::ffff:192.0.2.3"), 3))
        .add(IPPROTO_IP, IP_PKTINFO, ipv4_info(specific, asked, 3));
}
ControlBuffer mapped_control(in_addr_t local) {
    return mapped_control(local, local);
}

template <typename Family, typename Name>
bool reads(const Name& name, const ControlBuffer& control, RawDatagram& raw) {
    return control.length() == Family::control_length && Family::read(&name, control.data(), raw);
}

Peer peer_of(const void* name, socklen_t length) {
    Peer peer;
    REQUIRE(read_peer(static_cast<const sockaddr*>(name), length, peer));
    return peer;
}

} // namespace

TEST_SUITE_BEGIN("family");

TEST_CASE("an IPv4 datagram is read as what it is") {
    RawDatagram raw{};
    const sockaddr_in name = ipv4_name(0xcb007101, 4000);
    const ControlBuffer control = ipv4_control(secondary);
    REQUIRE(sizeof name == Ipv4::name_length);
    REQUIRE(reads<Ipv4>(name, control, raw));
    CHECK(Ipv4::peer(raw) == peer_of(&name, sizeof name));
    CHECK(Ipv4::local(raw) == Address::from_ipv4({htonl(secondary)}));
    CHECK(is_name(raw, &name, Ipv4::name_length));
    CHECK(Ipv4::is_arrival(raw, control.data()));
    SUBCASE("and told from others") {
        for (const sockaddr_in& other : {ipv4_name(0xcb007102, 4000), ipv4_name(0xcb007101, 4001)})
            CHECK_FALSE(is_name(raw, &other, Ipv4::name_length));
        CHECK_FALSE(Ipv4::is_arrival(raw, ipv4_control(primary).data()));
        CHECK_FALSE(Ipv4::is_arrival(raw, ipv4_control(broadcast, secondary).data()));
        sockaddr_in other = name;
        other.sin_zero[3] = 1; // padding
        CHECK(is_name(raw, &other, Ipv4::name_length));
    }
    SUBCASE("not where the message names no source, or is another one") {
        CHECK_FALSE(reads<Ipv4>(name, ipv4_control(0), raw));
        CHECK_FALSE(reads<Ipv4>(name, ipv4_control(secondary, 0), raw));
        CHECK_FALSE(reads<Ipv4>(name, ipv4_control(broadcast, secondary), raw));
        const in_pktinfo data = ipv4_info(secondary, primary, 3);
        CHECK_FALSE(reads<Ipv4>(name, ControlBuffer{}.add(IPPROTO_IP, IP_TTL, data), raw));
        CHECK_FALSE(reads<Ipv4>(name, ControlBuffer{}.add(SOL_SOCKET, IP_PKTINFO, data), raw));
        sockaddr_in unspecified = name;
        unspecified.sin_family = AF_UNSPEC;
        CHECK_FALSE(reads<Ipv4>(unspecified, control, raw));
    }
}

TEST_CASE("an IPv6 datagram is read as what it is") {
    RawDatagram raw{};
    const sockaddr_in6 name = ipv6_name("2001:db8::99", 4000);
    const ControlBuffer control = ipv6_control("2001:db8::3");
    REQUIRE(sizeof name == Ipv6::name_length);
    REQUIRE(reads<Ipv6>(name, control, raw));
    CHECK(Ipv6::peer(raw) == peer_of(&name, sizeof name));
    CHECK(Ipv6::local(raw) == Address::from_ipv6(ipv6("2001:db8::3")));
    CHECK(is_name(raw, &name, Ipv6::name_length));
    CHECK(Ipv6::is_arrival(raw, control.data()));
    SUBCASE("and told from others") {
        for (const sockaddr_in6& other : {ipv6_name("2001:db8::98", 4000), ipv6_name("2001:db9::99", 4000),
                                          ipv6_name("2001:db8::99", 4001)})
            CHECK_FALSE(is_name(raw, &other, Ipv6::name_length));
        CHECK_FALSE(Ipv6::is_arrival(raw, ipv6_control("2001:db8::4").data()));
        CHECK_FALSE(Ipv6::is_arrival(raw, ipv6_control("2001:db9::3").data()));
        // Another message with the same words.
        const auto other =
            ControlBuffer{}.add(IPPROTO_IPV6, IPV6_HOPLIMIT, ipv6_info(ipv6("2001:db8::3"), 3));
        CHECK_FALSE(Ipv6::is_arrival(raw, other.data()));
        CHECK_FALSE(reads<Ipv6>(name, other, raw));
    }
    SUBCASE("not where the interface counts") {
        CHECK_FALSE(reads<Ipv6>(ipv6_name("fe80::1", 4000), control, raw));
        CHECK_FALSE(reads<Ipv6>(name, ipv6_control("fe80::2"), raw));
    }
}

TEST_CASE("an IPv4 datagram on a dual-stack socket is read as what it is") {
    RawDatagram raw{};
    const sockaddr_in6 name = ipv6_name("::ffff:203.0.113.1", 4000);
    const ControlBuffer control = mapped_control(secondary);
    REQUIRE(reads<Mapped>(name, control, raw));
    const sockaddr_in plain = ipv4_name(0xcb007101, 4000);
    CHECK(Mapped::peer(raw) == peer_of(&plain, sizeof plain));
    CHECK(Mapped::local(raw) == Address::from_ipv4({htonl(secondary)}));
    CHECK(is_name(raw, &name, Mapped::name_length));
    CHECK(Mapped::is_arrival(raw, control.data()));
    CHECK_FALSE(Mapped::is_arrival(raw, mapped_control(primary).data()));
    CHECK_FALSE(Mapped::is_arrival(raw, mapped_control(broadcast, secondary).data()));
    const sockaddr_in6 other = ipv6_name("::ffff:203.0.113.2", 4000);
    CHECK_FALSE(is_name(raw, &other, Mapped::name_length));
    CHECK_FALSE(reads<Mapped>(name, mapped_control(0), raw));
    CHECK_FALSE(reads<Mapped>(name, mapped_control(broadcast, secondary), raw));
    const auto swapped = ControlBuffer{}
                             .add(IPPROTO_IP, IP_PKTINFO, ipv4_info(secondary, primary, 3))
                             .add(IPPROTO_IPV6, IPV6_PKTINFO, ipv6_info(ipv6("::ffff:192.0.2.3"), 3));
    CHECK_FALSE(reads<Mapped>(name, swapped, raw));
}

namespace {

// A control message as SourceMessage keeps it.
class Kept {
public:
    explicit Kept(const Address& address) { control::write_source(bytes_, {address, 0}); }
    size_t length() const {
        size_t length = 0;
        std::memcpy(&length, bytes_, sizeof length);
        return length;
    }
    uint64_t word_at(size_t position) const { return family_detail::word_at(bytes_, position); }

private:
    alignas(cmsghdr) unsigned char bytes_[control::own_space]{};
};

} // namespace

TEST_CASE("the message of the address that a datagram reached is told from those of others") {
    const Kept first{Address::from_ipv4({htonl(primary)})};
    const Kept second{Address::from_ipv4({htonl(secondary)})};
    const Kept third{Address::from_ipv6(ipv6("2001:db8::3"))};
    const Kept fourth{Address::from_ipv6(ipv6("2001:db8::4"))};
    RawDatagram raw{};
    REQUIRE(reads<Ipv4>(ipv4_name(0xcb007101, 4000), ipv4_control(secondary), raw));
    CHECK(Ipv4::is_source(raw, second));
    CHECK_FALSE(Ipv4::is_source(raw, first));
    CHECK_FALSE(Ipv4::is_source(raw, third));
    // A broadcast is none that was sent to the address which the kernel would answer it from.
    REQUIRE(Ipv4::read_words(&raw, ipv4_control(broadcast, secondary).data(), raw));
    CHECK_FALSE(Ipv4::is_source(raw, second));
    REQUIRE(reads<Mapped>(ipv6_name("::ffff:203.0.113.1", 4000), mapped_control(secondary), raw));
    CHECK(Mapped::is_source(raw, second));
    CHECK_FALSE(Mapped::is_source(raw, first));
    REQUIRE(reads<Ipv6>(ipv6_name("::ffff:203.0.113.1", 4000), ipv6_control("::ffff:192.0.2.3"), raw));
    CHECK(Ipv6::is_source(raw, second));
    CHECK_FALSE(Ipv6::is_source(raw, first));
    CHECK_FALSE(Ipv6::is_source(raw, third));
    REQUIRE(reads<Ipv6>(ipv6_name("2001:db8::99", 4000), ipv6_control("2001:db8::3"), raw));
    CHECK(Ipv6::is_source(raw, third));
    CHECK_FALSE(Ipv6::is_source(raw, fourth));
    CHECK_FALSE(Ipv6::is_source(raw, second));
    SUBCASE("an IPv6 address whose bytes look like the IPv4 one") {
        REQUIRE(reads<Ipv4>(ipv4_name(0xcb007101, 4000), ipv4_control(secondary), raw));
        CHECK_FALSE(Ipv4::is_source(raw, Kept{Address::from_ipv6(ipv6("::c000:203:0:0"))}));
        CHECK_FALSE(Ipv4::is_source(raw, Kept{Address::from_ipv6(ipv6("0:0:c000:203::"))}));
    }
}

TEST_CASE("the forms have lengths of their own") {
    CHECK(Ipv4::control_length != Ipv6::control_length);
    CHECK(Ipv6::control_length != Mapped::control_length);
    CHECK(Ipv4::name_length != Ipv6::name_length);
    CHECK(Mapped::control_length == control::own_space);
}

TEST_SUITE_END();

} // namespace multihome::family_test
