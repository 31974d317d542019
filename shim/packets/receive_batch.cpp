// SPDX-License-Identifier: MIT
//
// recvmmsg(): the way of receive.cpp, for several messages at once.
#include "shim/packets/receive.hpp"

#include "shim/base/permissions.hpp"
#include "shim/base/scratch.hpp"
#include "shim/packets/received.hpp"
#include "shim/peers/usual.hpp"
#include "shim/sockets/socket_calls.hpp"

#include <algorithm>
#include <cerrno>

namespace multihome::receive {

namespace {

using detail::control_room;

// We copy up to this many messages on the stack.
constexpr unsigned small_batch = 8;
// We hand up to this many to the kernel at once. The kernel itself knows no limit here.
constexpr unsigned maximum_batch = 1024;
// There is room for all of them where the program takes no control messages, and always for one that does.
constexpr size_t all_headers = (maximum_batch + 1) * sizeof(mmsghdr);
static_assert(maximum_batch * control_room + all_headers <= Scratch::size);
static_assert(detail::enough_control + control_room + all_headers <= Scratch::size);

// Copies the messages to `memory`, and leaves room for one more. The control buffers, which are ours, follow.
// Returns how many fit into `size` bytes. All fit where the program has no room for control messages.
[[gnu::hot]] unsigned prepare(const mmsghdr* messages, unsigned count, void* memory, size_t size) {
    auto* const ours = static_cast<mmsghdr*>(memory);
    auto* control = static_cast<unsigned char*>(memory) + (count + size_t{1}) * sizeof(mmsghdr);
    const unsigned char* const end = static_cast<unsigned char*>(memory) + size;
    // Most programs have no room for control messages. Theirs all fit, so this loop does not check the room.
    size_t wanted = 0;
    const auto copy = [&](unsigned index) __attribute__((always_inline)) {
        const msghdr& theirs = messages[index].msg_hdr;
        wanted |= theirs.msg_controllen;
        control::replace_control(theirs, ours[index].msg_hdr, control + index * control_room, control_room);
    };
    unsigned index = 0;
    for (; count - index >= 4; index += 4) {
        copy(index);
        copy(index + 1);
        copy(index + 2);
        copy(index + 3);
    }
    for (; index < count; ++index)
        copy(index);
    if (wanted == 0) [[likely]]
        return count;
    for (index = 0; index < count; ++index) {
        const msghdr& theirs = messages[index].msg_hdr;
        const size_t room = theirs.msg_controllen == 0 ? control_room : detail::control_length(theirs);
        if (room > static_cast<size_t>(end - control))
            return index;
        control::replace_control(theirs, ours[index].msg_hdr, control, room);
        control += room;
    }
    return count;
}

// Returns the memory in which all of them fit.
size_t space_for(const mmsghdr* messages, unsigned count) {
    size_t space = all_headers;
    for (unsigned index = 0; index < count; ++index)
        space += detail::control_length(messages[index].msg_hdr);
    return space;
}

// Hears the only datagram that a call for many brought, and counts it. False: it has to be heard in another
// way. `room`: for the peer's address.
[[gnu::always_inline]] inline bool hears_one(peers::Turn& turn, Socket socket, const msghdr& message,
                                             socklen_t room) {
    return peers::with_form(
        message, room,
        [&]<typename Family>(Family) __attribute__((always_inline)) {
            uint64_t hash = 0;
            ConversationTable::Entry found;
            return turn.hear_alone<Family>(socket, message, true, hash, found) != peers::Turn::Heard::not_yet;
        },
        []() __attribute__((always_inline)) { return false; });
}

// Hears what came in `ours`, and tells the program in its `messages`. `goes_on`: the program's call has
// brought others before. A function of its own, so that its loop has the registers for itself.
[[gnu::hot, gnu::noinline]] void finish_batch(Socket socket, int fd, const mmsghdr* ours, mmsghdr* messages,
                                              unsigned received, int flags, bool goes_on) {
    if ((flags & MSG_ERRQUEUE) != 0) [[unlikely]] {
        for (unsigned index = 0; index < received; ++index) {
            messages[index].msg_len = ours[index].msg_len;
            msghdr& theirs = messages[index].msg_hdr;
            detail::tell(socket, ours[index].msg_hdr, &theirs, &theirs.msg_namelen);
        }
        return;
    }
    peers::Turn turn;
    if (msghdr& theirs = messages->msg_hdr; received == 1 && (flags & MSG_PEEK) == 0 && !goes_on &&
                                            hears_one(turn, socket, ours->msg_hdr, theirs.msg_namelen))
        [[likely]] {
        messages->msg_len = ours->msg_len;
        detail::tell_usual(ours->msg_hdr, &theirs, &theirs.msg_namelen);
        return;
    }
    if (goes_on) [[unlikely]]
        turn.go_on_with_batch();
    else
        turn.begin_batch(received > 1);
    if ((flags & MSG_PEEK) != 0) [[unlikely]]
        turn.begin_peek();
    peers::Listening listening{turn, socket};
    unsigned heard = received;
    for (unsigned index = 0; index < received; ++index) {
        messages[index].msg_len = ours[index].msg_len;
        const msghdr& message = ours[index].msg_hdr;
        msghdr& theirs = messages[index].msg_hdr;
        if (listening.hear(message, theirs.msg_namelen)) [[likely]]
            detail::tell_usual(message, &theirs, &theirs.msg_namelen);
        else if (!detail::hear_unusual(turn, socket, fd, message, &theirs, &theirs.msg_namelen))
            --heard;
    }
    if (heard != 0)
        turn.count(socket, Counter::requests, heard);
    if ((flags & MSG_PEEK) != 0) [[unlikely]]
        turn.end_peek();
}

// Returns how many of these messages can be written, up to the first that cannot. Of a message that reaches
// into another page, both have to be there.
unsigned writable_messages(mmsghdr* messages, unsigned count) {
    unsigned writable = 0;
    while (writable < count && user_memory::can_write(messages + writable, sizeof *messages))
        ++writable;
    return writable;
}

// Makes `message` one that the kernel cannot reach. It stops there, and where it has received others, it
// keeps the error for the socket's next call (do_recvmmsg() in its net/socket.c).
void make_unreachable(mmsghdr& message) {
    message = {};
    message.msg_hdr.msg_iovlen = 1;
}

// As recvmmsg(), for as many messages as there is room for. Writes that number to `batch`, and one more where
// the next message cannot be reached; 0 where it made the call as the program made it. `goes_on`: as for
// finish_batch().
[[gnu::always_inline]] inline int receive_batch(Socket socket, int fd, mmsghdr* messages, unsigned count,
                                                int flags, timespec* timeout, bool goes_on, unsigned& batch) {
    unsigned wanted = messages != nullptr ? std::min(count, maximum_batch) : 0;
    bool is_cut = false;
    if (wanted != 0 && !user_memory::can_write(messages, wanted * sizeof *messages)) {
        // The kernel fills those that it can reach.
        wanted = writable_messages(messages, wanted);
        is_cut = true;
    }
    struct Small {
        mmsghdr messages[small_batch + 1];
        alignas(cmsghdr) unsigned char control[small_batch * control_room];
    } small;
    Scratch scratch;
    void* memory = &small;
    batch = wanted <= small_batch ? prepare(messages, wanted, memory, sizeof small) : 0;
    const auto prepare_in = [&](size_t size) {
        memory = scratch.take(size);
        batch = memory != nullptr ? prepare(messages, wanted, memory, size) : 0;
    };
    if (batch < wanted)
        prepare_in(Scratch::size);
    if (batch != 0 && batch < wanted) [[unlikely]] {
        prepare_in(space_for(messages, wanted));
        if (memory == nullptr)
            prepare_in(Scratch::size);
    }
    if (batch == 0) {
        memory = &small;
        batch = prepare(messages, std::min(wanted, small_batch), memory, sizeof small);
    }
    if (wanted == 0)
        return libc::recvmmsg(fd, messages, count, flags, timeout);
    if (batch == 0) { // no memory for what the first one takes: cut
        control::replace_control(messages->msg_hdr, small.messages->msg_hdr, small.control,
                                 sizeof small.control);
        batch = 1;
    }

    auto* ours = static_cast<mmsghdr*>(memory);
    if (is_cut && batch == wanted) [[unlikely]]
        make_unreachable(ours[batch++]);
    const int received = libc::recvmmsg(fd, ours, batch, flags, timeout);
    if (received >= 0) {
        finish_batch(socket, fd, ours, messages, static_cast<unsigned>(received), flags, goes_on);
    } else {
        detail::note_failure(socket, fd, flags);
    }
    // The kernel may have stopped at a message whose name it could not write: see detail::fail().
    const unsigned next = received < 0 ? 0 : static_cast<unsigned>(received);
    if (next < std::min(batch, wanted) &&
        messages[next].msg_hdr.msg_namelen != ours[next].msg_hdr.msg_namelen)
        messages[next].msg_hdr.msg_namelen = ours[next].msg_hdr.msg_namelen;
    return received;
}

// As recvmmsg().
[[gnu::hot, gnu::noinline]] int several_messages(int fd, mmsghdr* messages, unsigned count, int flags,
                                                 timespec* timeout, Socket socket) {
    // The kernel gets a copy of the time. Where it cannot write back what is left, the call fails although
    // messages have come, and nobody tells us how many.
    timespec left;
    timespec* const ours = timeout != nullptr ? &left : nullptr;
    if (timeout != nullptr) {
        if (!user_memory::can_read(timeout, sizeof *timeout))
            return libc::recvmmsg(fd, messages, count, flags, timeout);
        left = *timeout;
    }
    int errno_before = 0;
    unsigned done = 0;
    for (unsigned batch = 0;;) {
        const int received =
            receive_batch(socket, fd, messages + done, count - done, flags, ours, done != 0, batch);
        if (received > 0)
            done += static_cast<unsigned>(received);
        else if (done == 0)
            return received;
        else if (received < 0)
            errno = errno_before; // others have come, so the call has not failed
        // There is more to do only if we had no room for all of them.
        if (received <= 0 || static_cast<unsigned>(received) < batch || batch == 0 || done == count ||
            (timeout != nullptr && left.tv_sec == 0 && left.tv_nsec == 0)) [[likely]]
            break;
        if ((flags & MSG_WAITFORONE) != 0)
            flags |= MSG_DONTWAIT;
        errno_before = errno;
    }
    if (timeout != nullptr && !user_memory::can_write(timeout, sizeof *timeout)) {
        errno = EFAULT;
        return -1;
    }
    if (timeout != nullptr)
        *timeout = left;
    return static_cast<int>(done);
}

// The recvmsg() failed that stands for a recvmmsg(). That one looks for a pending error before it looks at
// the message. Any other error was the socket's.
[[gnu::cold, gnu::noinline]] int fail_alone(int fd) {
    const bool is_of_message = errno == EFAULT || errno == EMSGSIZE || errno == EINVAL || errno == ENOMEM;
    if (!is_of_message || !permissions::may(Activity::new_sockets))
        return -1;
    const int failed = errno;
    const int pending = socket_calls::read(fd, SOL_SOCKET, SO_ERROR);
    errno = pending != 0 ? pending : failed;
    return -1;
}

} // namespace

[[gnu::hot]] int messages(int fd, mmsghdr* messages, unsigned count, int flags, timespec* timeout,
                          Socket socket) {
    // As the kernel does it: room for one message is a recvmsg() (do_recvmmsg() in its net/socket.c).
    if (count != 1 || timeout != nullptr || (flags & (MSG_PEEK | MSG_ERRQUEUE | msg_cmsg_compat)) != 0 ||
        !user_memory::last.received.is_known_writable(messages, sizeof *messages))
        return several_messages(fd, messages, count, flags, timeout, socket);
    const ssize_t received = message(fd, &messages->msg_hdr, flags & ~MSG_WAITFORONE, socket);
    if (received < 0) [[unlikely]]
        return fail_alone(fd);
    messages->msg_len = static_cast<unsigned>(received);
    return 1;
}

} // namespace multihome::receive
