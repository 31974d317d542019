// SPDX-License-Identifier: MIT
#include "shim/sockets/sockets.hpp"

#include "shim/base/libc.hpp"
#include "shim/base/log.hpp"
#include "shim/base/permissions.hpp"
#include "shim/base/settings.hpp"
#include "shim/peers/peers.hpp"
#include "shim/sockets/changes.hpp"
#include "shim/sockets/options.hpp"
#include "shim/sockets/process.hpp"
#include "shim/sockets/socket_calls.hpp"

#include <atomic>
#include <cstring>
#include <netinet/in.h>

namespace multihome::sockets {

namespace {

using Kind = Socket::Kind;
using permissions::may;

constinit std::atomic<bool> filter_told{false}; // see is_to_be_warned()

// Stores what is known of a descriptor, if that is new.
void note(int fd, Socket known) {
    if (load(fd).word() != known.word() && !must_not_change())
        store(fd, known);
}

// Returns the number of a socket that is made now, never 0.
uint16_t next_number() {
    const auto number = static_cast<uint16_t>(shared_state::count_socket());
    return number != 0 ? number : next_number();
}

} // namespace

bool must_not_change() {
    return !may(Activity::packets) || process::is_vfork_child();
}

Socket get_bound_or_not(int fd) {
    const Socket socket = get(fd);
    // A process that has bound it has switched on what we need, and that is not to be taken back.
    if (socket.is(Kind::unbound) && (!socket.has(Socket::seen_made) || may_be_passed_on(socket)))
        return bound_unseen(fd);
    return socket;
}

Socket get_current(int fd) {
    const Socket socket = get_bound_or_not(fd);
    if (!socket.is(Kind::ours))
        return socket;
    verify(fd, socket);
    return get(fd);
}

void created(int fd, int domain, int type, int protocol) {
    const bool udp = (domain == AF_INET || domain == AF_INET6) &&
                     (type & ~(SOCK_CLOEXEC | SOCK_NONBLOCK)) == SOCK_DGRAM &&
                     (protocol == 0 || protocol == IPPROTO_UDP) && !settings::get().disabled;
    if (!udp) {
        note(fd, other_socket(domain));
        return;
    }
    const Socket made = Socket{Kind::unbound, Socket::seen_made}.with(Socket::ipv6, domain == AF_INET6);
    note(fd, made.with_made(next_number()));
    peers::Turn{}.made_socket();
    if (!may(Activity::new_sockets) && log::is_first(filter_told)) [[unlikely]]
        log::write(LogLevel::warn,
                   FMT_COMPILE("the program's system-call filter does not allow what multihome does: UDP "
                               "socket {}, and others, answer as without it"),
                   fd);
}

void left_alone(int fd) {
    change_all(fd, [](Socket socket) {
        // Another thread has made it ours meanwhile.
        if (socket.is(Kind::ours))
            return socket;
        return Socket{Kind::other, Socket::left_alone | Socket::no_descriptors}.with_copies_of(socket);
    });
}

void connected(int fd, Socket seen, bool to_ipv4) {
    if (seen.is(Kind::unbound)) {
        left_alone(fd);
        return;
    }
    const bool has_ipv4 = to_ipv4 && seen.has(Socket::ipv6);
    const uint64_t bits = Socket::has_address | (has_ipv4 ? uint64_t{Socket::only_ipv4} : 0);
    if (seen.is(Kind::ours) && seen.with(bits).word() != seen.word())
        set_bits(fd, bits);
}

void not_connected(int fd) {
    const libc::ErrnoGuard keep_errno;
    // A vfork child may have a filter of its own, of which we know nothing: it does not ask.
    if (may(Activity::new_sockets) && !must_not_change() && socket_calls::own_port(fd) != 0)
        left_alone(fd);
}

void disconnected(int fd, Socket seen) {
    const libc::ErrnoGuard keep_errno;
    // The wildcard may be back. Looks at the socket anew when it is used next.
    if (seen.is(Kind::other) && !seen.has(Socket::sticky_source))
        change_all(fd, [](Socket) { return Socket{Kind::unknown, Socket::has_copies}; });
    if (!seen.is(Kind::ours) || must_not_change()) // see not_connected()
        return;
    const auto own = socket_calls::own_name(fd);
    if (!own)
        return;
    change_all(fd, [&](Socket socket) { return with_address(socket, own->address).with_port(own->port); });
}

void duplicated(int fd, int copy) {
    Socket socket = load(fd);
    const bool is_nothing_known = socket.word() == 0 && load(copy).word() == 0;
    if (fd == copy || is_nothing_known || must_not_change())
        return;
    if (!is_other_for_good(socket)) {
        const auto with_copies = [&] { return socket.with(Socket::has_copies); };
        while (!update(fd, socket, with_copies()))
            socket = load(fd);
        socket = with_copies();
    }
    note(copy, socket);
    if (socket.has(Socket::unmarked))
        mark_later();
}

bool shares_port(Socket socket) {
    return is_any([&](Socket seen) {
        return seen.is(Kind::ours) && seen.port() == socket.port() && seen.made() != socket.made();
    });
}

void forget(int fd) {
    // "None of our business" may stay, which saves a system call for each TCP connection. If the number comes
    // to stand for something else, we are told (created(), bind(), duplicated(), arrived()), or that is none
    // of our business either.
    const Socket socket = load(fd);
    if (socket.has(Socket::no_descriptors) && !socket.has(Socket::left_alone))
        store(fd, Socket{Kind::other, 0});
    else if (socket.word() != 0 && socket.word() != static_cast<uint64_t>(Kind::other) && !must_not_change())
        store(fd, Socket{});
}

void forget_range(unsigned first, unsigned last) {
    if (must_not_change())
        return;
    change_each([&](int fd, Socket seen) {
        const auto number = static_cast<unsigned>(fd);
        return number >= first && number <= last ? Socket{} : seen;
    });
}

void arrived(int fd) {
    // It may be a copy. What is done to the socket before anybody looks at this descriptor is then noted for
    // it too.
    note(fd, Socket{Kind::unknown, Socket::has_copies});
}

void look_for_descriptors(const msghdr& message) {
    for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
         header = CMSG_NXTHDR(const_cast<msghdr*>(&message), header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
            continue;
        for (size_t at = CMSG_LEN(0); at + sizeof(int) <= header->cmsg_len; at += sizeof(int)) {
            int fd = -1;
            std::memcpy(&fd, reinterpret_cast<const char*>(header) + at, sizeof fd);
            arrived(fd);
        }
    }
}

void set_bits(int fd, uint64_t bits, bool on) {
    change_all(fd, [&](Socket socket) { return socket.with(bits, on); });
}

void set_multicast_interface(int fd, uint32_t index) {
    change_all(fd, [&](Socket socket) { return socket.with_multicast_interface(index); });
}

void set_sticky_source(int fd, bool chosen) {
    const Socket before = load(fd);
    if (before.has(Socket::sticky_source) == chosen || must_not_change())
        return;
    if (!chosen && before.is(Kind::other)) {
        examine_anew(fd);
        return;
    }
    const bool gives_back = chosen && before.is(Kind::ours);
    Socket now = before.with(Socket::sticky_source, chosen);
    if (gives_back)
        now = now.with(Socket::unmarked | Socket::free_bind, false).with_kind(Kind::other);
    change_all(fd, [&](Socket seen) { return now.with_copies_of(seen); });
    // Only then, because a thread that receives takes a socket over anew whose packet information is off.
    if (gives_back)
        options::give_back(fd, before);
}

void give_all_back() {
    change_each([](int fd, Socket seen) {
        if (!seen.is(Kind::ours))
            return seen;
        // The number may stand for something else by now, of which we have not heard.
        if (may(Activity::new_sockets) && options::is_switched_on(fd, seen))
            options::give_back(fd, seen);
        return Socket{};
    });
}

void forked() {
    change_each(
        [](int, Socket seen) { return seen.is(Kind::unbound) ? seen.with(Socket::seen_made, false) : seen; });
}

bool is_to_be_warned() {
    const bool may_serve = shared_state::get() != nullptr || process::may_have_inherited() ||
                           is_any([](Socket seen) { return seen.is(Kind::unbound); });
    if (may_serve)
        filter_told.store(true, std::memory_order_relaxed);
    return may_serve;
}

void leave_all_alone() {
    change_each([](int, Socket) { return Socket{Kind::other, 0}; });
}

void verify(int fd, Socket seen) {
    if (may(Activity::verifying) && !must_not_change() && !options::is_switched_on(fd, seen))
        update(fd, seen, Socket{});
}

} // namespace multihome::sockets
