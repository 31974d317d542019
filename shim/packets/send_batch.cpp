// SPDX-License-Identifier: MIT
//
// sendmmsg(): the way of send.cpp, for several messages at once.
#include "shim/packets/send.hpp"

#include "shim/base/kernel_constants.hpp"
#include "shim/base/scratch.hpp"
#include "shim/packets/answer.hpp"
#include "shim/packets/probe.hpp"

#include <algorithm>
#include <cerrno>
#include <span>
#include <sys/syscall.h>

namespace multihome::send {

namespace {

// We copy up to this many messages on the stack.
constexpr unsigned small_batch = 4;
constexpr unsigned maximum_batch = 1024; // UIO_MAXIOV: the kernel looks at no more

bool has_source(const msghdr& ours, const msghdr& theirs) {
    return ours.msg_control != theirs.msg_control;
}

// Copies the messages to `ours`, each with its source where it has one; not always their msg_flags, of which
// the kernel takes MSG_EOR alone, and UDP not even that (__sys_sendmmsg() in its net/socket.c). `room` has
// control_space() bytes for each. Returns what errno is now. A function of its own, so that its loop has the
// registers for itself.
[[gnu::hot, gnu::noinline]] int prepare(Socket socket, const mmsghdr* messages, mmsghdr* ours, unsigned batch,
                                        std::span<unsigned char> room) {
    peers::Turn turn;
    peers::Answering answering{turn, socket};
    unsigned answered = batch;
    user_memory::ReadablePage page;
    for (unsigned index = 0; index < batch; ++index) {
        const msghdr& theirs = messages[index].msg_hdr;
        msghdr& message = ours[index].msg_hdr;
        SourceRoom built;
        Source source;
        const void* const name = theirs.msg_name;
        const socklen_t length = theirs.msg_namelen;
        if (may_be_peer(length) && (page.has(name, sizeof(sockaddr_in6)) ||
                                    page.can_read(name, detail::readable_length(length)))) [[likely]]
            source = answering.source_for(name, length, built);
        // What was built here lasts no longer than this turn of the loop.
        if (source && theirs.msg_controllen == 0 && source.messages != built.bytes) [[likely]] {
            control::replace_control(theirs, message, const_cast<void*>(source.messages), source.length);
            continue;
        }
        message = theirs;
        if (!source)
            --answered;
        else if (detail::append_source(message, source, room))
            room = room.subspan(CMSG_ALIGN(message.msg_controllen));
    }
    if (answered != 0)
        turn.count(socket, Counter::answered, answered);
    return turn.error_number();
}

// A system call of our own, because libc's function is a cancellation point, and others have been sent. A
// signal may have ended their waiting.
int send_without_waiting(int fd, mmsghdr* messages, unsigned count, int flags) {
    return static_cast<int>(libc::checked_syscall(SYS_sendmmsg, fd, messages, count, flags | MSG_DONTWAIT));
}

// True where another thread has put something else in the socket's place, while a call waited.
[[gnu::cold, gnu::noinline]] bool is_replaced(int fd, Socket socket) {
    const Socket now = sockets::get(fd);
    return now.kind() != socket.kind() || now.made() != socket.made() || now.port() != socket.port();
}

// As sendmmsg(), for the messages with their sources in `ours`. Returns how many it sent. Where it sent some,
// errno is as before.
unsigned send_prepared(Socket socket, int fd, mmsghdr* messages, mmsghdr* ours, unsigned batch, int flags,
                       int errno_before) {
    unsigned done = 0;
    bool has_stopped = false;
    bool is_tried_again = false;
    // The index of a message that goes once more as the program made it, and that message with its source.
    unsigned again = batch;
    msghdr refused;
    for (;;) {
        const int sent = is_tried_again ? send_without_waiting(fd, ours + done, batch - done, flags)
                                        : libc::sendmmsg(fd, ours + done, batch - done, flags);
        is_tried_again = false;
        const mmsghdr* const end = ours + done + std::max(sent, 0);
        mmsghdr* theirs = messages + done;
#pragma GCC unroll 4
        for (const mmsghdr* message = ours + done; message != end; ++message, ++theirs)
            theirs->msg_len = message->msg_len;
        done = static_cast<unsigned>(end - ours);
        if (again < done) {
            detail::note_refusal(fd, refused);
            again = batch;
        }
        if (done == batch)
            break;
        has_stopped = true;
        // The kernel stopped at a message. If the source that we added is the reason, the program's own call
        // would have gone on.
        msghdr& stopped = ours[done].msg_hdr;
        if (!has_source(stopped, messages[done].msg_hdr))
            break;
        if (is_replaced(fd, socket))
            break;
        if (sent >= 0) {
            // Where it had sent others, the kernel does not tell why it stopped. The next call does. It
            // stops at parts of datagrams for their own reasons, and behind each probe.
            is_tried_again = (flags & (MSG_MORE | msg_probe)) == 0 && !probe::shows_another_try(fd);
            if (!is_tried_again)
                break;
            continue;
        }
        if (probe::allows_now(fd, stopped))
            continue;
        if (!detail::is_filtered() && !probe::fails_after(fd, stopped))
            break;
        again = detail::may_succeed_later() ? batch : done;
        refused = stopped;
        stopped = messages[done].msg_hdr;
    }
    if (has_stopped && done != 0)
        errno = errno_before;
    return done;
}

// The messages from `done` on were not sent.
[[gnu::cold]] void rest_not_sent(int fd, const mmsghdr* messages, const mmsghdr* ours, unsigned done,
                                 unsigned batch) {
    const libc::ErrnoGuard keep_errno;
    peers::Turn turn;
    // Backwards, because each takes back the last answer of its conversation.
    for (unsigned index = batch; index > done; --index)
        if (const msghdr& unsent = ours[index - 1].msg_hdr;
            detail::may_be_answered(unsent.msg_name, unsent.msg_namelen))
            detail::not_sent(turn, fd, unsent, false,
                             has_source(unsent, messages[index - 1].msg_hdr)
                                 ? control::read_source(unsent.msg_control, unsent.msg_controllen)
                                 : Local{});
}

int several_messages(int fd, mmsghdr* messages, unsigned count, int flags, Socket socket);

// As sendmmsg(), a few at a time: there is no memory for all of them.
[[gnu::cold, gnu::noinline]] int few_at_a_time(int fd, mmsghdr* messages, unsigned count, int flags,
                                               Socket socket) {
    const int errno_before = errno;
    unsigned done = 0;
    while (done < count) {
        const unsigned few = std::min(count - done, small_batch);
        const int sent = several_messages(fd, messages + done, few, flags, socket);
        if (sent > 0)
            done += static_cast<unsigned>(sent);
        if (sent != static_cast<int>(few))
            break;
    }
    if (done == 0)
        return -1;
    errno = errno_before;
    return static_cast<int>(done);
}

// As sendmmsg().
[[gnu::hot, gnu::noinline]] int several_messages(int fd, mmsghdr* messages, unsigned count, int flags,
                                                 Socket socket) {
    const unsigned batch = std::min(count, maximum_batch);
    if ((flags & msg_cmsg_compat) != 0 || batch == 0 || messages == nullptr ||
        !user_memory::can_write(messages, batch * sizeof *messages)) [[unlikely]]
        return libc::sendmmsg(fd, messages, count, flags);
    size_t any_control = 0;
#pragma GCC unroll 4 // half of the instructions; below as well
    for (unsigned index = 0; index < batch; ++index)
        any_control |= messages[index].msg_hdr.msg_controllen;
    size_t control_total = batch * control::own_space;
    if (any_control != 0) [[unlikely]]
        for (unsigned index = 0; index < batch; ++index)
            control_total += detail::control_space(messages[index].msg_hdr) - control::own_space;
    struct Small {
        mmsghdr messages[small_batch];
        alignas(cmsghdr) unsigned char control[small_batch * control::own_space];
    } small;
    Scratch scratch;
    const size_t wanted = batch * sizeof(mmsghdr) + control_total;
    void* memory = wanted <= sizeof small ? &small : scratch.take(wanted);
    if (memory == nullptr)
        return batch > small_batch ? few_at_a_time(fd, messages, batch, flags, socket)
                                   : libc::sendmmsg(fd, messages, batch, flags);

    auto* ours = static_cast<mmsghdr*>(memory);
    const int errno_before =
        prepare(socket, messages, ours, batch,
                {static_cast<unsigned char*>(memory) + batch * sizeof(mmsghdr), control_total});
    const unsigned done = send_prepared(socket, fd, messages, ours, batch, flags, errno_before);
    if (done < batch)
        rest_not_sent(fd, messages, ours, done, batch);
    return done != 0 ? static_cast<int>(done) : -1;
}

} // namespace

[[gnu::hot]] int messages(int fd, mmsghdr* messages, unsigned count, int flags, Socket socket) {
    // As the kernel does it: one message is a sendmsg() (__sys_sendmmsg() in its net/socket.c).
    if (count != 1 || (flags & msg_cmsg_compat) != 0 ||
        !user_memory::last.sent_batch.is_known_writable(messages, sizeof *messages))
        return several_messages(fd, messages, count, flags, socket);
    const ssize_t sent = message(fd, &messages->msg_hdr, flags, socket);
    if (sent < 0)
        return -1;
    messages->msg_len = static_cast<unsigned>(sent);
    return 1;
}

} // namespace multihome::send
