// SPDX-License-Identifier: MIT
#include "shim/packets/receive.hpp"

#include "shim/base/control.hpp"
#include "shim/base/kernel_constants.hpp"
#include "shim/base/libc.hpp"
#include "shim/base/scratch.hpp"
#include "shim/base/settings.hpp"
#include "shim/base/user_memory.hpp"
#include "shim/peers/peers.hpp"
#include "shim/peers/usual.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace multihome::receive {

namespace {

using detail::Call;
using detail::control_room;
using detail::takes_address;

// A program's control buffer up to this size is matched by one on our stack.
constexpr size_t small_control = 512;

// No datagram's messages take more than this, whatever room the program gives them. They are largest where it
// asks for IPv6 extension headers: a packet has 64 KiB of those at most, each of 8 bytes becomes a message of
// 24, and of the old form (RFC 2292) there are four more messages of up to 2 KiB. All others are small.
constexpr size_t enough_control = (size_t{3} * 64 + size_t{4} * 2 + 4) * 1024;
static_assert(CMSG_SPACE(8) == 3 * 8 || sizeof(size_t) == 4);
static_assert(enough_control + detail::control_room + 1024 * sizeof(mmsghdr) <= Scratch::size);

// Messages up to this many are copied on the stack.
constexpr unsigned small_batch = 8;
constexpr unsigned maximum_batch = 1024; // at once; the kernel itself knows no limit here
// With our control messages alone there is room for all of them.
static_assert(maximum_batch * (sizeof(mmsghdr) + detail::control_room) <= Scratch::size);

unsigned hidden_kinds(Socket socket) {
    return (socket.has(Socket::asked_ipv4) ? 0U : control::ipv4) |
           (socket.has(Socket::asked_ipv6) ? 0U : control::ipv6);
}

// The room that we give the kernel for the control messages of the program's `message` and ours.
size_t control_length(const msghdr& message) {
    const size_t theirs =
        message.msg_control != nullptr ? std::min(message.msg_controllen, enough_control) : 0;
    return CMSG_ALIGN(theirs + control_room);
}

// How many bytes from `memory` on can be written.
size_t writable_bytes(void* memory, size_t length) {
    if (user_memory::can_write(memory, length))
        return length;
    constexpr size_t page_size = 4096; // or a part of a larger page
    size_t done = 0;
    while (done < length) {
        auto* const next = static_cast<unsigned char*>(memory) + done;
        const size_t rest_of_page = page_size - reinterpret_cast<uintptr_t>(next) % page_size;
        const size_t piece = std::min(length - done, rest_of_page);
        if (!user_memory::can_write(next, piece))
            break;
        done += piece;
    }
    return done;
}

// The control messages that the program is to see, in its own buffer, as the kernel would have written them.
[[gnu::noinline]] void hand_over_control(Socket socket, const msghdr& ours, msghdr& theirs) {
    int flags = ours.msg_flags;
    const unsigned hide = hidden_kinds(socket);
    void* target = theirs.msg_control;
    const size_t room = theirs.msg_controllen;
    const size_t writable =
        target != nullptr && room != 0 && control::has_visible(ours.msg_control, ours.msg_controllen, hide)
            ? writable_bytes(target, std::min(room, ours.msg_controllen))
            : room;
    // Ours may have been cut, or have made others be cut; what counts is the program's own buffer.
    theirs.msg_controllen =
        control::hand_over(ours.msg_control, ours.msg_controllen, hide, target, room, flags, writable);
    theirs.msg_flags = flags;
}

// finish_datagram() for a datagram of no usual form.
[[gnu::noinline]] bool hear_unusual(peers::Turn& turn, Socket socket, int fd, const msghdr& ours,
                                    msghdr* theirs, socklen_t* name_length) {
    const socklen_t room = *name_length;
    *name_length = ours.msg_namelen;
    if (theirs != nullptr)
        hand_over_control(socket, ours, *theirs);
    const control::Arrival arrival = control::read(ours.msg_control, ours.msg_controllen,
                                                   {.with_interface = settings::get().same_interface});
    // What has come all the same is heard: the option may have been off for a while.
    if (arrival.found == control::none) [[unlikely]]
        sockets::verify(fd, socket);
    // One that was cut cannot be answered.
    return ours.msg_name != nullptr && ours.msg_namelen <= room && turn.hear(socket, fd, ours, arrival.local);
}

// The program is told what came in `ours`, but for control messages: there are none but ours.
[[gnu::always_inline]] inline void tell_usual(const msghdr& ours, msghdr* theirs, socklen_t* name_length) {
    *name_length = ours.msg_namelen;
    if (theirs != nullptr) {
        theirs->msg_controllen = 0;
        theirs->msg_flags = ours.msg_flags;
    }
}

// A datagram, or one of several: what came in `ours` is heard, and written to the program's message. `theirs`
// is null for recvfrom(), which has no room for control messages; `name_length` is where the program has the
// room for the peer's address, and gets its length. True: it counts as a request.
[[gnu::always_inline]] inline bool finish_datagram(peers::Turn& turn, Socket socket, int fd,
                                                   const msghdr& ours, msghdr* theirs,
                                                   socklen_t* name_length) {
    if (!turn.hear_usual(socket, fd, ours, *name_length)) [[unlikely]]
        return hear_unusual(turn, socket, fd, ours, theirs, name_length);
    tell_usual(ours, theirs, name_length);
    return true;
}

// The error queue has an order of its own, and tells nothing.
[[gnu::cold]] void finish_error(Socket socket, const msghdr& ours, msghdr* theirs, socklen_t* name_length) {
    *name_length = ours.msg_namelen;
    if (theirs != nullptr)
        hand_over_control(socket, ours, *theirs);
}

// A receive call has failed.
void note_failure(Socket socket, int flags) {
    if (errno == EAGAIN && (flags & MSG_ERRQUEUE) == 0)
        peers::Turn{}.drained(socket);
}

// What has come is out of the usual.
[[gnu::noinline]] ssize_t finish_unusual(const Call& call) {
    const Socket socket{call.word};
    if ((call.flags & MSG_ERRQUEUE) != 0) {
        finish_error(socket, call.ours, call.theirs, call.name_length);
        return call.received;
    }
    if ((call.flags & MSG_PEEK) == 0 && peers::Turn{}.becomes_usual(socket))
        return detail::finish(call);
    peers::Turn turn;
    turn.begin_receiving(socket);
    if ((call.flags & MSG_PEEK) != 0)
        turn.begin_peek();
    if (hear_unusual(turn, socket, call.fd, call.ours, call.theirs, call.name_length))
        turn.count(socket, Counter::requests);
    if ((call.flags & MSG_PEEK) != 0)
        turn.end_peek();
    return call.received;
}

// What has come may change what is known of its conversation.
template <typename Family>
[[gnu::noinline]] ssize_t finish_hashed(const Call& call, uint64_t hash, ConversationTable::Entry found) {
    const Socket socket{call.word};
    {
        peers::Turn turn;
        turn.begin_receiving(socket);
        if (turn.hear_hashed<Family>(socket, call.fd, call.ours, hash, found)) [[likely]] {
            turn.count(socket, Counter::requests);
            tell_usual(call.ours, call.theirs, call.name_length);
            return call.received;
        }
    }
    return finish_unusual(call);
}

} // namespace

namespace detail {

// What has come is of this family's form. All that is not heard here is a tail call, so that what is saves no
// registers for it.
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
    // Closed behind our back; recvfrom() may find the buffer bad before the descriptor.
    if (errno == EBADF && call.theirs == nullptr)
        return libc::recvfrom(call.fd, call.ours.msg_iov->iov_base, call.ours.msg_iov->iov_len, call.flags,
                              static_cast<sockaddr*>(call.ours.msg_name), call.name_length);
    // Where the address cannot be written, newer kernels have written its length.
    if (errno == EFAULT && *call.name_length != call.ours.msg_namelen)
        *call.name_length = call.ours.msg_namelen;
    note_failure(Socket{call.word}, call.flags);
    return -1;
}

[[gnu::hot, gnu::noinline]] ssize_t check_and_receive(int fd, void* buffer, size_t length, int flags,
                                                      sockaddr* address, socklen_t* address_length) {
    // Without an address there is nobody to answer, and without a control buffer nothing to hide.
    if (length > maximum_length || (flags & (MSG_ERRQUEUE | msg_cmsg_compat)) != 0 || address == nullptr ||
        !user_memory::can_write(address_length, sizeof *address_length) || !takes_address(*address_length))
        [[unlikely]]
        return libc::recvfrom(fd, buffer, length, flags, address, address_length);
    const Socket socket = sockets::get(fd);
    if (!socket.is(Socket::Kind::ours)) [[unlikely]] // another thread has closed it
        return libc::recvfrom(fd, buffer, length, flags, address, address_length);
    alignas(cmsghdr) unsigned char control[control_room];
    iovec data{buffer, length};
    Call call;
    begin(call, socket, fd, flags, address, address_length, data, control);
    return receive(call, false);
}

} // namespace detail

namespace {

// A recvmsg(). `control`: so many bytes as there is `room`.
[[gnu::always_inline]] inline void begin(Call& call, Socket socket, int fd, int flags, msghdr* theirs,
                                         void* control, size_t room) {
    control::replace_control(*theirs, call.ours, control, room);
    call.theirs = theirs;
    call.name_length = &theirs->msg_namelen;
    call.word = socket.word();
    call.fd = fd;
    call.flags = flags;
}

[[gnu::hot, gnu::noinline]] ssize_t check_and_receive(int fd, msghdr* theirs, int flags) {
    if (theirs == nullptr || !user_memory::can_write(theirs, sizeof *theirs)) [[unlikely]]
        return libc::recvmsg(fd, theirs, flags);
    const Socket socket = sockets::get(fd);
    if (!socket.is(Socket::Kind::ours)) [[unlikely]] // another thread has closed it
        return libc::recvmsg(fd, theirs, flags);
    Scratch scratch;
    alignas(cmsghdr) unsigned char small[small_control + control_room];
    size_t wanted = control_length(*theirs);
    void* control = wanted <= sizeof small ? small : scratch.take(wanted);
    if (control == nullptr) {
        // Without memory for all that the program has room for, what there is does for nearly all datagrams.
        control = small;
        wanted = sizeof small;
    }
    Call call;
    begin(call, socket, fd, flags, theirs, control, wanted);
    return detail::receive(call, false);
}

} // namespace

[[gnu::hot]] ssize_t message(int fd, msghdr* theirs, int flags, Socket socket) {
    if ((flags & (MSG_PEEK | MSG_ERRQUEUE)) != 0 || !user_memory::is_known_writable(theirs, sizeof *theirs) ||
        theirs->msg_controllen != 0 || theirs->msg_name == nullptr || !takes_address(theirs->msg_namelen))
        [[unlikely]]
        return check_and_receive(fd, theirs, flags);
    alignas(cmsghdr) unsigned char control[control_room];
    Call call;
    begin(call, socket, fd, flags, theirs, control, sizeof control);
    return detail::receive(call, true);
}

namespace {

// Copies the messages to `memory`, each with a control buffer of ours, as many of them as fit into `size`
// bytes with those. Where the program has no room for control messages, all do.
[[gnu::hot]] unsigned prepare(const mmsghdr* messages, unsigned count, void* memory, size_t size) {
    auto* const ours = static_cast<mmsghdr*>(memory);
    auto* control = static_cast<unsigned char*>(memory) + count * sizeof(mmsghdr);
    const unsigned char* const end = static_cast<unsigned char*>(memory) + size;
    // Most programs have no room for control messages: without a look at each one's end.
    const mmsghdr* from = messages;
    mmsghdr* to = ours;
    for (; from != messages + count && from->msg_hdr.msg_controllen == 0; ++from, ++to) {
        control::replace_control(from->msg_hdr, to->msg_hdr, control, control_room);
        control += control_room;
    }
    for (auto index = static_cast<unsigned>(from - messages); index < count; ++index) {
        const msghdr& theirs = messages[index].msg_hdr;
        const size_t room = theirs.msg_controllen == 0 ? control_room : control_length(theirs);
        if (room > static_cast<size_t>(end - control))
            return index;
        control::replace_control(theirs, ours[index].msg_hdr, control, room);
        control += room;
    }
    return count;
}

// A call for many has brought one. True: it is heard, and counted.
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

// What has come in `ours` is heard, and written to the program's messages. `goes_on`: the program's call has
// brought others before. A function of its own, so that its loop has the registers for itself.
[[gnu::hot, gnu::noinline]] void finish_batch(Socket socket, int fd, const mmsghdr* ours, mmsghdr* messages,
                                              unsigned received, int flags, bool goes_on) {
    if ((flags & MSG_ERRQUEUE) != 0) [[unlikely]] {
        for (unsigned index = 0; index < received; ++index) {
            messages[index].msg_len = ours[index].msg_len;
            msghdr& theirs = messages[index].msg_hdr;
            finish_error(socket, ours[index].msg_hdr, &theirs, &theirs.msg_namelen);
        }
        return;
    }
    peers::Turn turn;
    if (msghdr& theirs = messages->msg_hdr; received == 1 && (flags & MSG_PEEK) == 0 && !goes_on &&
                                            hears_one(turn, socket, ours->msg_hdr, theirs.msg_namelen))
        [[likely]] {
        messages->msg_len = ours->msg_len;
        tell_usual(ours->msg_hdr, &theirs, &theirs.msg_namelen);
        return;
    }
    if (goes_on) [[unlikely]]
        turn.go_on_with_batch();
    else
        turn.begin_batch(received > 1);
    if ((flags & MSG_PEEK) != 0) [[unlikely]]
        turn.begin_peek();
    unsigned heard = 0;
    for (unsigned index = 0; index < received; ++index) {
        messages[index].msg_len = ours[index].msg_len;
        msghdr& theirs = messages[index].msg_hdr;
        if (finish_datagram(turn, socket, fd, ours[index].msg_hdr, &theirs, &theirs.msg_namelen)) [[likely]]
            ++heard;
    }
    if (heard != 0)
        turn.count(socket, Counter::requests, heard);
    if ((flags & MSG_PEEK) != 0) [[unlikely]]
        turn.end_peek();
}

// As recvmmsg(), for as many messages as there is room for: `batch` says how many those are. It is 0 where
// the call was made as the program made it. `goes_on`: as for finish_batch().
[[gnu::always_inline]] inline int receive_batch(Socket socket, int fd, mmsghdr* messages, unsigned count,
                                                int flags, timespec* timeout, bool goes_on, unsigned& batch) {
    batch = std::min(count, maximum_batch);
    if (messages != nullptr && !user_memory::can_write(messages, batch * sizeof *messages))
        // The kernel fills those that it can reach.
        batch = static_cast<unsigned>(writable_bytes(messages, batch * sizeof *messages) / sizeof *messages);
    struct Small {
        mmsghdr messages[small_batch];
        alignas(cmsghdr) unsigned char control[small_batch * control_room];
    } small;
    Scratch scratch;
    void* memory = &small;
    const unsigned wanted = messages != nullptr ? batch : 0;
    batch = wanted <= small_batch ? prepare(messages, wanted, memory, sizeof small) : 0;
    if (batch < wanted) {
        if (void* area = scratch.take(Scratch::size); area != nullptr) {
            memory = area;
            batch = prepare(messages, wanted, memory, Scratch::size);
        } else {
            batch = prepare(messages, std::min(wanted, small_batch), memory, sizeof small);
        }
    }
    if (batch == 0)
        return libc::recvmmsg(fd, messages, count, flags, timeout);

    auto* ours = static_cast<mmsghdr*>(memory);
    const int received = libc::recvmmsg(fd, ours, batch, flags, timeout);
    if (received >= 0) {
        finish_batch(socket, fd, ours, messages, static_cast<unsigned>(received), flags, goes_on);
    } else {
        note_failure(socket, flags);
    }
    // The kernel may have stopped at a message whose name it could not write; see fail().
    const unsigned next = received < 0 ? 0 : static_cast<unsigned>(received);
    if (next < batch && messages[next].msg_hdr.msg_namelen != ours[next].msg_hdr.msg_namelen)
        messages[next].msg_hdr.msg_namelen = ours[next].msg_hdr.msg_namelen;
    return received;
}

// As recvmmsg().
[[gnu::hot, gnu::noinline]] int several_messages(int fd, mmsghdr* messages, unsigned count, int flags,
                                                 timespec* timeout, Socket socket) {
    // Where the kernel cannot write what is left of the time, the call fails although messages have come, and
    // nobody would tell us how many.
    timespec left;
    timespec* const ours = timeout != nullptr ? &left : nullptr;
    if (timeout != nullptr) {
        if (!user_memory::can_read(timeout, sizeof *timeout))
            return libc::recvmmsg(fd, messages, count, flags, timeout);
        left = *timeout;
    }
    const int errno_before = errno;
    unsigned done = 0;
    for (unsigned batch = 0;;) {
        const int received =
            receive_batch(socket, fd, messages + done, count - done, flags, ours, done != 0, batch);
        if (received > 0)
            done += static_cast<unsigned>(received);
        else if (done == 0)
            return received;
        // Only if there was no room for all of them is there more to do.
        if (received <= 0 || static_cast<unsigned>(received) < batch || batch == 0 || done == count ||
            (timeout != nullptr && left.tv_sec == 0 && left.tv_nsec == 0)) [[likely]]
            break;
        if ((flags & MSG_WAITFORONE) != 0)
            flags |= MSG_DONTWAIT;
    }
    if (timeout != nullptr && !user_memory::can_write(timeout, sizeof *timeout)) {
        errno = EFAULT;
        return -1;
    }
    if (timeout != nullptr)
        *timeout = left;
    errno = errno_before;
    return static_cast<int>(done);
}

} // namespace

[[gnu::hot]] int messages(int fd, mmsghdr* messages, unsigned count, int flags, timespec* timeout,
                          Socket socket) {
    // As the kernel does it: room for one message is a recvmsg() (do_recvmmsg() in its net/socket.c).
    if (count != 1 || timeout != nullptr || messages == nullptr ||
        (flags & (MSG_PEEK | MSG_ERRQUEUE | msg_cmsg_compat)) != 0 ||
        !user_memory::can_write(messages, sizeof *messages))
        return several_messages(fd, messages, count, flags, timeout, socket);
    const ssize_t received = message(fd, &messages->msg_hdr, flags & ~MSG_WAITFORONE, socket);
    if (received < 0)
        return -1;
    messages->msg_len = static_cast<unsigned>(received);
    return 1;
}

} // namespace multihome::receive
