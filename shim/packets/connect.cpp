// SPDX-License-Identifier: MIT
#include "shim/packets/connect.hpp"

#include "shim/base/libc.hpp"
#include "shim/base/permissions.hpp"
#include "shim/base/user_memory.hpp"
#include "shim/packets/probe.hpp"
#include "shim/packets/steering.hpp"
#include "shim/peers/peers.hpp"
#include "shim/sockets/socket_calls.hpp"

#include <cerrno>
#include <optional>

namespace multihome::connect {

namespace {

// Returns the local address that the socket has to get. Empty where the routing table chooses it, or where
// the socket cannot get it.
Local address_for(Socket socket, const Peer& peer, sa_family_t family) {
    Local local;
    if (socket.is(Socket::Kind::ours))
        local = peers::Turn{}.source_for_connection(socket, peer);
    else if (socket.is(Socket::Kind::unbound))
        local = peers::handed_over(socket, peer);
    // An IPv4 socket does not connect to the IPv6 form of an IPv4 address. A socket that has an IPv4 address
    // does not connect to an IPv6 peer before AF_UNSPEC takes that address away, though the kernel would send
    // a datagram to that peer from our source.
    const bool impossible = socket.has(Socket::ipv6)
                                ? socket.has(Socket::only_ipv4) && !local.address.is_ipv4()
                                : family != AF_INET;
    // A link-local address of ours would bind the socket to its device. A peer with another address, and the
    // next peer, may be elsewhere.
    const bool would_bind_to_device = local.address.is_link_local() && !peer.address.is_link_local();
    return impossible || would_bind_to_device || local.address.is_wildcard() ||
                   !permissions::may(Activity::steering)
               ? Local{}
               : local;
}

} // namespace

int to(Socket socket, int fd, const sockaddr* address, socklen_t length) {
    const bool is_connected = steering::begins_with_connect(fd, socket);
    if (is_connected && libc::connect(fd, address, length) != 0)
        return -1;
    const auto plain = [&] {
        const int result = is_connected ? 0 : libc::connect(fd, address, length);
        if (result != 0 && socket.is(Socket::Kind::unbound))
            sockets::not_connected(fd);
        return result;
    };
    const std::optional<Peer> peer = user_memory::read_peer(address, length);
    if (!peer) {
        const int result = plain();
        // The kernel has read what it has taken.
        if (result == 0 && length >= sizeof address->sa_family && address->sa_family == AF_UNSPEC &&
            permissions::may(Activity::new_sockets))
            sockets::disconnected(fd, socket);
        return result;
    }
    const Local local = address_for(socket, *peer, address->sa_family);
    const int result =
        local ? steering::connect(socket, fd, *peer, address, length, local, is_connected) : plain();
    if (result == 0 && socket.is(Socket::Kind::unbound)) {
        if (local)
            peers::withdraw_offer(*peer);
        else
            peers::asks(*peer);
    } else if (result != 0 && socket.is(Socket::Kind::ours)) {
        peers::Turn{}.not_sent(socket, *peer, true);
    }
    if (result == 0)
        sockets::connected(fd, socket, peer->address.is_ipv4());
    return result;
}

Socket before_first_send(Socket socket, int fd, const sockaddr* address, socklen_t length) {
    if (const std::optional<Peer> peer = user_memory::read_peer(address, length)) {
        if (peers::handed_over(socket, *peer) && permissions::may(Activity::new_sockets)) {
            const libc::ErrnoGuard keep_errno;
            // Somebody may have connected another descriptor of this socket meanwhile.
            const auto own = socket_calls::own_name(fd);
            if (own && own->address.is_wildcard())
                return sockets::take_over_unbound(fd);
        }
        peers::asks(*peer);
    }
    // Even if this send fails: the kernel has given the socket a port before it looked at the address, and we
    // do not see the next one.
    sockets::left_alone(fd);
    return {Socket::Kind::other, 0};
}

int read_path(int fd, int level, int name, void* value, socklen_t* length) {
    const int errno_before = errno;
    int result = libc::getsockopt(fd, level, name, value, length);
    if (result == 0 || errno != ENOTCONN)
        return result;
    const Socket socket = sockets::load(fd);
    // Steering makes the kernel forget the route. A probe makes it note the route again, as the program's
    // first datagram does. Only now, because most programs never ask. It may be a child that has connected
    // the socket, so this does not go by the word. A socket that has lost its port has no peer either, and
    // would get a port.
    if (!socket.is(Socket::Kind::ours) || socket_calls::own_port(fd) == 0 || probe::fails(fd, {}))
        return result;
    result = libc::getsockopt(fd, level, name, value, length);
    if (result == 0)
        errno = errno_before;
    return result;
}

} // namespace multihome::connect
