// SPDX-License-Identifier: MIT
//
// From a datagram that came in to the source of the datagram that goes out: what `receive` tells and `send`
// asks. Joins the two memories, `recent` for what this thread has just read and the peer table for everything
// else.
#pragma once

#include "shim/address.hpp"
#include "shim/counters.hpp"
#include "shim/recent.hpp"
#include "shim/sockets.hpp"

namespace multihome::peers {

// A receive call on this socket starts. `batch`: it may bring several datagrams; their answers come in their
// order.
void begin_receiving(Socket socket, bool batch);

// A datagram from `peer` reached the socket at `local` (empty: the datagram names no address to answer from).
// `arrival`: see control::read_only_arrival(); 0 where the source depends on more than that.
void heard(Socket socket, int fd, const Peer& peer, const Local& local, uint64_t arrival);

// Where an answer to `peer` has to leave from; empty where that is the routing table's choice.
Local source_for(Socket socket, int fd, const Peer& peer);

// The same for a socket that has heard nobody yet and may be about to answer for another one: the program's
// own, a parent's or a sibling's. Empty where no peer waits for that.
Local handed_over(const Peer& peer);

// The kernel refused `local` as the source: do not try again until the peer is heard again.
void refused(Socket socket, const Peer& peer, const Local& local);

namespace detail {
extern constinit thread_local Counters::Shard* counters; // this thread's share; null before its first use
[[gnu::cold]] Counters::Shard* choose_counters();
} // namespace detail

// Counts in this thread's share of the counters.
inline void count(Counter counter, uint64_t amount = 1) {
    Counters::Shard* shard = detail::counters;
    if (shard == nullptr)
        shard = detail::choose_counters();
    if (shard != nullptr)
        shard->add(counter, amount);
}

// A datagram from `name` (the first eight bytes of its sockaddr_in) came by a single receive call. True where
// it is just like the one before, and has been noted.
inline bool heard_again(Socket socket, uint64_t name, uint64_t arrival) {
    if (!recent.continues(socket.word(), arrival) || !recent.repeats(name))
        return false;
    recent.shortcut().counters->add(Counter::received);
    return true;
}

// The same where it is like the one before but for its peer, of whom there is nothing new to learn.
bool heard_another(Socket socket, uint64_t name, uint64_t arrival);

// The long way has answered `peer` from `local`. The next answer may take the shortcut.
void open_shortcut(Socket socket, const sockaddr* address, const Peer& peer, const Local& local);

} // namespace multihome::peers
