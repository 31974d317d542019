// SPDX-License-Identifier: MIT
//
// What we know of a descriptor, in one word. The word is 0 while nothing is known, so that forgetting is a
// store.
//
// A descriptor is ours when it is an AF_INET or AF_INET6 UDP socket that is bound to the wildcard address. We
// learn that from bind(), or when a descriptor is first used that we did not see being made.
#pragma once

#include <cstdint>
#include <netinet/in.h>

namespace multihome {

// The parts of a descriptor's word.
class Socket {
public:
    // One bit each, so that is() takes one instruction.
    enum class Kind : uint8_t {
        unknown = 0, // not looked at yet
        other = 1,   // none of our business
        unbound = 2, // UDP, neither bound nor used for sending yet
        ours = 4,    // UDP, bound to the wildcard address
    };
    enum Bit : uint64_t {
        // Of the descriptor.
        no_descriptors = 1U << 3, // it is no UNIX socket: its messages bring no descriptors
        has_copies = 1U << 4,     // other descriptors may stand for this socket too
        seen_made = 1U << 5,      // we saw socket() make it, and what the program has set since
        left_alone = 1U << 6,     // a client's; the program may bind it yet if its first call failed
        // Of the socket.
        ipv6 = 1U << 7,        // AF_INET6
        only_ipv4 = 1U << 8,   // AF_INET6, and its own address is an IPv4 one
        has_address = 1U << 9, // it has a local address: by connect(); if it is not ours, by bind() as well
        any_port = 1U << 10,   // the kernel chose its port, and takes it away with the peer
        // Options that the program itself has switched on, so that it sees their messages.
        wants_ipv4 = 1U << 11,      // IP_PKTINFO
        wants_ipv6 = 1U << 12,      // IPV6_RECVPKTINFO
        wants_ipv6_2292 = 1U << 13, // IPV6_2292PKTINFO
        wants_messages = wants_ipv4 | wants_ipv6 | wants_ipv6_2292,
        wants_inline = 1U << 14,    // SO_OOBINLINE, which is our mark (options.cpp)
        wants_free_bind = 1U << 15, // IPV6_FREEBIND
        own_route = 1U << 16,       // a device or SO_MARK may give it routes of its own
        sticky_source = 1U << 17,   // the program chose the source by IPV6_PKTINFO: none of our business
        // Options that we have switched on.
        free_bind = 1U << 18, // IPV6_FREEBIND
        unmarked = 1U << 19,  // our mark is not on yet (options.cpp)
    };

    constexpr Socket() = default;
    constexpr explicit Socket(uint64_t word) : word_(word) {}
    constexpr Socket(Kind kind, uint64_t bits) : word_(static_cast<uint64_t>(kind) | bits) {}

    constexpr uint64_t word() const { return word_; }
    constexpr Kind kind() const { return static_cast<Kind>(word_ & kind_mask); }
    // The same as kind() == wanted, but not for `unknown`.
    constexpr bool is(Kind wanted) const { return (word_ & static_cast<uint64_t>(wanted)) != 0; }
    constexpr bool has(Bit bit) const { return (word_ & bit) != 0; }
    // The local port that the socket is bound to (network byte order); 0 while it has none.
    constexpr in_port_t port() const { return static_cast<in_port_t>(word_ >> port_shift); }
    // The socket's number in the order in which sockets were made; 0 where that is not known.
    constexpr uint16_t made() const { return static_cast<uint16_t>(word_ >> made_shift); }

    // What the program has chosen with IP_MULTICAST_IF: the index of an interface, 0 for none, or one of the
    // following. The kernel does not tell the index.
    static constexpr uint32_t multicast_unknown = 0xfff;   // not seen: the socket came from elsewhere
    static constexpr uint32_t multicast_too_great = 0xffe; // an index that does not fit in here
    static constexpr uint32_t multicast_address = 0xffd;   // an address, which the kernel tells
    constexpr uint32_t multicast_interface() const {
        return static_cast<uint32_t>(word_ >> interface_shift & multicast_unknown);
    }

    // True where undoing a connect() takes away the port, because the kernel chose it.
    constexpr bool loses_port() const { return has(any_port) && port() != 0; }

    constexpr Socket with_kind(Kind kind) const {
        return with_field(0, kind_mask, static_cast<uint64_t>(kind));
    }
    constexpr Socket with_port(in_port_t port) const { return with_field(port_shift, 0xffff, port); }
    constexpr Socket with_made(uint16_t made) const { return with_field(made_shift, 0xffff, made); }
    constexpr Socket with_multicast_interface(uint32_t index) const {
        return with_field(interface_shift, multicast_unknown, index);
    }
    // With these bits, or without them.
    constexpr Socket with(uint64_t bits, bool on = true) const {
        return Socket{on ? word_ | bits : word_ & ~bits};
    }
    // Also has copies if `other` has.
    constexpr Socket with_copies_of(Socket other) const { return with(other.word_ & has_copies); }

private:
    constexpr Socket with_field(unsigned shift, uint64_t mask, uint64_t value) const {
        return Socket{(word_ & ~(mask << shift)) | value << shift};
    }

    // From the low end: kind, other bits, interface, made, port.
    static constexpr uint64_t kind_mask = 7;
    static constexpr unsigned interface_shift = 20;
    static constexpr unsigned made_shift = 32;
    static constexpr unsigned port_shift = 48;

    uint64_t word_ = 0;
};

} // namespace multihome
