// SPDX-License-Identifier: MIT
//
// Changes what is known of descriptors. dup() and its kin give one socket several of them, and what is known
// of the socket is true of each. For this room alone. All of this leaves errno alone.
#pragma once

#include "shim/base/address.hpp"
#include "shim/base/permissions.hpp"
#include "shim/sockets/descriptor_words.hpp"
#include "shim/sockets/socket_calls.hpp"

#include <cstdint>

namespace multihome::sockets {

// True where no word may be changed: in a vfork child, and where a system-call filter forbids the packet
// path.
bool must_not_change();

// Calls `change` with the word of each other descriptor of the socket behind `fd`, and stores what it
// returns. `may_be` says which words may belong to one: the kernel is asked about those alone, by a system
// call each. Where we may not ask, changes none.
template <typename MayBe, typename Change>
void change_copies(int fd, MayBe may_be, Change change) {
    if (!permissions::may(Activity::new_sockets))
        return;
    const libc::ErrnoGuard keep_errno;
    const uint64_t cookie = socket_calls::cookie(fd);
    change_each([&](int other, Socket seen) {
        const bool same = cookie != 0 && other != fd && may_be(seen) && socket_calls::cookie(other) == cookie;
        return same ? change(seen) : seen;
    });
}

// The same for all descriptors of the socket, `fd` among them.
template <typename Change>
void change_all(int fd, Change change) {
    if (must_not_change())
        return;
    Socket socket = load(fd);
    // Where another thread has noted something else of the socket, this comes on top of it.
    while (!update(fd, socket, change(socket)))
        socket = load(fd);
    // Thousands may have come from another program, each with a port of its own.
    const auto may_be = [&](Socket seen) {
        return seen.has(Socket::has_copies) && seen.made() == socket.made() && seen.port() == socket.port();
    };
    if (socket.has(Socket::has_copies))
        change_copies(fd, may_be, change);
}

// Looks at the socket as at one from elsewhere, whatever was known of it. What this process has switched on
// must have been given back.
void examine_anew(int fd);

// True where other processes may have this socket: it comes from one, or it was made before descriptors were
// passed on last. (No longer true where 65,535 have been made since: by then nobody waits for its bind().)
bool may_be_passed_on(Socket socket);

// Returns the socket with what its own address, which the kernel has told, makes of it.
Socket with_address(Socket socket, const Address& own);

// True for what is none of our business, and cannot become it.
inline bool is_other_for_good(Socket socket) {
    constexpr uint64_t may_change = Socket::left_alone | Socket::sticky_source | Socket::has_address;
    return socket.is(Socket::Kind::other) && (socket.word() & may_change) == 0;
}

// The word of what is none of our business.
inline Socket other_socket(int domain) {
    return {Socket::Kind::other, domain == AF_UNIX ? 0 : uint64_t{Socket::no_descriptors}};
}

} // namespace multihome::sockets
