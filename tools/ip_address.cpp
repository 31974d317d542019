// SPDX-License-Identifier: MIT
#include "tools/ip_address.hpp"

#include <arpa/inet.h>

#include <array>
#include <cstring>

namespace multihome::tools {

Address address_from(int family, const void* bytes) {
    if (family == AF_INET) {
        in_addr address{};
        std::memcpy(&address, bytes, sizeof address);
        return Address::from_ipv4(address);
    }
    in6_addr address{};
    std::memcpy(&address, bytes, sizeof address);
    return Address::from_ipv6(address);
}

std::string to_text(const Address& address) {
    std::array<char, INET6_ADDRSTRLEN> text{};
    if (address.is_ipv4()) {
        const in_addr plain = address.ipv4();
        inet_ntop(AF_INET, &plain, text.data(), text.size());
    } else {
        const in6_addr plain = address.ipv6();
        inet_ntop(AF_INET6, &plain, text.data(), text.size());
    }
    return text.data();
}

std::optional<Address> parse_address(const std::string& text) {
    in6_addr bytes{}; // large enough for both
    for (const int family : {AF_INET, AF_INET6})
        if (inet_pton(family, text.c_str(), &bytes) == 1)
            return address_from(family, &bytes);
    return std::nullopt;
}

bool is_wildcard(const Address& address) {
    return address.is_ipv4() ? address.ipv4().s_addr == INADDR_ANY : address == Address{};
}

bool is_loopback(const Address& address) {
    constexpr in_addr_t loopback_net = 127;
    const in6_addr ipv6 = address.ipv6();
    return address.is_ipv4() ? ntohl(address.ipv4().s_addr) >> 24U == loopback_net
                             : IN6_IS_ADDR_LOOPBACK(&ipv6);
}

bool is_private(const Address& address) {
    if (!address.is_ipv4()) {
        const in6_addr ipv6 = address.ipv6();
        return address.is_link_local() || (ipv6.s6_addr[0] & 0xfeU) == 0xfcU; // fc00::/7
    }
    struct Net {
        in_addr_t net;
        unsigned prefix;
    };
    static constexpr std::array nets = {Net{0x0a000000, 8}, Net{0xac100000, 12}, Net{0xc0a80000, 16},
                                        Net{0x64400000, 10}, Net{0xa9fe0000, 16}};
    const in_addr_t host_order = ntohl(address.ipv4().s_addr);
    for (const Net& net : nets)
        if ((host_order ^ net.net) >> (32 - net.prefix) == 0)
            return true;
    return false;
}

Address neighbour_of(const Address& address) {
    in6_addr bytes = address.ipv6();
    bytes.s6_addr[15] ^= 1U;
    return Address::from_ipv6(bytes);
}

} // namespace multihome::tools
