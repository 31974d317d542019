// SPDX-License-Identifier: MIT
#include "shim/base/control.hpp"

#include "control_messages.hpp"
#include "pages.hpp"

#include <doctest/doctest.h>
#include <optional>

namespace multihome::control_test {

namespace {

using test::broadcast;
using test::ControlBuffer;
using test::ipv4_info;
using test::ipv6;
using test::ipv6_info;
using test::primary;
using test::secondary;

constexpr in_addr_t group = 0xef010101; // 239.1.1.1

Address ipv4_address(in_addr_t host_order) {
    return Address::from_ipv4({htonl(host_order)});
}

constexpr bool with_interface = true;

std::optional<Local> read(const ControlBuffer& buffer, bool through_interface = false) {
    return control::read(buffer.data(), buffer.length(), through_interface);
}

std::optional<size_t> end_in(const ControlBuffer& buffer, size_t length) {
    return control::end_without_source(buffer.data(), length);
}

} // namespace

TEST_SUITE_BEGIN("control");

TEST_CASE("no messages, no packet information") {
    const ControlBuffer buffer;
    CHECK_FALSE(read(buffer).has_value());
}

TEST_CASE("IPv4 packet information names the address to answer from") {
    ControlBuffer buffer;
    buffer.add(IPPROTO_IP, IP_TTL, 64).add(IPPROTO_IP, IP_PKTINFO, ipv4_info(secondary, secondary, 3));
    CHECK(read(buffer) == Local{ipv4_address(secondary), 0});
    CHECK(read(buffer, with_interface) == Local{ipv4_address(secondary), 3});
}

TEST_CASE("the answer to a broadcast or a group leaves from where the kernel chooses when it is sent") {
    for (const in_addr_t asked : {broadcast, group, in_addr_t{INADDR_BROADCAST}}) {
        const auto buffer = ControlBuffer{}.add(IPPROTO_IP, IP_PKTINFO, ipv4_info(primary, asked, 3));
        CHECK(read(buffer) == control::group_asked);
        CHECK(read(buffer, with_interface) == Local{ipv4_address(INADDR_ANY), 3});
        unsigned char written[control::own_space];
        const Local through{ipv4_address(INADDR_ANY), 3};
        CHECK(control::read_source(written, control::write_source(written, through)) == through);
    }
}

TEST_CASE("a datagram queued before the option was on has only the address it was sent to") {
    CHECK(read(ControlBuffer{}.add(IPPROTO_IP, IP_PKTINFO, ipv4_info(0, secondary, 0))) ==
          Local{ipv4_address(secondary), 0});
    // That of a group is no source.
    for (const bool choice : {false, with_interface})
        for (const in_addr_t none : {group, in_addr_t{INADDR_BROADCAST}, in_addr_t{INADDR_ANY}}) {
            const auto arrival =
                read(ControlBuffer{}.add(IPPROTO_IP, IP_PKTINFO, ipv4_info(0, none, 0)), choice);
            CHECK(arrival == (none != INADDR_ANY ? control::group_asked : Local{}));
        }
}

TEST_CASE("IPv6 packet information names the address, for a link-local one with its interface") {
    const auto global = ControlBuffer{}.add(IPPROTO_IPV6, IPV6_PKTINFO, ipv6_info(ipv6("2001:db8::3"), 3));
    CHECK(read(global) == Local{Address::from_ipv6(ipv6("2001:db8::3")), 0});
    CHECK(read(global, with_interface) == Local{Address::from_ipv6(ipv6("2001:db8::3")), 3});
    const auto link_local = ControlBuffer{}.add(IPPROTO_IPV6, IPV6_PKTINFO, ipv6_info(ipv6("fe80::3"), 3));
    CHECK(read(link_local) == Local{Address::from_ipv6(ipv6("fe80::3")), 3});
    const auto multicast = ControlBuffer{}.add(IPPROTO_IPV6, IPV6_PKTINFO, ipv6_info(ipv6("ff02::1"), 3));
    CHECK(read(multicast) == control::group_asked);
    const auto unspecified = ControlBuffer{}.add(IPPROTO_IPV6, IPV6_PKTINFO, ipv6_info(ipv6("::"), 3));
    CHECK(read(unspecified) == Local{});
}

TEST_CASE("of both messages on a dual-stack socket the IPv4 one counts, in either order") {
    const in_pktinfo four = ipv4_info(primary, broadcast, 3);
    const in6_pktinfo six = ipv6_info(ipv6("::ffff:192.0.2.255"), 3);
    for (const auto& buffer :
         {ControlBuffer{}.add(IPPROTO_IP, IP_PKTINFO, four).add(IPPROTO_IPV6, IPV6_PKTINFO, six),
          ControlBuffer{}.add(IPPROTO_IPV6, IPV6_PKTINFO, six).add(IPPROTO_IP, IP_PKTINFO, four)}) {
        CHECK(read(buffer) == control::group_asked);
        CHECK(buffer.length() <= control::own_space);
    }
}

TEST_CASE("a message that was cut says nothing") {
    auto buffer = ControlBuffer{}.add(IPPROTO_IP, IP_PKTINFO, ipv4_info(secondary, secondary, 3));
    for (size_t length = 0; length < CMSG_LEN(sizeof(in_pktinfo)); ++length) {
        cmsghdr header{};
        std::memcpy(&header, buffer.data(), sizeof header);
        // As the kernel cuts it, and, for the reader's own sake, with the length of the whole.
        for (const size_t written : {length, size_t{CMSG_LEN(sizeof(in_pktinfo))}}) {
            header.cmsg_len = written;
            std::memcpy(buffer.data(), &header, sizeof header);
            CHECK_FALSE(control::read(buffer.data(), length, {}).has_value());
        }
    }
}

TEST_CASE("messages of other protocols and types are nobody's packet information") {
    const auto buffer = ControlBuffer{}
                            .add(SOL_SOCKET, IP_PKTINFO, ipv4_info(primary, primary, 3))
                            .add(IPPROTO_IPV6, IP_PKTINFO, ipv4_info(primary, primary, 3))
                            .add(IPPROTO_IP, IPV6_PKTINFO, ipv6_info(ipv6("2001:db8::3"), 3));
    CHECK_FALSE(read(buffer).has_value());
}

TEST_CASE("a message that reaches into memory which cannot be written is left out, as the kernel does") {
    const auto source = ControlBuffer{}.add(IPPROTO_IP, IP_TTL, 64).add(IPPROTO_IP, IP_TOS, 0);
    const test::Pages pages{PROT_READ | PROT_WRITE, PROT_NONE};
    for (size_t writable = 0; writable <= source.length(); ++writable) {
        CAPTURE(writable);
        int flags = 0;
        const size_t length =
            test::copy_visible(source.data(), source.length(), control::none,
                               pages.at(0, test::Pages::size - writable), source.length(), flags);
        size_t expected = 0;
        for (const size_t end : {CMSG_LEN(sizeof(int)), CMSG_SPACE(sizeof(int)) + CMSG_LEN(sizeof(int))})
            if (writable >= end)
                expected += CMSG_SPACE(sizeof(int));
        CHECK(length == expected);
    }
}

TEST_CASE("a source goes behind messages that choose none") {
    const ControlBuffer none;
    CHECK(end_in(none, 0) == 0);
    const auto ttl = ControlBuffer{}.add(IPPROTO_IP, IP_TTL, 64);
    CHECK(end_in(ttl, ttl.length()) == ttl.length());
    // CMSG_LEN instead of CMSG_SPACE: the kernel takes it, and the next message goes where CMSG_SPACE ends.
    CHECK(end_in(ttl, CMSG_LEN(sizeof(int))) == CMSG_SPACE(sizeof(int)));

    for (const auto& chosen :
         {ControlBuffer{}.add(IPPROTO_IP, IP_PKTINFO, ipv4_info(primary, 0, 0)),
          ControlBuffer{}.add(IPPROTO_IPV6, IPV6_PKTINFO, ipv6_info(ipv6("2001:db8::3"), 0)),
          ControlBuffer{}.add(IPPROTO_IPV6, 2 /* IPV6_2292PKTINFO */, ipv6_info(ipv6("2001:db8::3"), 0)),
          ControlBuffer{}.add(IPPROTO_IP, IP_TTL, 64).add(IPPROTO_IP, IP_PKTINFO, ipv4_info(primary, 0, 0)),
          ControlBuffer{}
              .add(IPPROTO_IP, IP_PKTINFO, ipv4_info(primary, 0, 0))
              .add(IPPROTO_IP, IP_TTL, 64)}) {
        CHECK_FALSE(end_in(chosen, chosen.length()).has_value());
    }
}

TEST_CASE("an address where the kernel reads none chooses no source") {
    const auto given_back = ControlBuffer{}.add(IPPROTO_IP, IP_PKTINFO, ipv4_info(0, secondary, 3));
    CHECK(end_in(given_back, given_back.length()) == given_back.length());
    for (const auto& chosen : {ControlBuffer{}.add(IPPROTO_IP, IP_PKTINFO, ipv4_info(primary, secondary, 3)),
                               ControlBuffer{}.add(IPPROTO_IP, IP_PKTINFO, ipv4_info(0, 0, 3))})
        CHECK_FALSE(end_in(chosen, chosen.length()).has_value());
    // Zeros say nothing. An interface alone does.
    const auto zeros = ControlBuffer{}.add(IPPROTO_IP, IP_PKTINFO, in_pktinfo{});
    CHECK(end_in(zeros, zeros.length()) == zeros.length());
    const auto zeros6 = ControlBuffer{}.add(IPPROTO_IPV6, IPV6_PKTINFO, in6_pktinfo{});
    CHECK(end_in(zeros6, zeros6.length()) == zeros6.length());
    const auto zeros2292 = ControlBuffer{}.add(IPPROTO_IPV6, IPV6_2292PKTINFO, in6_pktinfo{});
    CHECK(end_in(zeros2292, zeros2292.length()) == zeros2292.length());
    const auto interface = ControlBuffer{}.add(IPPROTO_IPV6, IPV6_PKTINFO, ipv6_info(in6_addr{}, 3));
    CHECK_FALSE(end_in(interface, interface.length()).has_value());
    // The kernel refuses another length.
    struct {
        in_pktinfo info;
        int more;
    } const longer{ipv4_info(0, secondary, 3), 0};
    CHECK_FALSE(end_in(ControlBuffer{}.add(IPPROTO_IP, IP_PKTINFO, longer), CMSG_SPACE(sizeof longer)));
    CHECK_FALSE(end_in(given_back, CMSG_LEN(sizeof(in_pktinfo)) - 1));
}

TEST_CASE("no source goes behind lengths that the kernel refuses, wherever they stand") {
    const size_t bad_lengths[] = {
        0, 1, sizeof(cmsghdr) - 1, 4096, ~size_t{0}, ~size_t{0} - 7, ~(~size_t{0} >> 1)};
    for (const size_t bad : bad_lengths) {
        CAPTURE(bad);
        auto buffer = ControlBuffer{}.add(IPPROTO_IP, IP_TTL, 64);
        std::memcpy(buffer.data(), &bad, sizeof bad);
        CHECK_FALSE(end_in(buffer, buffer.length()).has_value());
        buffer = ControlBuffer{}.add(IPPROTO_IP, IP_TTL, 64).add(IPPROTO_IP, IP_TOS, 0);
        std::memcpy(buffer.data() + CMSG_SPACE(sizeof(int)), &bad, sizeof bad);
        CHECK_FALSE(end_in(buffer, buffer.length()).has_value());
        // A malformed message behind one that chooses: the kernel refuses all of it.
        buffer =
            ControlBuffer{}.add(IPPROTO_IP, IP_PKTINFO, ipv4_info(primary, 0, 0)).add(IPPROTO_IP, IP_TTL, 64);
        std::memcpy(buffer.data() + CMSG_SPACE(sizeof(in_pktinfo)), &bad, sizeof bad);
        CHECK_FALSE(end_in(buffer, buffer.length()).has_value());
    }
    // One byte longer than the buffer.
    const auto ttl = ControlBuffer{}.add(IPPROTO_IP, IP_TTL, 64);
    CHECK_FALSE(end_in(ttl, CMSG_LEN(sizeof(int)) - 1).has_value());
}

TEST_CASE("the program's messages may lie at any alignment") {
    const auto ttl = ControlBuffer{}.add(IPPROTO_IP, IP_TTL, 64);
    for (size_t offset = 1; offset < alignof(cmsghdr); ++offset) {
        ControlBuffer moved;
        std::memcpy(moved.data() + offset, ttl.data(), ttl.length());
        CHECK(control::end_without_source(moved.data() + offset, ttl.length()) == ttl.length());
    }
}

TEST_CASE("bytes too short for a message are ignored where the kernel ignores them") {
    ControlBuffer ttl;
    ttl.add(IPPROTO_IP, IP_TTL, 5);
    const bool is_refused = sizeof(size_t) == 4; // by a 64-bit kernel
    for (size_t more = 1; more < sizeof(control::Header); ++more) {
        CHECK(end_in(ttl, more).has_value() != is_refused);
        CHECK(end_in(ttl, ttl.length() + more).has_value() != is_refused);
    }
    CHECK(end_in(ttl, ttl.length()) == ttl.length());
}

TEST_CASE("a source that is written is read back, and its padding is zero") {
    for (const Local& local :
         {Local{ipv4_address(secondary), 0}, Local{ipv4_address(secondary), 3},
          Local{Address::from_ipv6(ipv6("2001:db8::3")), 0}, Local{Address::from_ipv6(ipv6("fe80::3")), 3}}) {
        ControlBuffer buffer;
        const size_t length = control::write_source(buffer.data(), local);
        // The kernel's room on its stack (____sys_sendmsg()).
        CHECK(length <= sizeof(cmsghdr) + 20);
        const size_t with_padding = CMSG_ALIGN(length);
        CHECK(with_padding <= control::own_space);
        CHECK(buffer.data()[with_padding] == ControlBuffer::mark);
        for (size_t at = length; at < with_padding; ++at)
            CHECK(buffer.data()[at] == 0);
        CHECK(control::read_source(buffer.data(), length) == local);
        CHECK_FALSE(end_in(buffer, length).has_value());
    }
}

TEST_CASE("the source is read back behind the program's own messages") {
    auto buffer = ControlBuffer{}.add(IPPROTO_IP, IP_TTL, 64);
    const Local local{ipv4_address(secondary), 3};
    const size_t length = buffer.length() + control::write_source(buffer.data() + buffer.length(), local);
    CHECK(control::read_source(buffer.data(), length) == local);

    // Behind packet information of the program's, too, of either family.
    for (const Local& source : {local, Local{Address::from_ipv6(ipv6("2001:db8::3")), 0}}) {
        auto other = ControlBuffer{}.add(IPPROTO_IP, IP_PKTINFO, ipv4_info(0, primary, 2));
        const size_t all = other.length() + control::write_source(other.data() + other.length(), source);
        CHECK(control::read_source(other.data(), all) == source);
    }
}

TEST_SUITE_END();

} // namespace multihome::control_test
