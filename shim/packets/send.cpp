// SPDX-License-Identifier: MIT
#include "shim/packets/send.hpp"

#include "shim/base/kernel_constants.hpp"
#include "shim/base/scratch.hpp"
#include "shim/packets/answer.hpp"
#include "shim/packets/probe.hpp"

#include <cerrno>

namespace multihome::send {

namespace {

// find_source() for one datagram, behind the quick look. Counts the answer. Writes what errno is now to
// `errno_before`.
[[gnu::always_inline]] inline Source find_source_alone(int fd, const void* address, socklen_t length,
                                                       SourceRoom& room, int& errno_before) {
    // Once more: another thread may have closed it meanwhile.
    const Socket socket = sockets::get(fd);
    if (!socket.is(Socket::Kind::ours)) [[unlikely]]
        return {};
    peers::Turn turn;
    errno_before = turn.error_number();
    const Source source = detail::find_source(turn, socket, address, length, room);
    if (source)
        turn.count(socket, Counter::answered);
    return source;
}

// The call failed, and the program gets to know. What it sends next is the same answer once more.
[[gnu::cold]] ssize_t fail_as_made(int fd, const msghdr& ours) {
    const libc::ErrnoGuard keep_errno;
    peers::Turn turn;
    detail::not_sent(turn, fd, ours, true);
    return -1;
}

// A call with a source of ours failed. `send_as_made` makes the call as the program made it.
template <typename Call, typename AsMade>
ssize_t fail_with_source(const Call& call, AsMade send_as_made) {
    ssize_t sent = -1;
    if (probe::allows_now(call.fd, call.ours))
        sent = libc::sendmsg(call.fd, &call.ours, call.flags);
    if (sent < 0) {
        const bool may_succeed_later = detail::may_succeed_later();
        if (detail::is_filtered() || probe::fails_after(call.fd, call.ours))
            sent = send_as_made();
        if (sent < 0)
            return fail_as_made(call.fd, call.ours);
        if (!may_succeed_later)
            detail::note_refusal(call.fd, call.ours);
    }
    errno = call.errno_before;
    return sent;
}

} // namespace

namespace detail {

// The call as the program made it.
static ssize_t send_as_made(const DatagramCall& call) {
    return libc::sendto(call.fd, call.data.iov_base, call.data.iov_len, call.flags,
                        static_cast<const sockaddr*>(call.ours.msg_name), call.ours.msg_namelen);
}

[[gnu::cold, gnu::noinline]] ssize_t fail(const DatagramCall& call) {
    // sendmsg() refuses these before it has done anything, and sendto() treats them in another way. On a
    // descriptor that was closed behind our back, sendto() may find a bad buffer first.
    if (errno == EBADF || call.data.iov_len > maximum_length || (call.flags & msg_cmsg_compat) != 0) {
        const ssize_t sent = send_as_made(call);
        if (sent >= 0)
            errno = call.errno_before;
        return sent;
    }
    return fail_with_source(call, [&] { return send_as_made(call); });
}

[[gnu::hot, gnu::noinline]] ssize_t search_and_send(DatagramCall& call) {
    const socklen_t length = call.ours.msg_namelen;
    // Here the kernel refuses a length that it would cut in a message.
    const bool is_peer = length <= sizeof(sockaddr_storage) && may_be_answered(call.ours.msg_name, length);
    SourceRoom room;
    Source source;
    int errno_before = 0;
    if (is_peer) [[likely]]
        source = find_source_alone(call.fd, call.ours.msg_name, length, room, errno_before);
    if (source) [[likely]]
        return send(call, call.fd, call.flags, source, errno_before);
    const ssize_t sent = send_as_made(call);
    return sent >= 0 || !is_peer ? sent : fail_as_made(call.fd, call.ours);
}

} // namespace detail

namespace {

// A program's control messages up to this size are copied on the stack.
constexpr size_t small_control = 512;

// A sendmsg() under way, with our control messages.
struct MessageCall {
    int fd;
    int flags;
    int errno_before; // what errno is again if a second call succeeds
    const msghdr* theirs;
    msghdr ours;
};

[[gnu::cold, gnu::noinline]] ssize_t fail(const MessageCall& call) {
    return fail_with_source(call, [&] { return libc::sendmsg(call.fd, call.theirs, call.flags); });
}

// Makes the sendmsg() with a source.
[[gnu::always_inline]] inline ssize_t send_from(const Source& source, int fd, const msghdr* theirs, int flags,
                                                int errno_before) {
    MessageCall call;
    control::replace_control(*theirs, call.ours, nullptr, 0);
    call.theirs = theirs;
    call.fd = fd;
    call.flags = flags;
    return detail::send(call, fd, flags, source, errno_before);
}

// `control`: control_space() bytes; null where the program has no control messages.
[[gnu::hot, gnu::noinline]] ssize_t search_and_send(int fd, const msghdr* theirs, int flags,
                                                    unsigned char* control) {
    SourceRoom room;
    int errno_before = 0;
    const Source source = find_source_alone(fd, theirs->msg_name, theirs->msg_namelen, room, errno_before);
    msghdr ours = *theirs;
    if (source && detail::add_source(ours, source, control)) [[likely]]
        return send_from({ours.msg_control, ours.msg_controllen}, fd, theirs, flags, errno_before);
    const ssize_t sent = libc::sendmsg(fd, theirs, flags);
    return sent >= 0 ? sent : fail_as_made(fd, *theirs);
}

// A function of its own: most messages need no such room on the stack.
[[gnu::noinline]] ssize_t search_and_send_with_control(int fd, const msghdr* theirs, int flags) {
    Scratch scratch;
    alignas(cmsghdr) unsigned char small[control::own_space + small_control];
    const size_t space = detail::control_space(*theirs);
    auto* const control = space <= sizeof small ? small : static_cast<unsigned char*>(scratch.take(space));
    return control != nullptr ? search_and_send(fd, theirs, flags, control)
                              : libc::sendmsg(fd, theirs, flags);
}

[[gnu::hot, gnu::noinline]] ssize_t check_and_send(int fd, const msghdr* theirs, int flags) {
    if ((flags & msg_cmsg_compat) != 0 || theirs == nullptr ||
        !user_memory::can_read(theirs, sizeof *theirs) ||
        !detail::may_be_answered(theirs->msg_name, theirs->msg_namelen)) [[unlikely]]
        return libc::sendmsg(fd, theirs, flags);
    return theirs->msg_controllen == 0 ? search_and_send(fd, theirs, flags, nullptr)
                                       : search_and_send_with_control(fd, theirs, flags);
}

} // namespace

[[gnu::hot]] ssize_t message(int fd, const msghdr* theirs, int flags, Socket socket) {
    Source source;
    int errno_before = 0;
    if (user_memory::is_known_readable(theirs, sizeof *theirs) && theirs->msg_controllen == 0 &&
        user_memory::is_known_readable(theirs->msg_name, sizeof(sockaddr_in6)) &&
        peers::Turn{}.answer_again(socket, theirs->msg_name, theirs->msg_namelen, source, errno_before))
        [[likely]]
        return send_from(source, fd, theirs, flags, errno_before);
    return check_and_send(fd, theirs, flags);
}

} // namespace multihome::send
