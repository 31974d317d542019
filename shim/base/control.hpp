// SPDX-License-Identifier: MIT
//
// Control messages (cmsg(3)): reads ours, hides ours, appends ours. Functions over buffers: no socket, no
// state, no allocation. Async-signal-safe.
#pragma once

#include "shim/base/address.hpp"

#include <cstddef>
#include <cstring>
#include <netinet/in.h>
#include <optional>
#include <sys/socket.h>

namespace multihome::control {

// The space that our messages take in a buffer. On a dual-stack socket both kinds come.
constexpr size_t own_space = CMSG_SPACE(sizeof(in_pktinfo)) + CMSG_SPACE(sizeof(in6_pktinfo));

// The kinds of packet information.
enum Kinds : unsigned {
    none = 0,
    ipv4 = 1, // IP_PKTINFO
    ipv6 = 2, // IPV6_PKTINFO
};

// A peer that asks a group, or broadcasts, expects no particular source: the routing table chooses. We could
// choose the kernel's ipi_spec_dst instead, but that heeds no device, mark, port or interface of the socket.
inline constexpr Local group_asked{Address::from_ipv4({INADDR_BROADCAST}), 0};

// The header of a control message without the flexible array that ends a cmsghdr, so that it can start a
// structure.
struct Header {
    size_t length;
    int level;
    int type;
};
static_assert(sizeof(Header) == sizeof(cmsghdr) && sizeof(Header) == CMSG_LEN(0));

// Reads packet information in `length` bytes that the kernel has written to `buffer` (aligned as a cmsghdr):
// the address to answer from. It is empty where the datagram names none, and group_asked where it went to a
// group. Returns nothing where there is no packet information. `with_interface`: the answer leaves through
// the interface that the datagram came in on.
std::optional<Local> read(const void* buffer, size_t length, bool with_interface);

// Copies the control messages of `ours`, as the kernel wrote them (aligned), to the program's message,
// without the kinds to `hide`. Then `theirs` has the length and the flags that the kernel would have
// reported. Cuts and pads messages as put_cmsg() in the kernel's net/core/scm.c does, and leaves out what
// cannot be written there. Closes the descriptors for which `theirs` has no room, as from a UNIX socket: the
// kernel would not have brought them. Both may have one buffer.
void copy_visible(const msghdr& ours, unsigned hide, msghdr& theirs);

// Returns where a source may be appended to the program's own control messages: the aligned end of the last
// one. They take `length` readable bytes of any alignment. Empty where they choose the source (an interface
// alone leaves it to the kernel), or where the kernel will refuse them.
std::optional<size_t> end_without_source(const void* buffer, size_t length);

// Makes `ours` the program's message with another control buffer. Leaves msg_flags as it is.
[[gnu::always_inline]] inline void replace_control(const msghdr& theirs, msghdr& ours, void* buffer,
                                                   size_t length) {
    static_assert(offsetof(msghdr, msg_name) == 0 &&
                  offsetof(msghdr, msg_iovlen) < offsetof(msghdr, msg_control));
    // In two halves: each is one load and one store, and nothing else.
    std::memcpy(&ours, &theirs, offsetof(msghdr, msg_iov));
    std::memcpy(&ours.msg_iov, &theirs.msg_iov, offsetof(msghdr, msg_control) - offsetof(msghdr, msg_iov));
    ours.msg_control = buffer;
    ours.msg_controllen = length;
}

// Writes a whole message with its padding. Returns its length, which does not count the padding: the kernel
// has room on its stack for packet information of that length, and allocates memory for more
// (____sys_sendmsg() in its net/socket.c).
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
    return message.header.length;
}

// Writes to `buffer` the message that makes `local` the source. `buffer` has room for own_space bytes
// (aligned). Returns the message's length.
inline size_t write_source(void* buffer, const Local& local) {
    if (local.address.is_ipv4()) [[likely]]
        return write_message(buffer, IPPROTO_IP, IP_PKTINFO,
                             in_pktinfo{static_cast<int>(local.interface_index), local.address.ipv4(), {}});
    return write_message(buffer, IPPROTO_IPV6, IPV6_PKTINFO,
                         in6_pktinfo{local.address.ipv6(), local.interface_index});
}

// Reads back the source that write_source() has written as the last of `length` bytes of messages.
Local read_source(const void* buffer, size_t length);

} // namespace multihome::control
