// SPDX-License-Identifier: MIT
#include "shim/packets/send.hpp"

#include "shim/base/control.hpp"
#include "shim/base/kernel_constants.hpp"
#include "shim/base/libc.hpp"
#include "shim/base/scratch.hpp"
#include "shim/base/user_memory.hpp"
#include "shim/packets/probe.hpp"
#include "shim/peers/peers.hpp"
#include "shim/peers/usual.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace multihome::send {

namespace {

// The program's control messages up to this size travel with ours: more than the kernel takes (optmem_max).
constexpr size_t maximum_control = size_t{256} * 1024;
// Those up to this size are copied on the stack.
constexpr size_t small_control = 512;

constexpr unsigned small_batch = 4;
constexpr unsigned maximum_batch = 1024; // UIO_MAXIOV: the kernel looks at no more

// True where the length is one of a peer's address.
bool may_be_peer(socklen_t length) {
    return length - sizeof(sockaddr_in) <= sizeof(sockaddr_storage) - sizeof(sockaddr_in);
}
// So many bytes of an address are looked at.
size_t readable_length(socklen_t length) {
    return std::min<size_t>(length, sizeof(sockaddr_in6));
}

// The space that a source takes beside the program's control messages.
size_t control_space(const msghdr& message) {
    const size_t theirs = message.msg_controllen <= maximum_control ? message.msg_controllen : 0;
    return control::own_space + CMSG_ALIGN(theirs);
}

// True where an IPv4 socket takes an address without a family for one of AF_INET (udp_sendmsg() in the
// kernel's net/ipv4/udp.c): `name` is what it takes it for. `address`: sizeof(sockaddr_in) readable bytes.
bool has_no_family(Socket socket, const void* address, sockaddr_in& name) {
    std::memcpy(&name, address, sizeof name);
    if (name.sin_family != AF_UNSPEC || socket.has(Socket::ipv6))
        return false;
    name.sin_family = AF_INET;
    return true;
}

// find_source() where the address tells no peer.
[[gnu::noinline]] Source find_source_without_family(peers::Turn& turn, Socket socket, const void* address,
                                                    SourceRoom& room) {
    sockaddr_in name;
    return has_no_family(socket, address, name) ? turn.source_for(socket, &name, sizeof name, room)
                                                : Source{};
}

// The source of a datagram to `address`, which can be read, of a length that may be a peer's. The caller
// counts what is answered.
[[gnu::always_inline]] inline Source find_source(peers::Turn& turn, Socket socket, const void* address,
                                                 socklen_t length, SourceRoom& room) {
    const Source source = turn.source_for(socket, address, length, room);
    if (!source) [[unlikely]]
        return find_source_without_family(turn, socket, address, room);
    // The kernel refuses an IPv6 peer on a socket that has an IPv4 address, and would not if we named a
    // source.
    if (socket.has(Socket::only_ipv4) && !control::is_ipv4_source(source.messages)) [[unlikely]]
        return {};
    return source;
}

// find_source() for a datagram that is sent by itself, behind the quick look. `errno_before`: what errno is
// now.
[[gnu::always_inline]] inline Source find_source_alone(int fd, const void* address, socklen_t length,
                                                       SourceRoom& room, int& errno_before) {
    // Once more: another thread may have closed it meanwhile.
    const Socket socket = sockets::get(fd);
    if (!socket.is(Socket::Kind::ours)) [[unlikely]]
        return {};
    peers::Turn turn;
    errno_before = errno;
    const Source source = find_source(turn, socket, address, length, room);
    if (source)
        turn.count(socket, Counter::answered);
    return source;
}

// Puts the source into `message`, whose control messages are still the program's. `room`: control_space()
// bytes, aligned, for messages of both. False where the program's messages must go as they are: they choose
// the source themselves, they are malformed, or they are too many.
[[gnu::noinline]] bool append_source(msghdr& message, const Source& source, unsigned char* room) {
    // The kernel copies the buffer before it looks at it: a bad pointer is its to refuse.
    if (message.msg_controllen > maximum_control ||
        !user_memory::can_read(message.msg_control, message.msg_controllen))
        return false;
    const auto end = control::end_without_source(message.msg_control, message.msg_controllen);
    if (!end)
        return false;
    // The last message's padding need not be in the program's buffer. A buffer shorter than one header is
    // ignored by the kernel and replaced here.
    const size_t present = std::min<size_t>(*end, message.msg_controllen);
    std::memcpy(room, message.msg_control, present);
    std::memset(room + present, 0, *end - present);
    std::memcpy(room + *end, source.messages, source.length);
    message.msg_control = room;
    message.msg_controllen = *end + source.length;
    return true;
}
[[gnu::always_inline]] inline bool add_source(msghdr& message, const Source& source, unsigned char* room) {
    if (message.msg_controllen != 0) [[unlikely]]
        return append_source(message, source, room);
    message.msg_control = const_cast<void*>(source.messages);
    message.msg_controllen = source.length;
    return true;
}

// The peer that this message goes to, for which a source was looked for.
bool read_destination(Socket socket, const msghdr& ours, Peer& peer) {
    sockaddr_in name;
    return has_no_family(socket, ours.msg_name, name)
               ? read_peer(reinterpret_cast<const sockaddr*>(&name), sizeof name, peer)
               : read_peer(static_cast<const sockaddr*>(ours.msg_name), ours.msg_namelen, peer);
}

// This message was not sent after all.
void give_back(peers::Turn& turn, int fd, const msghdr& ours, bool was_last) {
    const Socket socket = sockets::peek(fd);
    if (Peer peer; read_destination(socket, ours, peer))
        turn.give_back(socket, peer, was_last);
}

// The call failed, and the program knows: what it sends next is the same answer once more.
[[gnu::cold]] ssize_t fail_as_made(int fd, const msghdr& ours) {
    const libc::ErrnoGuard keep_errno;
    peers::Turn turn;
    give_back(turn, fd, ours, true);
    return -1;
}

// The kernel refused the source of this message of ours, and took it as the program made it: forget the
// source.
[[gnu::cold]] void note_refusal(int fd, const msghdr& ours) {
    const Socket socket = sockets::peek(fd);
    if (Peer peer; read_destination(socket, ours, peer))
        peers::refused(socket, peer, control::read_source(ours.msg_control, ours.msg_controllen));
}

// It was sent once more, as the program made it. If that succeeded it was the source, and not the way to the
// peer; of what `was_filtered`, see is_filtered(), nobody can tell.
[[gnu::cold]] ssize_t finish_as_made(int fd, const msghdr& ours, int errno_before, ssize_t sent,
                                     bool was_filtered) {
    if (sent < 0)
        return fail_as_made(fd, ours);
    if (!was_filtered)
        note_refusal(fd, ours);
    errno = errno_before;
    return sent;
}

// The call has failed because a packet filter has dropped the datagram. It may have gone by the source, or by
// anything else: that source is tried again next time. A probe does not meet the filter.
bool is_filtered() {
    return errno == EPERM;
}

// The message of ours once more, if its source is allowed now and was not before; -1 where that changes
// nothing.
ssize_t send_if_allowed_now(int fd, const msghdr& ours, int flags, int errno_before) {
    if (!probe::allows_now(fd, ours))
        return -1;
    const ssize_t sent = libc::sendmsg(fd, &ours, flags);
    if (sent >= 0)
        errno = errno_before;
    return sent;
}

// A call with a source of ours has failed. `send_as_made` is the call as the program made it.
template <typename Call, typename AsMade>
ssize_t fail_with_source(const Call& call, AsMade send_as_made) {
    if (const ssize_t sent = send_if_allowed_now(call.fd, call.ours, call.flags, call.errno_before);
        sent >= 0)
        return sent;
    const bool filtered = is_filtered();
    return filtered || probe::fails_after(call.fd, call.ours)
               ? finish_as_made(call.fd, call.ours, call.errno_before, send_as_made(), filtered)
               : fail_as_made(call.fd, call.ours);
}

} // namespace

namespace detail {

// The call as the program made it.
static ssize_t send_as_made(const DatagramCall& call) {
    return libc::sendto(call.fd, call.data.iov_base, call.data.iov_len, call.flags,
                        static_cast<const sockaddr*>(call.ours.msg_name), call.ours.msg_namelen);
}

[[gnu::cold, gnu::noinline]] ssize_t fail(const DatagramCall& call) {
    // What sendmsg() refuses before it has done anything, and sendto() treats in another way. On a descriptor
    // that was closed behind our back sendto() may find the buffer bad first.
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
    const bool may_answer =
        may_be_peer(length) && user_memory::can_read(call.ours.msg_name, readable_length(length));
    SourceRoom room;
    Source source;
    int errno_before = 0;
    if (may_answer) [[likely]]
        source = find_source_alone(call.fd, call.ours.msg_name, length, room, errno_before);
    if (source) [[likely]]
        return send(call, call.fd, call.flags, source, errno_before);
    const ssize_t sent = send_as_made(call);
    return sent >= 0 || !may_answer ? sent : fail_as_made(call.fd, call.ours);
}

} // namespace detail

namespace {

// A sendmsg() under way, with our control messages.
struct MessageCall {
    int fd;
    int flags;
    int errno_before;
    const msghdr* theirs;
    msghdr ours;
};

[[gnu::cold, gnu::noinline]] ssize_t fail(const MessageCall& call) {
    return fail_with_source(call, [&] { return libc::sendmsg(call.fd, call.theirs, call.flags); });
}

[[gnu::always_inline]] inline void begin(MessageCall& call, int fd, const msghdr* theirs, int flags) {
    control::replace_control(*theirs, call.ours, nullptr, 0);
    call.theirs = theirs;
    call.fd = fd;
    call.flags = flags;
}

[[gnu::hot, gnu::noinline]] ssize_t search_and_send(int fd, const msghdr* theirs, int flags) {
    if ((flags & msg_cmsg_compat) != 0 || theirs == nullptr ||
        !user_memory::can_read(theirs, sizeof *theirs) || !may_be_peer(theirs->msg_namelen) ||
        !user_memory::can_read(theirs->msg_name, readable_length(theirs->msg_namelen))) [[unlikely]]
        return libc::sendmsg(fd, theirs, flags);
    SourceRoom room;
    Scratch scratch;
    alignas(cmsghdr) unsigned char small[control::own_space + small_control];
    const size_t space = control_space(*theirs);
    auto* const control = space <= sizeof small ? small : static_cast<unsigned char*>(scratch.take(space));
    if (control == nullptr)
        return libc::sendmsg(fd, theirs, flags);
    int errno_before = 0;
    const Source source = find_source_alone(fd, theirs->msg_name, theirs->msg_namelen, room, errno_before);
    if (!source) {
        const ssize_t sent = libc::sendmsg(fd, theirs, flags);
        return sent >= 0 ? sent : fail_as_made(fd, *theirs);
    }
    msghdr ours = *theirs;
    if (add_source(ours, source, control)) [[likely]] {
        MessageCall call;
        begin(call, fd, theirs, flags);
        return detail::send(call, fd, flags, {ours.msg_control, ours.msg_controllen}, errno_before);
    }
    const ssize_t sent = libc::sendmsg(fd, theirs, flags);
    return sent >= 0 ? sent : fail_as_made(fd, ours);
}

} // namespace

[[gnu::hot]] ssize_t message(int fd, const msghdr* theirs, int flags, Socket socket) {
    Source source;
    int errno_before = 0;
    if (user_memory::is_known_readable(theirs, sizeof *theirs) && theirs->msg_controllen == 0 &&
        user_memory::is_known_readable(theirs->msg_name, sizeof(sockaddr_in6)) &&
        peers::Turn{}.answer_again(socket, theirs->msg_name, theirs->msg_namelen, source, errno_before))
        [[likely]] {
        MessageCall call;
        begin(call, fd, theirs, flags);
        return detail::send(call, fd, flags, source, errno_before);
    }
    return search_and_send(fd, theirs, flags);
}

namespace {

bool has_source(const msghdr& ours, const msghdr& theirs) {
    return ours.msg_control != theirs.msg_control;
}

// Copies the messages to `ours`, each with its source where it has one. `control` has control_space() bytes
// for each. A function of its own, so that its loop has the registers for itself.
[[gnu::hot, gnu::noinline]] void prepare(Socket socket, const mmsghdr* messages, mmsghdr* ours,
                                         unsigned batch, unsigned char* control) {
    peers::Turn turn;
    unsigned answered = 0;
    user_memory::ReadablePage page;
    for (unsigned index = 0; index < batch; ++index) {
        ours[index] = messages[index];
        const msghdr& theirs = messages[index].msg_hdr;
        if (!may_be_peer(theirs.msg_namelen) ||
            !page.can_read(theirs.msg_name, readable_length(theirs.msg_namelen)))
            continue;
        SourceRoom room;
        const Source source = find_source(turn, socket, theirs.msg_name, theirs.msg_namelen, room);
        if (!source)
            continue;
        ++answered;
        msghdr& message = ours[index].msg_hdr;
        if (!add_source(message, source, control))
            continue;
        if (message.msg_control == source.messages) {
            if (source.messages != room.bytes) [[likely]]
                continue; // it is kept where it lies
            std::memcpy(control, room.bytes, source.length);
            message.msg_control = control;
        }
        control += control_space(messages[index].msg_hdr);
    }
    if (answered != 0)
        turn.count(socket, Counter::answered, answered);
}

// As sendmmsg(), for the messages with their sources in `ours`. Returns how many were sent.
unsigned send_prepared(int fd, mmsghdr* messages, mmsghdr* ours, unsigned batch, int flags) {
    unsigned done = 0;
    // The message that is sent once more without our source, and what it was with it.
    unsigned again = batch;
    msghdr refused{};
    for (;;) {
        const int sent = libc::sendmmsg(fd, ours + done, batch - done, flags);
        for (int index = 0; index < sent; ++index, ++done) {
            messages[done].msg_len = ours[done].msg_len;
            if (done == again) // then it was the source, and not the way to the peer
                note_refusal(fd, refused);
        }
        if (done == batch)
            return done;
        // The kernel stopped at a message. If that is because of the source that we gave it, the program's
        // own call would have gone on.
        msghdr& stopped = ours[done].msg_hdr;
        if (!has_source(stopped, messages[done].msg_hdr))
            return done;
        if (sent < 0 && probe::allows_now(fd, stopped))
            continue;
        const bool filtered = sent < 0 && is_filtered();
        if (!filtered &&
            !(sent < 0 ? probe::fails_after(fd, stopped) : probe::fails_behind(fd, stopped, flags)))
            return done;
        // Behind one that was sent, the kernel does not tell why it stopped. This is the reason that we can
        // do something about.
        if (sent >= 0) {
            errno = EINVAL;
            if (probe::allows_now(fd, stopped))
                continue;
        }
        again = filtered ? batch : done;
        refused = stopped;
        stopped = messages[done].msg_hdr;
    }
}

// What comes from `done` on was not sent.
[[gnu::cold]] void give_back_rest(int fd, const mmsghdr* ours, unsigned done, unsigned batch) {
    const libc::ErrnoGuard keep_errno;
    peers::Turn turn;
    // Backwards, because each takes back the last answer of its conversation.
    for (unsigned index = batch; index > done; --index)
        if (const msghdr& unsent = ours[index - 1].msg_hdr;
            may_be_peer(unsent.msg_namelen) &&
            user_memory::can_read(unsent.msg_name, readable_length(unsent.msg_namelen)))
            give_back(turn, fd, unsent, false);
}

// As sendmmsg(). `batch`: so many that all can be written.
[[gnu::hot, gnu::noinline]] int several_messages(int fd, mmsghdr* messages, unsigned batch, int flags,
                                                 Socket socket) {
    size_t control_total = batch * control::own_space;
    for (unsigned index = 0; index < batch; ++index)
        if (messages[index].msg_hdr.msg_controllen != 0) [[unlikely]]
            control_total += control_space(messages[index].msg_hdr) - control::own_space;
    struct Small {
        mmsghdr messages[small_batch];
        alignas(cmsghdr) unsigned char control[small_batch * control::own_space];
    } small;
    Scratch scratch;
    const size_t wanted = batch * sizeof(mmsghdr) + control_total;
    void* memory = wanted <= sizeof small ? &small : scratch.take(wanted);
    if (memory == nullptr)
        return libc::sendmmsg(fd, messages, batch, flags);

    auto* ours = static_cast<mmsghdr*>(memory);
    prepare(socket, messages, ours, batch, static_cast<unsigned char*>(memory) + batch * sizeof(mmsghdr));

    const int errno_before = errno;
    const unsigned done = send_prepared(fd, messages, ours, batch, flags);
    if (done < batch)
        give_back_rest(fd, ours, done, batch);
    if (done == 0)
        return -1;
    errno = errno_before;
    return static_cast<int>(done);
}

} // namespace

[[gnu::hot]] int messages(int fd, mmsghdr* messages, unsigned count, int flags, Socket socket) {
    const unsigned batch = std::min(count, maximum_batch);
    if ((flags & msg_cmsg_compat) != 0 || batch == 0 || messages == nullptr ||
        !user_memory::can_write(messages, batch * sizeof *messages)) [[unlikely]]
        return libc::sendmmsg(fd, messages, count, flags);
    // As the kernel does it: one message is a sendmsg() (__sys_sendmmsg() in its net/socket.c).
    if (count != 1)
        return several_messages(fd, messages, batch, flags, socket);
    const ssize_t sent = message(fd, &messages->msg_hdr, flags, socket);
    if (sent < 0)
        return -1;
    messages->msg_len = static_cast<unsigned>(sent);
    return 1;
}

} // namespace multihome::send
