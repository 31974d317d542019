// SPDX-License-Identifier: MIT
#include "shim/sockets/options.hpp"

#include "shim/base/kernel_constants.hpp"
#include "shim/base/libc.hpp"
#include "shim/base/permissions.hpp"
#include "shim/sockets/changes.hpp"
#include "shim/sockets/local_route.hpp"
#include "shim/sockets/multicast_turn.hpp"
#include "shim/sockets/socket_calls.hpp"
#include "shim/sockets/sockets.hpp"

#include <algorithm>
#include <cstring>
#include <optional>

namespace multihome::options {

namespace {

using Kind = Socket::Kind;

// An option that we switch on for ourselves, and that the program may have asked for.
struct Flag {
    int level;
    int name;
    Socket::Bit wanted; // the program wants it: this is what it sees

    bool is_on(int fd) const { return socket_calls::read(fd, level, name) != 0; }
    bool set(int fd, bool on) const { return socket_calls::write(fd, level, name, on ? 1 : 0); }
};

constexpr Flag ipv4_messages{IPPROTO_IP, IP_PKTINFO, Socket::wants_ipv4};
constexpr Flag ipv6_messages{IPPROTO_IPV6, IPV6_RECVPKTINFO, Socket::wants_ipv6};
constexpr Flag ipv6_2292_messages{IPPROTO_IPV6, IPV6_2292PKTINFO, Socket::wants_ipv6_2292};
constexpr Flag free_bind{IPPROTO_IPV6, IPV6_FREEBIND, Socket::wants_free_bind};

// The mark of a socket of ours. A socket may be passed on to another program (exec, a UNIX socket) that runs
// under the shim as well. That one finds packet information on, and must know whether a program had asked for
// it. The mark is SO_OOBINLINE: it is kept with the socket and does nothing on a UDP socket (the kernel reads
// SOCK_URGINLINE in TCP alone). getsockopt() hides it.
//
// Without it, a socket that is bound for one question costs a system call less. So two kinds of sockets get
// the mark only when they may be about to be passed on: those on the ports that the kernel chooses from, and
// AF_INET6 sockets, which cost another call already. What may have been passed on before it is bound gets it
// at once.
constexpr Flag the_mark{SOL_SOCKET, SO_OOBINLINE, Socket::wants_inline};

bool is_marked_later(Socket socket) {
    return !sockets::may_be_passed_on(socket) &&
           (socket.has(Socket::ipv6) || socket.port() == 0 || ntohs(socket.port()) >= first_given_port);
}

// The option that is on for each socket of ours.
const Flag& main_messages(Socket socket) {
    return socket.has(Socket::ipv6) ? ipv6_messages : ipv4_messages;
}

// True where IP_PKTINFO is on. An AF_INET6 socket needs it only to answer IPv4 broadcasts better. Nobody
// broadcasts to a port that the kernel chooses. And where a program asks for IPV6_RECVPKTINFO alone, another
// one that gets the socket from it has to find that option alone.
bool is_ipv4_on(Socket socket) {
    return !socket.has(Socket::ipv6) || socket.has(Socket::wants_ipv4) ||
           (socket.port() != 0 && !socket.has(Socket::wants_messages));
}

// The flag of an option that is Concern::hidden. The kernel keeps one bit for IP_FREEBIND and IPV6_FREEBIND.
const Flag& flag_of(int level, int name) {
    if (level == SOL_SOCKET)
        return the_mark;
    if (level == IPPROTO_IP)
        return name == IP_PKTINFO ? ipv4_messages : free_bind;
    return name == IPV6_RECVPKTINFO ? ipv6_messages : name == IPV6_FREEBIND ? free_bind : ipv6_2292_messages;
}

// Switches on what we need, and sets the mark right, whatever is on. False, with errno set, where the kernel
// refuses.
bool restore(int fd, Socket socket) {
    if (!main_messages(socket).set(fd, true))
        return false;
    if (socket.has(Socket::ipv6))
        ipv4_messages.set(fd, is_ipv4_on(socket));
    the_mark.set(fd, !socket.has(Socket::wants_messages));
    if (socket.has(Socket::free_bind) && permissions::may(Activity::finding_routes))
        free_bind.set(fd, true);
    return true;
}

// Returns what the program chose with IP_MULTICAST_IF, as socket.hpp has it. The kernel has just read it
// (do_ip_setsockopt()): an address, an address behind that of a group, or both of these and an index.
uint32_t chosen_interface(const void* value, socklen_t length) {
    ip_mreqn chosen{};
    if (length >= sizeof chosen)
        std::memcpy(&chosen, value, sizeof chosen);
    else if (length >= sizeof(ip_mreq))
        std::memcpy(&chosen, value, sizeof(ip_mreq));
    else
        std::memcpy(&chosen.imr_address, value, sizeof chosen.imr_address);
    if (chosen.imr_ifindex == 0)
        return chosen.imr_address.s_addr != 0 ? Socket::multicast_address : 0;
    const auto index = static_cast<uint32_t>(chosen.imr_ifindex);
    return index < Socket::multicast_address ? index : Socket::multicast_too_great;
}

// True where a flag was switched on. The kernel has just read it (do_ip_setsockopt(), do_ipv6_setsockopt(),
// sk_setsockopt()): an int, or one byte where IPv4 takes less.
bool switches_on(const void* value, socklen_t length) {
    int flag = 0;
    if (value != nullptr)
        std::memcpy(&flag, value, length >= sizeof flag ? sizeof flag : std::min<size_t>(length, 1));
    return flag != 0;
}

bool names_source(const void* value) {
    in6_pktinfo info;
    std::memcpy(&info, value, sizeof info);
    return !IN6_IS_ADDR_UNSPECIFIED(&info.ipi6_addr);
}

// The turn that a call with IP_MULTICAST_IF takes; none for other options, and for a socket that we do not
// connect.
std::optional<MulticastTurn> turn_for(Socket socket, int level, int name) {
    if (concern(level, name) == Concern::multicast_interface && !socket.is(Kind::other))
        return std::optional<MulticastTurn>(std::in_place, socket);
    return std::nullopt;
}

// Notes what the program has set, and puts ours right, which may have changed with it.
void follow_bits(int fd, Socket socket, uint64_t bits, bool on) {
    sockets::set_bits(fd, bits, on);
    if (!socket.is(Kind::ours) || !permissions::may(Activity::new_sockets))
        return;
    restore(fd, socket.with(bits, on));
    sockets::set_bits(fd, Socket::unmarked, false);
}

// Notes that the program has set an option of the socket, and switches on again what we need.
void follow(int fd, Socket socket, int level, int name, const void* value, socklen_t length) {
    switch (concern(level, name)) {
    case Concern::hidden:
        follow_bits(fd, socket, flag_of(level, name).wanted, switches_on(value, length));
        break;
    case Concern::route:
        sockets::set_bits(fd, Socket::own_route);
        break;
    case Concern::multicast_interface:
        sockets::set_multicast_interface(fd, chosen_interface(value, length));
        break;
    case Concern::sticky_source:
        sockets::set_sticky_source(fd, names_source(value));
        break;
    case Concern::family:
        // The socket is an IPv4 one from now on. The kernel has kept its options of IPv4.
        follow_bits(fd, socket,
                    Socket::ipv6 | Socket::only_ipv4 | Socket::wants_ipv6 | Socket::wants_ipv6_2292, false);
        break;
    case Concern::path:
    case Concern::none:
        break;
    }
}

} // namespace

bool switch_on(int fd, Socket& socket) {
    const Flag& messages = main_messages(socket);
    if (!socket.has(messages.wanted) && !messages.set(fd, true))
        return false;
    if (socket.has(Socket::ipv6) && is_ipv4_on(socket) && !socket.has(Socket::wants_ipv4))
        ipv4_messages.set(fd, true);
    const bool marked = !socket.has(Socket::wants_messages);
    const bool later = marked && is_marked_later(socket);
    if (!later && marked != socket.has(Socket::wants_inline))
        the_mark.set(fd, marked);
    socket = socket.with(Socket::unmarked, later);
    return true;
}

bool switch_on_arrived(int fd, Socket& socket) {
    const bool ipv6 = socket.has(Socket::ipv6);
    uint64_t on = 0;
    for (const Flag& flag : {ipv4_messages, ipv6_messages, ipv6_2292_messages, the_mark})
        if ((ipv6 || flag.level != IPPROTO_IPV6) && flag.is_on(fd))
            on |= flag.wanted;
    // Another thread, or another process, may be taking the socket over at the same time. The messages that
    // it switches on are not the program's: so the mark is set first, and asked for last. (Seen alone, the
    // mark is taken for an option of the program's. No program uses it on UDP.)
    if (on != 0 && !is_marked(fd, socket))
        socket = socket.with(on);
    if (!socket.has(Socket::wants_messages))
        the_mark.set(fd, true);
    return restore(fd, socket);
}

bool is_marked(int fd, Socket socket) {
    return main_messages(socket).is_on(fd) && the_mark.is_on(fd);
}

void mark(int fd, bool on) {
    the_mark.set(fd, on);
}

void give_back(int fd, Socket socket) {
    if (!permissions::may(Activity::new_sockets))
        return;
    const libc::ErrnoGuard keep_errno;
    const auto put_back = [&](const Flag& flag) { flag.set(fd, socket.has(flag.wanted)); };
    put_back(ipv4_messages);
    if (socket.has(Socket::ipv6))
        put_back(ipv6_messages);
    put_back(the_mark);
    if (socket.has(Socket::free_bind) && permissions::may(Activity::finding_routes))
        put_back(free_bind);
}

bool is_switched_on(int fd, Socket socket) {
    const libc::ErrnoGuard keep_errno;
    return main_messages(socket).is_on(fd);
}

bool allow_local_route(int fd, Socket socket, const in6_addr& source) {
    const libc::ErrnoGuard keep_errno;
    if (!socket.has(Socket::ipv6) || socket.has(Socket::free_bind) || socket.has(Socket::wants_free_bind) ||
        sockets::must_not_change() || !permissions::may(Activity::finding_routes) ||
        !local_route::covers(source) || !free_bind.set(fd, true))
        return false;
    sockets::set_bits(fd, Socket::free_bind);
    return true;
}

int set(int fd, int level, int name, const void* value, socklen_t length) {
    const Socket socket = sockets::get_current(fd);
    if (!socket.is(Kind::ours) && !socket.is(Kind::unbound) && !socket.has(Socket::sticky_source))
        return libc::setsockopt(fd, level, name, value, length);
    const auto turn = turn_for(socket, level, name);
    const int result = libc::setsockopt(fd, level, name, value, length);
    const libc::ErrnoGuard keep_errno;
    if (result == 0)
        follow(fd, socket, level, name, value, length);
    return result;
}

int get(int fd, int level, int name, void* value, socklen_t* length) {
    const Socket socket = sockets::get_current(fd);
    const auto turn = turn_for(socket, level, name);
    const int result = libc::getsockopt(fd, level, name, value, length);
    if (result != 0 || concern(level, name) != Concern::hidden || !socket.is(Kind::ours))
        return result;
    const Flag& flag = flag_of(level, name);
    // The word knows of IPV6_FREEBIND only while we have it on.
    if (flag.wanted == Socket::wants_free_bind && !socket.has(Socket::free_bind))
        return 0;
    // The kernel has just written here an int, or as many of its bytes as the program gave room for.
    const int wanted = socket.has(flag.wanted) ? 1 : 0;
    std::memcpy(value, &wanted, std::min<size_t>(*length, sizeof wanted));
    return 0;
}

} // namespace multihome::options
