// SPDX-License-Identifier: MIT
//
// Control messages as the kernel writes them, for the tests of shim/control.
#pragma once

#include "shim/base/control.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <cstddef>
#include <cstring>
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <vector>

namespace multihome::test {

// In host byte order.
constexpr in_addr_t primary = 0xc0000202;   // 192.0.2.2
constexpr in_addr_t secondary = 0xc0000203; // 192.0.2.3
constexpr in_addr_t broadcast = 0xc00002ff; // 192.0.2.255

inline in6_addr ipv6(const char* text) {
    in6_addr address{};
    REQUIRE(inet_pton(AF_INET6, text, &address) == 1);
    return address;
}

// A control buffer of the kind that the kernel fills: aligned, and with marks where nothing is written.
class ControlBuffer {
public:
    static constexpr size_t capacity = 1024;
    static constexpr unsigned char mark = 0xa5;

    explicit ControlBuffer(size_t length = 0) : length_(length) { bytes_.fill(mark); }

    // Appends a message as put_cmsg() does, padding untouched.
    template <typename Data>
    ControlBuffer& add(int level, int type, const Data& data) {
        cmsghdr header{};
        header.cmsg_len = CMSG_LEN(sizeof data);
        header.cmsg_level = level;
        header.cmsg_type = type;
        std::memcpy(bytes_.data() + length_, &header, sizeof header);
        std::memcpy(bytes_.data() + length_ + CMSG_LEN(0), &data, sizeof data);
        length_ += CMSG_SPACE(sizeof data);
        return *this;
    }

    unsigned char* data() { return bytes_.data(); }
    const unsigned char* data() const { return bytes_.data(); }
    size_t length() const { return length_; }

    friend bool operator==(const ControlBuffer&, const ControlBuffer&) = default;

private:
    alignas(cmsghdr) std::array<unsigned char, capacity> bytes_;
    size_t length_;
};

// control::copy_visible() from `length` bytes into `room` bytes. Returns the length that the program sees.
inline size_t copy_visible(const void* source, size_t length, unsigned hide, void* target, size_t room,
                           int& flags) {
    msghdr ours{};
    ours.msg_control = const_cast<void*>(source);
    ours.msg_controllen = length;
    ours.msg_flags = flags;
    msghdr theirs{};
    theirs.msg_control = target;
    theirs.msg_controllen = room;
    control::copy_visible(ours, hide, theirs);
    flags = theirs.msg_flags;
    return theirs.msg_controllen;
}

inline in_pktinfo ipv4_info(in_addr_t spec_dst, in_addr_t addr, int interface_index) {
    in_pktinfo info{};
    info.ipi_spec_dst.s_addr = htonl(spec_dst);
    info.ipi_addr.s_addr = htonl(addr);
    info.ipi_ifindex = interface_index;
    return info;
}

inline in6_pktinfo ipv6_info(const in6_addr& address, unsigned interface_index) {
    in6_pktinfo info{};
    info.ipi6_addr = address;
    info.ipi6_ifindex = interface_index;
    return info;
}

} // namespace multihome::test
