// SPDX-License-Identifier: MIT
//
// Receives on a socket of ours: makes one real call with room for our control message, reads that, hides it
// from the program and remembers it for the answer.
//
// Each function takes the descriptor's word, which says that it is ours, and the interposed function's
// arguments. It returns what libc returns. It may be cancelled where the libc function may be, and is
// async-signal-safe where that is.
#pragma once

#include "shim/base/control.hpp"
#include "shim/base/kernel_constants.hpp"
#include "shim/base/libc.hpp"
#include "shim/base/user_memory.hpp"
#include "shim/peers/peers.hpp"
#include "shim/sockets/sockets.hpp"

#include <algorithm>
#include <cstddef>
#include <ctime>
#include <sys/socket.h>
#include <sys/types.h>

namespace multihome::receive {

namespace detail {

// Room for our message, and for those that a program can make the kernel write before it (timestamps, drop
// counts, ...). The program's own room comes on top. What does not fit, the kernel cuts. (A program that
// makes it write all kinds, and gives no room for any, is answered as without us.)
constexpr size_t control_room = 256;
static_assert(control_room >= control::own_space + CMSG_SPACE(64) + 3 * CMSG_SPACE(16));

// A call for one datagram under way. It lies in memory from the start, so that there are no registers to save
// across the real call.
struct Call {
    uint64_t word;          // the descriptor's
    msghdr* theirs;         // recvmsg(): the program's message; null for recvfrom()
    socklen_t* name_length; // before the call the program's room for the peer's address, then its length
    int fd;
    int flags;
    ssize_t received; // what the real call has returned
    msghdr ours;      // msg_flags is the kernel's to write
};

// Finishes a call that received something.
ssize_t finish(const Call& call);
// The same where its lengths are those of this family's form (family.hpp).
template <typename Family>
[[gnu::hot]] ssize_t finish_form(const Call& call);
// Finishes a call that failed, with errno as it left it.
ssize_t fail(const Call& call);
// As recvfrom(): for calls that datagram() does not take.
ssize_t check_and_receive(int fd, void* buffer, size_t length, int flags, sockaddr* address,
                          socklen_t* address_length);

// Makes the real call, and finishes it. `is_usual`: the program gives room for a peer's address, and takes
// the datagram out of the queue.
[[gnu::always_inline]] inline ssize_t receive(Call& call, bool is_usual) {
    call.received = libc::recvmsg(call.fd, &call.ours, call.flags);
    if (call.received < 0) [[unlikely]]
        return fail(call);
    if (is_usual && call.ours.msg_namelen == Ipv4::name_length &&
        call.ours.msg_controllen == Ipv4::control_length) [[likely]]
        return finish_form<Ipv4>(call);
    return finish(call);
}

// Makes a recvfrom(), as the recvmsg() that it becomes.
[[gnu::always_inline]] inline ssize_t receive_datagram(Socket socket, int fd, void* buffer, size_t length,
                                                       int flags, sockaddr* address,
                                                       socklen_t* address_length, bool is_usual) {
    alignas(cmsghdr) unsigned char control[control_room];
    iovec data{buffer, std::min(length, maximum_length)}; // as the kernel cuts it in recvfrom()
    Call call;
    call.word = socket.word();
    call.theirs = nullptr;
    call.name_length = address_length;
    call.fd = fd;
    call.flags = flags;
    call.ours.msg_name = address;
    call.ours.msg_namelen = *address_length;
    call.ours.msg_iov = &data;
    call.ours.msg_iovlen = 1;
    call.ours.msg_control = control;
    call.ours.msg_controllen = control_room;
    return receive(call, is_usual);
}

} // namespace detail

[[gnu::always_inline]] inline ssize_t datagram(Socket socket, int fd, void* buffer, size_t length, int flags,
                                               sockaddr* address, socklen_t* address_length) {
    // A call that only looks (MSG_PEEK), or reads the error queue, is not usual.
    if ((flags & (MSG_PEEK | MSG_ERRQUEUE | msg_cmsg_compat)) != 0 || address == nullptr ||
        !user_memory::last.name_length.is_known_writable(address_length, sizeof *address_length) ||
        !may_be_peer(*address_length)) [[unlikely]]
        return detail::check_and_receive(fd, buffer, length, flags, address, address_length);
    return detail::receive_datagram(socket, fd, buffer, length, flags, address, address_length, true);
}

ssize_t message(int fd, msghdr* theirs, int flags, Socket socket);
int messages(int fd, mmsghdr* messages, unsigned count, int flags, timespec* timeout, Socket socket);

} // namespace multihome::receive
