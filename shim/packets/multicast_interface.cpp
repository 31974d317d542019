// SPDX-License-Identifier: MIT
#include "shim/packets/multicast_interface.hpp"

#include "shim/base/libc.hpp"
#include "shim/base/permissions.hpp"
#include "shim/base/scratch.hpp"
#include "shim/packets/device.hpp"
#include "shim/sockets/socket_calls.hpp"
#include "shim/sockets/sockets.hpp"

#include <net/if.h>
#include <optional>
#include <span>
#include <sys/ioctl.h>
#include <sys/syscall.h>

namespace multihome {

namespace {

// Returns the local address that the routing table chooses towards a group: a fresh IPv4 socket gets it when
// it connects to one. The wildcard where it gets none; empty where we get no socket. These are system calls
// of our own, so that no interposed function sees the descriptor.
std::optional<Address> address_towards_group() {
    const long fd = libc::raw_syscall(SYS_socket, AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return {};
    const SocketAddress group = any_group(false);
    libc::raw_syscall(SYS_connect, fd, group.get(), group.length());
    const auto own = socket_calls::own_name(static_cast<int>(fd));
    libc::raw_syscall(SYS_close, fd);
    return own ? own->address : Address{};
}

// Returns the index of the interface that has this address; 0 where there is none, or no memory for the list.
int interface_of(int fd, const Address& address) {
    Scratch scratch;
    ifconf list{};
    list.ifc_len = static_cast<int>(Scratch::size);
    list.ifc_req = static_cast<ifreq*>(scratch.take(Scratch::size));
    if (list.ifc_req == nullptr || ioctl(fd, SIOCGIFCONF, &list) != 0)
        return 0;
    for (ifreq& interface : std::span(list.ifc_req, static_cast<size_t>(list.ifc_len) / sizeof(ifreq))) {
        Peer own;
        if (read_peer(&interface.ifr_addr, sizeof(sockaddr_in), own) && own.address == address)
            return ioctl(fd, SIOCGIFINDEX, &interface) == 0 ? interface.ifr_ifindex : 0;
    }
    return 0;
}

} // namespace

// Finds the interface that was chosen on a socket that comes from elsewhere and has no local address yet. The
// kernel does not tell an index that was set. But when the socket connects to a group, it gets the address of
// that interface. If a fresh socket gets the same address, no interface was chosen, or the one that the
// routing table chooses.
//
// This does not find an interface without an address, an index that was set together with an address, or,
// where no route leads to groups, an interface that is down.
bool MulticastInterface::find_choice() {
    if (!permissions::may(Activity::finding_interfaces))
        return false;
    // The socket would keep any other address than its family's wildcard, ::ffff:0.0.0.0 as well.
    const Address wildcard = socket_.has(Socket::ipv6) ? Address{} : Address::from_ipv4({INADDR_ANY});
    if (const auto own = socket_calls::own_name(fd_); !own || own->address != wildcard)
        return false;
    const auto others = address_towards_group();
    if (!others)
        return false;
    const SocketAddress group = any_group(socket_.has(Socket::ipv6));
    if (socket_calls::connect(fd_, group.get(), group.length()) == 0) {
        const auto own = socket_calls::own_name(fd_);
        dissolve(fd_, socket_);
        if (!own)
            return false;
        if (own->address != *others) {
            choice_.imr_ifindex = interface_of(fd_, own->address);
            if (choice_.imr_ifindex == 0)
                return false;
        }
    } else if (!others->is_wildcard()) {
        // A fresh socket finds a way: so an interface was chosen on this one, and is down.
        return false;
    }
    sockets::set_multicast_interface(fd_, static_cast<uint32_t>(choice_.imr_ifindex));
    return true;
}

bool MulticastInterface::read_choice() {
    const uint32_t known = socket_.multicast_interface();
    if (known == 0)
        return true;
    if (known == Socket::multicast_too_great)
        return false;
    socklen_t length = sizeof choice_.imr_address;
    if (libc::getsockopt(fd_, IPPROTO_IP, IP_MULTICAST_IF, &choice_.imr_address, &length) != 0)
        return false;
    if (known == Socket::multicast_unknown)
        // To put an address back is enough: it stands for its interface.
        return choice_.imr_address.s_addr != 0 || find_choice();
    if (known != Socket::multicast_address)
        choice_.imr_ifindex = static_cast<int>(known);
    return true;
}

bool MulticastInterface::set(in_addr address) {
    // A socket that is bound to a device sends multicast through no other.
    const ip_mreqn wanted{{}, address, device_of(fd_, socket_)};
    // The address or the interface that the program chose may be gone by now.
    const auto can_put_back = [this] {
        return (choice_.imr_ifindex == 0 && choice_.imr_address.s_addr == 0) || put_back();
    };
    return read_choice() && can_put_back() &&
           libc::setsockopt(fd_, IPPROTO_IP, IP_MULTICAST_IF, &wanted, sizeof wanted) == 0;
}

bool MulticastInterface::set_on_loopback(in_addr address) const {
    constexpr int loopback = 1; // in each network namespace
    const ip_mreqn wanted{{}, address, loopback};
    return libc::setsockopt(fd_, IPPROTO_IP, IP_MULTICAST_IF, &wanted, sizeof wanted) == 0;
}

bool MulticastInterface::put_back() const {
    return libc::setsockopt(fd_, IPPROTO_IP, IP_MULTICAST_IF, &choice_, sizeof choice_) == 0;
}

} // namespace multihome
