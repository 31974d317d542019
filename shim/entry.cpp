// SPDX-License-Identifier: MIT
//
// The exported functions, named like libc's: is this descriptor ours? Then the room that knows what to do,
// else straight on to libc. Their exception specifications are those of glibc's headers; the cancellation
// points must not be noexcept, because glibc unwinds a cancelled thread through them.

#include "shim/connect.hpp"
#include "shim/libc.hpp"
#include "shim/log.hpp"
#include "shim/options.hpp"
#include "shim/receive.hpp"
#include "shim/send.hpp"
#include "shim/settings.hpp"
#include "shim/sockets.hpp"
#include "shim/system_call_filter.hpp"
#include "shim/user_memory.hpp"

#include <climits>
#include <cstdarg>
#include <cstring>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef CLOSE_RANGE_UNSHARE
#define CLOSE_RANGE_UNSHARE 2 // linux/close_range.h
#endif
#ifndef SYS_pidfd_getfd
#define SYS_pidfd_getfd 438
#endif

using namespace multihome; // NOLINT(google-build-using-namespace): this file is the program's side of it

#define EXPORT extern "C" [[gnu::visibility("default")]]

namespace {

bool is_ours(Socket socket) {
    return socket.is(Socket::Kind::ours);
}

bool is_passed_on(Socket socket) {
    return socket.is(Socket::Kind::other);
}

// Descriptors that came over a UNIX socket. Only looked for where control messages came at all.
void note_passed_descriptors(const msghdr& message) {
    for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
         header = CMSG_NXTHDR(const_cast<msghdr*>(&message), header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
            continue;
        for (size_t at = CMSG_LEN(0); at + sizeof(int) <= header->cmsg_len; at += sizeof(int)) {
            int fd = -1;
            std::memcpy(&fd, reinterpret_cast<const char*>(header) + at, sizeof fd);
            sockets::arrived(fd);
        }
    }
}

// What the descriptor is once it is about to send: an unbound socket's first datagram decides that.
Socket socket_for_sending(int fd, const sockaddr* address, socklen_t length) {
    const Socket socket = sockets::get(fd);
    return socket.kind() != Socket::Kind::unbound ? socket
                                                  : connect::before_first_send(socket, fd, address, length);
}

Socket socket_for_sending(int fd, const msghdr* message) {
    const Socket socket = sockets::get(fd);
    if (socket.kind() != Socket::Kind::unbound || message == nullptr ||
        !user_memory::can_read(message, sizeof *message))
        return socket;
    return connect::before_first_send(socket, fd, static_cast<const sockaddr*>(message->msg_name),
                                      message->msg_namelen);
}

} // namespace

// The loader runs this before the program's own constructors; calls that come even earlier see the defaults.
[[gnu::constructor]] static void start() {
    // Now, and not on first use, which may be in a signal handler or between dlopen() and dlerror().
    libc::resolve_all();
    log::remember_standard_error();
    settings::load();
    sockets::start();
}

EXPORT int socket(int domain, int type, int protocol) noexcept {
    const int fd = libc::socket(domain, type, protocol);
    if (fd >= 0)
        sockets::created(fd, domain, type, protocol);
    return fd;
}

EXPORT int bind(int fd, const sockaddr* address, socklen_t length) noexcept {
    if (sockets::is_ours(fd))
        return options::bind_again(fd, sockets::peek(fd), address, length);
    const int result = libc::bind(fd, address, length);
    if (result == 0)
        sockets::bound(fd);
    return result;
}

EXPORT int connect(int fd, const sockaddr* address, socklen_t length) {
    const Socket socket = sockets::get(fd);
    // A socket that is none of ours may become one again by AF_UNSPEC.
    return connect::to(socket, fd, address, length);
}

EXPORT int close(int fd) {
    // Before the call: afterwards the number may belong to another thread's new socket.
    sockets::forget(fd);
    return libc::close(fd);
}

EXPORT int close_range(unsigned int first, unsigned int last, int flags) noexcept {
    // Nothing is closed where the kernel refuses the flags.
    if ((static_cast<unsigned>(flags) & ~unsigned{CLOSE_RANGE_UNSHARE}) == 0)
        sockets::forget_range(first, last);
    return libc::close_range(first, last, flags);
}

EXPORT void closefrom(int first) noexcept {
    sockets::forget_range(first < 0 ? 0 : static_cast<unsigned>(first), UINT_MAX);
    libc::closefrom(first);
}

EXPORT int dup(int fd) noexcept {
    const int copy = libc::dup(fd);
    if (copy >= 0)
        sockets::duplicated(fd, copy);
    return copy;
}

EXPORT int dup2(int fd, int number) noexcept {
    const int copy = libc::dup2(fd, number);
    if (copy >= 0)
        sockets::duplicated(fd, copy);
    return copy;
}

EXPORT int dup3(int fd, int number, int flags) noexcept {
    const int copy = libc::dup3(fd, number, flags);
    if (copy >= 0)
        sockets::duplicated(fd, copy);
    return copy;
}

namespace {

template <typename Next>
int fcntl_through(Next& next, int fd, int command, long argument) {
    const int result = next(fd, command, argument);
    if (result >= 0 && (command == F_DUPFD || command == F_DUPFD_CLOEXEC))
        sockets::duplicated(fd, result);
    return result;
}

} // namespace

// The argument may be an int, a long or a pointer, or missing. On every system that we know the ABI of, a
// long holds all of them, and a missing one reads as whatever is there, which the kernel then ignores.
EXPORT int fcntl(int fd, int command, ...) {
    va_list arguments;
    va_start(arguments, command);
    const long argument = va_arg(arguments, long);
    va_end(arguments);
    return fcntl_through(libc::fcntl, fd, command, argument);
}

EXPORT int fcntl64(int fd, int command, ...) {
    va_list arguments;
    va_start(arguments, command);
    const long argument = va_arg(arguments, long);
    va_end(arguments);
    return fcntl_through(libc::fcntl64, fd, command, argument);
}

EXPORT int setsockopt(int fd, int level, int name, const void* value, socklen_t length) noexcept {
    if (options::concerns(level, name)) {
        const Socket socket = sockets::get(fd);
        if (is_ours(socket))
            return options::set(fd, socket, level, name, value, length);
    }
    if (options::is_multicast_interface(level, name))
        return options::set_multicast_interface(fd, level, name, value, length);
    if (options::is_device(level, name))
        return options::set_device(fd, level, name, value, length);
    return libc::setsockopt(fd, level, name, value, length);
}

EXPORT int getsockopt(int fd, int level, int name, void* value, socklen_t* length) noexcept {
    if (options::concerns(level, name)) {
        const Socket socket = sockets::get(fd);
        if (is_ours(socket))
            return options::get(fd, socket, level, name, value, length);
    }
    return libc::getsockopt(fd, level, name, value, length);
}

// The functions of the packet path pass on what is none of our business at once. The rest stands in functions
// of its own, with the same arguments, so that the compiler makes a jump of either way on and saves no
// registers before.

namespace {

[[gnu::cold, gnu::noinline]] ssize_t recvfrom_examined(int fd, void* buffer, size_t length, int flags,
                                                       sockaddr* address, socklen_t* address_length) {
    if (!is_ours(sockets::get(fd)))
        return libc::recvfrom(fd, buffer, length, flags, address, address_length);
    return receive::one(fd, buffer, length, flags, address, address_length);
}

// A function of its own for the sake of its frame, which the others must not pay for.
[[gnu::hot, gnu::noinline]] ssize_t recvmsg_ours(int fd, msghdr* message, int flags, Socket socket) {
    return receive::quickly(socket, fd, message, flags);
}

[[gnu::cold, gnu::noinline]] ssize_t recvmsg_examined(int fd, msghdr* message, int flags) {
    if (is_ours(sockets::get(fd)))
        return receive::one(fd, message, flags);
    const ssize_t received = libc::recvmsg(fd, message, flags);
    if (received >= 0 && message->msg_controllen >= sizeof(cmsghdr))
        note_passed_descriptors(*message);
    return received;
}

[[gnu::cold, gnu::noinline]] ssize_t sendto_examined(int fd, const void* buffer, size_t length, int flags,
                                                     const sockaddr* address, socklen_t address_length) {
    if (!is_ours(socket_for_sending(fd, address, address_length)))
        return libc::sendto(fd, buffer, length, flags, address, address_length);
    return send::one(fd, buffer, length, flags, address, address_length);
}

[[gnu::cold, gnu::noinline]] ssize_t sendmsg_examined(int fd, const msghdr* message, int flags) {
    if (!is_ours(socket_for_sending(fd, message)))
        return libc::sendmsg(fd, message, flags);
    return send::one(fd, message, flags);
}

} // namespace

EXPORT ssize_t recvfrom(int fd, void* buffer, size_t length, int flags, sockaddr* address,
                        socklen_t* address_length) {
    const Socket socket = sockets::peek_direct(fd);
    if (is_ours(socket)) [[likely]]
        return receive::quickly(socket, fd, buffer, length, flags, address, address_length);
    if (is_passed_on(socket)) [[likely]]
        return libc::recvfrom(fd, buffer, length, flags, address, address_length);
    return recvfrom_examined(fd, buffer, length, flags, address, address_length);
}

// What recvfrom() is called in programs built with _FORTIFY_SOURCE.
EXPORT ssize_t __recvfrom_chk(int fd, void* buffer, size_t length, size_t buffer_length, int flags,
                              sockaddr* address, socklen_t* address_length) {
    const Socket socket = sockets::get(fd);
    if (!is_ours(socket) || length > buffer_length) [[likely]]
        return libc::__recvfrom_chk(fd, buffer, length, buffer_length, flags, address, address_length);
    return receive::one(fd, buffer, length, flags, address, address_length);
}

EXPORT ssize_t recvmsg(int fd, msghdr* message, int flags) {
    const Socket socket = sockets::peek_direct(fd);
    // What has no room for control messages gets no descriptors either.
    if (socket.has(Socket::no_descriptors) || (is_passed_on(socket) && user_memory::is_on_stack(message) &&
                                               message->msg_controllen == 0)) [[likely]]
        return libc::recvmsg(fd, message, flags);
    if (is_ours(socket))
        return recvmsg_ours(fd, message, flags, socket);
    return recvmsg_examined(fd, message, flags);
}

EXPORT int recvmmsg(int fd, mmsghdr* messages, unsigned int count, int flags, timespec* timeout) {
    const Socket socket = sockets::get(fd);
    if (!is_ours(socket)) [[likely]] {
        const int received = libc::recvmmsg(fd, messages, count, flags, timeout);
        for (int index = 0; index < received; ++index)
            if (messages[index].msg_hdr.msg_controllen >= sizeof(cmsghdr)) [[unlikely]]
                note_passed_descriptors(messages[index].msg_hdr);
        return received;
    }
    return receive::many(fd, messages, count, flags, timeout);
}

EXPORT ssize_t sendto(int fd, const void* buffer, size_t length, int flags, const sockaddr* address,
                      socklen_t address_length) {
    const Socket socket = sockets::peek_direct(fd);
    if (is_ours(socket)) [[likely]]
        return send::quickly(socket, fd, buffer, length, flags, address, address_length);
    if (is_passed_on(socket)) [[likely]]
        return libc::sendto(fd, buffer, length, flags, address, address_length);
    return sendto_examined(fd, buffer, length, flags, address, address_length);
}

EXPORT ssize_t sendmsg(int fd, const msghdr* message, int flags) {
    const Socket socket = sockets::peek_direct(fd);
    if (is_passed_on(socket))
        return libc::sendmsg(fd, message, flags);
    if (is_ours(socket)) [[likely]]
        return send::quickly(socket, fd, message, flags);
    return sendmsg_examined(fd, message, flags);
}

EXPORT int sendmmsg(int fd, mmsghdr* messages, unsigned int count, int flags) {
    const Socket socket =
        socket_for_sending(fd, count != 0 && messages != nullptr ? &messages->msg_hdr : nullptr);
    if (!is_ours(socket)) [[likely]]
        return libc::sendmmsg(fd, messages, count, flags);
    return send::many(fd, messages, count, flags);
}

namespace {

// A call that installs a system-call filter. `strict`: read() and write() are all that will be left.
template <typename Call>
auto filtered(bool strict, const void* program, Call call) {
    using system_call_filter::Verdict;
    const system_call_filter::Judgement judgement =
        strict ? system_call_filter::Judgement{Verdict::stay_out, false} : system_call_filter::judge(program);
    const Verdict verdict = judgement.verdict;
    // Before the call: afterwards it may be forbidden.
    if (verdict == Verdict::stay_out) {
        log::write(LogLevel::warn,
                   "the program's system-call filter does not allow what multihome does for each "
                   "datagram: its UDP sockets answer as without multihome from now on");
        sockets::give_all_back();
    } else if (verdict == Verdict::no_new_sockets) {
        log::write(LogLevel::warn,
                   "the program's system-call filter does not allow getsockopt, setsockopt and "
                   "getsockname: UDP sockets made from now on answer as without multihome");
    }
    const auto result = call();
    if (result >= 0)
        system_call_filter::enforce(judgement);
    return result;
}

} // namespace

EXPORT int prctl(int option, ...) noexcept {
    va_list list;
    va_start(list, option);
    unsigned long a[4];
    for (unsigned long& argument : a)
        argument = va_arg(list, unsigned long);
    va_end(list);
    const auto call = [&] { return libc::prctl(option, a[0], a[1], a[2], a[3]); };
    if (option != PR_SET_SECCOMP)
        return call();
    return filtered(a[0] == SECCOMP_MODE_STRICT, reinterpret_cast<const void*>(a[1]), call); // NOLINT
}

namespace {

// syscall(2) is no cancellation point, the functions that we hand over to are.
class NoCancellation {
public:
    NoCancellation() { pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before_); }
    ~NoCancellation() { pthread_setcancelstate(before_, nullptr); }
    NoCancellation(const NoCancellation&) = delete;
    NoCancellation& operator=(const NoCancellation&) = delete;

private:
    int before_ = PTHREAD_CANCEL_ENABLE;
};

template <typename Type>
Type as(long argument) {
    if constexpr (std::is_pointer_v<Type>)
        return reinterpret_cast<Type>(argument); // NOLINT(performance-no-int-to-ptr)
    else
        return static_cast<Type>(argument);
}

// Calls one of the functions above with the arguments of its system call.
template <typename Result, typename... Arguments, size_t... Index>
long call(Result (*function)(Arguments...), const long* arguments, std::index_sequence<Index...>) {
    const NoCancellation guard;
    return static_cast<long>(function(as<Arguments>(arguments[Index])...));
}

template <typename Result, typename... Arguments>
long call(Result (*function)(Arguments...), const long* arguments) {
    return call(function, arguments, std::index_sequence_for<Arguments...>{});
}

} // namespace

// libuv before 1.45 and others reach recvmmsg() and sendmmsg() this way.
EXPORT long syscall(long number, ...) noexcept {
    va_list list;
    va_start(list, number);
    long a[6];
    for (long& argument : a)
        argument = va_arg(list, long);
    va_end(list);
    switch (number) {
    case SYS_socket:
        return call(&socket, a);
    case SYS_bind:
        return call(&bind, a);
    case SYS_connect:
        return call(&::connect, a);
    case SYS_close:
        return call(&close, a);
    case SYS_close_range:
        return call(&close_range, a);
    case SYS_dup:
        return call(&dup, a);
#ifdef SYS_dup2
    case SYS_dup2:
        return call(&dup2, a);
#endif
    case SYS_dup3:
        return call(&dup3, a);
    case SYS_fcntl: {
        const NoCancellation guard;
        return fcntl(static_cast<int>(a[0]), static_cast<int>(a[1]), a[2]);
    }
    case SYS_setsockopt:
        return call(&setsockopt, a);
    case SYS_getsockopt:
        return call(&getsockopt, a);
    case SYS_recvfrom:
        return call(&recvfrom, a);
    case SYS_recvmsg:
        return call(&recvmsg, a);
    case SYS_recvmmsg:
        return call(&recvmmsg, a);
    case SYS_sendto:
        return call(&sendto, a);
    case SYS_sendmsg:
        return call(&sendmsg, a);
    case SYS_sendmmsg:
        return call(&sendmmsg, a);
    default:
        break;
    }
    const auto pass_on = [&] { return libc::syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]); };
    if (number == SYS_prctl && a[0] == PR_SET_SECCOMP)
        return prctl(PR_SET_SECCOMP, a[1], a[2], a[3], a[4]);
    if (number == SYS_seccomp && (a[0] == SECCOMP_SET_MODE_STRICT || a[0] == SECCOMP_SET_MODE_FILTER))
        return filtered(a[0] == SECCOMP_SET_MODE_STRICT, as<const void*>(a[2]), pass_on);
    const long result = pass_on();
    if (number == SYS_pidfd_getfd && result >= 0)
        sockets::arrived(static_cast<int>(result));
    return result;
}
