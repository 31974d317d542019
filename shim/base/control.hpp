// SPDX-License-Identifier: MIT
//
// Control messages (cmsg(3)): read ours, hide ours, append ours. Pure functions over buffers: no socket, no
// state, no allocation. Async-signal-safe.
#pragma once

#include "shim/base/address.hpp"

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <netinet/in.h>
#include <sys/socket.h>

namespace multihome::control {

// The space that our messages take in a buffer: IP_PKTINFO and IPV6_PKTINFO, which on a dual-stack socket
// both come.
constexpr size_t own_space = CMSG_SPACE(sizeof(in_pktinfo)) + CMSG_SPACE(sizeof(in6_pktinfo));

// The kinds of packet information.
enum Kinds : unsigned {
    none = 0,
    ipv4 = 1, // IP_PKTINFO
    ipv6 = 2, // IPV6_PKTINFO
};

// Where a datagram reached us.
struct Arrival {
    unsigned found = none; // the kinds of packet information that were there
    Local local;           // the address to answer from; empty where the datagram names none
    bool is_alone = false; // there is nothing but packet information
};

// How an Arrival's local address is to be chosen.
struct Choice {
    bool with_interface = false; // the answer leaves through the interface that the datagram came in on
    // The socket is bound to a device. For a datagram to a group the kernel's ipi_spec_dst does not heed
    // that, while the choice that the kernel makes when the answer is sent does.
    bool to_device = false;
};

// A control message's header without the flexible array that ends a cmsghdr, so that it can start a
// structure.
struct Header {
    size_t length;
    int level;
    int type;
};
static_assert(sizeof(Header) == sizeof(cmsghdr) && sizeof(Header) == CMSG_LEN(0));

namespace detail {

// The address to answer from; empty where there is none.
inline Local local_from(const in_pktinfo& info, Choice choice) {
    // ipi_spec_dst is the address to answer from, also for a broadcast or multicast datagram. A datagram that
    // was queued before the option was on has only ipi_addr, which for a group is not a source.
    const bool specific = info.ipi_spec_dst.s_addr != htonl(INADDR_ANY);
    const Address address = Address::from_ipv4(specific ? info.ipi_spec_dst : info.ipi_addr);
    if (address.is_group() || address.ipv4().s_addr == htonl(INADDR_ANY)) [[unlikely]]
        return {};
    if (choice.to_device && info.ipi_spec_dst.s_addr != info.ipi_addr.s_addr) [[unlikely]]
        return {};
    return {address, choice.with_interface ? static_cast<uint32_t>(info.ipi_ifindex) : 0};
}

Arrival walk(const void* buffer, size_t length, Choice choice);

} // namespace detail

// Reads the packet information in `length` bytes that the kernel has written to `buffer` (aligned as a
// cmsghdr).
inline Arrival read(const void* buffer, size_t length, Choice choice) {
    struct {
        Header header;
        in_pktinfo info;
    } first;
    // What nearly every datagram brings.
    if (length == CMSG_SPACE(sizeof(in_pktinfo))) [[likely]] {
        std::memcpy(&first, buffer, sizeof first);
        if (first.header.level == IPPROTO_IP && first.header.type == IP_PKTINFO) [[likely]]
            return {ipv4, detail::local_from(first.info, choice), true};
    }
    return detail::walk(buffer, length, choice);
}

// Packet information and nothing else, as the kernel has written it: as cheap to compare as can be.
class RawArrival {
public:
    // False where there is something else, or where it does not tell the address to answer from by itself.
    bool set(const void* buffer, size_t length) {
        const auto* message = static_cast<const unsigned char*>(buffer);
        length_ = length;
        switch (length) {
        case ipv4_space:
            words_[0] = word_at(message, CMSG_LEN(0));
            // ipi_spec_dst is 0 where the datagram was queued before the option was on.
            return kind_at(message) == ipv4_kind && words_[0] >> 32 != 0;
        case ipv6_space + ipv4_space:
            words_[0] = word_at(message, ipv6_space + CMSG_LEN(0));
            return kind_at(message) == ipv6_kind && kind_at(message + ipv6_space) == ipv4_kind &&
                   words_[0] >> 32 != 0;
        case ipv6_space:
            words_ = {word_at(message, CMSG_LEN(0)), word_at(message, CMSG_LEN(8)), interface_at(message)};
            return kind_at(message) == ipv6_kind;
        default:
            return false;
        }
    }

    // True where `length` bytes of the kernel's say the same. Each kind of message alone has a length of its
    // own, so that one comparison tells which it is.
    [[gnu::always_inline]] bool is(const void* buffer, size_t length) const {
        const auto* message = static_cast<const unsigned char*>(buffer);
        if (length != length_) [[unlikely]]
            return false;
        if (length == ipv4_space) [[likely]]
            return word_at(message, CMSG_LEN(0)) == words_[0] && kind_at(message) == ipv4_kind;
        if (kind_at(message) != ipv6_kind) [[unlikely]]
            return false;
        if (length == ipv6_space) [[likely]]
            return ((word_at(message, CMSG_LEN(0)) ^ words_[0]) |
                    (word_at(message, CMSG_LEN(8)) ^ words_[1])) == 0 &&
                   interface_at(message) == words_[2];
        return word_at(message, ipv6_space + CMSG_LEN(0)) == words_[0] &&
               kind_at(message + ipv6_space) == ipv4_kind;
    }

private:
    static constexpr size_t ipv4_space = CMSG_SPACE(sizeof(in_pktinfo));
    // Comes first where an IPv4 datagram arrives on a dual-stack socket: ip6_datagram_recv_common_ctl() is
    // called before ip_cmsg_recv().
    static constexpr size_t ipv6_space = CMSG_SPACE(sizeof(in6_pktinfo));
    static constexpr uint64_t ipv4_kind = std::bit_cast<uint64_t>(std::array<int, 2>{IPPROTO_IP, IP_PKTINFO});
    static constexpr uint64_t ipv6_kind =
        std::bit_cast<uint64_t>(std::array<int, 2>{IPPROTO_IPV6, IPV6_PKTINFO});
    // The interface and ipi_spec_dst are one word.
    static_assert(offsetof(in_pktinfo, ipi_ifindex) == 0 && offsetof(in_pktinfo, ipi_spec_dst) == 4);

    [[gnu::always_inline]] static uint64_t word_at(const unsigned char* message, size_t position) {
        uint64_t word = 0;
        std::memcpy(&word, message + position, sizeof word);
        return word;
    }
    // The level and the type.
    [[gnu::always_inline]] static uint64_t kind_at(const unsigned char* message) {
        return word_at(message, offsetof(Header, level));
    }
    [[gnu::always_inline]] static uint64_t interface_at(const unsigned char* message) {
        uint32_t interface_index = 0;
        std::memcpy(&interface_index, message + CMSG_LEN(offsetof(in6_pktinfo, ipi6_ifindex)),
                    sizeof interface_index);
        return interface_index;
    }

    std::array<uint64_t, 3> words_{};
    size_t length_ = 0;
};

// Hands over to the program what the kernel has written for it.
//
//  - `source`, `source_length`: all messages, ours among them, as the kernel wrote them (aligned).
//  - `hide`: the kinds that the program has not asked for.
//  - `target`, `target_room`: the program's buffer and its length. May be null, may be `source` itself.
//  - `flags`: the message's flags; MSG_CTRUNC is set if a message did not fit.
//  - `target_writable`: so many of the buffer's bytes can be written.
//
// Returns the msg_controllen that the kernel would have reported. Messages are cut and padded as put_cmsg()
// in the kernel's net/core/scm.c does it.
size_t hand_over(const void* source, size_t source_length, unsigned hide, void* target, size_t target_room,
                 int& flags, size_t target_writable = SIZE_MAX);

// True where hand_over() would write to the program's buffer.
bool has_visible(const void* source, size_t source_length, unsigned hide);

// What the program's own control messages, in `length` readable bytes of any alignment, say about the source.
enum class Outgoing : uint8_t {
    plain,     // nothing: a source may be appended
    chosen,    // the program sends packet information itself
    malformed, // the kernel will refuse them
};
// `used`: the bytes up to the end of the last message, aligned: where the next one goes.
Outgoing inspect_outgoing(const void* buffer, size_t length, size_t& used);

// Makes `ours` the program's message with another control buffer, but for msg_flags.
[[gnu::always_inline]] inline void replace_control(const msghdr& theirs, msghdr& ours, void* buffer,
                                                   size_t length) {
    static_assert(offsetof(msghdr, msg_name) == 0 &&
                  offsetof(msghdr, msg_iovlen) < offsetof(msghdr, msg_control));
    std::memcpy(&ours, &theirs, offsetof(msghdr, msg_control));
    ours.msg_control = buffer;
    ours.msg_controllen = length;
}

// Writes a whole message, padding and all, and returns the bytes it takes.
template <typename Data>
size_t write_message(void* buffer, int level, int type, const Data& data) {
    struct {
        Header header;
        Data data;
        unsigned char padding[CMSG_SPACE(sizeof(Data)) - CMSG_LEN(sizeof(Data))];
    } message{};
    static_assert(sizeof message == CMSG_SPACE(sizeof data));
    message.header = {CMSG_LEN(sizeof data), level, type};
    message.data = data;
    std::memcpy(buffer, &message, sizeof message);
    return sizeof message;
}

// Writes the message that makes `local` the source to `buffer`, which has room for own_space bytes (aligned).
// Returns the bytes it takes.
inline size_t write_source(void* buffer, const Local& local) {
    if (local.address.is_ipv4()) [[likely]]
        return write_message(buffer, IPPROTO_IP, IP_PKTINFO,
                             in_pktinfo{static_cast<int>(local.interface_index), local.address.ipv4(), {}});
    return write_message(buffer, IPPROTO_IPV6, IPV6_PKTINFO,
                         in6_pktinfo{local.address.ipv6(), local.interface_index});
}

// True where what write_source() has written names an IPv4 address.
bool is_ipv4_source(const void* message);

// Reads back what write_source() has written as the last of `length` bytes of messages.
Local read_source(const void* buffer, size_t length);

} // namespace multihome::control
