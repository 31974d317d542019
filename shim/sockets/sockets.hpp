// SPDX-License-Identifier: MIT
//
// The life of a descriptor, as far as we see it, and what is known of it at each step.
#pragma once

#include "shim/sockets/descriptor_words.hpp"
#include "shim/sockets/socket.hpp"

#include <sys/socket.h>

namespace multihome::sockets {

// What is known of `fd`; looks at the socket if nothing is: at most once for each descriptor. Leaves errno
// alone. Async-signal-safe.
[[gnu::cold]] Socket examine(int fd);
inline Socket get(int fd) {
    const Socket socket = peek(fd);
    return socket.kind() != Socket::Kind::unknown ? socket : examine(fd);
}

// The same, and makes sure that the number still stands for the same socket, as far as a system call tells.
Socket get_current(int fd);

// A new descriptor came out of socket(): what the arguments say of it.
void created(int fd, int domain, int type, int protocol);

// bind(), with its arguments and its results. A socket that is ours afterwards has been prepared before, so
// that nothing that it hears is without packet information, and nothing of ours lies between bind() and
// connect().
int bind(int fd, const sockaddr* address, socklen_t length);

// An unbound socket is about to receive. Where it has a port, it was bound where we do not see it (glibc's
// bindresvport(), a library that is preloaded before us): it is looked at anew. Returns what it is now.
// Leaves errno alone.
[[gnu::cold]] Socket bound_unseen(int fd);

// An unbound socket is about to answer for one of ours: makes it one. Returns what it is now. Leaves errno
// alone.
Socket take_over_unbound(int fd);

// A socket that we left alone is a client: it never becomes ours by sending. Leaves errno alone.
void left_alone(int fd, Socket seen);

// connect() has given the socket a peer, of IPv4 or not, or has taken its peer away. Both leave errno alone.
void connected(int fd, Socket seen, bool to_ipv4);
void disconnected(int fd, Socket seen);

// `copy` has become another descriptor of the socket behind `fd`.
void duplicated(int fd, int copy);

// Forgets what is known, because the descriptor is about to be closed or its number to be used anew.
void forget(int fd);
void forget_range(unsigned first, unsigned last);

// A descriptor has come from elsewhere (SCM_RIGHTS, pidfd_getfd): whatever was known of its number is void.
void arrived(int fd);

// Changes what is known of every descriptor of the socket behind `fd` (dup() and its kin make several).
void set_options(int fd, uint64_t mask, uint64_t options);
// The program chose this interface with IP_MULTICAST_IF (see socket.hpp).
void set_multicast_interface(int fd, uint32_t index);
// The program chose the source itself, once for all (IPV6_PKTINFO by setsockopt(), RFC 3542), or does so no
// longer. While it does, the socket is none of our business.
void set_sticky_source(int fd, bool chosen);

// Descriptors may be about to be handed to another program: fork(), vfork(), SCM_RIGHTS. (That one is
// executed in this process, or started by posix_spawn(), is not seen.) Those that are marked later
// (options.cpp) are marked now.
void mark_all();

// Leaves every socket as it would be without us. What is used again after that is taken over again.
void give_all_back();
// The same for those that are not bound yet.
void give_prepared_back();

// From now on, nothing is our business, and no system call is made for anything.
void leave_all_alone();

// A datagram came without packet information, which is on on each socket of ours: if the descriptor stands
// for another socket by now (it was closed where we do not see it), forgets it. Leaves errno alone.
[[gnu::cold]] void verify(int fd, Socket seen);

} // namespace multihome::sockets
