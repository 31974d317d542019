// SPDX-License-Identifier: MIT
//
// Sends on a socket of ours: finds where the peer reached us, and adds that as the source. If anything is in
// the way, the call goes out as the program made it.
//
// Each function takes the descriptor's word, which says that it is ours, and the interposed function's
// arguments. It returns what libc returns. It may be cancelled where the libc function may be, and is
// async-signal-safe where that is.
#pragma once

#include "shim/base/control.hpp"
#include "shim/base/libc.hpp"
#include "shim/base/user_memory.hpp"
#include "shim/peers/peers.hpp"
#include "shim/sockets/sockets.hpp"

#include <cstddef>
#include <sys/socket.h>
#include <sys/types.h>

namespace multihome::send {

namespace detail {

// A call for one datagram under way, which is a sendmsg() now. It lies in memory from the start, so that the
// quick look has no registers to save across the real call.
struct Call {
    int fd;
    int flags;
    int errno_before;     // what errno is again if a second call succeeds
    iovec data;           // sendto(): the program's buffer
    const msghdr* theirs; // sendmsg(): the program's message
    msghdr ours;          // the kernel does not read msg_flags

    bool is_sendto() const { return ours.msg_iov == &data; }
};

// Finishes a call with a source that failed, with errno as it left it.
ssize_t fail(const Call& call);
// As sendto(): for what the quick look does not answer.
ssize_t check_and_send(Call& call, Socket socket);

// Makes the real call, whose control messages choose a source. `fd`, `flags`: the call's, as long as they are
// in registers.
[[gnu::always_inline]] inline ssize_t send(const Call& call, int fd, int flags) {
    const ssize_t sent = libc::sendmsg(fd, &call.ours, flags);
    if (sent < 0) [[unlikely]]
        return fail(call);
    return sent;
}

} // namespace detail

// The quick look (quick_look.hpp) stands here, all else behind it.
[[gnu::always_inline]] inline ssize_t datagram(Socket socket, int fd, const void* buffer, size_t length,
                                               int flags, const sockaddr* address, socklen_t address_length) {
    detail::Call call;
    call.fd = fd;
    call.flags = flags;
    call.data = {const_cast<void*>(buffer), length};
    call.ours.msg_name = const_cast<sockaddr*>(address);
    call.ours.msg_namelen = address_length;
    call.ours.msg_iov = &call.data;
    call.ours.msg_iovlen = 1;
    Source source;
    if (user_memory::last.name.is_known_readable(address, sizeof(sockaddr_in6)) &&
        peers::Turn{}.answer_again(socket, address, address_length, source, call.errno_before)) [[likely]] {
        call.ours.msg_control = const_cast<void*>(source.messages);
        call.ours.msg_controllen = source.length;
        return detail::send(call, fd, flags);
    }
    return detail::check_and_send(call, socket);
}

ssize_t message(int fd, const msghdr* theirs, int flags, Socket socket);
int messages(int fd, mmsghdr* messages, unsigned count, int flags, Socket socket);

} // namespace multihome::send
