// SPDX-License-Identifier: MIT
//
// Receiving on a socket of ours: one real call with room for our control message, which is read, hidden, and
// remembered for the answer.
//
// The descriptor's word says that it is ours. Each function takes the interposed function's arguments and
// returns what libc returns. They may be cancelled where the libc function may be, and are async-signal-safe
// where it is.
#pragma once

#include "shim/base/control.hpp"
#include "shim/base/kernel_constants.hpp"
#include "shim/base/libc.hpp"
#include "shim/base/user_memory.hpp"
#include "shim/peers/peers.hpp"
#include "shim/sockets/sockets.hpp"

#include <cstddef>
#include <cstring>
#include <ctime>
#include <sys/types.h>

namespace multihome::receive {

ssize_t one(int fd, void* buffer, size_t length, int flags, sockaddr* address, socklen_t* address_length);
ssize_t one(int fd, msghdr* message, int flags);
int many(int fd, mmsghdr* messages, unsigned count, int flags, timespec* timeout);

namespace detail {

// Room for what a program can make the kernel say before our message comes (timestamps, drop counts, ...),
// beside what the program itself has room for. The kernel cuts what does not fit, so this may be too large
// but not too small.
constexpr size_t control_room = 256;
static_assert(control_room >= control::own_space + CMSG_SPACE(64) + 3 * CMSG_SPACE(16));

// The lengths of a peer's address that we look at; a shorter one tells no peer. The kernel refuses negative
// ones.
inline bool takes_address(socklen_t room) {
    return static_cast<int>(room) >= static_cast<int>(sizeof(sockaddr_in));
}

// A recvfrom() under way. In memory from the start, so that the short way keeps nothing in registers across
// the real call and has none to save: not even where this is, which msg_iov tells again, pointing to the
// first member.
struct Call {
    iovec data;
    msghdr message; // msg_flags is the kernel's to write
    uint64_t word;  // the descriptor's
    socklen_t* address_length;
    int fd;
    int flags;
    alignas(cmsghdr) unsigned char control[control_room];

    static const Call& of(const msghdr& message) { return *reinterpret_cast<const Call*>(message.msg_iov); }
};
static_assert(offsetof(Call, data) == 0);

// What the real call has brought, where the quick look at an IPv4 peer does not do: the quick look at an IPv6
// socket's peer, and the long way. Both return `received`.
ssize_t note_ipv6(const Call& call, ssize_t received);
ssize_t note(const Call& call, ssize_t received);
[[gnu::cold, gnu::noinline]] ssize_t note_failure(const Call& call);

// Where the first control message says what an in_pktinfo starts with: its interface and ipi_spec_dst.
constexpr size_t arrival_at = CMSG_LEN(0);

// The real call for a recvfrom() with a place for the address, and a length for it that can be written and
// takes a sockaddr_in at least. A place that cannot be written the kernel refuses as it would for recvfrom().
[[gnu::always_inline]] inline ssize_t make(bool looks, Socket socket, int fd, void* buffer, size_t length,
                                           int flags, sockaddr* address, socklen_t* address_length) {
    Call call;
    call.word = socket.word();
    call.address_length = address_length;
    call.fd = fd;
    call.flags = flags;
    call.data = {buffer, length};
    call.message.msg_name = address;
    call.message.msg_namelen = *address_length;
    call.message.msg_iov = &call.data;
    call.message.msg_iovlen = 1;
    call.message.msg_control = call.control;
    call.message.msg_controllen = sizeof call.control;
    const ssize_t received = libc::recvmsg(fd, &call.message, flags);
    if (received < 0) [[unlikely]]
        return note_failure(Call::of(call.message));
    if (looks)
        return note(Call::of(call.message), received);
    // The quick look at an IPv4 peer. So much space takes an in_pktinfo alone; what else would take it
    // (timestamps, for one) never comes alone on a socket of ours.
    if (call.message.msg_controllen != SourceMessage::ipv4_length) [[unlikely]]
        return note_ipv6(Call::of(call.message), received);
    uint64_t arrival = 0;
    std::memcpy(&arrival, call.control + arrival_at, sizeof arrival);
    if (peers::heard_again(Socket{call.word}, call.message.msg_name, arrival)) [[likely]] {
        *call.address_length = sizeof(sockaddr_in);
        return received;
    }
    return note_ipv6(Call::of(call.message), received);
}

// A recvmsg() under way, for a program that has no room for control messages; as above, msg_control tells
// where it is.
struct MessageCall {
    alignas(cmsghdr) unsigned char control[control_room];
    msghdr message;
    msghdr* theirs;
    uint64_t word; // the descriptor's
    int fd;
    int flags;

    static const MessageCall& of(const msghdr& message) {
        return *reinterpret_cast<const MessageCall*>(message.msg_control);
    }
};
static_assert(offsetof(MessageCall, control) == 0);

ssize_t note_ipv6(const MessageCall& call, ssize_t received);
[[gnu::cold, gnu::noinline]] ssize_t note_failure(const MessageCall& call);

} // namespace detail

// one() for a descriptor whose word is at hand, the shortest way for a message that lies on the stack.
[[gnu::always_inline]] inline ssize_t quickly(Socket socket, int fd, msghdr* message, int flags) {
    if ((flags & (MSG_ERRQUEUE | MSG_PEEK)) != 0 || !user_memory::is_on_stack(message)) [[unlikely]]
        return one(fd, message, flags);
    if (message->msg_controllen != 0 || message->msg_name == nullptr ||
        !detail::takes_address(message->msg_namelen)) [[unlikely]]
        return one(fd, message, flags);
    detail::MessageCall call;
    call.theirs = message;
    call.word = socket.word();
    call.fd = fd;
    call.flags = flags;
    control::replace_control(*message, call.message, call.control, sizeof call.control);
    const ssize_t received = libc::recvmsg(fd, &call.message, flags);
    if (received < 0) [[unlikely]]
        return note_failure(detail::MessageCall::of(call.message));
    // As in detail::make(). Of other messages, which it has no room for, the program is to be told.
    if (call.message.msg_controllen != SourceMessage::ipv4_length) [[unlikely]]
        return note_ipv6(detail::MessageCall::of(call.message), received);
    uint64_t arrival = 0;
    std::memcpy(&arrival, call.control + detail::arrival_at, sizeof arrival);
    if (peers::heard_again(Socket{call.word}, call.message.msg_name, arrival)) [[likely]] {
        call.theirs->msg_namelen = sizeof(sockaddr_in);
        call.theirs->msg_flags = call.message.msg_flags;
        return received;
    }
    return note_ipv6(detail::MessageCall::of(call.message), received);
}

// one() for a descriptor whose word is at hand, the shortest way for an address whose length lies on the
// stack.
[[gnu::always_inline]] inline ssize_t quickly(Socket socket, int fd, void* buffer, size_t length, int flags,
                                              sockaddr* address, socklen_t* address_length) {
    if (length > maximum_length) [[unlikely]]
        return one(fd, buffer, length, flags, address, address_length);
    if ((flags & (MSG_ERRQUEUE | MSG_PEEK | msg_cmsg_compat)) != 0) [[unlikely]]
        return one(fd, buffer, length, flags, address, address_length);
    if (address == nullptr || !user_memory::is_on_stack(address_length) ||
        !detail::takes_address(*address_length)) [[unlikely]]
        return one(fd, buffer, length, flags, address, address_length);
    return detail::make(false, socket, fd, buffer, length, flags, address, address_length);
}

} // namespace multihome::receive
