// SPDX-License-Identifier: MIT
//
// What follows the real receive call, the same for one datagram and for each of several: the shim hears the
// datagram, and the program gets its length of name, its flags and its own control messages.
//
// For the receive functions alone. All functions are async-signal-safe. They write to the program's buffers
// only what the kernel would have written there.
#pragma once

#include "shim/base/control.hpp"
#include "shim/packets/receive.hpp"
#include "shim/peers/peers.hpp"
#include "shim/sockets/sockets.hpp"

#include <algorithm>
#include <climits>
#include <cstddef>
#include <sys/socket.h>

namespace multihome::receive::detail {

// No datagram's control messages take more than this, whatever room the program gives them. They take most
// where the program asks for IPv6 extension headers: a packet has at most 64 KiB of those, and each of 8
// bytes becomes a message of 24. The old form (RFC 2292) adds four messages of up to 2 KiB. All others are
// small.
constexpr size_t enough_control = (size_t{3} * 64 + size_t{4} * 2 + 4) * 1024;
static_assert(CMSG_SPACE(8) == 24 || sizeof(size_t) == 4);

// The bytes that we give the kernel for the control messages of the program's `message` and ours. Nobody has
// as much room as some claim: where that is no message at all, the call fails there.
inline size_t control_length(const msghdr& message) {
    const bool has_room = message.msg_control != nullptr && message.msg_controllen <= INT_MAX;
    const size_t theirs = has_room ? std::min(message.msg_controllen, enough_control) : 0;
    return CMSG_ALIGN(theirs + control_room);
}

// The arguments of the following. `ours`: the message as the kernel wrote it. `theirs`: the program's
// message; null for recvfrom(), which takes no control messages. `name_length`: where the program says how
// long its room for the peer's address is, and reads how long the address is.

// Tells the program what came, where all control messages are ours.
[[gnu::always_inline]] inline void tell_usual(const msghdr& ours, msghdr* theirs, socklen_t* name_length) {
    *name_length = ours.msg_namelen;
    if (theirs != nullptr) {
        theirs->msg_controllen = 0;
        theirs->msg_flags = ours.msg_flags;
    }
}

// Tells the program what came, whatever control messages that brought. This is all that is done for what
// comes out of the error queue (MSG_ERRQUEUE), which is no datagram of a peer's.
[[gnu::noinline]] void tell(Socket socket, const msghdr& ours, msghdr* theirs, socklen_t* name_length);

// Hears a datagram of any form, and tells the program what came. True: the caller counts it as a request.
[[gnu::noinline]] bool hear_unusual(peers::Turn& turn, Socket socket, int fd, const msghdr& ours,
                                    msghdr* theirs, socklen_t* name_length);

// Notes that a receive call failed, for the reason that errno gives.
void note_failure(Socket socket, int fd, int flags);

} // namespace multihome::receive::detail
