// SPDX-License-Identifier: MIT
//
// Receiving on a socket of ours: one real call with room for our control message, which is read, hidden, and
// remembered for the answer.
//
// The descriptor's word says that it is ours. Each function takes the interposed function's arguments and
// returns what libc returns. They may be cancelled where the libc function may be, and are async-signal-safe
// where it is.
#pragma once

#include "shim/control.hpp"
#include "shim/libc.hpp"
#include "shim/peers.hpp"
#include "shim/sockets.hpp"
#include "shim/user_memory.hpp"

#include <climits>
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

// The lengths that recvfrom() and recvmsg() treat alike; the kernel cuts longer ones (MAX_RW_COUNT) in one of
// them.
constexpr size_t maximum_length = INT_MAX & ~4095;

// From the kernel's include/linux/socket.h: recvmsg() refuses the flag, which recvfrom() ignores.
constexpr int msg_cmsg_compat = INT_MIN;

// The lengths of a peer's address that we look at. Where it cannot be written, newer kernels have written its
// length, which recvmsg() does not tell us; so short ones are left alone. The kernel refuses negative ones.
inline bool takes_address(socklen_t room) {
    return static_cast<int>(room) >= static_cast<int>(sizeof(sockaddr_in));
}

// A recvfrom() under way. In memory from the start, so that the short way keeps nothing in registers across
// the real call and has none to save. (For the same reason the message is not the first member: the compiler
// would keep the address of both.)
struct Call {
    Socket socket;
    socklen_t* address_length;
    int fd;
    int flags;
    socklen_t room;
    msghdr message; // msg_flags is the kernel's to write
    iovec data;
    alignas(cmsghdr) unsigned char control[control_room];
};

// What the real call has brought: the long way. Returns `received`.
ssize_t note(const Call& call, ssize_t received);
[[gnu::cold]] ssize_t note_failure(const Call& call);

// Reads the peer and the arrival of the simplest datagram: from an IPv4 peer, with our IP_PKTINFO message and
// nothing else. False where it is another one.
inline bool read_simple(const Call& call, uint64_t& name, uint64_t& arrival) {
    if (call.message.msg_namelen != sizeof(sockaddr_in) ||
        !control::read_only_arrival(call.control, call.message.msg_controllen, arrival))
        return false;
    std::memcpy(&name, call.message.msg_name, sizeof name);
    return true;
}

// The real call for a recvfrom() whose pointers are good. `looks`: whether MSG_PEEK is among the flags.
[[gnu::always_inline]] inline ssize_t make(bool looks, Socket socket, int fd, void* buffer, size_t length,
                                           int flags, sockaddr* address, socklen_t* address_length) {
    const socklen_t room = *address_length;
    Call call;
    call.socket = socket;
    call.address_length = address_length;
    call.fd = fd;
    call.flags = flags;
    call.room = room;
    call.data = {buffer, length};
    call.message.msg_name = address;
    call.message.msg_namelen = room;
    call.message.msg_iov = &call.data;
    call.message.msg_iovlen = 1;
    call.message.msg_control = call.control;
    call.message.msg_controllen = sizeof call.control;
    const ssize_t received = libc::recvmsg(fd, &call.message, flags);
    if (received < 0) [[unlikely]]
        return note_failure(call);
    *call.address_length = call.message.msg_namelen;
    // What is only looked at is no repetition.
    uint64_t name;
    uint64_t arrival;
    if (!looks && read_simple(call, name, arrival)) [[likely]]
        if (peers::heard_again(call.socket, name, arrival)) [[likely]]
            return received;
    return note(call, received);
}

} // namespace detail

// one() for a descriptor whose word is at hand, the shortest way for pointers to the stack.
[[gnu::always_inline]] inline ssize_t quickly(Socket socket, int fd, void* buffer, size_t length, int flags,
                                              sockaddr* address, socklen_t* address_length) {
    if (length > detail::maximum_length ||
        (flags & (MSG_ERRQUEUE | MSG_PEEK | detail::msg_cmsg_compat)) != 0 ||
        !user_memory::are_on_stack(address, address_length) || !detail::takes_address(*address_length))
        return one(fd, buffer, length, flags, address, address_length);
    return detail::make(false, socket, fd, buffer, length, flags, address, address_length);
}

} // namespace multihome::receive
