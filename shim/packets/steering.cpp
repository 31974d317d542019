// SPDX-License-Identifier: MIT
#include "shim/packets/steering.hpp"

#include "shim/base/cancellation.hpp"
#include "shim/base/control.hpp"
#include "shim/base/libc.hpp"
#include "shim/base/log.hpp"
#include "shim/base/permissions.hpp"
#include "shim/packets/device.hpp"
#include "shim/packets/multicast_interface.hpp"
#include "shim/packets/probe.hpp"
#include "shim/packets/route_memory.hpp"
#include "shim/sockets/multicast_turn.hpp"
#include "shim/sockets/socket_calls.hpp"
#include "shim/sockets/sockets.hpp"

namespace multihome::steering {

namespace {

// True where undoing a connect() would leave the address: bind() takes ::ffff:0.0.0.0 for an address of the
// program's choice (SOCK_BINDADDR_LOCK in the kernel's __inet6_bind()), and the first connect() sets it once
// for all.
bool keeps_address(Socket socket) {
    return socket.has(Socket::only_ipv4) && !socket.has(Socket::has_address);
}

// True where undoing a connect() leaves the peer's address: the kernel does not take it off an IPv6 socket,
// which hears no other IPv6 peer from then on (sk_v6_daddr in its __udp_disconnect()).
bool keeps_peer(Socket socket) {
    return socket.has(Socket::ipv6);
}

// True where undoing a connect() may take away the device for good: before Linux 5.7 only CAP_NET_RAW gives
// it back, and before Linux 5.1 nobody tells which it was.
bool may_lose_device(int fd, Socket socket) {
    const libc::ErrnoGuard keep_errno;
    return socket.has(Socket::own_route) && socket_calls::read(fd, SOL_SOCKET, SO_BINDTOIFINDEX, -1) != 0;
}

// A connect() that is to become steered.
struct Attempt {
    Socket socket;
    int fd;
    const sockaddr* address;
    socklen_t length;
    const Local& local;
    bool is_connected;  // the program's connect() alone has been made, and has succeeded
    bool may_call_libc; // its connect() is a cancellation point

    int plain() const {
        return may_call_libc ? libc::connect(fd, address, length)
                             : socket_calls::connect(fd, address, length);
    }

    bool is_at_local() const {
        const auto own = socket_calls::own_name(fd);
        return own && own->address == local.address;
    }

    // True where the kernel would take a datagram from the wanted address to the peer.
    bool is_usable() const {
        alignas(cmsghdr) unsigned char source[control::own_space];
        msghdr message{};
        message.msg_name = const_cast<sockaddr*>(address);
        message.msg_namelen = length;
        message.msg_control = source;
        message.msg_controllen = control::write_source(source, local);
        return !probe::fails(fd, message);
    }

    // Since Linux 6.13 the kernel finds a connected socket by both its ends (udp_lib_hash4() in its
    // net/ipv4/udp.c). It notes both ends at the connect() that sets the local address. Ours had another peer
    // then, so that the kernel would look through all sockets of this address and port for each datagram. It
    // notes them anew when the socket is bound to the device that it has, which may be none. With that it
    // forgets the route to the peer (see connect::read_path()). An IPv6 socket with an IPv4 peer notes the
    // route at a connect() alone.
    void note_both_ends() const {
        const bool is_ipv4 = local.address.is_ipv4();
        // A link-local peer has given the socket a device.
        const int device = is_ipv4 ? device_of(fd, socket) : socket_calls::device(fd);
        socket_calls::write(fd, SOL_SOCKET, SO_BINDTOIFINDEX, device);
        if (socket.has(Socket::ipv6) && is_ipv4)
            socket_calls::connect(fd, address, length);
    }

    // Connects the socket, from the wanted address if it had none before. True where that succeeded.
    // Otherwise `touched` says whether the socket has another peer now.
    bool connects_by_way_of_another(bool& touched) const {
        const bool ipv6 = socket.has(Socket::ipv6);
        const auto by_way_of = [&](const SocketAddress& first) {
            touched = socket_calls::connect(fd, first.get(), first.length()) == 0;
            return touched && plain() == 0;
        };
        if (!local.address.is_ipv4()) {
            const uint32_t scope = local.address.is_link_local() ? local.interface_index : 0;
            return by_way_of(SocketAddress(ipv6, local.address, discard_port(), scope));
        }
        MulticastInterface chosen(fd, socket);
        if (!chosen.set(local.address.ipv4()))
            return false;
        bool connected = by_way_of(any_group(ipv6));
        // No route leads through an interface that is down, though other interfaces bring what is sent to its
        // address.
        if (!touched && chosen.set_on_loopback(local.address.ipv4()))
            connected = by_way_of(any_group(ipv6));
        chosen.put_back();
        return connected;
    }

    // Connects the socket from the wanted address. False leaves it without peer and local address.
    bool steer() const {
        // A second time where the socket had an address that we did not know of: another process had
        // connected it.
        for (int time = 0; time < 2; ++time) {
            bool touched = false;
            if (connects_by_way_of_another(touched) && is_at_local()) {
                // A socket that was not bound has a port of its own: nobody looks through many there.
                if (socket.is(Socket::Kind::ours))
                    note_both_ends();
                return true;
            }
            if (!touched)
                break;
            dissolve(fd, socket);
        }
        return false;
    }

    // True where the socket is connected to the peer now. False leaves it as the program's connect() alone
    // would find it.
    bool connects(const RouteMemory& route) const {
        if (socket.has(Socket::has_address)) {
            // Finds out what the kernel would refuse, and what could not be put back, before the socket's
            // peer and address are gone.
            if (socket.multicast_interface() == Socket::multicast_too_great || is_at_local() || !is_usable())
                return false;
            // It refuses a connect() for more reasons than a datagram: a peer on another link than the
            // socket's device. For IPv4 also because the socket's own address is gone, which is no reason to
            // give up.
            if (!local.address.is_ipv4() && plain() != 0)
                return false;
            dissolve(fd, socket);
            return steer();
        }
        // What the routing table chooses for other sockets, it need not choose for one with routes of its
        // own.
        const bool as_for_others = !socket.has(Socket::own_route);
        if (as_for_others && route.is_local_chosen())
            return is_connected || plain() == 0;
        if (!is_connected) {
            // Asks before, because a refused connect() to the peer would leave what the first one has set.
            if (keeps_address(socket))
                return is_usable() && steer();
            if (route.is_another_chosen() || socket.loses_port())
                return (!keeps_peer(socket) || is_usable()) && steer();
            if (may_lose_device(fd, socket))
                return is_usable() && steer();
            if (plain() != 0)
                return false;
        }
        if (is_at_local()) {
            if (as_for_others)
                route.note_local();
            return true;
        }
        if (!is_usable())
            return true;
        route.note_another();
        dissolve(fd, socket);
        return steer();
    }
};

} // namespace

bool begins_with_connect(int fd, Socket socket) {
    return socket.is(Socket::Kind::ours) && !socket.has(Socket::has_address) && !socket.loses_port() &&
           !keeps_address(socket) && !RouteMemory::is_another_ever_chosen() &&
           permissions::may(Activity::steering) && !may_lose_device(fd, socket);
}

int connect(Socket socket, int fd, const Peer& peer, const sockaddr* address, socklen_t length,
            const Local& local, bool is_connected) {
    // Here libc's connect() alone would be cancelled.
    if (!is_connected)
        pthread_testcancel();
    const NoCancellation guard;
    const Attempt attempt{socket, fd, address, length, local, is_connected, !guard.was_at_any_time()};
    const MulticastTurn turn(socket);
    {
        const libc::ErrnoGuard keep_errno;
        if (turn && attempt.connects(RouteMemory{local, peer, socket.port()})) {
            if (log::wanted(LogLevel::debug)) [[unlikely]]
                log::write(LogLevel::debug, FMT_COMPILE("socket {}: connected from {}"), fd,
                           log::AddressText{local.address}.text);
            return 0;
        }
    }
    return attempt.plain();
}

} // namespace multihome::steering
