// SPDX-License-Identifier: MIT
//
// Changing what is known of descriptors. dup() and its kin make several of one socket: what is known of the
// socket is true of all of them. For this room alone.
#pragma once

#include "shim/base/permissions.hpp"
#include "shim/sockets/descriptor_words.hpp"
#include "shim/sockets/socket_calls.hpp"

namespace multihome::sockets {

// True where no word may be changed: in a vfork child, and where no word says anything that matters.
bool must_not_change();

// Calls `change` with what is known of each other descriptor of the socket behind `fd`, and stores what it
// returns. The kernel tells copies from other sockets: a system call for each descriptor that `may_be` one.
// Where we may not ask, they stay as they are.
template <typename MayBe, typename Change>
void change_copies(int fd, MayBe may_be, Change change) {
    if (!permissions::may(Activity::new_sockets))
        return;
    const uint64_t cookie = socket_calls::cookie(fd);
    change_each([&](int other, Socket seen) {
        const bool same = cookie != 0 && other != fd && may_be(seen) && socket_calls::cookie(other) == cookie;
        return same ? change(seen) : seen;
    });
}

// The same with each descriptor of the socket.
template <typename Change>
void change_all(int fd, Change change) {
    const Socket socket = peek(fd);
    update(fd, socket, change(socket));
    const auto may_be = [&](Socket seen) {
        return seen.has(Socket::has_copies) && seen.made() == socket.made();
    };
    if (socket.has(Socket::has_copies))
        change_copies(fd, may_be, change);
}

// What is known of the socket is true of all its descriptors, also of those that nothing was known of yet.
void store_for_all(int fd, Socket socket);

// What is none of our business.
inline Socket other_socket(int domain) {
    return {Socket::Kind::other, domain == AF_UNIX ? 0 : uint64_t{Socket::no_descriptors}};
}

} // namespace multihome::sockets
