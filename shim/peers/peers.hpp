// SPDX-License-Identifier: MIT
//
// From a datagram that came in to the source of the datagram that goes out: what `receive` tells and `send`
// asks. Joins the two memories, `recent` for what this thread has just read and the peer table for everything
// else.
#pragma once

#include "shim/base/address.hpp"
#include "shim/base/control.hpp"
#include "shim/peers/counters.hpp"
#include "shim/peers/recent.hpp"
#include "shim/peers/source_message.hpp"
#include "shim/sockets/sockets.hpp"

namespace multihome::peers {

// A thread's turn at `recent`. A signal handler that interrupts one has none: what it hears it notes in the
// peer table alone, and asks that alone, so that nobody finds `recent` half-written. Not kept across a call
// that may block or be cancelled.
class Turn {
public:
    Turn() : has_(recent.enter()) {}
    ~Turn() {
        if (has_)
            recent.leave();
    }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;

    explicit operator bool() const { return has_; }

private:
    bool has_;
};

// A receive call on this socket has brought something. `batch`: it may be several datagrams; their answers
// come in their order.
void begin_receiving(const Turn& turn, Socket socket, bool batch);

// The call brought nothing, because there was nothing.
void drained(Socket socket);

// What the call has brought was only looked at (MSG_PEEK).
void end_peek(const Turn& turn);

// A datagram from `peer` reached the socket at `local` (empty: the datagram names no address to answer from).
// `name`: the first eight bytes of the peer's socket address. `arrival`: of IPv4, see control::SimpleArrival;
// 0 where the source depends on more than that.
void heard(const Turn& turn, Socket socket, int fd, uint64_t name, const Peer& peer, const Local& local,
           uint64_t arrival);

// Where an answer to `peer` has to leave from; empty where that is the routing table's choice.
Local source_for(const Turn& turn, Socket socket, int fd, const Peer& peer);

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

// A single receive call has brought something whose control messages start like `arrival`. True where it is a
// datagram from `name` (a sockaddr_in), just like the one before, which has been answered: then it has been
// noted.
[[gnu::always_inline]] inline bool heard_again(Socket socket, const void* name, uint64_t arrival) {
    if (!recent.repeats(socket.word(), name, arrival)) [[unlikely]]
        return false;
    recent.shortcut().counters->add(Counter::received);
    return true;
}

// The same for a `name` that is a whole sockaddr_in6, and `length` bytes of `control` messages.
[[gnu::always_inline]] inline bool heard_again_ipv6(Socket socket, const void* name, const void* control,
                                                    size_t length) {
    if (!recent.repeats_ipv6(socket.word(), name, control, length)) [[unlikely]]
        return false;
    recent.shortcut().counters->add(Counter::received);
    return true;
}

namespace detail {
bool heard_another(Socket socket, const sockaddr* name, socklen_t length, bool batch);
const SourceMessage* answer_in_order(Socket socket, const sockaddr* address, socklen_t length);

// Notes a datagram that is like the one before, but for who its peer may be.
[[gnu::always_inline]] inline bool heard_like_previous(Socket socket, const sockaddr* name, socklen_t length,
                                                       bool batch) {
    if (!recent.is_last_peer(name, length))
        return heard_another(socket, name, length, batch);
    if (!recent.is_settled())
        return false;
    if (batch)
        recent.note();
    else
        recent.continue_with_same();
    count(Counter::received);
    return true;
}
} // namespace detail

// The same for peers and addresses of either family, and for other peers than the one before, of whom there
// is nothing new to learn. False where it takes heard(). `name`: as the kernel has written it.
[[gnu::always_inline]] inline bool heard_alike(const Turn& turn, Socket socket, const sockaddr* name,
                                               socklen_t length, const control::SimpleArrival& arrival) {
    if (!turn || !recent.continues(socket.word(), arrival))
        return false;
    return detail::heard_like_previous(socket, name, length, false);
}

// The same for a datagram of a batch, answered or not.
[[gnu::always_inline]] inline bool heard_in_batch(const Turn& turn, Socket socket, const sockaddr* name,
                                                  socklen_t length, const control::SimpleArrival& arrival) {
    if (!turn || !recent.is_like_answered(socket.tag(), arrival) || socket.role() != Socket::Role::server)
        return false;
    return detail::heard_like_previous(socket, name, length, true);
}

// A datagram goes to `address`, which can be read and holds a sockaddr_in. True where that answers the
// datagram that this thread has just received: `source` is the message that makes it leave from the right
// address. False where it takes source_for().
[[gnu::always_inline]] inline bool answers(Socket socket, const void* address, const SourceMessage*& source) {
    return recent.answers(socket.word(), address, source);
}

// The same for an address that holds a sockaddr_in6, or another one of which eight bytes can be read.
[[gnu::always_inline]] inline bool answers_ipv6(Socket socket, const void* address,
                                                const SourceMessage*& source) {
    return recent.answers_ipv6(socket.word(), address, source);
}

// Counts an answer that answers() has found the source of.
[[gnu::always_inline]] inline void count_answer_quickly() {
    recent.shortcut().counters->add(Counter::injected);
}

// The message for the source of a datagram to `address`, of `length` bytes, at least a sockaddr_in, where
// that answers the datagram that this thread has just received, or is an answer in the order of a batch's.
// Null where it takes source_for().
inline const SourceMessage* answer(const Turn& turn, Socket socket, const sockaddr* address,
                                   socklen_t length) {
    const SourceMessage* message = nullptr;
    if (!turn)
        return nullptr;
    if (recent.answers(socket.word(), address, length, message))
        return message;
    return recent.is_ordered() ? detail::answer_in_order(socket, address, length) : nullptr;
}

// The long way has answered `peer` from `local`. The next answer may take the shortcut.
void open_shortcut(const Turn& turn, Socket socket, const sockaddr* address, const Peer& peer,
                   const Local& local);

} // namespace multihome::peers
