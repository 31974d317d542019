// SPDX-License-Identifier: MIT
//
// Peers and local addresses in one form for both families. An IPv4 address is kept v4-mapped (RFC 4291,
// 2.5.5.2), so that a peer is the same whether an AF_INET or a dual-stack socket hears it.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <netinet/in.h>

namespace multihome {

// An IPv6 or v4-mapped address. The words are the address's bytes in memory order.
struct Address {
    uint64_t first = 0;  // bytes 0 to 7
    uint64_t second = 0; // bytes 8 to 15

    friend bool operator==(const Address&, const Address&) = default;

    // ::ffff:0:0/96 in the second word: the prefix in its first four bytes, the address in the last four.
    static_assert(std::endian::native == std::endian::little);
    static constexpr uint64_t mapped_prefix = 0xffff0000;

    static constexpr Address from_ipv4(in_addr address) {
        return {0, mapped_prefix | uint64_t{address.s_addr} << 32};
    }

    static Address from_ipv6(const in6_addr& address) { return std::bit_cast<Address>(address); }

    in_addr ipv4() const { return {static_cast<in_addr_t>(second >> 32)}; }

    in6_addr ipv6() const { return std::bit_cast<in6_addr>(*this); }

    bool is_ipv4() const { return first == 0 && (second & 0xffffffff) == mapped_prefix; }

    // That of either family. ::ffff:0.0.0.0 is that of an AF_INET6 socket that takes IPv4 only.
    bool is_wildcard() const { return is_ipv4() ? ipv4().s_addr == htonl(INADDR_ANY) : *this == Address{}; }

    // fe80::/10
    bool is_link_local() const { return (first & 0xc0ff) == 0x80fe; }

    // 127/8. Each of its addresses is this host's.
    bool is_ipv4_loopback() const { return is_ipv4() && ntohl(ipv4().s_addr) >> 24 == IN_LOOPBACKNET; }

    // A multicast group of either family, or 255.255.255.255. It is never a source.
    bool is_group() const {
        if (is_ipv4()) {
            const in_addr_t host_order = ntohl(ipv4().s_addr);
            return IN_MULTICAST(host_order) || host_order == INADDR_BROADCAST;
        }
        const in6_addr address = ipv6();
        return IN6_IS_ADDR_MULTICAST(&address);
    }
};

// Who the program talks to.
struct Peer {
    Address address;
    uint32_t scope = 0; // interface index of a link-local address, else 0
    in_port_t port = 0; // network byte order

    friend bool operator==(const Peer&, const Peer&) = default;
};

// The address that an answer leaves from. The empty address means: as the routing table prefers.
struct Local {
    Address address;
    uint32_t interface_index = 0; // 0: as the routing table prefers

    friend bool operator==(const Local&, const Local&) = default;

    explicit operator bool() const { return address.second != 0 || address.first != 0; }
};

// The family in the first eight bytes of a socket address.
inline sa_family_t address_family(uint64_t first_bytes) {
    sa_family_t family = AF_UNSPEC;
    std::memcpy(&family, &first_bytes, sizeof family);
    return family;
}

// The peer whose sockaddr_in starts with these bytes.
inline Peer ipv4_peer(uint64_t first_bytes) {
    sockaddr_in name;
    std::memcpy(&name, &first_bytes, sizeof first_bytes);
    return {Address::from_ipv4(name.sin_addr), 0, name.sin_port};
}

// The conversation of that peer (AF_INET) with a port of ours. From the high end: its address, its port, the
// local port.
inline uint64_t ipv4_conversation(uint64_t first_bytes, in_port_t local_port) {
    static_assert(offsetof(sockaddr_in, sin_port) == 2 &&
                  offsetof(sockaddr_in, sin_addr) == 4); // the local port replaces the family
    return first_bytes ^ (AF_INET ^ local_port);
}

// True where this may be the length of a peer's address. The kernel refuses a negative one.
inline bool may_be_peer(socklen_t length) {
    return static_cast<int>(length) >= static_cast<int>(sizeof(sockaddr_in));
}

// Reads a peer from a socket address of `length` bytes, which must be readable. False where there is none
// (too short, another family). Async-signal-safe.
inline bool read_peer(const sockaddr* address, socklen_t length, Peer& peer) {
    if (length < sizeof(sockaddr_in))
        return false;
    // Copies the bytes, because the address may be unaligned.
    const auto* bytes = reinterpret_cast<const unsigned char*>(address);
    uint64_t first_bytes = 0;
    std::memcpy(&first_bytes, bytes, sizeof first_bytes);
    const sa_family_t family = address_family(first_bytes);
    if (family == AF_INET) {
        peer = ipv4_peer(first_bytes);
        return true;
    }
    // SIN6_LEN_RFC2133: the kernel takes addresses without sin6_scope_id as well.
    constexpr socklen_t without_scope = 24;
    static_assert(offsetof(sockaddr_in6, sin6_scope_id) == without_scope);
    if (family != AF_INET6 || length < without_scope)
        return false;
    std::memcpy(&peer.port, bytes + offsetof(sockaddr_in6, sin6_port), sizeof peer.port);
    std::memcpy(&peer.address.first, bytes + offsetof(sockaddr_in6, sin6_addr), 8);
    std::memcpy(&peer.address.second, bytes + offsetof(sockaddr_in6, sin6_addr) + 8, 8);
    peer.scope = 0;
    if (peer.address.is_link_local() && length >= sizeof(sockaddr_in6)) [[unlikely]]
        std::memcpy(&peer.scope, bytes + without_scope, sizeof peer.scope);
    return true;
}

} // namespace multihome
