// SPDX-License-Identifier: MIT
//
// The life of a descriptor, as far as we see it, and what is known at each step. All of this is
// async-signal-safe, and leaves errno alone; bind() leaves what libc's has left.
#pragma once

#include "shim/sockets/descriptor_words.hpp"
#include "shim/sockets/socket.hpp"

#include <sys/socket.h>

namespace multihome::sockets {

// Returns what is known of `fd`. If nothing is, examine() looks at the socket: at most once for each
// descriptor.
[[gnu::cold]] Socket examine(int fd);
inline Socket get(int fd) {
    const Socket socket = load(fd);
    return socket.kind() != Socket::Kind::unknown ? socket : examine(fd);
}

// Returns the same, and looks whether another process that has an unbound socket, too, has bound it. For the
// calls that decide what such a socket becomes.
Socket get_bound_or_not(int fd);

// Returns the same, and makes sure by a system call that the number still stands for the same socket.
Socket get_current(int fd);

// Notes that socket() has returned a new descriptor, and what its arguments say of it.
void created(int fd, int domain, int type, int protocol);

// bind(), with its arguments and its results. A socket that becomes ours is set up before, for two reasons:
// nothing that it hears is without packet information, and nothing of ours lies between bind() and connect().
int bind(int fd, const sockaddr* address, socklen_t length);

// Looks at an unbound socket. If it has a port, it was bound where we do not see it (glibc's bindresvport(),
// a library that is preloaded before us, another process): examines it anew. Returns its word.
[[gnu::cold]] Socket bound_unseen(int fd);

// An unbound socket is about to answer for one of ours: makes it ours. Returns its word.
Socket take_over_unbound(int fd);

// Notes that an unbound socket is a client: it never becomes ours by sending.
void left_alone(int fd);

// Note that connect() has given the socket a peer, of IPv4 or not, or has taken it away.
void connected(int fd, Socket seen, bool to_ipv4);
void disconnected(int fd, Socket seen);
// Notes that connect() of an unbound socket has failed. It has a port even so, if the kernel chose one before
// it found the reason: then it is a client.
[[gnu::cold]] void not_connected(int fd);

// True where another socket of ours has the same port as this one. Looks at every descriptor.
bool shares_port(Socket socket);

// Notes that `copy` is now another descriptor of the socket behind `fd`.
void duplicated(int fd, int copy);

// Forget what is known, because the descriptors are about to be closed or their numbers to be used anew.
void forget(int fd);
void forget_range(unsigned first, unsigned last);

// Forgets what was known of a number whose descriptor has come from elsewhere (SCM_RIGHTS, pidfd_getfd).
void arrived(int fd);
// Does so for the descriptors that a message of a UNIX socket has brought.
void look_for_descriptors(const msghdr& message);

// Sets bits, or clears them, in the word of every descriptor of the socket behind `fd`.
void set_bits(int fd, uint64_t bits, bool on = true);
// Notes that the program chose this interface with IP_MULTICAST_IF (see socket.hpp).
void set_multicast_interface(int fd, uint32_t index);
// Notes whether the program chooses the source itself for all that it sends (IPV6_PKTINFO by setsockopt(),
// RFC 3542). While it does, the socket is none of our business.
void set_sticky_source(int fd, bool chosen);

// Descriptors may be about to be passed on to another program: fork(), vfork(), SCM_RIGHTS. (We do not see
// exec, nor posix_spawn().) Sets the mark on the sockets that were left without it (options.cpp), and notes
// that those made until now must not be left without it later.
void mark_all();
// Notes that mark_all() has something to do.
void mark_later();

// Gives every socket back as it would be without us. One that is used after that is taken over again.
void give_all_back();

// This is a forked child. What its parent does to the sockets that are not bound yet, it does not see.
void forked();

// True where the program has a socket that is ours or may become so, as far as is known: then the caller
// warns of its system-call filter. Where false, the next UDP socket that is made does.
bool is_to_be_warned();

// Nothing is our business any more: the packet path is forbidden.
void leave_all_alone();

// A datagram came without packet information, which is on for each socket of ours. Forgets the descriptor if
// it stands for another socket by now: it was closed where we do not see it.
[[gnu::cold]] void verify(int fd, Socket seen);

} // namespace multihome::sockets
