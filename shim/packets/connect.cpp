// SPDX-License-Identifier: MIT
#include "shim/packets/connect.hpp"

#include "shim/base/control.hpp"
#include "shim/base/libc.hpp"
#include "shim/base/log.hpp"
#include "shim/base/user_memory.hpp"
#include "shim/packets/probe.hpp"
#include "shim/peers/peers.hpp"

#include <algorithm>
#include <cstring>
#include <netinet/in.h>
#include <sys/socket.h>

#ifndef SO_BINDTOIFINDEX
#define SO_BINDTOIFINDEX 62
#endif

namespace multihome::connect {

namespace {

// A socket address of either family.
struct SocketAddress {
    sockaddr_storage storage{};
    socklen_t length = 0;

    sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }

    // `address` and `port` (network byte order) for a socket of the given family; IPv4 is mapped for an IPv6
    // one.
    static SocketAddress make(bool ipv6, const Address& address, in_port_t port, uint32_t scope) {
        SocketAddress result;
        if (ipv6) {
            sockaddr_in6 name{};
            name.sin6_family = AF_INET6;
            name.sin6_addr = address.ipv6();
            name.sin6_port = port;
            name.sin6_scope_id = scope;
            std::memcpy(&result.storage, &name, sizeof name);
            result.length = sizeof name;
        } else {
            sockaddr_in name{};
            name.sin_family = AF_INET;
            name.sin_addr = address.ipv4();
            name.sin_port = port;
            std::memcpy(&result.storage, &name, sizeof name);
            result.length = sizeof name;
        }
        return result;
    }
};

int read_int(int fd, int level, int name) {
    int value = 0;
    socklen_t length = sizeof value;
    return libc::getsockopt(fd, level, name, &value, &length) == 0 ? value : 0;
}

bool is_ipv6(int fd) {
    return read_int(fd, SOL_SOCKET, SO_DOMAIN) == AF_INET6;
}

// The socket's own address and port, as a peer that others would see.
Peer own_name(int fd) {
    sockaddr_storage name{};
    socklen_t length = sizeof name;
    Peer own;
    if (getsockname(fd, reinterpret_cast<sockaddr*>(&name), &length) == 0)
        read_peer(reinterpret_cast<const sockaddr*>(&name), length, own);
    return own;
}

bool is_wildcard(const Address& address) {
    return address.is_ipv4() ? address.ipv4().s_addr == htonl(INADDR_ANY) : address == Address{};
}

// A dual-stack socket that has got an IPv4 address sends to no IPv6 peer.
void note_families(int fd, Socket socket) {
    if (socket.kind() != Socket::Kind::ours || !socket.has(Socket::ipv6))
        return;
    const libc::ErrnoGuard keep_errno;
    const uint64_t bit = own_name(fd).address.is_ipv4() ? uint64_t{Socket::only_ipv4} : 0;
    if (bit != (socket.word() & Socket::only_ipv4))
        sockets::set_options(fd, Socket::only_ipv4, bit);
}

// Takes the peer and the local address off a connected socket. The kernel takes the device as well, and the
// port of a socket that was bound to port 0 (udp_disconnect()); those two are put back.
void dissolve(int fd, bool ipv6) {
    const Peer before = own_name(fd);
    const int device = read_int(fd, SOL_SOCKET, SO_BINDTOIFINDEX);
    sockaddr none{};
    none.sa_family = AF_UNSPEC;
    libc::connect(fd, &none, sizeof none);
    if (device != 0)
        libc::setsockopt(fd, SOL_SOCKET, SO_BINDTOIFINDEX, &device, sizeof device);
    if (own_name(fd).port != before.port) {
        // Only an empty address here: the wildcard of both families.
        SocketAddress wildcard = SocketAddress::make(ipv6, Address{}, before.port, 0);
        libc::bind(fd, wildcard.get(), wildcard.length);
    }
}

// What the program chose with IP_MULTICAST_IF, to be put back: the kernel tells the address, and we remember
// the index.
class MulticastInterface {
public:
    MulticastInterface(int fd, Socket socket) : fd_(fd) {
        socklen_t length = sizeof before_.imr_address;
        known_ = libc::getsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &before_.imr_address, &length) == 0 &&
                 socket.multicast_interface() != Socket::multicast_interface_unknown;
        before_.imr_ifindex = static_cast<int>(socket.multicast_interface());
    }

    // False, and nothing done, where it could not be put back or the kernel refuses.
    bool set(in_addr address) {
        ip_mreqn wanted{};
        wanted.imr_address = address;
        // A socket that is bound to a device sends multicast through no other.
        wanted.imr_ifindex = read_int(fd_, SOL_SOCKET, SO_BINDTOIFINDEX);
        return known_ && libc::setsockopt(fd_, IPPROTO_IP, IP_MULTICAST_IF, &wanted, sizeof wanted) == 0;
    }

    void put_back() { libc::setsockopt(fd_, IPPROTO_IP, IP_MULTICAST_IF, &before_, sizeof before_); }

private:
    int fd_;
    ip_mreqn before_{};
    bool known_ = false;
};

// Connects to `peer` so that the socket's local address becomes `local`. The socket has none yet.
//
// The kernel sets a wildcard socket's local address at its first connect() and keeps it at the next. The
// first one here goes to where the kernel has no choice: for IPv6 to the wanted address itself; for IPv4,
// where a secondary address would not be chosen then, to a multicast group, whose source IP_MULTICAST_IF
// names. Nothing is sent. Between the two a datagram of the peer's has no socket to go to, so nothing else
// stands between them.
bool connect_from(Socket socket, int fd, bool ipv6, const Local& local, const sockaddr* peer,
                  socklen_t length) {
    const in_port_t port = htons(9); // discard; any port will do
    if (!local.address.is_ipv4()) {
        const uint32_t scope = local.address.is_link_local() ? local.interface_index : 0;
        SocketAddress own = SocketAddress::make(ipv6, local.address, port, scope);
        return libc::connect(fd, own.get(), own.length) == 0 && libc::connect(fd, peer, length) == 0;
    }
    MulticastInterface multicast_interface(fd, socket);
    if (!multicast_interface.set(local.address.ipv4()))
        return false;
    const Address all_hosts = Address::from_ipv4({htonl(INADDR_ALLHOSTS_GROUP)});
    SocketAddress group = SocketAddress::make(ipv6, all_hosts, port, 0);
    const bool connected =
        libc::connect(fd, group.get(), group.length) == 0 && libc::connect(fd, peer, length) == 0;
    multicast_interface.put_back();
    return connected;
}

// True where the kernel would take a datagram from `local` to `peer`.
bool is_usable(int fd, const Local& local, const sockaddr* peer, socklen_t length) {
    alignas(cmsghdr) unsigned char source[control::own_space];
    msghdr message{};
    message.msg_name = const_cast<sockaddr*>(peer);
    message.msg_namelen = length;
    message.msg_control = source;
    message.msg_controllen = control::write_source(source, local);
    return !probe::fails(fd, message);
}

// True where the socket is connected to `peer` from `local` now. False leaves it as a plain connect() would
// find it.
bool steer(Socket socket, int fd, const Local& local, const sockaddr* peer, socklen_t length) {
    const libc::ErrnoGuard keep_errno;
    const bool ipv6 = is_ipv6(fd);
    // No IPv4 socket connects to the IPv6 form of an IPv4 address.
    if (!ipv6 && peer->sa_family != AF_INET)
        return false;
    const Address own = own_name(fd).address;
    if (own == local.address)
        return false;
    // Nor does a socket that has got an IPv4 address connect to an IPv6 peer before AF_UNSPEC takes it away,
    // though the kernel would take a datagram to that peer from our source.
    if (own.is_ipv4() && !local.address.is_ipv4())
        return false;
    // What could not be put back is seen before the peer and the address that the socket has are gone.
    if (local.address.is_ipv4() && socket.multicast_interface() == Socket::multicast_interface_unknown)
        return false;
    if (!is_usable(fd, local, peer, length))
        return false;
    if (!is_wildcard(own))
        dissolve(fd, ipv6);
    if (connect_from(socket, fd, ipv6, local, peer, length)) {
        log::write(LogLevel::debug, "socket {}: connected from {}", fd, log::AddressText{local.address}.text);
        return true;
    }
    if (!is_wildcard(own_name(fd).address))
        dissolve(fd, ipv6);
    return false;
}

bool is_readable(const sockaddr* address, socklen_t length) {
    return address != nullptr && length >= sizeof address->sa_family && length <= sizeof(sockaddr_storage) &&
           user_memory::can_read(address, std::min<size_t>(length, sizeof(sockaddr_in6)));
}

} // namespace

int to(Socket socket, int fd, const sockaddr* address, socklen_t length) {
    if (!sockets::may_examine() || !is_readable(address, length))
        return libc::connect(fd, address, length);
    Peer peer;
    if (!read_peer(address, length, peer)) {
        const int result = libc::connect(fd, address, length);
        // The wildcard may be back: look at the socket anew when it is used next.
        if (result == 0 && address->sa_family == AF_UNSPEC && socket.kind() == Socket::Kind::other)
            sockets::arrived(fd);
        if (result == 0)
            note_families(fd, socket);
        return result;
    }
    const bool ours = socket.kind() == Socket::Kind::ours;
    const Local local = ours                                     ? peers::source_for_connection(socket, peer)
                        : socket.kind() == Socket::Kind::unbound ? peers::handed_over(socket, peer)
                                                                 : Local{};
    const bool steered = local && steer(socket, fd, local, address, length);
    const int result = steered ? 0 : libc::connect(fd, address, length);
    if (result == 0 && socket.kind() == Socket::Kind::unbound)
        sockets::left_alone(fd, socket);
    if (result == 0)
        note_families(fd, socket);
    return result;
}

Socket before_first_send(Socket socket, int fd, const sockaddr* address, socklen_t length) {
    Peer peer;
    if (!is_readable(address, length) || !read_peer(address, length, peer))
        return socket;
    if (peers::handed_over(socket, peer) && sockets::may_examine()) {
        const libc::ErrnoGuard keep_errno;
        // Another descriptor of it may have been connected meanwhile.
        if (is_wildcard(own_name(fd).address))
            return sockets::take_over_unbound(fd);
    }
    sockets::left_alone(fd, socket);
    return {Socket::Kind::other, 0, 0};
}

} // namespace multihome::connect
