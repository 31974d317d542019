// SPDX-License-Identifier: MIT
#include "shim/receive.hpp"

#include "shim/control.hpp"
#include "shim/libc.hpp"
#include "shim/peers.hpp"
#include "shim/scratch.hpp"
#include "shim/settings.hpp"
#include "shim/user_memory.hpp"

#include <algorithm>
#include <climits>
#include <cstring>

namespace multihome::receive {

namespace {

// Room for what a program can make the kernel say before our message comes (timestamps, drop counts, ...),
// beside what the program itself has room for. The kernel cuts what does not fit, so this may be too large
// but not too small.
constexpr size_t control_room = 256;
static_assert(control_room >= control::own_space + CMSG_SPACE(64) + 3 * CMSG_SPACE(16));

// A program's control buffer up to this size is matched by one on our stack.
constexpr size_t small_control = 512;

// The lengths that recvfrom() and recvmsg() treat alike; the kernel cuts longer ones (MAX_RW_COUNT) in one of
// them.
constexpr size_t maximum_length = INT_MAX & ~4095;

// Messages up to this many are copied on the stack.
constexpr unsigned small_batch = 4;
constexpr unsigned maximum_batch = 1024; // UIO_MAXIOV: the kernel looks at no more

unsigned hidden_kinds(Socket socket) {
    return (socket.has(Socket::asked_ipv4) ? 0U : control::ipv4) |
           (socket.has(Socket::asked_ipv6) ? 0U : control::ipv6);
}

// Learns from a datagram whose control messages, ours among them, lie in `buffer`. `room`: what the program
// gave for the peer's address; where that was cut, the program cannot answer either.
void learn(Socket socket, int fd, const msghdr& message, socklen_t room, const void* buffer, size_t length,
           int flags) {
    if ((flags & MSG_ERRQUEUE) != 0)
        return;
    const control::Choice choice{.with_interface = settings::get().same_interface,
                                 .to_device = socket.has(Socket::to_device)};
    in_pktinfo info{};
    Local local;
    if (control::read_only_ipv4(buffer, length, info)) {
        local = control::local_from(info, choice);
    } else {
        const control::Arrival arrival = control::read(buffer, length, choice);
        if (arrival.found == control::none) {
            sockets::verify(fd, socket);
            return;
        }
        local = arrival.local;
    }
    Peer peer;
    if (message.msg_name != nullptr && message.msg_namelen <= room &&
        read_peer(static_cast<const sockaddr*>(message.msg_name), message.msg_namelen, peer))
        peers::heard(socket, fd, peer, local, info);
}

// The shortcut for what recent.hpp describes. The name is one that the kernel has just written.
bool is_repeated(Socket socket, const msghdr& message, const void* buffer, size_t length, int flags) {
    in_pktinfo info;
    if ((flags & (MSG_PEEK | MSG_ERRQUEUE)) != 0 || message.msg_namelen != sizeof(sockaddr_in) ||
        !control::read_only_ipv4(buffer, length, info))
        return false;
    uint64_t name;
    std::memcpy(&name, message.msg_name, sizeof name);
    return recent.repeats(socket.tag(), name, info);
}

void finish_call(Socket socket, ssize_t result, int flags) {
    if (result < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        recent.drained(socket.tag());
    else if ((flags & MSG_PEEK) != 0)
        recent.end_peek();
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

// The program's message, changed to what the kernel would have written to it.
void give_back(Socket socket, const msghdr& ours, msghdr& theirs) {
    int flags = ours.msg_flags;
    const unsigned hide = hidden_kinds(socket);
    void* target = theirs.msg_control;
    size_t room = theirs.msg_controllen;
    const size_t writable =
        target != nullptr && room != 0 && control::has_visible(ours.msg_control, ours.msg_controllen, hide)
            ? writable_bytes(target, room)
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
    if (length > maximum_length || (flags & MSG_ERRQUEUE) != 0 ||
        !user_memory::can_write(address_length, sizeof *address_length))
        return libc::recvfrom(fd, buffer, length, flags, address, address_length);
    const socklen_t room = *address_length;
    // Where the address cannot be written, newer kernels have written its length, which recvmsg() does not
    // tell us.
    if (room - sizeof(sockaddr_in) > INT_MAX - sizeof(sockaddr_in) ||
        !user_memory::can_write(address, std::min<size_t>(room, sizeof(sockaddr_in6))))
        return libc::recvfrom(fd, buffer, length, flags, address, address_length);

    const Socket socket = sockets::peek(fd);
    alignas(cmsghdr) unsigned char own_control[control_room];
    iovec data{buffer, length};
    msghdr message{};
    message.msg_name = address;
    message.msg_namelen = room;
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = own_control;
    message.msg_controllen = sizeof own_control;
    const ssize_t received = libc::recvmsg(fd, &message, flags);
    if (received >= 0) {
        *address_length = message.msg_namelen;
        if (is_repeated(socket, message, own_control, message.msg_controllen, flags)) {
            peers::count(Counter::received);
            return received;
        }
        peers::begin_receiving(socket, false);
        learn(socket, fd, message, room, own_control, message.msg_controllen, flags);
    }
    finish_call(socket, received, flags);
    return received;
}

[[gnu::hot]] ssize_t one(int fd, msghdr* message, int flags) {
    const Socket socket = sockets::peek(fd);
    if (message == nullptr || !user_memory::can_write(message, sizeof *message))
        return libc::recvmsg(fd, message, flags);
    msghdr ours = *message;
    Scratch scratch;
    alignas(cmsghdr) unsigned char small[small_control + control_room];
    const size_t wanted = (ours.msg_control != nullptr ? ours.msg_controllen : 0) + control_room;
    // A length that no kernel takes is the kernel's to refuse.
    const bool fits = ours.msg_controllen <= INT_MAX;
    void* own_control = !fits ? nullptr : wanted <= sizeof small ? small : scratch.take(wanted);
    if (own_control == nullptr)
        return libc::recvmsg(fd, message, flags);
    ours.msg_control = own_control;
    ours.msg_controllen = wanted;
    const socklen_t room = ours.msg_namelen;
    const ssize_t received = libc::recvmsg(fd, &ours, flags);
    if (received >= 0) {
        give_back(socket, ours, *message);
        peers::begin_receiving(socket, false);
        learn(socket, fd, ours, room, own_control, ours.msg_controllen, flags);
    } else {
        // Where the name cannot be written, newer kernels have written its length.
        if (message->msg_namelen != ours.msg_namelen)
            message->msg_namelen = ours.msg_namelen;
    }
    finish_call(socket, received, flags);
    return received;
}

[[gnu::hot]] int many(int fd, mmsghdr* messages, unsigned count, int flags, timespec* timeout) {
    const Socket socket = sockets::peek(fd);
    const unsigned batch = std::min(count, maximum_batch);
    if (batch == 0 || messages == nullptr || !user_memory::can_write(messages, batch * sizeof *messages))
        return libc::recvmmsg(fd, messages, count, flags, timeout);

    size_t control_total = 0;
    for (unsigned index = 0; index < batch; ++index) {
        const msghdr& theirs = messages[index].msg_hdr;
        // Clamped, so that the sum cannot overflow; such lengths do not fit below.
        control_total += CMSG_ALIGN(control_room + (theirs.msg_control != nullptr
                                                        ? std::min<size_t>(theirs.msg_controllen, INT_MAX)
                                                        : 0));
    }
    struct Small {
        mmsghdr messages[small_batch];
        alignas(cmsghdr) unsigned char control[small_batch * control_room];
    } small;
    Scratch scratch;
    const size_t wanted = batch * sizeof(mmsghdr) + control_total;
    void* memory = wanted <= sizeof small ? &small : scratch.take(wanted);
    if (memory == nullptr)
        return libc::recvmmsg(fd, messages, count, flags, timeout);

    auto* ours = static_cast<mmsghdr*>(memory);
    auto* control = static_cast<unsigned char*>(memory) + batch * sizeof(mmsghdr);
    for (unsigned index = 0; index < batch; ++index) {
        ours[index] = messages[index];
        msghdr& message = ours[index].msg_hdr;
        const size_t room =
            CMSG_ALIGN(control_room + (message.msg_control != nullptr ? message.msg_controllen : 0));
        message.msg_control = control;
        message.msg_controllen = room;
        control += room;
    }
    const int received = libc::recvmmsg(fd, ours, batch, flags, timeout);
    if (received >= 0) {
        peers::begin_receiving(socket, true);
        for (unsigned index = 0; index < static_cast<unsigned>(received); ++index) {
            const msghdr& message = ours[index].msg_hdr;
            msghdr& theirs = messages[index].msg_hdr;
            const socklen_t room = theirs.msg_namelen;
            messages[index].msg_len = ours[index].msg_len;
            give_back(socket, message, theirs);
            learn(socket, fd, message, room, message.msg_control, message.msg_controllen, flags);
        }
    }
    // The kernel may have stopped at a message whose name it could not write; see one().
    const unsigned next = received < 0 ? 0 : static_cast<unsigned>(received);
    if (next < batch && messages[next].msg_hdr.msg_namelen != ours[next].msg_hdr.msg_namelen)
        messages[next].msg_hdr.msg_namelen = ours[next].msg_hdr.msg_namelen;
    finish_call(socket, received, flags);
    return received;
}

} // namespace multihome::receive
