// SPDX-License-Identifier: MIT
//
// From a datagram that came in to the source of the datagram that goes out: what `packets` tells and asks.
// Joins the two memories: what this thread has just heard, and the table of conversations for all else.
//
// All functions are async-signal-safe, and leave errno alone.
#pragma once

#include "shim/base/address.hpp"
#include "shim/peers/counters.hpp"
#include "shim/peers/shared_state.hpp"
#include "shim/peers/source_message.hpp"
#include "shim/peers/thread_memory.hpp"
#include "shim/sockets/sockets.hpp"

namespace multihome::peers {

namespace detail {

extern constinit thread_local ThreadMemory this_thread;

// What stands behind the inline part of a turn. `memory`: of the turn, null where it has none. By value, and
// not the turn, which would have to lie in memory for that.
Counters::Line* choose_line(ThreadMemory* memory, Socket socket);
[[gnu::always_inline]] inline void count(ThreadMemory* memory, Socket socket, Counter counter,
                                         uint64_t amount = 1) {
    Counters::Line* const line =
        memory != nullptr && memory->has_line(socket) ? &memory->line() : choose_line(memory, socket);
    if (line != nullptr) [[likely]]
        line->add(counter, amount);
}
// `found`: what find_unsalted() says of the conversation.
void hear_changing(ThreadMemory* memory, Socket socket, int fd, uint64_t hash, const Peer& peer,
                   const Local& local, ConversationTable::Entry found);
LocalIndex send_changing(ThreadMemory* memory, Socket socket, uint64_t hash, const Peer& peer,
                         Run::Record record);

} // namespace detail

// A thread's turn at its memory. A signal handler that interrupts one has none: what it hears goes to the
// table alone, and it asks that alone, so that nobody finds the memory half-written. Not kept across a call
// that may block or be cancelled.
class Turn {
public:
    [[gnu::always_inline]] Turn()
        : memory_(detail::this_thread.try_enter() ? &detail::this_thread : nullptr) {}
    [[gnu::always_inline]] ~Turn() {
        if (memory_ != nullptr) [[likely]]
            memory_->leave();
    }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;

    // --- the quick look, see quick_look.hpp ---

    // A datagram to `name`, which can be read, answers the last one. True: it leaves from `source`, and
    // counts as answered. `errno_before`: what errno is now.
    [[gnu::always_inline]] bool answer_again(Socket socket, const void* name, socklen_t length,
                                             Source& source, int& errno_before) {
        if (memory_ == nullptr || !memory_->answer_again(socket, name, length)) [[unlikely]]
            return false;
        source = memory_->quick_source();
        errno_before = memory_->quick_errno();
        return true;
    }

    // --- receiving ---

    // A call for one datagram has brought one on this socket. Once more for the same call does no harm.
    void begin_receiving(Socket socket);
    // A call for many datagrams has brought one, or `several`, whose answers come in their order.
    void begin_batch(bool several);
    // The same call has brought more, which come after those in their order.
    void go_on_with_batch();

    // A datagram of one of the usual forms (family.hpp), on a socket whose program is told of no control
    // messages. `message` is as the kernel has written it.

    // This is not the socket that was usual last. False where nothing that it receives is.
    bool becomes_usual(Socket socket);

    // A call for one or for many (`is_batch`) has brought one alone, of this family's form. Where nothing
    // changes of what is known, it is heard, and counted: it is the last one over `again`, or its
    // conversation is `steady`. Else it has to be heard by hear_hashed(), where `hash` is written, or by
    // hear(). `found` then is what find_unsalted() says of the conversation.
    enum class Heard : uint8_t { not_yet, steady, again };
    template <typename Family>
    Heard hear_alone(Socket socket, const msghdr& message, bool is_batch, uint64_t& hash,
                     ConversationTable::Entry& found);
    // `hash`: of its conversation. False: it has to be heard by hear(). The caller has begun to receive, and
    // counts it.
    template <typename Family>
    bool hear_hashed(Socket socket, int fd, const msghdr& message, uint64_t hash,
                     ConversationTable::Entry found);

    // One of a batch, of any form. `room`: for the peer's name. False: it has to be heard by hear(). The
    // caller counts it.
    bool hear_usual(Socket socket, int fd, const msghdr& message, socklen_t room);

    // Any datagram. `local`: where it reached us, as control::Arrival has it. True: the caller counts it.
    bool hear(Socket socket, int fd, const msghdr& message, const Local& local);

    // What the call has brought is only looked at (MSG_PEEK): after begin_receiving() or begin_batch(), and
    // when it has been heard.
    void begin_peek();
    void end_peek();

    // A receive call on this socket found nothing.
    void drained(Socket socket);

    // --- sending ---

    // The source of a datagram to `name`, which is a peer's socket address and can be read; none where that
    // is the routing table's choice. `room`: see source_at(). The caller counts what is answered.
    Source source_for(Socket socket, const void* name, socklen_t length, SourceRoom& room);

    // What source_for() was asked for was not sent after all: the next answer is the same one. `was_last`: it
    // is what this thread has sent last, and not one of several by one call. What all threads know is undone
    // of the last one.
    void give_back(Socket socket, const Peer& peer, bool was_last);

    // The number of the source of what is sent to this peer, as source_for() finds it, to be given back too.
    LocalIndex find_source(Socket socket, const Peer& peer);

    // The addresses that `is_gone` are no source for this conversation any more.
    template <typename IsGone>
    void forget(uint64_t hash, IsGone is_gone) {
        if (memory_ != nullptr)
            memory_->forget(hash, is_gone);
    }

    // Counts in this thread's share of the counters.
    [[gnu::always_inline]] void count(Socket socket, Counter counter, uint64_t amount = 1) {
        detail::count(memory_, socket, counter, amount);
    }

private:
    ThreadMemory* memory_;
};

// The only thread of a forked child calls this.
void forked();

// Where a socket of ours that is about to be connected to `peer` has to have its address; empty where that is
// the routing table's choice.
Local source_for_connection(Socket socket, const Peer& peer);

// The same for a socket that has no address yet, and may be about to answer for another one: the program's
// own, a parent's or a sibling's. Empty where no peer waits for that.
Local handed_over(Socket socket, const Peer& peer);

// A socket that is none of ours has sent to `peer` for the first time: what the program asks, a stranger's
// question must not steer.
void asks(const Peer& peer);

// The kernel refused `local` as the source: do not try again until the peer is heard again.
void refused(Socket socket, const Peer& peer, const Local& local);

} // namespace multihome::peers
