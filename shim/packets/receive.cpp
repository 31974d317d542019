// SPDX-License-Identifier: MIT
#include "shim/packets/receive.hpp"

#include "shim/base/control.hpp"
#include "shim/base/libc.hpp"
#include "shim/base/scratch.hpp"
#include "shim/base/settings.hpp"
#include "shim/base/user_memory.hpp"
#include "shim/peers/peers.hpp"

#include <algorithm>
#include <cstring>

namespace multihome::receive {

namespace {

using detail::control_room;

// A program's control buffer up to this size is matched by one on our stack.
constexpr size_t small_control = 512;

// No datagram's messages take more than this, whatever room the program gives them.
constexpr size_t enough_control = 4096;

// Messages up to this many are copied on the stack.
constexpr unsigned small_batch = 4;
constexpr unsigned maximum_batch = 1024; // at once; the kernel itself knows no limit here

unsigned hidden_kinds(Socket socket) {
    return (socket.has(Socket::asked_ipv4) ? 0U : control::ipv4) |
           (socket.has(Socket::asked_ipv6) ? 0U : control::ipv6);
}

// Learns from a datagram whose control messages, ours among them, lie in `buffer`. `room`: what the program
// gave for the peer's address; where that was cut, the program cannot answer either.
void learn(const peers::Turn& turn, Socket socket, int fd, const msghdr& message, socklen_t room,
           const void* buffer, size_t length, int flags) {
    if ((flags & MSG_ERRQUEUE) != 0)
        return;
    const control::Choice choice{.with_interface = settings::get().same_interface,
                                 .to_device = socket.has(Socket::to_device)};
    const control::Arrival found = control::read(buffer, length, choice);
    if (found.found == control::none) {
        sockets::verify(fd, socket);
        return;
    }
    // Without ipi_spec_dst, and on a socket that is bound to a device, ipi_addr matters as well.
    control::SimpleArrival simple;
    const bool is_all =
        control::read_simple(buffer, length, simple) && simple.names_ipv4_source() && !choice.to_device;
    Peer peer;
    uint64_t name = 0;
    if (message.msg_name == nullptr || message.msg_namelen > room ||
        !read_peer(static_cast<const sockaddr*>(message.msg_name), message.msg_namelen, peer))
        return;
    std::memcpy(&name, message.msg_name, sizeof name);
    peers::heard(turn, socket, fd, name, peer, found.local, is_all ? simple.word : 0);
}

// A receive call has failed.
void note_nothing(Socket socket, int flags) {
    // The error queue has an order of its own.
    if ((errno == EAGAIN || errno == EWOULDBLOCK) && (flags & MSG_ERRQUEUE) == 0)
        peers::drained(socket);
}

// A receive call has brought something, and all of that is noted.
void finish_call(const peers::Turn& turn, int flags) {
    if ((flags & MSG_PEEK) != 0 && (flags & MSG_ERRQUEUE) == 0)
        peers::end_peek(turn);
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

// As give_back(), for a message with our packet information alone: the quick way. `alike` notes the datagram;
// where it returns false, or the message is another one, nothing has been done.
template <typename Alike>
bool give_back_quickly(const peers::Turn& turn, Socket socket, const msghdr& ours, msghdr& theirs, int flags,
                       Alike alike) {
    control::SimpleArrival arrival;
    if ((flags & (MSG_ERRQUEUE | MSG_PEEK)) != 0 || socket.has(Socket::asked_ipv4) ||
        socket.has(Socket::asked_ipv6) || ours.msg_name == nullptr || ours.msg_namelen > theirs.msg_namelen ||
        !control::read_simple(ours.msg_control, ours.msg_controllen, arrival) ||
        !alike(turn, socket, static_cast<const sockaddr*>(ours.msg_name), ours.msg_namelen, arrival))
        return false;
    theirs.msg_namelen = ours.msg_namelen;
    theirs.msg_controllen = 0;
    theirs.msg_flags = ours.msg_flags;
    return true;
}

// The program's message, changed to what the kernel would have written to it.
void give_back(Socket socket, const msghdr& ours, msghdr& theirs) {
    int flags = ours.msg_flags;
    const unsigned hide = hidden_kinds(socket);
    void* target = theirs.msg_control;
    size_t room = theirs.msg_controllen;
    const size_t writable =
        target != nullptr && room != 0 && control::has_visible(ours.msg_control, ours.msg_controllen, hide)
            ? writable_bytes(target, std::min(room, ours.msg_controllen))
            : room;
    theirs.msg_controllen =
        control::hand_over(ours.msg_control, ours.msg_controllen, hide, target, room, flags, writable);
    // Ours may have been cut, or have made others be cut; what counts is the program's own buffer.
    theirs.msg_flags = flags;
    theirs.msg_namelen = ours.msg_namelen;
}

} // namespace

[[gnu::hot]] ssize_t one(int fd, void* buffer, size_t length, int flags, sockaddr* address,
                         socklen_t* address_length) {
    // Without an address there is nobody to answer, and without a control buffer nothing to hide.
    if (length > maximum_length || (flags & (MSG_ERRQUEUE | msg_cmsg_compat)) != 0 || address == nullptr ||
        !user_memory::can_write(address_length, sizeof *address_length) ||
        !detail::takes_address(*address_length))
        return libc::recvfrom(fd, buffer, length, flags, address, address_length);
    return detail::make((flags & MSG_PEEK) != 0, sockets::peek(fd), fd, buffer, length, flags, address,
                        address_length);
}

[[gnu::hot, gnu::noinline]] ssize_t detail::note_ipv6(const Call& call, ssize_t received) {
    const msghdr& message = call.message;
    if (*call.address_length < sizeof(sockaddr_in6) ||
        !peers::heard_again_ipv6(Socket{call.word}, message.msg_name, call.control, message.msg_controllen))
        return note(call, received);
    *call.address_length = sizeof(sockaddr_in6);
    return received;
}

[[gnu::hot, gnu::noinline]] ssize_t detail::note(const Call& call, ssize_t received) {
    const Socket socket{call.word};
    const msghdr& message = call.message;
    const socklen_t room = *call.address_length;
    *call.address_length = message.msg_namelen;
    const peers::Turn turn;
    control::SimpleArrival arrival;
    if (message.msg_namelen <= room && (call.flags & MSG_PEEK) == 0 &&
        control::read_simple(call.control, message.msg_controllen, arrival) &&
        peers::heard_alike(turn, socket, static_cast<const sockaddr*>(message.msg_name), message.msg_namelen,
                           arrival))
        return received;
    peers::begin_receiving(turn, socket, false);
    learn(turn, socket, call.fd, message, room, call.control, message.msg_controllen, call.flags);
    finish_call(turn, call.flags);
    return received;
}

ssize_t detail::note_failure(const Call& call) {
    // Closed behind our back; recvfrom() may find the buffer bad before the descriptor.
    if (errno == EBADF)
        return libc::recvfrom(call.fd, call.data.iov_base, call.data.iov_len, call.flags,
                              static_cast<sockaddr*>(call.message.msg_name), call.address_length);
    // Where the address cannot be written, newer kernels have written its length.
    if (errno == EFAULT)
        *call.address_length = call.message.msg_namelen;
    note_nothing(Socket{call.word}, call.flags);
    return -1;
}

namespace {

// What a recvmsg() with room for our control message has brought into `ours`.
ssize_t finish_message(Socket socket, int fd, const msghdr& ours, msghdr& theirs, ssize_t received,
                       int flags) {
    const peers::Turn turn;
    if (give_back_quickly(turn, socket, ours, theirs, flags, peers::heard_alike))
        return received;
    const socklen_t room = theirs.msg_namelen;
    give_back(socket, ours, theirs);
    if ((flags & MSG_ERRQUEUE) == 0)
        peers::begin_receiving(turn, socket, false);
    learn(turn, socket, fd, ours, room, ours.msg_control, ours.msg_controllen, flags);
    finish_call(turn, flags);
    return received;
}

ssize_t fail_message(Socket socket, const msghdr& ours, msghdr& theirs, int flags) {
    // Where the name cannot be written, newer kernels have written its length.
    if (errno == EFAULT && theirs.msg_namelen != ours.msg_namelen)
        theirs.msg_namelen = ours.msg_namelen;
    note_nothing(socket, flags);
    return -1;
}

} // namespace

[[gnu::hot]] ssize_t one(int fd, msghdr* message, int flags) {
    const Socket socket = sockets::peek(fd);
    if (message == nullptr || !user_memory::can_write(message, sizeof *message))
        return libc::recvmsg(fd, message, flags);
    msghdr ours = *message;
    Scratch scratch;
    alignas(cmsghdr) unsigned char small[small_control + control_room];
    size_t wanted = control_length(ours);
    void* own_control = wanted <= sizeof small ? small : scratch.take(wanted);
    if (own_control == nullptr) {
        // Without memory for all that the program has room for, what there is does for nearly all datagrams.
        own_control = small;
        wanted = sizeof small;
    }
    ours.msg_control = own_control;
    ours.msg_controllen = wanted;
    const ssize_t received = libc::recvmsg(fd, &ours, flags);
    return received >= 0 ? finish_message(socket, fd, ours, *message, received, flags)
                         : fail_message(socket, ours, *message, flags);
}

[[gnu::hot, gnu::noinline]] static ssize_t note_long(const detail::MessageCall& call, ssize_t received) {
    return finish_message(Socket{call.word}, call.fd, call.message, *call.theirs, received, call.flags);
}

[[gnu::hot, gnu::noinline]] ssize_t detail::note_ipv6(const MessageCall& call, ssize_t received) {
    const msghdr& message = call.message;
    if (call.theirs->msg_namelen < sizeof(sockaddr_in6) ||
        !peers::heard_again_ipv6(Socket{call.word}, message.msg_name, call.control, message.msg_controllen))
        return note_long(call, received);
    call.theirs->msg_namelen = sizeof(sockaddr_in6);
    call.theirs->msg_flags = message.msg_flags;
    return received;
}

ssize_t detail::note_failure(const MessageCall& call) {
    return fail_message(Socket{call.word}, call.message, *call.theirs, call.flags);
}

namespace {

[[gnu::always_inline]] inline void prepare_one(const msghdr& theirs, msghdr& ours, void* control,
                                               size_t room) {
    control::replace_control(theirs, ours, control, room);
    ours.msg_flags = 0;
}

// Copies the messages to `memory`, each with a control buffer of ours, as many of them as fit into `size`
// bytes with those.
unsigned prepare(const mmsghdr* messages, unsigned count, void* memory, size_t size) {
    auto* const ours = static_cast<mmsghdr*>(memory);
    auto* control = static_cast<unsigned char*>(memory) + count * sizeof(mmsghdr);
    const unsigned char* const end = static_cast<unsigned char*>(memory) + size;
    if (control > end)
        return 0;
    unsigned index = 0;
    // Most programs give no room for control messages; many give room for many messages and get one.
    const auto plain =
        static_cast<unsigned>(std::min(size_t{count}, static_cast<size_t>(end - control) / control_room));
    for (; index < plain && messages[index].msg_hdr.msg_controllen == 0; ++index, control += control_room)
        prepare_one(messages[index].msg_hdr, ours[index].msg_hdr, control, control_room);
    for (; index < count; ++index) {
        const size_t room = control_length(messages[index].msg_hdr);
        if (room > static_cast<size_t>(end - control))
            return index;
        prepare_one(messages[index].msg_hdr, ours[index].msg_hdr, control, room);
        control += room;
    }
    return count;
}

// As recvmmsg(), for as many messages as there is room for: `batch` says how many those are. It is 0 where
// the call was made as the program made it.
int receive_batch(int fd, mmsghdr* messages, unsigned count, int flags, timespec* timeout, unsigned& batch) {
    const Socket socket = sockets::peek(fd);
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
        const peers::Turn turn;
        if ((flags & MSG_ERRQUEUE) == 0)
            peers::begin_receiving(turn, socket, true);
        for (unsigned index = 0; index < static_cast<unsigned>(received); ++index) {
            const msghdr& message = ours[index].msg_hdr;
            msghdr& theirs = messages[index].msg_hdr;
            const socklen_t room = theirs.msg_namelen;
            messages[index].msg_len = ours[index].msg_len;
            if (give_back_quickly(turn, socket, message, theirs, flags, peers::heard_in_batch))
                continue;
            give_back(socket, message, theirs);
            learn(turn, socket, fd, message, room, message.msg_control, message.msg_controllen, flags);
        }
        finish_call(turn, flags);
    } else {
        note_nothing(socket, flags);
    }
    // The kernel may have stopped at a message whose name it could not write; see one().
    const unsigned next = received < 0 ? 0 : static_cast<unsigned>(received);
    if (next < batch && messages[next].msg_hdr.msg_namelen != ours[next].msg_hdr.msg_namelen)
        messages[next].msg_hdr.msg_namelen = ours[next].msg_hdr.msg_namelen;
    return received;
}

} // namespace

[[gnu::hot]] int many(int fd, mmsghdr* messages, unsigned count, int flags, timespec* timeout) {
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
        const int received = receive_batch(fd, messages + done, count - done, flags, ours, batch);
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

} // namespace multihome::receive
