// SPDX-License-Identifier: MIT
//
// What makes the program's message an answer, the same for one message and for each of several: finds its
// source, adds that to its control messages, and takes it back where the message was not sent.
//
// For the send functions alone. All functions are async-signal-safe.
#pragma once

#include "shim/base/control.hpp"
#include "shim/base/user_memory.hpp"
#include "shim/peers/peers.hpp"
#include "shim/peers/usual.hpp"
#include "shim/sockets/sockets.hpp"

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <netinet/in.h>
#include <span>
#include <sys/socket.h>

namespace multihome::send::detail {

// How many bytes we read of an address of this length. In a message, the kernel cuts one that is too long
// (__copy_msghdr() in its net/socket.c).
inline size_t readable_length(socklen_t length) {
    return std::min<size_t>(length, sizeof(sockaddr_in6));
}
// True where `name` may be a peer's address, and can be read.
[[gnu::always_inline]] inline bool may_be_answered(const void* name, socklen_t length) {
    return may_be_peer(length) && user_memory::can_read(name, readable_length(length));
}

// The program's control messages up to this size travel with ours: more than the kernel takes (optmem_max).
constexpr size_t maximum_control = size_t{256} * 1024;

// The bytes that the program's control messages and a source take together.
inline size_t control_space(const msghdr& message) {
    const size_t theirs = message.msg_controllen <= maximum_control ? message.msg_controllen : 0;
    return control::own_space + CMSG_ALIGN(theirs);
}

// Copies the program's control messages to `room`, and the source behind them: see add_source().
[[gnu::noinline]] bool append_source(msghdr& message, Source source, std::span<unsigned char> room);

// Adds the source to `message`, whose control messages are still the program's. `room`: control_space()
// bytes, aligned, for the messages of both. False where the program's messages must go as they are: they
// choose the source themselves, they are malformed, or they are too many for the room. (Another thread may
// have changed their length since the room was made.)
[[gnu::always_inline]] inline bool add_source(msghdr& message, Source source, std::span<unsigned char> room) {
    if (message.msg_controllen != 0) [[unlikely]]
        return append_source(message, source, room);
    message.msg_control = const_cast<void*>(source.messages);
    message.msg_controllen = source.length;
    return true;
}

// This message, for which a source was asked, was not sent after all. `was_last`, `source`: see
// Turn::not_sent().
void not_sent(peers::Turn& turn, int fd, const msghdr& ours, bool was_last, const Local& source = {});

// The kernel refused the source of this message of ours, and took the message as the program made it. Forgets
// the source for this peer.
[[gnu::cold]] void note_refusal(int fd, const msghdr& ours);

// True where the call failed because a packet filter dropped the datagram. The filter may have gone by the
// source or by anything else, and a probe does not meet it.
inline bool is_filtered() {
    return errno == EPERM;
}
// True where the call failed for a reason that says nothing of the source: it is tried again next time. Else,
// if the same message goes out without it, the source was the reason, and not the way to the peer.
inline bool may_succeed_later() {
    return is_filtered() || errno == ENOBUFS;
}

} // namespace multihome::send::detail
