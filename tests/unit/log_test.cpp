// SPDX-License-Identifier: MIT
#include "shim/base/log.hpp"

#include <arpa/inet.h>
#include <climits>
#include <cstdint>
#include <doctest/doctest.h>
#include <string>

namespace multihome::log_test {

TEST_SUITE_BEGIN("log");

TEST_CASE("a text is put together from what there is, and cut where the room is full") {
    char room[24];
    CHECK(log::put_together(room, FMT_COMPILE("nothing")) == "nothing");
    CHECK(log::put_together(room, FMT_COMPILE("{} {} {}"), INT64_MIN, 'x', in_port_t{65535}) ==
          "-9223372036854775808 x 6");
    CHECK(log::put_together(room, FMT_COMPILE("{}={}"), "{}", UINT_MAX) == "{}=4294967295");
    CHECK(log::put_together(room, FMT_COMPILE("{}{}"), std::string(30, 'a'), "more") == std::string(24, 'a'));
    CHECK(log::put_together(room, FMT_COMPILE("{}"), std::string_view{}).empty());
}

TEST_CASE("addresses and peers as an operator writes them") {
    in6_addr link_local{};
    REQUIRE(inet_pton(AF_INET6, "fe80::7", &link_local) == 1);
    const Address ipv6 = Address::from_ipv6(link_local);
    const Address ipv4 = Address::from_ipv4({htonl(INADDR_LOOPBACK)});
    CHECK(std::string{log::AddressText{ipv4}.text} == "127.0.0.1");
    CHECK(std::string{log::AddressText{ipv6}.text} == "fe80::7");
    CHECK(std::string{log::AddressText{Peer{ipv4, 0, htons(53)}}.text} == "127.0.0.1:53");
    CHECK(std::string{log::AddressText{Peer{ipv6, 0, htons(53)}}.text} == "[fe80::7]:53");
    CHECK(std::string{log::AddressText{Peer{ipv6, 3, htons(53)}}.text} == "[fe80::7%3]:53");
}

TEST_SUITE_END();

} // namespace multihome::log_test
