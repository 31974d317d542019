// SPDX-License-Identifier: MIT
//
// The words that tell one datagram from another: the peer's name and our control message, as the kernel has
// written them. They are few, and cheap to compare. Each form that these come in has a trait.
//
//   Ipv4    an AF_INET socket
//   Ipv6    an IPv6 datagram on an AF_INET6 socket
//   Mapped  an IPv4 datagram on an AF_INET6 socket: ip6_datagram_recv_common_ctl() writes its message, then
//           ip_cmsg_recv() does
//
// `name_length` and `control_length` tell which form it is. A datagram that brought other control messages
// has none of these forms.
#pragma once

#include "shim/base/address.hpp"
#include "shim/base/control.hpp"

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace multihome {

namespace family_detail {

[[gnu::always_inline]] inline uint64_t word_at(const void* memory, size_t position) {
    uint64_t word = 0;
    std::memcpy(&word, static_cast<const unsigned char*>(memory) + position, sizeof word);
    return word;
}
// The level and the type of a control message, which follow its length.
[[gnu::always_inline]] inline uint64_t kind_at(const void* control, size_t position) {
    return word_at(control, position + offsetof(control::Header, level));
}
constexpr uint64_t ipv4_kind = std::bit_cast<uint64_t>(std::array<int, 2>{IPPROTO_IP, IP_PKTINFO});
constexpr uint64_t ipv6_kind = std::bit_cast<uint64_t>(std::array<int, 2>{IPPROTO_IPV6, IPV6_PKTINFO});
constexpr size_t ipv4_space = CMSG_SPACE(sizeof(in_pktinfo));
constexpr size_t ipv6_space = CMSG_SPACE(sizeof(in6_pktinfo));

} // namespace family_detail

// The words of one datagram. A form does not write those that it does not use.
struct RawDatagram {
    std::array<uint64_t, 3> name;
    std::array<uint64_t, 2> arrival;
};

struct Ipv4 {
    static constexpr socklen_t name_length = sizeof(sockaddr_in);
    static constexpr size_t control_length = family_detail::ipv4_space;

    // False where the messages turn out to be others.
    [[gnu::always_inline]] static bool read_words(const void* name, const void* control, RawDatagram& raw) {
        using namespace family_detail;
        // The family, the port, the address; ipi_spec_dst and ipi_addr.
        raw.arrival[0] = word_at(control, addresses_at);
        raw.name[0] = word_at(name, 0);
        return kind_at(control, 0) == ipv4_kind;
    }
    // False also where the lengths are those of this form, and the words are not. The conversation of such a
    // datagram never becomes steady.
    [[gnu::always_inline]] static bool read(const void* name, const void* control, RawDatagram& raw) {
        return read_words(name, control, raw) && address_family(raw.name[0]) == AF_INET && is_to_one(raw);
    }
    // False where the datagram went to a group, or was queued before the option was on.
    static bool is_to_one(const RawDatagram& raw) {
        return raw.arrival[0] >> 32 == (raw.arrival[0] & 0xffffffff) && raw.arrival[0] != 0;
    }
    // Does not look at the kind: on a socket of ours, no other message of this length comes alone.
    [[gnu::always_inline]] static bool is_arrival(const RawDatagram& raw, const void* control) {
        return family_detail::word_at(control, addresses_at) == raw.arrival[0];
    }
    [[gnu::always_inline]] static Peer peer(const RawDatagram& raw) { return ipv4_peer(raw.name[0]); }
    [[gnu::always_inline]] static Address local(const RawDatagram& raw) {
        return Address::from_ipv4({static_cast<in_addr_t>(raw.arrival[0] >> 32)});
    }
    // True where a control message that chooses a source (control::write_source()) names the address that
    // this datagram went to. `message` tells its length and its words.
    template <typename Message>
    [[gnu::always_inline]] static bool is_source(const RawDatagram& raw, const Message& message) {
        if (message.length() != CMSG_LEN(sizeof(in_pktinfo))) [[unlikely]]
            return false;
        return (message.word_at(CMSG_LEN(0)) ^ raw.arrival[0]) >> 32 == 0;
    }

    static constexpr size_t addresses_at = CMSG_LEN(offsetof(in_pktinfo, ipi_spec_dst));
};
static_assert(offsetof(in_pktinfo, ipi_spec_dst) == 4 && offsetof(in_pktinfo, ipi_addr) == 8);

struct Ipv6 {
    static constexpr socklen_t name_length = sizeof(sockaddr_in6);
    static constexpr size_t control_length = family_detail::ipv6_space;

    [[gnu::always_inline]] static bool read_words(const void* name, const void* control, RawDatagram& raw) {
        using namespace family_detail;
        read_name(name, raw);
        raw.arrival = {word_at(control, CMSG_LEN(0)), word_at(control, CMSG_LEN(8))};
        return kind_at(control, 0) == ipv6_kind;
    }
    [[gnu::always_inline]] static bool read(const void* name, const void* control, RawDatagram& raw) {
        // A link-local address needs its interface, and such a peer its scope. These words have neither.
        return read_words(name, control, raw) && address_family(raw.name[0]) == AF_INET6 &&
               !Address{raw.name[1], raw.name[2]}.is_link_local() && !local(raw).is_link_local();
    }
    [[gnu::always_inline]] static bool is_arrival(const RawDatagram& raw, const void* control) {
        using namespace family_detail;
        return ((word_at(control, CMSG_LEN(0)) ^ raw.arrival[0]) |
                (word_at(control, CMSG_LEN(8)) ^ raw.arrival[1]) | (kind_at(control, 0) ^ ipv6_kind)) == 0;
    }
    [[gnu::always_inline]] static Peer peer(const RawDatagram& raw) {
        return {{raw.name[1], raw.name[2]}, 0, static_cast<in_port_t>(raw.name[0] >> 16)};
    }
    [[gnu::always_inline]] static Address local(const RawDatagram& raw) {
        return {raw.arrival[0], raw.arrival[1]};
    }
    template <typename Message>
    [[gnu::always_inline]] static bool is_source(const RawDatagram& raw, const Message& message) {
        if (message.length() == CMSG_LEN(sizeof(in6_pktinfo))) [[likely]]
            return ((message.word_at(CMSG_LEN(0)) ^ raw.arrival[0]) |
                    (message.word_at(CMSG_LEN(8)) ^ raw.arrival[1])) == 0;
        // An IPv4 datagram on a socket without IP_PKTINFO: a mapped address, with its bytes as in Ipv4.
        return local(raw).is_ipv4() && Ipv4::is_source({{}, {raw.arrival[1], 0}}, message);
    }
    [[gnu::always_inline]] static void read_name(const void* name, RawDatagram& raw) {
        for (size_t index = 0; index < 3; ++index)
            raw.name[index] = family_detail::word_at(name, index * 8);
    }
};
static_assert(offsetof(sockaddr_in6, sin6_port) == 2 && offsetof(sockaddr_in6, sin6_addr) == 8);

// Its name is that of an IPv6 datagram, its arrival that of an IPv4 one.
struct Mapped : Ipv4 {
    static constexpr socklen_t name_length = Ipv6::name_length;
    static constexpr size_t control_length = family_detail::ipv6_space + family_detail::ipv4_space;

    [[gnu::always_inline]] static bool read_words(const void* name, const void* control, RawDatagram& raw) {
        using namespace family_detail;
        Ipv6::read_name(name, raw);
        raw.arrival[0] = word_at(control, ipv6_space + addresses_at);
        return kind_at(control, 0) == ipv6_kind && kind_at(control, ipv6_space) == ipv4_kind;
    }
    [[gnu::always_inline]] static bool read(const void* name, const void* control, RawDatagram& raw) {
        return read_words(name, control, raw) && address_family(raw.name[0]) == AF_INET6 && is_to_one(raw);
    }
    [[gnu::always_inline]] static bool is_arrival(const RawDatagram& raw, const void* control) {
        using namespace family_detail;
        return word_at(control, ipv6_space + addresses_at) == raw.arrival[0] &&
               kind_at(control, ipv6_space) == ipv4_kind;
    }
    [[gnu::always_inline]] static Peer peer(const RawDatagram& raw) { return Ipv6::peer(raw); }
};

// True where `name`, of this length, is that of the datagram. The family in the first word tells the form of
// the name. The kernel refuses a name of another length, or does not read its other words.
[[gnu::always_inline]] inline bool is_name(const RawDatagram& raw, const void* name, socklen_t length) {
    using namespace family_detail;
    return word_at(name, 0) == raw.name[0] &&
           (length == Ipv4::name_length ||
            (length == Ipv6::name_length &&
             ((word_at(name, 8) ^ raw.name[1]) | (word_at(name, 16) ^ raw.name[2])) == 0));
}

} // namespace multihome
