// SPDX-License-Identifier: MIT
//
// What the files with the exported functions share. Those are named like libc's, a few lines each: is this
// descriptor ours? Then the room that knows what to do, else straight on to libc. Their exception
// specifications are those of glibc's headers; the cancellation points must not be noexcept, because glibc
// unwinds a cancelled thread through them.
#pragma once

#include "shim/base/libc.hpp"
#include "shim/sockets/sockets.hpp"

#define EXPORT extern "C" [[gnu::visibility("default")]]

namespace multihome::entry {

inline bool is_ours(Socket socket) {
    return socket.is(Socket::Kind::ours);
}

inline bool is_passed_on(Socket socket) {
    return socket.is(Socket::Kind::other);
}

// What the descriptor is once it is about to receive: what receives is bound.
inline Socket socket_for_receiving(int fd) {
    const Socket socket = sockets::get(fd);
    return socket.is(Socket::Kind::unbound) ? sockets::bound_unseen(fd) : socket;
}

// Notes the descriptors that came over a UNIX socket.
void look_for_descriptors(const msghdr& message);

// recvmsg() and recvmmsg() on what may be a UNIX socket: `next` is libc's function. Descriptors are only
// looked for where control messages came at all.
template <typename Next>
ssize_t recvmsg_with_descriptors(const Next& next, int fd, msghdr* message, int flags) {
    const ssize_t received = next(fd, message, flags);
    if (received >= 0 && message->msg_controllen >= sizeof(cmsghdr))
        look_for_descriptors(*message);
    return received;
}
template <typename Next, typename Timeout>
int recvmmsg_with_descriptors(const Next& next, int fd, mmsghdr* messages, unsigned int count, int flags,
                              Timeout* timeout) {
    const int received = next(fd, messages, count, flags, timeout);
    for (int index = 0; index < received; ++index)
        if (messages[index].msg_hdr.msg_controllen >= sizeof(cmsghdr)) [[unlikely]]
            look_for_descriptors(messages[index].msg_hdr);
    return received;
}

} // namespace multihome::entry

// Variadic functions in libc. Their arguments may be an int, a long or a pointer, or missing. On every system
// that we know the ABI of, a long holds all of them, a missing one reads as whatever is there, which the
// kernel then ignores, and an argument of a variadic function lies where a named one would: so these are no
// variadic functions, which would save all registers first.
EXPORT int fcntl_with_argument(int fd, int command, long argument) asm("fcntl");
EXPORT int fcntl64_with_argument(int fd, int command, long argument) asm("fcntl64");
EXPORT int prctl_with_arguments(int option, unsigned long b, unsigned long c, unsigned long d,
                                unsigned long e) noexcept asm("prctl");
EXPORT long syscall_with_arguments(long number, long a, long b, long c, long d, long e, long f) noexcept
    asm("syscall");

#if __SIZEOF_POINTER__ == 4
EXPORT int __recvmmsg64(int fd, mmsghdr* messages, unsigned int count, int flags,
                        multihome::libc::Time64* timeout);
#endif
