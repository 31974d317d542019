// SPDX-License-Identifier: MIT
#include "shim/base/control.hpp"

#include "shim/base/libc.hpp"
#include "shim/base/permissions.hpp"
#include "shim/base/user_memory.hpp"

#include <algorithm>
#include <sys/syscall.h>

namespace multihome::control {

namespace {

unsigned kind_of(const Header& header) {
    if (header.level == IPPROTO_IP && header.type == IP_PKTINFO)
        return ipv4;
    if (header.level == IPPROTO_IPV6 && header.type == IPV6_PKTINFO)
        return ipv6;
    return none;
}

struct Message {
    Header header;
    const unsigned char* start;
    size_t present; // how many of its bytes are there: the last message may be cut

    // Reads the data of a message of this kind. False for another kind, and where the message is cut.
    template <typename Data>
    bool read(Kinds kind, Data& data) const {
        if (kind_of(header) != kind || present < CMSG_LEN(sizeof data))
            return false;
        std::memcpy(&data, start + CMSG_LEN(0), sizeof data);
        return true;
    }
};

// Calls `visit` with each message that the kernel has written.
template <typename Visit>
void for_each(const void* buffer, size_t length, Visit visit) {
    Message message{{}, static_cast<const unsigned char*>(buffer), 0};
    for (size_t left = length; left >= sizeof message.header;) {
        std::memcpy(&message.header, message.start, sizeof message.header);
        if (message.header.length < sizeof message.header)
            return;
        message.present = std::min(message.header.length, left);
        visit(message);
        const size_t space = std::min(CMSG_ALIGN(message.header.length), left);
        message.start += space;
        left -= space;
    }
}

// Returns the length of a message of as many descriptors as fit in `room`; 0 where none does
// (scm_detach_fds() in the kernel's net/core/scm.c).
size_t length_of_descriptors(size_t room) {
    return room < CMSG_LEN(sizeof(int)) ? 0 : room - (room - CMSG_LEN(0)) % sizeof(int);
}

// Closes the descriptors behind the first `kept` bytes of a message.
void close_descriptors(const Message& message, size_t kept) {
    if (!permissions::may(Activity::closing))
        return;
    for (size_t at = std::max(kept, size_t{CMSG_LEN(0)}); at + sizeof(int) <= message.present;
         at += sizeof(int)) {
        int fd = -1;
        std::memcpy(&fd, message.start + at, sizeof fd);
        libc::raw_syscall(SYS_close, fd);
    }
}

Local local_from(const in6_pktinfo& info, bool with_interface) {
    const Address address = Address::from_ipv6(info.ipi6_addr);
    if (address.is_group())
        return group_asked;
    if (IN6_IS_ADDR_UNSPECIFIED(&info.ipi6_addr))
        return {};
    // The kernel refuses a link-local source without its interface.
    return {address,
            with_interface || address.is_link_local() ? static_cast<uint32_t>(info.ipi6_ifindex) : 0};
}

Local local_from(const in_pktinfo& info, bool with_interface) {
    const uint32_t interface = with_interface ? static_cast<uint32_t>(info.ipi_ifindex) : 0;
    // A datagram that was queued before the option was on has ipi_addr alone. We write ipi_spec_dst alone.
    const in_addr_t sent_to = info.ipi_addr.s_addr;
    const in_addr_t specific = info.ipi_spec_dst.s_addr;
    const Address address = Address::from_ipv4({sent_to != INADDR_ANY ? sent_to : specific});
    const bool to_group =
        address.is_group() || (sent_to != specific && sent_to != INADDR_ANY && specific != INADDR_ANY);
    // Through an interface, the kernel chooses among the addresses of that interface.
    if (interface != 0)
        return {to_group ? Address::from_ipv4({INADDR_ANY}) : address, interface};
    return to_group ? group_asked : address.ipv4().s_addr != INADDR_ANY ? Local{address, 0} : Local{};
}

// True where the program's message is about the source. `data`: the message without its header.
//
// The kernel sends from ipi_spec_dst, and reads ipi_addr in no message of the program's (ip_cmsg_send() in
// its net/ipv4/ip_sockglue.c). Qt puts there the address at which it was asked
// (QNetworkDatagram::makeReply()), so that the routing table chooses. We can only help. The interface that it
// names stays the one to send through. A message of zeros says nothing at all. libntirpc sends one to each
// IPv6 client.
bool chooses_source(const Header& header, const unsigned char* data) {
    in_pktinfo info;
    if (kind_of(header) == ipv4 && header.length == CMSG_LEN(sizeof info)) {
        std::memcpy(&info, data, sizeof info);
        return info.ipi_spec_dst.s_addr != INADDR_ANY ||
               (info.ipi_addr.s_addr == INADDR_ANY && info.ipi_ifindex != 0);
    }
    // To the kernel both types are one (ip6_datagram_send_ctl() in its net/ipv6/datagram.c).
    const bool is_ipv6 =
        kind_of(header) == ipv6 || (header.level == IPPROTO_IPV6 && header.type == IPV6_2292PKTINFO);
    in6_pktinfo info6;
    if (is_ipv6 && header.length == CMSG_LEN(sizeof info6)) {
        std::memcpy(&info6, data, sizeof info6);
        return !IN6_IS_ADDR_UNSPECIFIED(&info6.ipi6_addr) || info6.ipi6_ifindex != 0;
    }
    return is_ipv6 || kind_of(header) != none;
}

} // namespace

std::optional<Local> read(const void* buffer, size_t length, bool with_interface) {
    std::optional<Local> local;
    bool is_ipv4 = false;
    for_each(buffer, length, [&](const Message& message) {
        in_pktinfo info;
        in6_pktinfo info6;
        if (message.read(ipv4, info)) {
            // Wins over a v4-mapped IPV6_PKTINFO, which does not tell the address to answer a broadcast from.
            local = local_from(info, with_interface);
            is_ipv4 = true;
        } else if (!is_ipv4 && message.read(ipv6, info6)) {
            local = local_from(info6, with_interface);
        }
    });
    return local;
}

void copy_visible(const msghdr& ours, unsigned hide, msghdr& theirs) {
    auto* const start = static_cast<unsigned char*>(theirs.msg_control);
    unsigned char* out = start;
    size_t room = start != nullptr ? theirs.msg_controllen : 0;
    // In our buffer, messages may have been cut. What counts is the program's own buffer.
    theirs.msg_flags = ours.msg_flags;
    for_each(ours.msg_control, ours.msg_controllen, [&](const Message& message) {
        if ((kind_of(message.header) & hide) != 0)
            return;
        Header header = message.header;
        if (room < header.length)
            theirs.msg_flags |= MSG_CTRUNC;
        const bool has_descriptors = header.level == SOL_SOCKET && header.type == SCM_RIGHTS;
        header.length = std::min(header.length, has_descriptors ? length_of_descriptors(room) : room);
        const size_t written = std::min(header.length, message.present);
        // The kernel leaves out what it cannot write, and says nothing.
        const bool is_left_out = header.length < sizeof header || !user_memory::can_write(out, written);
        if (has_descriptors) [[unlikely]]
            close_descriptors(message, is_left_out ? 0 : written);
        if (is_left_out)
            return;
        const size_t space = std::min(CMSG_ALIGN(header.length), room);
        // memmove, because the two buffers may be one. Messages only ever move towards the start.
        std::memmove(out, message.start, written);
        std::memcpy(out, &header, sizeof header);
        out += space;
        room -= space;
    });
    theirs.msg_controllen = static_cast<size_t>(out - start);
}

std::optional<size_t> end_without_source(const void* buffer, size_t length) {
    const auto* bytes = static_cast<const unsigned char*>(buffer);
    size_t position = 0;
    // Walks as for_each_cmsghdr() and CMSG_OK() do in the kernel's include/linux/socket.h.
    while (length >= sizeof(Header) && position <= length - sizeof(Header)) {
        Header header;
        std::memcpy(&header, bytes + position, sizeof header);
        if (header.length < sizeof(Header) || header.length > length - position ||
            chooses_source(header, bytes + position + CMSG_LEN(0)))
            return {};
        position += CMSG_ALIGN(header.length);
    }
    // What is too short for a message is ignored, but a 64-bit kernel refuses it from a 32-bit program
    // (cmsghdr_from_user_compat_to_kern() in its net/compat.c).
    if (sizeof(size_t) == 4 && position < length)
        return {};
    return position;
}

Local read_source(const void* buffer, size_t length) {
    Local last;
    for_each(buffer, length, [&](const Message& message) {
        last = read(message.start, message.present, true).value_or(Local{});
    });
    return last;
}

} // namespace multihome::control
