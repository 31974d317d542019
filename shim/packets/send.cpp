// SPDX-License-Identifier: MIT
#include "shim/packets/send.hpp"

#include "shim/base/control.hpp"
#include "shim/base/libc.hpp"
#include "shim/base/scratch.hpp"
#include "shim/base/user_memory.hpp"
#include "shim/packets/probe.hpp"
#include "shim/peers/peers.hpp"

#include <algorithm>
#include <cstring>

namespace multihome::send {

namespace {

// The program's control messages up to this size travel with ours: more than the kernel takes (optmem_max).
constexpr size_t maximum_control = size_t{256} * 1024;
// Those up to this size are copied on the stack.
constexpr size_t small_control = 512;

constexpr unsigned small_batch = 4;
constexpr unsigned maximum_batch = 1024; // UIO_MAXIOV: the kernel looks at no more

// True where the address can be read, as far as read_peer() looks, and may be a peer's.
template <typename Memory>
inline bool may_be_peer(Memory& memory, const void* address, socklen_t length) {
    return length - sizeof(sockaddr_in) <= sizeof(sockaddr_storage) - sizeof(sockaddr_in) &&
           memory.can_read(address, std::min<size_t>(length, sizeof(sockaddr_in6)));
}

inline bool may_be_peer(const void* address, socklen_t length) {
    struct {
        static bool can_read(const void* pointer, size_t size) {
            return user_memory::can_read(pointer, size);
        }
    } memory;
    return may_be_peer(memory, address, length);
}

// Where the program's datagram to `address` has to leave from; empty where that is the routing table's
// choice.
[[gnu::noinline]] Local find_source(const peers::Turn& turn, Socket socket, int fd, const sockaddr* address,
                                    socklen_t length) {
    const sockaddr* const named = address;
    sockaddr_in unspecified;
    std::memcpy(&unspecified, address, sizeof unspecified);
    if (unspecified.sin_family == AF_UNSPEC && !socket.has(Socket::ipv6)) {
        // An IPv4 socket takes that for AF_INET (udp_sendmsg() in the kernel's net/ipv4/udp.c).
        unspecified.sin_family = AF_INET;
        address = reinterpret_cast<const sockaddr*>(&unspecified);
    }
    Peer peer;
    if (!read_peer(address, length, peer))
        return {};
    // The kernel refuses such a peer, and would not if we named an IPv6 source.
    if (socket.has(Socket::only_ipv4) && !peer.address.is_ipv4())
        return {};
    const Local local = peers::source_for(turn, socket, fd, peer);
    if (!local)
        peers::count(Counter::not_known);
    else
        peers::open_shortcut(turn, socket, named, peer, local);
    return local;
}

// The kernel refused the source: forget it. The address is one that find_source() has read.
[[gnu::cold]] void note_refusal(Socket socket, const sockaddr* address, socklen_t length,
                                const Local& local) {
    Peer peer;
    if (read_peer(address, length, peer))
        peers::refused(socket, peer, local);
}

// The program's sendto(), which was made as this sendmsg() and failed: once more as the program made it, if
// that was because of the source or may fail in another way. `errno_before`: what errno is again on success.
[[gnu::cold]] ssize_t send_as_made(int fd, const msghdr& message, int flags, const Local& local,
                                   int errno_before) {
    const auto* address = static_cast<const sockaddr*>(message.msg_name);
    // On a descriptor that was closed behind our back sendto() may find the buffer bad first.
    const bool refused = errno != EBADF;
    if (probe::allows_now(fd, message)) {
        const ssize_t sent = libc::sendmsg(fd, &message, flags);
        if (sent >= 0) {
            errno = errno_before;
            return sent;
        }
    }
    if (refused && !probe::fails_after(fd, message))
        return -1;
    const ssize_t sent = libc::sendto(fd, message.msg_iov->iov_base, message.msg_iov->iov_len, flags, address,
                                      message.msg_namelen);
    // Only then it was the source, and not the way to the peer.
    if (refused && sent >= 0)
        note_refusal(sockets::peek(fd), address, message.msg_namelen, local);
    if (sent >= 0)
        errno = errno_before;
    return sent;
}

// Puts the source into `message`, whose control messages are still the program's, using `room`
// (control_space() bytes, aligned). False where the program's messages must go as they are: they choose the
// source themselves, they are malformed, or they are too many.
bool add_source(msghdr& message, const Local& local, unsigned char* room) {
    size_t used = 0;
    if (message.msg_controllen != 0) {
        // The kernel copies the buffer before it looks at it: a bad pointer is its to refuse.
        if (message.msg_controllen > maximum_control ||
            !user_memory::can_read(message.msg_control, message.msg_controllen) ||
            control::inspect_outgoing(message.msg_control, message.msg_controllen, used) !=
                control::Outgoing::plain)
            return false;
        // `used` counts the last message's padding, which need not be in the program's buffer.
        const size_t present = std::min<size_t>(used, message.msg_controllen);
        std::memcpy(room, message.msg_control, present);
        std::memset(room + present, 0, used - present);
    }
    // A buffer shorter than one header is ignored by the kernel and replaced here.
    used += control::write_source(room + used, local);
    message.msg_control = room;
    message.msg_controllen = used;
    return true;
}

// Puts the source of a message to a peer (see may_be_peer()) into it; false where it has to go as it is.
inline bool give_source(const peers::Turn& turn, Socket socket, int fd, msghdr& message,
                        unsigned char* room) {
    const auto* address = static_cast<const sockaddr*>(message.msg_name);
    if (message.msg_controllen == 0) {
        if (const SourceMessage* source = peers::answer(turn, socket, address, message.msg_namelen)) {
            message.msg_control = source->control();
            message.msg_controllen = source->length();
            return true;
        }
    }
    const Local local = find_source(turn, socket, fd, address, message.msg_namelen);
    return local && add_source(message, local, room);
}

// The space that add_source() may use for this message.
size_t control_space(const msghdr& message) {
    const size_t theirs = message.msg_controllen <= maximum_control ? message.msg_controllen : 0;
    return control::own_space + CMSG_ALIGN(theirs);
}

// The program's message, which was sent as `ours`, with a source among its control messages, and failed: once
// more as the program made it, if that was because of the source.
[[gnu::cold]] ssize_t send_as_made(int fd, const msghdr& theirs, const msghdr& ours, int flags,
                                   int errno_before) {
    if (probe::allows_now(fd, ours)) {
        const ssize_t sent = libc::sendmsg(fd, &ours, flags);
        if (sent >= 0) {
            errno = errno_before;
            return sent;
        }
    }
    if (!probe::fails_after(fd, ours))
        return -1;
    const ssize_t sent_as_made = libc::sendmsg(fd, &theirs, flags);
    if (sent_as_made >= 0) {
        note_refusal(sockets::peek(fd), static_cast<const sockaddr*>(ours.msg_name), ours.msg_namelen,
                     control::read_source(ours.msg_control, ours.msg_controllen));
        errno = errno_before;
    }
    return sent_as_made;
}

// The real call for the program's message, with the source that `ours` has in its control messages.
ssize_t send_with_source(int fd, const msghdr& theirs, const msghdr& ours, int flags) {
    const int errno_before = errno;
    const ssize_t sent = libc::sendmsg(fd, &ours, flags);
    if (sent < 0) [[unlikely]]
        return send_as_made(fd, theirs, ours, flags, errno_before);
    peers::count(Counter::injected);
    return sent;
}

bool has_source(const msghdr& ours, const msghdr& theirs) {
    return ours.msg_control != theirs.msg_control;
}

} // namespace

[[gnu::hot]] ssize_t one(int fd, const void* buffer, size_t length, int flags, const sockaddr* address,
                         socklen_t address_length) {
    const Socket socket = sockets::peek(fd);
    // sendmsg() refuses the flag, which sendto() ignores.
    if (length > maximum_length || (flags & msg_cmsg_compat) != 0 || !may_be_peer(address, address_length))
        return libc::sendto(fd, buffer, length, flags, address, address_length);
    iovec data{const_cast<void*>(buffer), length};
    msghdr message{};
    message.msg_name = const_cast<sockaddr*>(address);
    message.msg_namelen = address_length;
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    alignas(cmsghdr) unsigned char own_control[control::own_space];
    if (!give_source(peers::Turn{}, socket, fd, message, own_control))
        return libc::sendto(fd, buffer, length, flags, address, address_length);
    const int errno_before = errno;
    const ssize_t sent = libc::sendmsg(fd, &message, flags);
    if (sent >= 0) [[likely]] {
        peers::count(Counter::injected);
        return sent;
    }
    return send_as_made(fd, message, flags, control::read_source(message.msg_control, message.msg_controllen),
                        errno_before);
}

[[gnu::hot, gnu::noinline]] ssize_t detail::quickly_ipv6(int fd, const void* buffer, size_t length, int flags,
                                                         const sockaddr* address, Socket socket) {
    const SourceMessage* source = nullptr;
    if (!is_readable_ipv6(address) || !peers::answers_ipv6(socket, address, source)) [[unlikely]]
        return one(fd, buffer, length, flags, address, sizeof(sockaddr_in6));
    return send(fd, buffer, length, flags, address, sizeof(sockaddr_in6), *source, source->length());
}

[[gnu::hot, gnu::noinline]] ssize_t detail::quickly_ipv6(int fd, const msghdr* message, int flags,
                                                         Socket socket) {
    const SourceMessage* source = nullptr;
    if (message->msg_namelen != sizeof(sockaddr_in6) || !is_readable_ipv6(message->msg_name) ||
        !peers::answers_ipv6(socket, message->msg_name, source)) [[unlikely]]
        return one(fd, message, flags);
    return send(fd, message, flags, *source, source->length());
}

ssize_t detail::after_failure(const MessageCall& call) {
    peers::count(Counter::injected, ~uint64_t{0}); // it was counted before the call
    return send_as_made(call.fd, *call.theirs, call.message, call.flags, call.errno_before);
}

ssize_t detail::after_failure(const Call& call) {
    peers::count(Counter::injected, ~uint64_t{0}); // it was counted before the call
    const msghdr& message = call.message;
    if (call.data.iov_len > maximum_length || (call.flags & msg_cmsg_compat) != 0) {
        const ssize_t sent =
            libc::sendto(call.fd, call.data.iov_base, call.data.iov_len, call.flags,
                         static_cast<const sockaddr*>(message.msg_name), message.msg_namelen);
        if (sent >= 0)
            errno = call.errno_before;
        return sent;
    }
    return send_as_made(call.fd, message, call.flags,
                        control::read_source(message.msg_control, message.msg_controllen), call.errno_before);
}

namespace {

// For a message with control messages of the program's.
[[gnu::noinline]] ssize_t one_with_control(Socket socket, int fd, const msghdr* message, int flags) {
    msghdr ours = *message;
    Scratch scratch;
    alignas(cmsghdr) unsigned char small[control::own_space + small_control];
    const size_t space = control_space(ours);
    auto* own_control = space <= sizeof small ? small : static_cast<unsigned char*>(scratch.take(space));
    if (own_control == nullptr || !give_source(peers::Turn{}, socket, fd, ours, own_control))
        return libc::sendmsg(fd, message, flags);
    return send_with_source(fd, *message, ours, flags);
}

} // namespace

[[gnu::hot]] ssize_t one(int fd, const msghdr* message, int flags) {
    const Socket socket = sockets::peek(fd);
    if ((flags & msg_cmsg_compat) != 0 || message == nullptr ||
        !user_memory::can_read(message, sizeof *message))
        return libc::sendmsg(fd, message, flags);
    if (!may_be_peer(message->msg_name, message->msg_namelen))
        return libc::sendmsg(fd, message, flags);
    if (message->msg_controllen != 0)
        return one_with_control(socket, fd, message, flags);
    msghdr ours = *message;
    alignas(cmsghdr) unsigned char own_control[control::own_space];
    if (!give_source(peers::Turn{}, socket, fd, ours, own_control))
        return libc::sendmsg(fd, message, flags);
    return send_with_source(fd, *message, ours, flags);
}

[[gnu::hot]] int many(int fd, mmsghdr* messages, unsigned count, int flags) {
    const Socket socket = sockets::peek(fd);
    const unsigned batch = std::min(count, maximum_batch);
    if ((flags & msg_cmsg_compat) != 0 || batch == 0 || messages == nullptr ||
        !user_memory::can_write(messages, batch * sizeof *messages))
        return libc::sendmmsg(fd, messages, count, flags);

    size_t control_total = 0;
    for (unsigned index = 0; index < batch; ++index)
        control_total += control_space(messages[index].msg_hdr);
    struct Small {
        mmsghdr messages[small_batch];
        alignas(cmsghdr) unsigned char control[small_batch * control::own_space];
    } small;
    Scratch scratch;
    const size_t wanted = batch * sizeof(mmsghdr) + control_total;
    void* memory = wanted <= sizeof small ? &small : scratch.take(wanted);
    if (memory == nullptr)
        return libc::sendmmsg(fd, messages, count, flags);

    auto* ours = static_cast<mmsghdr*>(memory);
    auto* control = static_cast<unsigned char*>(memory) + batch * sizeof(mmsghdr);
    {
        const peers::Turn turn;
        user_memory::ReadablePage page;
        for (unsigned index = 0; index < batch; ++index) {
            ours[index] = messages[index];
            msghdr& message = ours[index].msg_hdr;
            if (may_be_peer(page, message.msg_name, message.msg_namelen) &&
                give_source(turn, socket, fd, message, control))
                control += control_space(messages[index].msg_hdr);
        }
    }

    const int errno_before = errno;
    unsigned done = 0;
    // The message that is sent once more without our source, and that source.
    unsigned again = batch;
    Local refused;
    for (;;) {
        const int sent = libc::sendmmsg(fd, ours + done, batch - done, flags);
        for (int index = 0; index < sent; ++index, ++done) {
            messages[done].msg_len = ours[done].msg_len;
            const msghdr& message = ours[done].msg_hdr;
            if (has_source(message, messages[done].msg_hdr))
                peers::count(Counter::injected);
            else if (done == again) // then it was the source, and not the way to the peer
                note_refusal(socket, static_cast<const sockaddr*>(message.msg_name), message.msg_namelen,
                             refused);
        }
        if (done == batch)
            break;
        // The kernel stopped at a message. If that is because of the source that we gave it, the program's
        // own call would have gone on.
        msghdr& stopped = ours[done].msg_hdr;
        if (sent < 0 && has_source(stopped, messages[done].msg_hdr) && probe::allows_now(fd, stopped))
            continue;
        if (!has_source(stopped, messages[done].msg_hdr) ||
            !(sent < 0 ? probe::fails_after(fd, stopped) : probe::fails(fd, stopped)))
            break;
        again = done;
        refused = control::read_source(stopped.msg_control, stopped.msg_controllen);
        stopped = messages[done].msg_hdr;
    }
    if (done == 0)
        return -1;
    errno = errno_before;
    return static_cast<int>(done);
}

} // namespace multihome::send
