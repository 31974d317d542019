// SPDX-License-Identifier: MIT
//
// What we set on sockets, what the program sets, and what it sees of both.
#include "shim/sockets/options.hpp"

#include "udp_sockets.hpp"

namespace multihome::socket_options_test {

using namespace test; // NOLINT(google-build-using-namespace)

TEST_SUITE_BEGIN("socket_options");

TEST_CASE("a bind() that fails leaves the socket as it was") {
    const in_port_t port = free_port(20'000);
    const Descriptor holder{udp()};
    const sockaddr_in name = name_at(INADDR_ANY, port);
    REQUIRE(bind(holder, reinterpret_cast<const sockaddr*>(&name), sizeof name) == 0);
    const Descriptor fd{udp()};
    sockets::created(fd, AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const Socket before = sockets::load(fd);
    CHECK(bind_seen(fd, INADDR_ANY, port) == -1);
    CHECK(errno == EADDRINUSE);
    CHECK(sockets::load(fd).word() == before.word());
    CHECK(option(fd, IPPROTO_IP, IP_PKTINFO) == 0);
    CHECK(option(fd, SOL_SOCKET, SO_OOBINLINE) == 0);
}

// What the program asked for, as another program finds it that gets the socket.
TEST_CASE("the mark tells what a program has asked for, whatever the port") {
    for (const in_port_t port : {free_port(20'000), free_port(40'000), in_port_t{0}}) {
        for (const int family : {AF_INET, AF_INET6}) {
            CAPTURE(port);
            CAPTURE(family);
            const int made = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
            if (made < 0) {
                MESSAGE("SKIP: this kernel has no IPv6");
                continue;
            }
            const Descriptor fd{made};
            sockets::created(fd, family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
            sockaddr_in6 wildcard{};
            wildcard.sin6_family = static_cast<sa_family_t>(family);
            wildcard.sin6_port = htons(port);
            REQUIRE(sockets::bind(fd, reinterpret_cast<const sockaddr*>(&wildcard),
                                  family == AF_INET ? sizeof(sockaddr_in) : sizeof wildcard) == 0);
            REQUIRE(sockets::load(fd).is(Kind::ours));
            const bool ipv6 = family == AF_INET6;
            const int level = ipv6 ? IPPROTO_IPV6 : IPPROTO_IP;
            const int name = ipv6 ? IPV6_RECVPKTINFO : IP_PKTINFO;
            const auto wanted = ipv6 ? Socket::wants_ipv6 : Socket::wants_ipv4;
            for (const int on : {0, 1, 0}) {
                REQUIRE(options::set(fd, level, name, &on, sizeof on) == 0);
                int value = -1;
                socklen_t length = sizeof value;
                REQUIRE(options::get(fd, level, name, &value, &length) == 0);
                CHECK(value == on);
                REQUIRE(options::get(fd, SOL_SOCKET, SO_OOBINLINE, &value, &length) == 0);
                CHECK(value == 0);
                sockets::mark_all();
                sockets::arrived(fd);
                CHECK(sockets::get(fd).is(Kind::ours));
                CHECK(sockets::get(fd).has(wanted) == (on != 0));
                CHECK_FALSE(sockets::get(fd).has(Socket::wants_inline));
            }
        }
    }
}

TEST_CASE("a socket with a sticky source is left to the program") {
    const int made = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (made < 0) {
        MESSAGE("SKIP: this kernel has no IPv6");
        return;
    }
    const Descriptor fd{made};
    sockets::created(fd, AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    in6_pktinfo sticky{};
    const auto set_sticky = [&](const in6_addr& address) {
        sticky.ipi6_addr = address;
        return options::set(fd, IPPROTO_IPV6, IPV6_PKTINFO, &sticky, sizeof sticky);
    };
    sockaddr_in6 wildcard{};
    wildcard.sin6_family = AF_INET6;
    const auto bind_it = [&] {
        return sockets::bind(fd, reinterpret_cast<const sockaddr*>(&wildcard), sizeof wildcard);
    };
    SUBCASE("set before bind()") {
        REQUIRE(set_sticky(in6addr_loopback) == 0);
        REQUIRE(bind_it() == 0);
    }
    SUBCASE("set after it") {
        REQUIRE(bind_it() == 0);
        CHECK(sockets::load(fd).is(Kind::ours));
        REQUIRE(set_sticky(in6addr_loopback) == 0);
    }
    CHECK(sockets::load(fd).is(Kind::other));
    CHECK(option(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO) == 0);
    CHECK(option(fd, IPPROTO_IP, IP_PKTINFO) == 0);
    CHECK(option(fd, SOL_SOCKET, SO_OOBINLINE) == 0);
    REQUIRE(set_sticky(in6addr_any) == 0);
    CHECK(sockets::load(fd).is(Kind::ours));
    CHECK(option(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO) == 1);
}

TEST_SUITE_END();

} // namespace multihome::socket_options_test
