// SPDX-License-Identifier: MIT
#include "shim/packets/send.hpp"

#include "shim/base/kernel_constants.hpp"
#include "shim/base/scratch.hpp"
#include "shim/packets/answer.hpp"
#include "shim/packets/probe.hpp"

#include <cerrno>
#include <span>

namespace multihome::send {

using detail::Call;

namespace {

// A program's control messages up to this size are copied on the stack.
constexpr size_t small_control = 512;

// The call as the program made it.
ssize_t send_as_made(const Call& call) {
    if (!call.is_sendto())
        return libc::sendmsg(call.fd, call.theirs, call.flags);
    return libc::sendto(call.fd, call.data.iov_base, call.data.iov_len, call.flags,
                        static_cast<const sockaddr*>(call.ours.msg_name), call.ours.msg_namelen);
}

// The call failed, and the program gets to know. What it sends next is the same answer once more.
[[gnu::cold]] ssize_t fail_as_made(const Call& call) {
    const libc::ErrnoGuard keep_errno;
    peers::Turn turn;
    detail::not_sent(turn, call.fd, call.ours, true);
    return -1;
}

// Sends what the quick look does not answer. The control messages in `call` are still the program's.
// `control`: control_space() bytes; empty where there are none.
[[gnu::always_inline]] inline ssize_t search_and_send(Call& call, Socket socket,
                                                      std::span<unsigned char> control) {
    SourceRoom room;
    Source source;
    {
        peers::Turn turn;
        call.errno_before = turn.error_number();
        source = peers::Answering{turn, socket}.source_for(call.ours.msg_name, call.ours.msg_namelen, room);
        if (source)
            turn.count(socket, Counter::answered);
    }
    if (source && detail::add_source(call.ours, source, control)) [[likely]]
        return detail::send(call, call.fd, call.flags);
    const ssize_t sent = send_as_made(call);
    return sent >= 0 ? sent : fail_as_made(call);
}

// `control`: as for search_and_send().
[[gnu::hot, gnu::noinline]] ssize_t search_and_send_message(int fd, const msghdr* theirs, int flags,
                                                            Socket socket, std::span<unsigned char> control) {
    Call call{fd, flags, 0, {}, theirs, *theirs};
    return search_and_send(call, socket, control);
}

// A function of its own: most messages need no such room on the stack.
[[gnu::noinline]] ssize_t search_and_send_with_control(int fd, const msghdr* theirs, int flags,
                                                       Socket socket) {
    Scratch scratch;
    alignas(cmsghdr) unsigned char small[control::own_space + small_control];
    const size_t space = detail::control_space(*theirs);
    auto* const control = space <= sizeof small ? small : static_cast<unsigned char*>(scratch.take(space));
    return control != nullptr ? search_and_send_message(fd, theirs, flags, socket, {control, space})
                              : libc::sendmsg(fd, theirs, flags);
}

[[gnu::hot, gnu::noinline]] ssize_t check_and_send(int fd, const msghdr* theirs, int flags, Socket socket) {
    if ((flags & msg_cmsg_compat) != 0 || theirs == nullptr ||
        !user_memory::can_read(theirs, sizeof *theirs) ||
        !detail::may_be_answered(theirs->msg_name, theirs->msg_namelen)) [[unlikely]]
        return libc::sendmsg(fd, theirs, flags);
    return theirs->msg_controllen == 0 ? search_and_send_message(fd, theirs, flags, socket, {})
                                       : search_and_send_with_control(fd, theirs, flags, socket);
}

} // namespace

[[gnu::cold, gnu::noinline]] ssize_t detail::fail(const Call& call) {
    // While this call waited, another thread may have put something else in the socket's place.
    if (!sockets::get(call.fd).is(Socket::Kind::ours))
        return fail_as_made(call);
    // sendmsg() refuses these before it has done anything, and sendto() treats them in another way. On a
    // descriptor that was closed behind our back, sendto() may find a bad buffer first.
    if (call.is_sendto() &&
        (errno == EBADF || call.data.iov_len > maximum_length || (call.flags & msg_cmsg_compat) != 0)) {
        const ssize_t sent = send_as_made(call);
        if (sent >= 0)
            errno = call.errno_before;
        return sent;
    }
    ssize_t sent = -1;
    if (probe::allows_now(call.fd, call.ours))
        sent = libc::sendmsg(call.fd, &call.ours, call.flags);
    if (sent < 0) {
        const bool may_succeed_later = detail::may_succeed_later();
        if (is_filtered() || probe::fails_after(call.fd, call.ours))
            sent = send_as_made(call);
        if (sent < 0)
            return fail_as_made(call);
        if (!may_succeed_later)
            note_refusal(call.fd, call.ours);
    }
    errno = call.errno_before;
    return sent;
}

[[gnu::hot, gnu::noinline]] ssize_t detail::check_and_send(Call& call, Socket socket) {
    // Here the kernel refuses a length that it would cut in a message.
    if (call.ours.msg_namelen > sizeof(sockaddr_storage) ||
        !may_be_answered(call.ours.msg_name, call.ours.msg_namelen)) [[unlikely]]
        return send_as_made(call);
    call.ours.msg_controllen = 0;
    return search_and_send(call, socket, {});
}

[[gnu::hot]] ssize_t message(int fd, const msghdr* theirs, int flags, Socket socket) {
    Call call;
    Source source;
    if (user_memory::last.sent.is_known_readable(theirs, sizeof(mmsghdr)) && theirs->msg_controllen == 0 &&
        user_memory::last.name.is_known_readable(theirs->msg_name, sizeof(sockaddr_in6)) &&
        peers::Turn{}.answer_again(socket, theirs->msg_name, theirs->msg_namelen, source, call.errno_before))
        [[likely]] {
        call.fd = fd;
        call.flags = flags;
        call.theirs = theirs;
        control::replace_control(*theirs, call.ours, const_cast<void*>(source.messages), source.length);
        return detail::send(call, fd, flags);
    }
    return check_and_send(fd, theirs, flags, socket);
}

} // namespace multihome::send
