// SPDX-License-Identifier: MIT
#include "shim/packets/received.hpp"

#include "shim/base/settings.hpp"
#include "shim/base/user_memory.hpp"

#include <cerrno>
#include <cstdint>

namespace multihome::receive::detail {

namespace {

unsigned hidden_kinds(Socket socket) {
    return (socket.has(Socket::asked_ipv4) ? 0U : control::ipv4) |
           (socket.has(Socket::asked_ipv6) ? 0U : control::ipv6);
}

// Writes the control messages that the program is to see into its own buffer, as the kernel would have.
[[gnu::noinline]] void copy_visible_control(Socket socket, const msghdr& ours, msghdr& theirs) {
    int flags = ours.msg_flags;
    const unsigned hide = hidden_kinds(socket);
    void* target = theirs.msg_control;
    const size_t room = theirs.msg_controllen;
    const size_t writable =
        target != nullptr && room != 0 && control::has_visible(ours.msg_control, ours.msg_controllen, hide)
            ? writable_bytes(target, std::min(room, ours.msg_controllen))
            : room;
    // In our buffer, messages may have been cut. What counts is the program's own buffer.
    theirs.msg_controllen =
        control::copy_visible(ours.msg_control, ours.msg_controllen, hide, target, room, flags, writable);
    theirs.msg_flags = flags;
}

} // namespace

size_t writable_bytes(void* memory, size_t length) {
    if (user_memory::can_write(memory, length))
        return length;
    constexpr size_t page_size = 4096; // or a part of a larger page
    size_t done = 0;
    while (done < length) {
        auto* const next = static_cast<unsigned char*>(memory) + done;
        const size_t rest_of_page = page_size - reinterpret_cast<uintptr_t>(next) % page_size;
        const size_t piece = std::min(length - done, rest_of_page);
        if (!user_memory::can_write(next, piece))
            break;
        done += piece;
    }
    return done;
}

bool hear_unusual(peers::Turn& turn, Socket socket, int fd, const msghdr& ours, msghdr* theirs,
                  socklen_t* name_length) {
    const socklen_t room = *name_length;
    *name_length = ours.msg_namelen;
    if (theirs != nullptr)
        copy_visible_control(socket, ours, *theirs);
    const control::Arrival arrival = control::read(ours.msg_control, ours.msg_controllen,
                                                   {.with_interface = settings::get().same_interface});
    // The option may have been off for a while. We hear the datagram all the same.
    if (arrival.found == control::none) [[unlikely]]
        sockets::verify(fd, socket);
    // Without its whole address nobody can answer the peer.
    return ours.msg_name != nullptr && ours.msg_namelen <= room && turn.hear(socket, fd, ours, arrival.local);
}

void finish_error(Socket socket, const msghdr& ours, msghdr* theirs, socklen_t* name_length) {
    *name_length = ours.msg_namelen;
    if (theirs != nullptr)
        copy_visible_control(socket, ours, *theirs);
}

void note_failure(Socket socket, int flags) {
    // The error queue has an order of its own, and says nothing of the datagrams'.
    if (errno == EAGAIN && (flags & MSG_ERRQUEUE) == 0)
        peers::Turn{}.drained(socket);
}

} // namespace multihome::receive::detail
