// SPDX-License-Identifier: MIT
#include "shim/packets/answer.hpp"

#include <algorithm>
#include <cstring>

namespace multihome::send::detail {

bool append_source(msghdr& message, Source source, std::span<unsigned char> room) {
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
    if (Peer peer; peers::read_destination(socket, ours.msg_name, ours.msg_namelen, peer))
        turn.not_sent(socket, peer, was_last, source);
}

void note_refusal(int fd, const msghdr& ours) {
    const Socket socket = sockets::load(fd);
    if (Peer peer; peers::read_destination(socket, ours.msg_name, ours.msg_namelen, peer))
        peers::Turn{}.refused(socket, peer, control::read_source(ours.msg_control, ours.msg_controllen));
}

} // namespace multihome::send::detail
