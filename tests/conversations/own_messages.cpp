// SPDX-License-Identifier: MIT
//
// What a program may send with a datagram of its own accord: control messages and flags. Nothing of it says
// where the datagram is to leave from, and the kernel takes all of it.
#include "tests/conversations/conversing.hpp"

#include <cstring>
#include <iterator>
#include <netinet/udp.h>

namespace multihome::conversations {

namespace {

// Ends where the data does, without padding.
template <typename Value>
void append(Order& order, int level, int type, const Value& value) {
    cmsghdr header{};
    header.cmsg_len = CMSG_LEN(sizeof value);
    header.cmsg_level = level;
    header.cmsg_type = type;
    unsigned char* const start = order.control + CMSG_ALIGN(order.control_length);
    std::memcpy(start, &header, sizeof header);
    std::memcpy(start + CMSG_LEN(0), &value, sizeof value);
    order.control_length = static_cast<uint32_t>(start - order.control + CMSG_LEN(sizeof value));
}

// One that the kernel takes with a datagram to a peer of this family.
void append_one(Order& order, Family to, size_t which, int value) {
    const bool is_ipv4 = to == Family::v4;
    const int level = is_ipv4 ? static_cast<int>(IPPROTO_IP) : static_cast<int>(IPPROTO_IPV6);
    switch (which) {
    case 0:
        return append(order, level, is_ipv4 ? IP_TTL : IPV6_HOPLIMIT, value);
    case 1:
        return append(order, level, is_ipv4 ? IP_TOS : IPV6_TCLASS, value);
    case 2:
        return append(order, IPPROTO_UDP, UDP_SEGMENT, static_cast<uint16_t>(sizeof order.token + value));
    case 3: // a level that nobody knows
        return append(order, 99, 98, value);
    default: // says nothing at all
        return is_ipv4 ? append(order, level, IP_PKTINFO, in_pktinfo{})
                       : append(order, level, IPV6_PKTINFO, in6_pktinfo{});
    }
}

} // namespace

void Conversing::add_own_messages(Order& send, Family to, bool is_connected) {
    static constexpr int flags[] = {MSG_DONTWAIT, MSG_CONFIRM, MSG_NOSIGNAL};
    if (chance(8))
        send.call_flags |= flags[random(std::size(flags))];
    if (!chance(4))
        return;
    // On a connected socket, an IP_PKTINFO of zeros takes the kernel's choice in place of the socket's own
    // address.
    const size_t kinds = is_connected && to == Family::v4 ? 4 : 5;
    for (size_t count = 1 + random(3); count > 0; --count)
        append_one(send, to, random(kinds), 1 + static_cast<int>(random(200)));
    if (chance(2))
        send.control_length = CMSG_ALIGN(send.control_length);
}

} // namespace multihome::conversations
