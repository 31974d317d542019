// SPDX-License-Identifier: MIT
#include "shim/packets/steering.hpp"

#include "shim/base/cancellation.hpp"
#include "shim/base/control.hpp"
#include "shim/base/libc.hpp"
#include "shim/base/log.hpp"
#include "shim/packets/dissolve.hpp"
#include "shim/packets/multicast_interface.hpp"
#include "shim/packets/probe.hpp"
#include "shim/packets/route_memory.hpp"
#include "shim/packets/socket_address.hpp"
#include "shim/sockets/multicast_turn.hpp"
#include "shim/sockets/socket_calls.hpp"
#include "shim/sockets/sockets.hpp"

namespace multihome::steering {

namespace {

// A connect() that is to become steered.
class Attempt {
public:
    Attempt(Socket socket, int fd, const sockaddr* address, socklen_t length, const Local& local,
            bool may_call_libc)
        : socket_(socket), fd_(fd), address_(address), length_(length), local_(local),
          may_call_libc_(may_call_libc) {}

    int plain() const {
        return may_call_libc_ ? libc::connect(fd_, address_, length_)
                              : socket_calls::connect(fd_, address_, length_);
    }

    bool is_at_local() const {
        const auto own = socket_calls::own_name(fd_);
        return own && own->address == local_.address;
    }

    // True where the kernel would take a datagram from the wanted address to the peer.
    bool is_usable() const {
        alignas(cmsghdr) unsigned char source[control::own_space];
        msghdr message{};
        message.msg_name = const_cast<sockaddr*>(address_);
        message.msg_namelen = length_;
        message.msg_control = source;
        message.msg_controllen = control::write_source(source, local_);
        return !probe::fails(fd_, message);
    }

    void dissolve() const { multihome::dissolve(fd_, socket_); }

    // True where the socket is connected now, from the wanted address if it had none before. Else `touched`
    // says whether it has got another peer.
    bool steered(bool& touched) const {
        const bool ipv6 = socket_.has(Socket::ipv6);
        const in_port_t port = htons(9); // discard; any port will do
        const auto by_way_of = [&](const SocketAddress& first) {
            touched = socket_calls::connect(fd_, first.get(), first.length()) == 0;
            return touched && plain() == 0;
        };
        if (!local_.address.is_ipv4()) {
            const uint32_t scope = local_.address.is_link_local() ? local_.interface_index : 0;
            return by_way_of(SocketAddress(ipv6, local_.address, port, scope));
        }
        MulticastInterface chosen(fd_, socket_);
        if (!chosen.set(local_.address.ipv4()))
            return false;
        const bool connected =
            by_way_of(SocketAddress(ipv6, Address::from_ipv4({htonl(INADDR_ALLHOSTS_GROUP)}), port));
        chosen.put_back();
        return connected;
    }

private:
    Socket socket_;
    int fd_;
    const sockaddr* address_;
    socklen_t length_;
    const Local& local_;
    bool may_call_libc_; // its connect() is a cancellation point
};

// True where the socket is connected from the wanted address. False leaves it without peer and local address.
bool steer(const Attempt& attempt) {
    // Once more where it had an address that we did not know of: another process has connected it.
    for (int time = 0; time < 2; ++time) {
        bool touched = false;
        if (attempt.steered(touched) && attempt.is_at_local())
            return true;
        if (!touched)
            break;
        attempt.dissolve();
    }
    return false;
}

// True where the socket is connected to the peer. Where it is not, it is as the program's connect() alone
// would find it.
bool is_connected_by(const Attempt& attempt, Socket socket, const RouteMemory& route) {
    if (socket.has(Socket::has_address)) {
        // What the kernel would refuse is seen before the peer and the address that the socket has are gone.
        // So is what could not be put back.
        if (socket.multicast_interface() == Socket::multicast_too_great || attempt.is_at_local() ||
            !attempt.is_usable())
            return false;
        attempt.dissolve();
        return steer(attempt);
    }
    if (route.is_local_chosen())
        return attempt.plain() == 0;
    // To undo a connect() takes away a port that the kernel has chosen, so none is tried then.
    if (route.is_another_chosen() || (socket.has(Socket::any_port) && socket.port() != 0))
        return steer(attempt);
    if (attempt.plain() != 0)
        return false;
    if (attempt.is_at_local()) {
        route.local_is_chosen();
        return true;
    }
    if (!attempt.is_usable())
        return true;
    route.another_is_chosen();
    attempt.dissolve();
    return steer(attempt);
}

} // namespace

int connect(Socket socket, int fd, const Peer& peer, const sockaddr* address, socklen_t length,
            const Local& local) {
    // Where libc's connect() alone would be cancelled.
    pthread_testcancel();
    const NoCancellation guard;
    const Attempt attempt(socket, fd, address, length, local, !guard.was_at_any_time());
    const MulticastTurn turn(socket);
    {
        const libc::ErrnoGuard keep_errno;
        if (turn && is_connected_by(attempt, socket, RouteMemory{local, peer})) {
            if (log::wanted(LogLevel::debug)) [[unlikely]]
                log::write(LogLevel::debug, "socket {}: connected from {}", fd,
                           log::AddressText{local.address}.text);
            return 0;
        }
    }
    return attempt.plain();
}

} // namespace multihome::steering
