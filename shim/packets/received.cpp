// SPDX-License-Identifier: MIT
#include "shim/packets/received.hpp"

#include "shim/base/settings.hpp"

#include <cerrno>
#include <optional>

namespace multihome::receive::detail {

namespace {

unsigned hidden_kinds(Socket socket) {
    return (socket.has(Socket::wants_ipv4) ? 0U : control::ipv4) |
           (socket.has(Socket::wants_ipv6) ? 0U : control::ipv6);
}

// A message came without packet information, which is on for each socket of ours. The option may have been
// off for a while, or the number stands for something else by now, of which we have not heard: a UNIX socket
// may have brought descriptors. recvfrom() takes none.
[[gnu::cold, gnu::noinline]] void look_closer(Socket socket, int fd, const msghdr& ours, msghdr* theirs) {
    sockets::verify(fd, socket);
    if (theirs != nullptr) {
        sockets::look_for_descriptors(*theirs);
    } else {
        msghdr no_room{};
        control::copy_visible(ours, control::none, no_room);
    }
}

} // namespace

void tell(Socket socket, const msghdr& ours, msghdr* theirs, socklen_t* name_length) {
    *name_length = ours.msg_namelen;
    if (theirs != nullptr)
        control::copy_visible(ours, hidden_kinds(socket), *theirs);
}

bool hear_unusual(peers::Turn& turn, Socket socket, int fd, const msghdr& ours, msghdr* theirs,
                  socklen_t* name_length) {
    const socklen_t room = *name_length;
    tell(socket, ours, theirs, name_length);
    const std::optional<Local> local =
        control::read(ours.msg_control, ours.msg_controllen, settings::get().same_interface);
    // We hear the datagram all the same.
    if (!local) [[unlikely]]
        look_closer(socket, fd, ours, theirs);
    // Without its whole address nobody can answer the peer.
    return ours.msg_name != nullptr && ours.msg_namelen <= room &&
           turn.hear(socket, ours, local.value_or(Local{}));
}

void note_failure(Socket socket, int fd, int flags) {
    // The error queue has an order of its own, and says nothing of the datagrams'.
    if (errno == EAGAIN && (flags & MSG_ERRQUEUE) == 0)
        peers::Turn{}.drained(socket, fd);
}

} // namespace multihome::receive::detail
