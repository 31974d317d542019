// SPDX-License-Identifier: MIT
//
// The exported functions of the packet path, and what the loader calls. See entry.hpp.
#include "shim/entry/entry.hpp"

#include "shim/base/log.hpp"
#include "shim/base/scratch.hpp"
#include "shim/base/settings.hpp"
#include "shim/base/user_memory.hpp"
#include "shim/packets/connect.hpp"
#include "shim/packets/send.hpp"
#include "shim/sockets/process.hpp"

#include <algorithm>
#include <utility>

using namespace multihome; // NOLINT(google-build-using-namespace): this file is the program's side of it
using namespace multihome::entry; // NOLINT(google-build-using-namespace)

// On a page that each process writes to at its start already.
[[gnu::section(".data")]] constinit bool entry::is_started = false;

[[gnu::constructor]] void entry::start() {
    if (std::exchange(is_started, true))
        return;
    // C promises 0 at the start of main(), and getauxval() may change it.
    const libc::ErrnoGuard keep_errno;
    // Resolves them now: their first use may be in a signal handler, or between dlopen() and dlerror().
    libc::resolve_all();
    log::remember_standard_error();
    settings::load();
    Scratch::start();
    process::start();
}

namespace {

// What the descriptor is, now that it is about to send. The first datagram of an unbound socket decides it.
Socket socket_for_sending(int fd, const void* address, socklen_t length) {
    const Socket socket = sockets::get_bound_or_not(fd);
    return socket.is(Socket::Kind::unbound)
               ? connect::before_first_send(socket, fd, static_cast<const sockaddr*>(address), length)
               : socket;
}

Socket socket_for_sending(int fd, const msghdr* message) {
    if (message == nullptr || !user_memory::can_read(message, sizeof *message))
        return sockets::get(fd);
    // The kernel cuts a name that is too long, and refuses a negative length (__copy_msghdr() in its
    // net/socket.c).
    const int length = std::min(static_cast<int>(message->msg_namelen), int{sizeof(sockaddr_storage)});
    return socket_for_sending(fd, message->msg_name, static_cast<socklen_t>(length));
}

// Where a quick look at the descriptor's word does not tell, these functions look closer. They take the same
// arguments as their callers, so that the compiler jumps to each and saves no registers before.

[[gnu::cold, gnu::noinline]] ssize_t recvfrom_after_look(int fd, void* buffer, size_t length, int flags,
                                                         sockaddr* address, socklen_t* address_length) {
    const Socket socket = socket_for_receiving(fd);
    return is_ours(socket) ? receive::datagram(socket, fd, buffer, length, flags, address, address_length)
                           : libc::recvfrom(fd, buffer, length, flags, address, address_length);
}

[[gnu::noinline]] int recvmmsg_after_look(int fd, mmsghdr* messages, unsigned int count, int flags,
                                          timespec* timeout) {
    const Socket socket = socket_for_receiving(fd);
    return is_ours(socket) ? receive::messages(fd, messages, count, flags, timeout, socket)
                           : recvmmsg_with_descriptors(libc::recvmmsg, fd, messages, count, flags, timeout);
}

// True where a quick look shows that the message carries no descriptors: it has no control messages, nor room
// for any.
[[gnu::always_inline]] inline bool has_no_control(const msghdr* message) {
    return user_memory::is_known_readable(message, sizeof *message) && message->msg_controllen == 0;
}

[[gnu::cold, gnu::noinline]] ssize_t sendto_after_look(int fd, const void* buffer, size_t length, int flags,
                                                       const sockaddr* address, socklen_t address_length) {
    const Socket socket = socket_for_sending(fd, address, address_length);
    return is_ours(socket) ? send::datagram(socket, fd, buffer, length, flags, address, address_length)
                           : libc::sendto(fd, buffer, length, flags, address, address_length);
}

[[gnu::cold, gnu::noinline]] ssize_t sendmsg_after_look(int fd, const msghdr* message, int flags) {
    const Socket socket = socket_for_sending(fd, message);
    if (is_ours(socket))
        return send::message(fd, message, flags, socket);
    // It may send descriptors.
    sockets::mark_all();
    return libc::sendmsg(fd, message, flags);
}

[[gnu::cold, gnu::noinline]] int sendmmsg_after_look(int fd, mmsghdr* messages, unsigned int count,
                                                     int flags) {
    const msghdr* first = count != 0 && messages != nullptr ? &messages->msg_hdr : nullptr;
    const Socket socket = socket_for_sending(fd, first);
    if (is_ours(socket))
        return send::messages(fd, messages, count, flags, socket);
    sockets::mark_all();
    return libc::sendmmsg(fd, messages, count, flags);
}

} // namespace

EXPORT [[gnu::hot]] ssize_t recvfrom(int fd, void* buffer, size_t length, int flags, sockaddr* address,
                                     socklen_t* address_length) {
    const Socket socket = sockets::load_direct(fd);
    if (is_ours(socket)) [[likely]]
        return receive::datagram(socket, fd, buffer, length, flags, address, address_length);
    if (is_foreign(socket)) [[likely]]
        return libc::recvfrom(fd, buffer, length, flags, address, address_length);
    return recvfrom_after_look(fd, buffer, length, flags, address, address_length);
}

// recvfrom() of programs that were built with _FORTIFY_SOURCE.
EXPORT ssize_t __recvfrom_chk(int fd, void* buffer, size_t length, size_t buffer_length, int flags,
                              sockaddr* address, socklen_t* address_length) {
    const Socket socket = socket_for_receiving(fd);
    if (length > buffer_length || !is_ours(socket)) [[unlikely]]
        return libc::__recvfrom_chk(fd, buffer, length, buffer_length, flags, address, address_length);
    return receive::datagram(socket, fd, buffer, length, flags, address, address_length);
}

EXPORT [[gnu::hot]] ssize_t recvmsg(int fd, msghdr* message, int flags) {
    const Socket socket = sockets::load_direct(fd);
    if (is_ours(socket)) [[likely]]
        return receive::message(fd, message, flags, socket);
    if (socket.has(Socket::no_descriptors) || (is_foreign(socket) && has_no_control(message))) [[likely]]
        return libc::recvmsg(fd, message, flags);
    return recvmsg_after_look<libc::recvmsg>(fd, message, flags);
}

EXPORT [[gnu::hot]] int recvmmsg(int fd, mmsghdr* messages, unsigned int count, int flags,
                                 timespec* timeout) {
    const Socket socket = sockets::load_direct(fd);
    if (is_ours(socket)) [[likely]]
        return receive::messages(fd, messages, count, flags, timeout, socket);
    if (socket.has(Socket::no_descriptors)) [[likely]]
        return libc::recvmmsg(fd, messages, count, flags, timeout);
    return recvmmsg_after_look(fd, messages, count, flags, timeout);
}

EXPORT [[gnu::hot]] ssize_t sendto(int fd, const void* buffer, size_t length, int flags,
                                   const sockaddr* address, socklen_t address_length) {
    const Socket socket = sockets::load_direct(fd);
    if (is_ours(socket)) [[likely]]
        return send::datagram(socket, fd, buffer, length, flags, address, address_length);
    if (is_foreign(socket)) [[likely]]
        return libc::sendto(fd, buffer, length, flags, address, address_length);
    return sendto_after_look(fd, buffer, length, flags, address, address_length);
}

EXPORT [[gnu::hot]] ssize_t sendmsg(int fd, const msghdr* message, int flags) {
    const Socket socket = sockets::load_direct(fd);
    if (is_ours(socket)) [[likely]]
        return send::message(fd, message, flags, socket);
    if (socket.has(Socket::no_descriptors) || (is_foreign(socket) && has_no_control(message))) [[likely]]
        return libc::sendmsg(fd, message, flags);
    return sendmsg_after_look(fd, message, flags);
}
SECOND_NAME(__sendmsg64, sendmsg, "sendmsg")

EXPORT [[gnu::hot]] int sendmmsg(int fd, mmsghdr* messages, unsigned int count, int flags) {
    const Socket socket = sockets::load_direct(fd);
    if (is_ours(socket)) [[likely]]
        return send::messages(fd, messages, count, flags, socket);
    if (socket.has(Socket::no_descriptors)) [[likely]]
        return libc::sendmmsg(fd, messages, count, flags);
    return sendmmsg_after_look(fd, messages, count, flags);
}
SECOND_NAME(__sendmmsg64, sendmmsg, "sendmmsg")
