// SPDX-License-Identifier: MIT
#include "shim/base/control.hpp"

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
    if (address.is_group() || IN6_IS_ADDR_UNSPECIFIED(&info.ipi6_addr))
        return {};
    // The kernel refuses a link-local source without its interface.
    return {address,
            choice.with_interface || address.is_link_local() ? static_cast<uint32_t>(info.ipi6_ifindex) : 0};
}

Local local_from(const in_pktinfo& info, Choice choice) {
    // ipi_spec_dst is the address to answer from, also for a broadcast or multicast datagram. A datagram that
    // was queued before the option was on has only ipi_addr, which for a group is not a source.
    const bool specific = info.ipi_spec_dst.s_addr != htonl(INADDR_ANY);
    const Address address = Address::from_ipv4(specific ? info.ipi_spec_dst : info.ipi_addr);
    if (address.is_group() || address.ipv4().s_addr == htonl(INADDR_ANY))
        return {};
    if (choice.to_device && info.ipi_spec_dst.s_addr != info.ipi_addr.s_addr)
        return {};
    return {address, choice.with_interface ? static_cast<uint32_t>(info.ipi_ifindex) : 0};
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

std::optional<size_t> end_without_source(const void* buffer, size_t length) {
    const auto* bytes = static_cast<const unsigned char*>(buffer);
    size_t position = 0;
    // As for_each_cmsghdr() and CMSG_OK() in the kernel's include/linux/socket.h.
    while (length >= sizeof(Header) && position <= length - sizeof(Header)) {
        Header header;
        std::memcpy(&header, bytes + position, sizeof header);
        if (header.length < sizeof(Header) || header.length > length - position || kind_of(header) != none ||
            (header.level == IPPROTO_IPV6 && header.type == IPV6_2292PKTINFO))
            return {};
        position += CMSG_ALIGN(header.length);
    }
    return position;
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
