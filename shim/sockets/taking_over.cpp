// SPDX-License-Identifier: MIT
//
// How a socket becomes ours.
#include "shim/base/kernel_constants.hpp"
#include "shim/base/libc.hpp"
#include "shim/base/log.hpp"
#include "shim/base/permissions.hpp"
#include "shim/base/settings.hpp"
#include "shim/base/user_memory.hpp"
#include "shim/peers/shared_state.hpp"
#include "shim/sockets/changes.hpp"
#include "shim/sockets/options.hpp"
#include "shim/sockets/socket_calls.hpp"
#include "shim/sockets/sockets.hpp"

#include <atomic>
#include <cerrno>
#include <netinet/in.h>
#include <optional>

namespace multihome::sockets {

namespace {

using Kind = Socket::Kind;
using permissions::may;

// False while mark_all() has nothing to do. Relaxed throughout: a hint, for the thread that is about to pass
// descriptors on.
constinit std::atomic<bool> is_any_unmarked{false};

// How many sockets had been made when descriptors were passed on last. Relaxed, as the one above.
constinit std::atomic<uint32_t> made_when_passed_on{0};

// True where we may look at the socket and change what is known of it.
bool may_change(Socket socket) {
    return !socket.has(Socket::sticky_source) && may(Activity::new_sockets) && !must_not_change();
}

// False where MULTIHOME_PORTS leaves the port alone.
bool is_wanted(int fd, in_port_t port) {
    if (settings::get().wants_port(port))
        return true;
    log::write(LogLevel::info, FMT_COMPILE("left UDP socket {} alone: port {} is not in MULTIHOME_PORTS"), fd,
               ntohs(port));
    return false;
}

// Sets a socket up: makes the memory for peers, if this is the first, and switches on what we need. A socket
// of no kind yet comes from elsewhere: the kernel is asked what the program has asked for. Notes in `socket`
// what is on. False where the memory or packet information is not to be had.
bool set_up(int fd, Socket& socket) {
    const size_t peers = settings::get().peers;
    // Once each: a program may make a socket for each question that it asks.
    if (shared_state::create(peers) == nullptr) {
        log::warn_once(FMT_COMPILE("no memory for {} peers: UDP socket {} (port {}), and others, answer as "
                                   "without multihome; raise the memory limit or lower MULTIHOME_PEERS"),
                       peers, fd, ntohs(socket.port()));
        return false;
    }
    const bool is_arrived = socket.kind() == Kind::unknown;
    if (is_arrived ? options::switch_on_arrived(fd, socket) : options::switch_on(fd, socket))
        return true;
    // Closed where we do not see it (fclose()), and the program will be told so.
    if (errno == EBADF || errno == ENOTSOCK)
        return false;
    log::warn_once(FMT_COMPILE("this kernel refuses packet information ({}): UDP socket {} (port {}), and "
                               "others, answer as without multihome"),
                   errno, fd, ntohs(socket.port()));
    return false;
}

// Counts a socket that is ours from now on, as `ours` says, and tells the log.
void announce(int fd, Socket ours) {
    if (ours.has(Socket::unmarked))
        mark_later();
    shared_state::get()->counters.line(ours.port(), 0).add(Counter::sockets);
    if (!log::wanted(LogLevel::info))
        return;
    const char* families = !ours.has(Socket::ipv6)                                  ? "IPv4"
                           : socket_calls::read(fd, IPPROTO_IPV6, IPV6_V6ONLY) != 0 ? "IPv6"
                                                                                    : "IPv6 and IPv4";
    if (ours.port() != 0)
        log::write(LogLevel::info, FMT_COMPILE("took over UDP socket {}: {} port {}"), fd, families,
                   ntohs(ours.port()));
    else
        log::write(LogLevel::info, FMT_COMPILE("took over UDP socket {}: {}, answers for another socket"), fd,
                   families);
}

// Takes over a socket from elsewhere, if it can be ours. Returns what it is now. `arrived`: what is known of
// it, of no kind yet. `own`: where the kernel says that it is bound.
Socket take_over_arrived(int fd, Socket arrived, const std::optional<Peer>& own) {
    if (!own)
        return {};
    // A socket with our mark was ours where it came from, even if it is connected or without a port now.
    const bool marked = options::is_marked(fd, arrived);
    if (!own->address.is_wildcard() && !marked)
        return other_socket(AF_INET).with(Socket::has_address | Socket::has_copies);
    if (own->port == 0 && !marked)
        return arrived.with_kind(Kind::unbound);
    arrived = arrived.with_port(own->port);
    if ((!marked && !is_wanted(fd, own->port)) || !set_up(fd, arrived))
        return {Kind::other, 0};
    // Nobody tells whether the program chose the port itself.
    const bool any_port = ntohs(own->port) >= first_given_port;
    const Socket ours =
        with_address(arrived, own->address).with_kind(Kind::ours).with(Socket::any_port, any_port);
    announce(fd, ours);
    return ours;
}

// How many sockets are asked at most whether they are the one that has come from elsewhere. Thousands may
// have, hardly two of them the same.
constexpr int most_asked = 64;

// Returns what a descriptor is that was not seen being made; unknown where it is none, so that nothing is
// stored.
Socket classify(int fd) {
    if (settings::get().disabled || !may(Activity::new_sockets))
        return {Kind::other, 0};
    const int type = socket_calls::read(fd, SOL_SOCKET, SO_TYPE, -1);
    if (type == -1)
        return errno == EBADF ? Socket{} : Socket{Kind::other, 0};
    const int domain = socket_calls::read(fd, SOL_SOCKET, SO_DOMAIN, AF_UNIX);
    if (type != SOCK_DGRAM || (domain != AF_INET && domain != AF_INET6) ||
        socket_calls::read(fd, SOL_SOCKET, SO_PROTOCOL) != IPPROTO_UDP)
        return other_socket(domain);
    // Only the word of another descriptor of this socket tells what the program has asked for there, or that
    // the socket is left alone.
    const auto own = socket_calls::own_name(fd);
    int asked = 0;
    int asked_others = 0;
    Socket same;
    change_copies(
        fd,
        [&](Socket seen) {
            // One of ours that has lost its port may have been given another one since.
            if (seen.is(Kind::ours) || seen.is(Kind::unbound))
                return own && (seen.port() == own->port || (seen.is(Kind::ours) && seen.port() == 0)) &&
                       asked++ < most_asked;
            return (seen.has(Socket::left_alone) || seen.has(Socket::sticky_source)) &&
                   asked_others++ < most_asked;
        },
        [&](Socket seen) { return same = seen.with(Socket::has_copies); });
    if (same.kind() != Kind::unknown)
        return same;
    // Whoever made it may have given it routes of its own.
    const Socket arrived = Socket{Kind::unknown, Socket::has_copies | Socket::own_route}
                               .with(Socket::ipv6, domain == AF_INET6)
                               .with_multicast_interface(Socket::multicast_unknown);
    return take_over_arrived(fd, arrived, own);
}

// bind() of a socket that we did not see being made, or that has lost its port, or to an address without a
// family: the kernel takes AF_UNSPEC with the IPv4 wildcard (inet_bind()).
int bind_arrived(int fd, Socket before, const sockaddr* address, socklen_t length) {
    const int result = libc::bind(fd, address, length);
    if (result != 0 || !may_change(before))
        return result;
    // Its port may be another one now, and the mark depends on the port.
    if (before.is(Kind::ours))
        options::give_back(fd, before);
    examine_anew(fd);
    return result;
}

// Sets up an unbound socket for bind() to `wanted`. Returns what it will be if the kernel binds it.
Socket before_bind(int fd, Socket before, const Peer& wanted) {
    if (before.has(Socket::sticky_source))
        return before.with_kind(Kind::other);
    if (!wanted.address.is_wildcard() || (wanted.port != 0 && !is_wanted(fd, wanted.port)) ||
        must_not_change())
        return other_socket(AF_INET).with(Socket::has_address);
    const libc::ErrnoGuard keep_errno;
    Socket ours = before.with_kind(Kind::ours).with_port(wanted.port);
    if (!set_up(fd, ours))
        return {Kind::other, 0};
    return with_address(ours, wanted.address);
}

// The kernel has bound the socket. `planned`: what before_bind() returned. Returns what it is now.
Socket after_bind(int fd, Socket before, Socket planned) {
    if (!planned.is(Kind::ours) || planned.port() != 0)
        return planned;
    const in_port_t port = socket_calls::own_port(fd);
    if (port != 0 && is_wanted(fd, port))
        return planned.with_port(port).with(Socket::any_port);
    options::give_back(fd, before);
    // Without a port (IP_BIND_ADDRESS_NO_PORT) it is still unbound.
    return port == 0 ? before : Socket{Kind::other, 0}.with_copies_of(before);
}

} // namespace

bool may_be_passed_on(Socket socket) {
    const uint32_t made = shared_state::sockets_made();
    const uint32_t since = made - made_when_passed_on.load(std::memory_order_relaxed);
    return socket.made() == 0 || static_cast<uint16_t>(made - socket.made()) >= since;
}

Socket with_address(Socket socket, const Address& own) {
    return socket.with(Socket::has_address, !own.is_wildcard())
        .with(Socket::only_ipv4, socket.has(Socket::ipv6) && own.is_ipv4());
}

Socket examine(int fd) {
    const libc::ErrnoGuard keep_errno;
    if (must_not_change())
        return {Kind::other, 0};
    // Another thread's bind() may set the socket up meanwhile. It knows what the program has asked for.
    const Socket before = load(fd);
    if (before.is(Kind::ours) || before.is(Kind::other))
        return before;
    const Socket socket = classify(fd);
    if (socket.kind() == Kind::unknown)
        return {Kind::other, 0};
    if (!update(fd, before, socket))
        return load(fd);
    // classify() has asked about those that are ours. An unbound one may not know yet that it has copies.
    int asked = 0;
    const auto may_be = [&](Socket seen) {
        return ((seen.has(Socket::has_copies) && !seen.is(Kind::ours)) || seen.is(Kind::unbound)) &&
               asked++ < most_asked;
    };
    if (socket.has(Socket::has_copies))
        change_copies(fd, may_be, [&](Socket) { return socket; });
    if (socket.has(Socket::unmarked))
        mark_later();
    return socket;
}

void examine_anew(int fd) {
    const libc::ErrnoGuard keep_errno;
    // Where the program has switched SO_OOBINLINE on, that would be taken for our mark.
    const bool is_inline = load(fd).has(Socket::wants_inline) && may(Activity::new_sockets);
    if (is_inline)
        options::mark(fd, false);
    change_all(fd, [](Socket) { return Socket{Kind::unknown, Socket::has_copies}; });
    const Socket now = examine(fd);
    if (is_inline && now.is(Kind::ours))
        set_bits(fd, Socket::wants_inline);
    else if (is_inline)
        options::mark(fd);
}

int bind(int fd, const sockaddr* address, socklen_t length) {
    const Socket before = get_bound_or_not(fd);
    if (is_other_for_good(before))
        return libc::bind(fd, address, length);
    const std::optional<Peer> wanted = user_memory::read_peer(address, length);
    if (!wanted || !before.is(Kind::unbound) || !before.has(Socket::seen_made) || !may(Activity::new_sockets))
        return bind_arrived(fd, before, address, length);
    const Socket planned = before_bind(fd, before, *wanted).with_copies_of(before);
    const int result = libc::bind(fd, address, length);
    const libc::ErrnoGuard keep_errno;
    if (result != 0) {
        if (planned.is(Kind::ours))
            options::give_back(fd, before);
        return result;
    }
    const Socket now = after_bind(fd, before, planned);
    change_all(fd, [&](Socket seen) { return now.with_copies_of(seen); });
    if (now.is(Kind::ours))
        announce(fd, now);
    return result;
}

Socket bound_unseen(int fd) {
    const Socket before = load(fd);
    if (!before.is(Kind::unbound) || !may_change(before))
        return before;
    const libc::ErrnoGuard keep_errno;
    return socket_calls::own_port(fd) == 0 ? before : examine(fd);
}

Socket take_over_unbound(int fd) {
    const libc::ErrnoGuard keep_errno;
    const Socket before = load(fd);
    Socket ours = before.with_kind(Kind::ours).with(Socket::any_port);
    if (!before.is(Kind::unbound) || !may_change(before) || !set_up(fd, ours))
        return before;
    change_all(fd, [&](Socket seen) { return ours.with_copies_of(seen); });
    announce(fd, ours);
    return ours;
}

void mark_later() {
    is_any_unmarked.store(true, std::memory_order_relaxed);
}

void mark_all() {
    // Looks before storing: a program without UDP sockets touches no page for this.
    if (const uint32_t made = shared_state::sockets_made();
        made_when_passed_on.load(std::memory_order_relaxed) != made)
        made_when_passed_on.store(made, std::memory_order_relaxed);
    if (!is_any_unmarked.load(std::memory_order_relaxed) || !may(Activity::new_sockets) || must_not_change())
        return;
    const libc::ErrnoGuard keep_errno;
    is_any_unmarked.store(false, std::memory_order_relaxed);
    change_each([](int fd, Socket seen) {
        if (!seen.is(Kind::ours) || !seen.has(Socket::unmarked))
            return seen;
        // The number may stand for something else by now, of which we have not heard.
        if (!options::is_switched_on(fd, seen))
            return Socket{};
        options::mark(fd);
        return seen.with(Socket::unmarked, false);
    });
}

} // namespace multihome::sockets
