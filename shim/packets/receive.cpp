// SPDX-License-Identifier: MIT
#include "shim/packets/receive.hpp"

#include "shim/base/scratch.hpp"
#include "shim/packets/received.hpp"
#include "shim/peers/usual.hpp"

#include <cerrno>

namespace multihome::receive {

namespace detail {

namespace {

// Finishes a call that brought something out of the usual.
[[gnu::noinline]] ssize_t finish_unusual(const Call& call) {
    const Socket socket{call.word};
    if ((call.flags & MSG_ERRQUEUE) != 0) {
        tell(socket, call.ours, call.theirs, call.name_length);
        return call.received;
    }
    const bool is_peek = (call.flags & MSG_PEEK) != 0;
    if (!is_peek && peers::Turn{}.becomes_usual(socket))
        return finish(call);
    peers::Turn turn;
    turn.begin_receiving(socket, call.fd);
    if (is_peek)
        turn.begin_peek();
    if (hear_unusual(turn, socket, call.fd, call.ours, call.theirs, call.name_length))
        turn.count(socket, Counter::requests);
    if (is_peek)
        turn.end_peek();
    return call.received;
}

// Finishes a call whose datagram may change what is known of its conversation. `hash`, `found`: as
// Turn::hear_alone() wrote them.
template <typename Family>
[[gnu::noinline]] ssize_t finish_hashed(const Call& call, uint64_t hash, ConversationTable::Entry found) {
    const Socket socket{call.word};
    {
        peers::Turn turn;
        turn.begin_receiving(socket, call.fd);
        if (turn.hear_hashed<Family>(socket, call.ours, hash, found)) [[likely]] {
            turn.count(socket, Counter::requests);
            tell_usual(call.ours, call.theirs, call.name_length);
            return call.received;
        }
    }
    return finish_unusual(call);
}

} // namespace

// All that is not heard here is left by a tail call: so the usual datagram saves no registers for it.
template <typename Family>
[[gnu::hot, gnu::noinline]] ssize_t finish_form(const Call& call) {
    const Socket socket{call.word};
    uint64_t hash = 0;
    ConversationTable::Entry found;
    if (peers::Turn{}.hear_alone<Family>(socket, call.ours, false, hash, found) !=
        peers::Turn::Heard::not_yet) [[likely]] {
        tell_usual(call.ours, call.theirs, call.name_length);
        return call.received;
    }
    return hash != 0 ? finish_hashed<Family>(call, hash, found) : finish_unusual(call);
}

[[gnu::hot, gnu::noinline]] ssize_t finish(const Call& call) {
    if ((call.flags & (MSG_PEEK | MSG_ERRQUEUE)) != 0) [[unlikely]]
        return finish_unusual(call);
    return peers::with_form(
        call.ours, *call.name_length,
        [&]<typename Family>(Family) __attribute__((always_inline)) { return finish_form<Family>(call); },
        [&]() __attribute__((always_inline)) { return finish_unusual(call); });
}

[[gnu::cold, gnu::noinline]] ssize_t fail(const Call& call) {
    // Somebody closed the descriptor behind our back: recvfrom() may find a bad buffer before it finds that.
    // Or a filter of a sandbox, which we do not see, refuses recvmsg() alone.
    if (call.theirs == nullptr && (errno == EBADF || errno == EPERM || errno == ENOSYS))
        return libc::recvfrom(call.fd, call.ours.msg_iov->iov_base, call.ours.msg_iov->iov_len, call.flags,
                              static_cast<sockaddr*>(call.ours.msg_name), call.name_length);
    // Where newer kernels cannot write the address, they have written its length.
    if (errno == EFAULT && *call.name_length != call.ours.msg_namelen)
        *call.name_length = call.ours.msg_namelen;
    note_failure(Socket{call.word}, call.fd, call.flags);
    return -1;
}

[[gnu::hot, gnu::noinline]] ssize_t check_and_receive(int fd, void* buffer, size_t length, int flags,
                                                      sockaddr* address, socklen_t* address_length) {
    // Without an address there is nobody to answer, and without a control buffer nothing to hide.
    if ((flags & (MSG_ERRQUEUE | msg_cmsg_compat)) != 0 || address == nullptr ||
        !user_memory::can_write(address_length, sizeof *address_length) || !may_be_peer(*address_length))
        [[unlikely]]
        return libc::recvfrom(fd, buffer, length, flags, address, address_length);
    const Socket socket = sockets::get(fd);
    if (!socket.is(Socket::Kind::ours)) [[unlikely]] // another thread has closed it
        return libc::recvfrom(fd, buffer, length, flags, address, address_length);
    return receive_datagram(socket, fd, buffer, length, flags, address, address_length, false);
}

} // namespace detail

namespace {

using detail::control_room;

// A program's control buffer up to this size is matched by one on our stack.
constexpr size_t small_control = 512;

// Makes a recvmsg(). `control`: `room` bytes. `is_usual`: see detail::receive().
[[gnu::always_inline]] inline ssize_t receive_message(Socket socket, int fd, msghdr* theirs, int flags,
                                                      void* control, size_t room, bool is_usual) {
    detail::Call call;
    control::replace_control(*theirs, call.ours, control, room);
    call.theirs = theirs;
    call.name_length = &theirs->msg_namelen;
    call.word = socket.word();
    call.fd = fd;
    call.flags = flags;
    return detail::receive(call, is_usual);
}

// A function of its own: most messages need no such room on the stack.
[[gnu::hot, gnu::noinline]] ssize_t receive_with_control(Socket socket, int fd, msghdr* theirs, int flags) {
    Scratch scratch;
    alignas(cmsghdr) unsigned char small[small_control + control_room];
    size_t wanted = detail::control_length(*theirs);
    void* control = wanted <= sizeof small ? small : scratch.take(wanted);
    if (control == nullptr) {
        // There is no memory for all that the program has room for. Our stack does for nearly all datagrams.
        control = small;
        wanted = sizeof small;
    }
    return receive_message(socket, fd, theirs, flags, control, wanted, false);
}

[[gnu::hot, gnu::noinline]] ssize_t check_and_receive(int fd, msghdr* theirs, int flags, Socket socket) {
    if (theirs == nullptr || !user_memory::can_write(theirs, sizeof *theirs)) [[unlikely]]
        return libc::recvmsg(fd, theirs, flags);
    if (theirs->msg_controllen != 0)
        return receive_with_control(socket, fd, theirs, flags);
    alignas(cmsghdr) unsigned char control[control_room];
    return receive_message(socket, fd, theirs, flags, control, sizeof control, false);
}

} // namespace

[[gnu::hot]] ssize_t message(int fd, msghdr* theirs, int flags, Socket socket) {
    if ((flags & (MSG_PEEK | MSG_ERRQUEUE)) != 0 ||
        !user_memory::last.received.is_known_writable(theirs, sizeof(mmsghdr)) ||
        theirs->msg_controllen != 0 || theirs->msg_name == nullptr || !may_be_peer(theirs->msg_namelen))
        [[unlikely]]
        return check_and_receive(fd, theirs, flags, socket);
    alignas(cmsghdr) unsigned char control[control_room];
    return receive_message(socket, fd, theirs, flags, control, sizeof control, true);
}

} // namespace multihome::receive
