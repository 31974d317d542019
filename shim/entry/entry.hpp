// SPDX-License-Identifier: MIT
//
// What the files with the exported functions share. An exported function is named like libc's and is a few
// lines long. It asks whether the descriptor is ours, and calls the room that knows what to do, or else libc.
//
// The exception specifications are those of glibc's headers. A cancellation point must not be noexcept,
// because glibc unwinds a cancelled thread through it.
#pragma once

#include "shim/base/libc.hpp"
#include "shim/packets/receive.hpp"
#include "shim/sockets/sockets.hpp"

#define EXPORT extern "C" [[gnu::visibility("default")]]
// Gives an exported function, which the linker knows by `name`, a second name (see time64.cpp). gcc wants the
// attributes of the function again.
#if __SIZEOF_POINTER__ == 4
#define SECOND_NAME(second, function, name) EXPORT [[gnu::hot, gnu::alias(name)]] decltype(function) second;
#else
#define SECOND_NAME(second, function, name)
#endif

namespace multihome::entry {

// Makes the library ready, once. The loader calls it before the program's own constructors, but may call
// those of the program's libraries even earlier: where one of them makes a socket, socket() calls this first.
// (Before libc's own constructor there is no environment yet, and a socket sees the defaults.)
void start();
extern bool is_started; // written before there are threads, unless a constructor starts one

inline bool is_ours(Socket socket) {
    return socket.is(Socket::Kind::ours);
}

inline bool is_foreign(Socket socket) {
    return socket.is(Socket::Kind::other);
}

// What the descriptor is, now that it is about to receive. A socket that receives is bound.
inline Socket socket_for_receiving(int fd) {
    const Socket socket = sockets::get(fd);
    return socket.is(Socket::Kind::unbound) ? sockets::bound_unseen(fd) : socket;
}

// These call `next`, libc's function, on what may be a UNIX socket, and look for descriptors in the control
// messages that came. The first one looks once more whether the socket is ours.
template <auto next>
[[gnu::noinline]] ssize_t recvmsg_after_look(int fd, msghdr* message, int flags) {
    const Socket socket = socket_for_receiving(fd);
    if (is_ours(socket))
        return receive::message(fd, message, flags, socket);
    const ssize_t received = next(fd, message, flags);
    if (received >= 0 && message->msg_controllen >= sizeof(cmsghdr))
        sockets::look_for_descriptors(*message);
    return received;
}
template <typename Next, typename Timeout>
int recvmmsg_with_descriptors(const Next& next, int fd, mmsghdr* messages, unsigned int count, int flags,
                              Timeout* timeout) {
    const int received = next(fd, messages, count, flags, timeout);
    for (int index = 0; index < received; ++index)
        if (messages[index].msg_hdr.msg_controllen >= sizeof(cmsghdr)) [[unlikely]]
            sockets::look_for_descriptors(messages[index].msg_hdr);
    return received;
}

} // namespace multihome::entry

// These are variadic functions in libc, whose arguments may be an int, a long or a pointer, or missing. Here
// they have named arguments, because a variadic function saves all registers first. On every system whose ABI
// we know, a long holds each of these types, a variadic argument lies where a named one does, and a missing
// one reads as whatever is there, which the kernel ignores.
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
