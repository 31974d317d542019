// SPDX-License-Identifier: MIT
//
// The options of sockets. We need packet information on. The program sees what it has asked for itself.
#pragma once

#include "shim/sockets/socket.hpp"

#include <cstdint>
#include <netinet/in.h>
#include <sys/socket.h>

namespace multihome::options {

// Switches on what we need, on a socket that is bound or will be. `socket` says what the program has asked
// for, and the port, which is 0 while the kernel has not chosen it. Notes there whether the mark is still
// missing. False, with errno set, where the kernel refuses.
bool switch_on(int fd, Socket& socket);

// The same for a bound socket from elsewhere. Asks the kernel what the program has asked for, and notes it.
bool switch_on_arrived(int fd, Socket& socket);

// True where somebody has switched on what we need, for us alone: another process, or a part of this one.
// `socket`: only its family counts.
bool is_marked(int fd, Socket socket);

// Sets the mark, which switch_on() left for later; or takes it away.
void mark(int fd, bool on = true);

// Leaves the socket as it would be without us, as far as a system-call filter lets us. Leaves errno alone.
void give_back(int fd, Socket socket);

// True where packet information is on, as on each socket of ours. If it is not, the descriptor stands for
// something else by now. Leaves errno alone.
bool is_switched_on(int fd, Socket socket);

// To be called when the kernel has refused `source` with EINVAL, as it does with one that is local by a route
// and on no interface ("AnyIP"). Allows such sources on this socket. True where the same call is worth
// another try. Leaves errno alone.
bool allow_local_route(int fd, Socket socket, const in6_addr& source);

// setsockopt() and getsockopt() with an option that concerns us: the program's arguments, and libc's results.
[[gnu::noinline]] int set(int fd, int level, int name, const void* value, socklen_t length);
[[gnu::noinline]] int get(int fd, int level, int name, void* value, socklen_t* length);

// What an option is to us.
enum class Concern : uint8_t {
    none,
    hidden, // may be on for us: the program sees what it has set itself
    // Not hidden, but remembered, because the kernel does not tell, or we do not ask it:
    multicast_interface, // connect() puts it back
    route,
    sticky_source,
    // Makes an IPv4 socket of one that is connected to an IPv4 peer.
    family,
    // Told from the route that the kernel has noted for a connected socket.
    path,
};

constexpr Concern concern(int level, int name) {
    if (level == IPPROTO_IP)
        return name == IP_PKTINFO || name == IP_FREEBIND ? Concern::hidden
               : name == IP_MULTICAST_IF                 ? Concern::multicast_interface
               : name == IP_UNICAST_IF                   ? Concern::route
               : name == IP_MTU                          ? Concern::path
                                                         : Concern::none;
    if (level == IPPROTO_IPV6)
        return name == IPV6_RECVPKTINFO || name == IPV6_2292PKTINFO || name == IPV6_FREEBIND ? Concern::hidden
               : name == IPV6_PKTINFO                     ? Concern::sticky_source
               : name == IPV6_UNICAST_IF                  ? Concern::route
               : name == IPV6_MTU || name == IPV6_PATHMTU ? Concern::path
               : name == IPV6_ADDRFORM                    ? Concern::family
                                                          : Concern::none;
    if (level == SOL_SOCKET)
        return name == SO_OOBINLINE                                                     ? Concern::hidden
               : name == SO_BINDTODEVICE || name == SO_BINDTOIFINDEX || name == SO_MARK ? Concern::route
                                                                                        : Concern::none;
    return Concern::none;
}

} // namespace multihome::options
