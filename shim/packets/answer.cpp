// SPDX-License-Identifier: MIT
#include "shim/packets/answer.hpp"

#include <algorithm>
#include <cstring>

namespace multihome::send::detail {

namespace {

// True where an IPv4 socket takes an address without a family for one of AF_INET (udp_sendmsg() in the
// kernel's net/ipv4/udp.c). Writes what it takes it for to `name`. `address`: sizeof(sockaddr_in) readable
// bytes.
bool has_no_family(Socket socket, const void* address, sockaddr_in& name) {
    std::memcpy(&name, address, sizeof name);
    if (name.sin_family != AF_UNSPEC || socket.has(Socket::ipv6))
        return false;
    name.sin_family = AF_INET;
    return true;
}

// Reads the peer that this message goes to. False where there is none.
bool read_destination(Socket socket, const msghdr& ours, Peer& peer) {
    sockaddr_in name;
    return has_no_family(socket, ours.msg_name, name)
               ? read_peer(reinterpret_cast<const sockaddr*>(&name), sizeof name, peer)
               : read_peer(static_cast<const sockaddr*>(ours.msg_name), ours.msg_namelen, peer);
}

} // namespace

Source find_source_without_family(peers::Turn& turn, Socket socket, const void* address, SourceRoom& room) {
    sockaddr_in name;
    return has_no_family(socket, address, name) ? turn.source_for(socket, &name, sizeof name, room)
                                                : Source{};
}

bool append_source(msghdr& message, const Source& source, std::span<unsigned char> room) {
    const auto* const theirs = static_cast<const unsigned char*>(message.msg_control);
    const size_t length = message.msg_controllen;
    // The kernel copies the buffer before it looks at it. So a bad pointer is the kernel's to refuse.
    if (length > maximum_control || control_space(message) > room.size() ||
        (length != 0 && !user_memory::can_read(theirs, length)))
        return false;
    const auto end = control::end_without_source(theirs, length);
    if (!end)
        return false;
    // The last message's padding need not be in the program's buffer. The kernel ignores a buffer shorter
    // than one header; we replace it.
    const size_t present = std::min(*end, length);
    std::copy_n(theirs, present, room.data());
    std::memset(room.data() + present, 0, *end - present);
    std::memcpy(room.data() + *end, source.messages, source.length);
    message.msg_control = room.data();
    message.msg_controllen = *end + source.length;
    return true;
}

void not_sent(peers::Turn& turn, int fd, const msghdr& ours, bool was_last, const Local& source) {
    const Socket socket = sockets::load(fd);
    if (Peer peer; read_destination(socket, ours, peer))
        turn.not_sent(socket, peer, was_last, source);
}

void note_refusal(int fd, const msghdr& ours) {
    const Socket socket = sockets::load(fd);
    if (Peer peer; read_destination(socket, ours, peer))
        peers::Turn{}.refused(socket, peer, control::read_source(ours.msg_control, ours.msg_controllen));
}

} // namespace multihome::send::detail
