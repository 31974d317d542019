// SPDX-License-Identifier: MIT
//
// Sending on a socket of ours: finds where the peer reached us and adds that as the source. Whatever is in
// the way, the program's own call is made as the program made it.
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
#include <sys/types.h>

namespace multihome::send {

ssize_t one(int fd, const void* buffer, size_t length, int flags, const sockaddr* address,
            socklen_t address_length);
ssize_t one(int fd, const msghdr* message, int flags);
int many(int fd, mmsghdr* messages, unsigned count, int flags);

namespace detail {

// A sendto() under way as the sendmsg() that it becomes; see receive::detail::Call.
struct Call {
    iovec data;
    msghdr message; // the kernel does not read msg_flags
    int fd;
    int flags;
    int errno_before; // what errno has to be again if the second call succeeds

    static const Call& of(const msghdr& message) { return *reinterpret_cast<const Call*>(message.msg_iov); }
};
static_assert(offsetof(Call, data) == 0);

// A sendmsg() under way; msg_iov is the program's.
struct MessageCall {
    msghdr message;
    const msghdr* theirs;
    const MessageCall* self; // so that the short way has no address to keep across the real call
    int fd;
    int flags;
    int errno_before;
};
[[gnu::cold, gnu::noinline]] ssize_t after_failure(const MessageCall& call);

// The call has failed: once more as the program made it, if that was because of the source or may fail in
// another way.
[[gnu::cold, gnu::noinline]] ssize_t after_failure(const Call& call);

// quickly() where the address is a sockaddr_in6. Functions of their own, for the sake of the others' frames.
ssize_t quickly_ipv6(int fd, const void* buffer, size_t length, int flags, const sockaddr* address,
                     Socket socket);
ssize_t quickly_ipv6(int fd, const msghdr* message, int flags, Socket socket);

// Where a quick look may read a sockaddr_in: where one was read before (see user_memory.hpp), or on the
// stack.
[[gnu::always_inline]] inline bool is_readable(const void* address) {
    return address == recent.shortcut().address || user_memory::is_on_stack(address);
}

// The same for a sockaddr_in6, which is longer.
[[gnu::always_inline]] inline bool is_readable_ipv6(const void* address) {
    return user_memory::is_on_stack(address) ||
           (address == recent.shortcut().address && recent.shortcut().ipv6_name != Recent::no_name);
}

// The real call for the program's message, with this source, which takes `source_length` bytes.
[[gnu::always_inline]] inline ssize_t send(int fd, const msghdr* message, int flags,
                                           const SourceMessage& source, size_t source_length) {
    peers::count_answer_quickly();
    MessageCall call;
    call.theirs = message;
    call.self = &call;
    call.fd = fd;
    call.flags = flags;
    call.errno_before = *recent.shortcut().error_number;
    control::replace_control(*message, call.message, source.control(), source_length);
    const ssize_t sent = libc::sendmsg(fd, &call.message, flags);
    if (sent < 0) [[unlikely]]
        return after_failure(*call.self);
    return sent;
}

// The same for the program's sendto(). Lengths and flags that sendmsg() treats in another way than sendto()
// it refuses before it has done anything: see after_failure().
[[gnu::always_inline]] inline ssize_t send(int fd, const void* buffer, size_t length, int flags,
                                           const sockaddr* address, socklen_t address_length,
                                           const SourceMessage& source, size_t source_length) {
    // Now and not after the call, so that there is nothing to keep across it; after_failure() makes up for
    // it.
    peers::count_answer_quickly();
    Call call;
    call.fd = fd;
    call.flags = flags;
    call.errno_before = *recent.shortcut().error_number;
    call.data = {const_cast<void*>(buffer), length};
    call.message.msg_name = const_cast<sockaddr*>(address);
    call.message.msg_namelen = address_length;
    call.message.msg_iov = &call.data;
    call.message.msg_iovlen = 1;
    call.message.msg_control = source.control();
    call.message.msg_controllen = source_length;
    const ssize_t sent = libc::sendmsg(fd, &call.message, flags);
    if (sent < 0) [[unlikely]]
        return after_failure(Call::of(call.message));
    return sent;
}

} // namespace detail

// one() for a descriptor whose word is at hand, the shortest way for an answer to an IPv4 peer that came
// last, by a message that lies on the stack.
[[gnu::always_inline]] inline ssize_t quickly(Socket socket, int fd, const msghdr* message, int flags) {
    if (!user_memory::is_on_stack(message)) [[unlikely]]
        return one(fd, message, flags);
    if (message->msg_controllen != 0) [[unlikely]]
        return one(fd, message, flags);
    if (message->msg_namelen != sizeof(sockaddr_in))
        return detail::quickly_ipv6(fd, message, flags, socket);
    if (!detail::is_readable(message->msg_name)) [[unlikely]]
        return one(fd, message, flags);
    const SourceMessage* source = nullptr;
    if (!peers::answers(socket, message->msg_name, source)) [[unlikely]]
        return one(fd, message, flags);
    return detail::send(fd, message, flags, *source, SourceMessage::ipv4_length);
}

// The same for sendto().
[[gnu::always_inline]] inline ssize_t quickly(Socket socket, int fd, const void* buffer, size_t length,
                                              int flags, const sockaddr* address, socklen_t address_length) {
    if (address_length != sizeof(sockaddr_in)) [[unlikely]]
        return address_length == sizeof(sockaddr_in6)
                   ? detail::quickly_ipv6(fd, buffer, length, flags, address, socket)
                   : one(fd, buffer, length, flags, address, address_length);
    if (!detail::is_readable(address)) [[unlikely]]
        return one(fd, buffer, length, flags, address, address_length);
    const SourceMessage* source = nullptr;
    if (!peers::answers(socket, address, source)) [[unlikely]]
        return one(fd, buffer, length, flags, address, address_length);
    return detail::send(fd, buffer, length, flags, address, sizeof(sockaddr_in), *source,
                        SourceMessage::ipv4_length);
}

} // namespace multihome::send
