// SPDX-License-Identifier: MIT
//
// The options of sockets. We need packet information switched on; the program sees what it has asked for
// itself.
#pragma once

#include "shim/sockets/socket.hpp"

#include <cstdint>
#include <netinet/in.h>
#include <sys/socket.h>

namespace multihome::options {

// Switches on what we need on a socket that will be, or is, bound to `port`; 0 while the kernel has not
// chosen it. What the program has asked for is in the word; whether the mark is still missing is put there.
// False, with errno set, where the kernel refuses.
bool switch_on(int fd, Socket& socket, in_port_t port);

// The same for a socket that comes from elsewhere, bound already: reads what was asked for, and adds it to
// the word.
bool switch_on_found(int fd, Socket& socket, in_port_t port);

// True where another process, or another part of this one, has switched on what we need, for us alone.
bool is_marked(int fd, bool ipv6);

// Sets the mark, which was left for later.
void mark(int fd);

// Leaves the socket as it would be without us, as far as the program's system-call filter lets us. Leaves
// errno alone.
void give_back(int fd, Socket socket);

// True where packet information is on, as it is on each socket of ours: where it is not, the descriptor
// stands for something else by now. Leaves errno alone.
bool is_switched_on(int fd, Socket socket);

// The kernel refused an IPv6 source with EINVAL, as it does for an address of a local route that is on no
// interface ("AnyIP"): allows such sources on this socket from now on. True where the same call is worth
// another try. Leaves errno alone.
bool allow_local_route(int fd, Socket socket, const in6_addr& source);

// setsockopt() and getsockopt() with one of the options that concern us, with the program's arguments and
// libc's results.
[[gnu::noinline]] int set(int fd, int level, int name, const void* value, socklen_t length);
[[gnu::noinline]] int get(int fd, int level, int name, void* value, socklen_t* length);

// What an option is to us.
enum class Concern : uint8_t {
    none,
    hidden, // on for us, too: the program sees what it has set itself
    // Not hidden, but remembered, because the kernel does not tell or is not to be asked:
    multicast_interface, // connect has to put it back
    route,
    sticky_source,
    // Announces bind() to a port that others have as well: the time to get ready.
    shared_port,
};

constexpr Concern concern(int level, int name) {
    if (level == IPPROTO_IP)
        return name == IP_PKTINFO || name == IP_FREEBIND ? Concern::hidden
               : name == IP_MULTICAST_IF                 ? Concern::multicast_interface
               : name == IP_UNICAST_IF                   ? Concern::route
                                                         : Concern::none;
    if (level == IPPROTO_IPV6)
        return name == IPV6_RECVPKTINFO || name == IPV6_2292PKTINFO || name == IPV6_FREEBIND ? Concern::hidden
               : name == IPV6_PKTINFO    ? Concern::sticky_source
               : name == IPV6_UNICAST_IF ? Concern::route
                                         : Concern::none;
    if (level == SOL_SOCKET)
        return name == SO_OOBINLINE                                                     ? Concern::hidden
               : name == SO_BINDTODEVICE || name == SO_BINDTOIFINDEX || name == SO_MARK ? Concern::route
               : name == SO_REUSEADDR || name == SO_REUSEPORT                           ? Concern::shared_port
                                                                                        : Concern::none;
    return Concern::none;
}

} // namespace multihome::options
