// SPDX-License-Identifier: MIT
#include "shim/base/control.hpp"

#include "shim/base/kernel_constants.hpp"

#include <algorithm>
#include <cstring>

namespace multihome::control {

namespace {

unsigned kind_of(const Header& header) {
    if (header.level == IPPROTO_IP && header.type == IP_PKTINFO)
        return ipv4;
    if (header.level == IPPROTO_IPV6 && header.type == IPV6_PKTINFO)
        return ipv6;
    return none;
}

// Walks messages as the kernel writes them: stands before the first one, and at one after each step().
class Message {
public:
    Message(const void* buffer, size_t length)
        : next_(static_cast<const unsigned char*>(buffer)), left_(length) {}

    Header header{};
    const unsigned char* start = nullptr;
    size_t present = 0; // the bytes of it that are there: the last one may be cut

    // Goes to the next message; false at the end.
    bool step() {
        if (left_ < sizeof header)
            return false;
        std::memcpy(&header, next_, sizeof header);
        if (header.length < sizeof header)
            return false;
        start = next_;
        present = std::min(header.length, left_);
        const size_t space = std::min(CMSG_ALIGN(header.length), left_);
        next_ += space;
        left_ -= space;
        return true;
    }

    unsigned kind() const { return kind_of(header); }

    // Reads the data; false where it is cut.
    template <typename Data>
    bool read(Data& data) const {
        if (present < CMSG_LEN(sizeof data))
            return false;
        std::memcpy(&data, start + CMSG_LEN(0), sizeof data);
        return true;
    }

private:
    const unsigned char* next_;
    size_t left_;
};

Local local_from(const in6_pktinfo& info, Choice choice) {
    const Address address = Address::from_ipv6(info.ipi6_addr);
    if (address.is_group())
        return group_asked;
    if (IN6_IS_ADDR_UNSPECIFIED(&info.ipi6_addr))
        return {};
    // The kernel refuses a link-local source without its interface.
    return {address,
            choice.with_interface || address.is_link_local() ? static_cast<uint32_t>(info.ipi6_ifindex) : 0};
}

Local local_from(const in_pktinfo& info, Choice choice) {
    const uint32_t interface = choice.with_interface ? static_cast<uint32_t>(info.ipi_ifindex) : 0;
    // A datagram that was queued before the option was on has ipi_addr alone, what we write ipi_spec_dst.
    const in_addr_t sent_to = info.ipi_addr.s_addr;
    const in_addr_t specific = info.ipi_spec_dst.s_addr;
    const Address address = Address::from_ipv4({sent_to != INADDR_ANY ? sent_to : specific});
    const bool to_group =
        address.is_group() || (sent_to != specific && sent_to != INADDR_ANY && specific != INADDR_ANY);
    // Through an interface, the kernel chooses among that one's addresses.
    if (interface != 0)
        return {to_group ? Address::from_ipv4({INADDR_ANY}) : address, interface};
    return to_group ? group_asked : address.ipv4().s_addr != INADDR_ANY ? Local{address, 0} : Local{};
}

} // namespace

Arrival read(const void* buffer, size_t length, Choice choice) {
    Arrival arrival;
    for (Message message(buffer, length); message.step();) {
        in_pktinfo info;
        in6_pktinfo info6;
        if (message.kind() == ipv4 && message.read(info)) {
            // Wins over a v4-mapped IPV6_PKTINFO, which cannot tell the address to answer a broadcast from.
            arrival.local = local_from(info, choice);
            arrival.found |= ipv4;
        } else if (message.kind() == ipv6 && message.read(info6)) {
            if ((arrival.found & ipv4) == 0)
                arrival.local = local_from(info6, choice);
            arrival.found |= ipv6;
        }
    }
    return arrival;
}

size_t hand_over(const void* source, size_t source_length, unsigned hide, void* target, size_t target_room,
                 int& flags, size_t target_writable) {
    auto* out = static_cast<unsigned char*>(target);
    size_t room = target != nullptr ? target_room : 0;
    for (Message message(source, source_length); message.step();) {
        if ((message.kind() & hide) != 0)
            continue;
        Header& header = message.header;
        if (room < sizeof(Header)) {
            flags |= MSG_CTRUNC;
            continue;
        }
        if (room < header.length) {
            flags |= MSG_CTRUNC;
            header.length = room;
        }
        const size_t written = std::min(header.length, message.present);
        // What the kernel cannot write it leaves out, without a word.
        if (static_cast<size_t>(out - static_cast<unsigned char*>(target)) + written > target_writable)
            continue;
        const size_t space = std::min(CMSG_ALIGN(header.length), room);
        // memmove, because the two buffers may be one; what is handed over only ever moves forward.
        std::memmove(out, message.start, written);
        std::memcpy(out, &header, sizeof header);
        out += space;
        room -= space;
    }
    return target != nullptr ? static_cast<size_t>(out - static_cast<unsigned char*>(target)) : 0;
}

bool has_visible(const void* source, size_t source_length, unsigned hide) {
    for (Message message(source, source_length); message.step();)
        if ((message.kind() & hide) == 0)
            return true;
    return false;
}

Outgoing inspect_outgoing(const void* buffer, size_t length, size_t& used) {
    const auto* bytes = static_cast<const unsigned char*>(buffer);
    Outgoing result = Outgoing::plain;
    size_t position = 0;
    // As for_each_cmsghdr() and CMSG_OK() in the kernel's include/linux/socket.h.
    while (length >= sizeof(Header) && position <= length - sizeof(Header)) {
        Header header;
        std::memcpy(&header, bytes + position, sizeof header);
        if (header.length < sizeof(Header) || header.length > length - position)
            return Outgoing::malformed;
        if (kind_of(header) != none || (header.level == IPPROTO_IPV6 && header.type == IPV6_2292PKTINFO))
            result = Outgoing::chosen;
        position += CMSG_ALIGN(header.length);
    }
    used = position;
    return result;
}

bool is_ipv4_source(const void* message) {
    Header header;
    std::memcpy(&header, message, sizeof header);
    return kind_of(header) == ipv4;
}

Local read_source(const void* buffer, size_t length) {
    return read(buffer, length, {.with_interface = true}).local;
}

} // namespace multihome::control
