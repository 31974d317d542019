// SPDX-License-Identifier: MIT
//
// Leads from a datagram that came in to the source of the datagram that goes out. `packets` tells it the one
// and asks it for the other. It joins two memories: what this thread has just heard, and the table of
// conversations for all else.
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

// What stands behind the inline part of a turn. `memory`: the turn's; null where it has none. Passed instead
// of the turn, which would have to lie in memory for that.
Counters::Line* choose_line(ThreadMemory* memory, Socket socket);
[[gnu::always_inline]] inline void count(ThreadMemory* memory, Socket socket, Counter counter,
                                         uint64_t amount = 1) {
    Counters::Line* const line =
        memory != nullptr && memory->has_line(socket) ? &memory->line() : choose_line(memory, socket);
    if (line != nullptr) [[likely]]
        line->add(counter, amount);
}
// Learns from a datagram that may change what is known. `found`: what find_unsalted() returned.
void hear_changing(ThreadMemory* memory, Socket socket, uint64_t hash, const Peer& peer, const Local& local,
                   ConversationTable::Entry found);
// The same for a datagram of this family's form. False: Turn::hear() has to hear it.
template <typename Family>
bool hear_hashed(ThreadMemory* memory, Socket socket, const msghdr& message, uint64_t hash,
                 ConversationTable::Entry found);
LocalIndex send_changing(ThreadMemory* memory, Socket socket, uint64_t hash, const Peer& peer,
                         Run::Record record);

} // namespace detail

// A thread's turn at its memory. A signal handler that interrupts a turn gets none: it tells the table alone
// what it hears, and asks that alone. So nobody finds the memory half-written. Nobody keeps a turn across a
// call that may block or be cancelled.
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

    // True where a datagram to `name`, which can be read, answers the last one. Then it counts as answered,
    // and leaves from `source`. Writes what errno is now to `errno_before`.
    [[gnu::always_inline]] bool answer_again(Socket socket, const void* name, socklen_t length,
                                             Source& source, int& errno_before) {
        return memory_ != nullptr && memory_->answer_again(socket, name, length, source, errno_before);
    }

    // --- receiving ---

    // A call for one datagram brought one on this socket, by this descriptor. To say so twice does no harm.
    [[gnu::always_inline]] void begin_receiving(Socket socket, int fd) {
        if (memory_ != nullptr) [[likely]]
            memory_->begin(socket, fd);
    }
    // A call for many datagrams brought one, or `several`, whose answers come in their order.
    [[gnu::always_inline]] void begin_batch(bool several) {
        if (memory_ != nullptr) [[likely]]
            memory_->begin_batch(several);
    }
    // The same call brought more. They come after those in the order.
    void go_on_with_batch() {
        if (memory_ != nullptr)
            memory_->go_on_with_batch();
    }

    // The next three are for datagrams of a usual form (family.hpp), on a socket whose program gets no
    // control messages of ours. `message` is as the kernel wrote it.

    // Makes this socket the usual one of this thread. False where it is that already, or cannot be.
    bool becomes_usual(Socket socket);

    // A call for one or for many (`is_batch`) brought one alone, of this family's form. Hears and counts it
    // where that changes nothing of what is known: it is the last one once more (`again`), or its
    // conversation is `steady`. Else (`not_yet`) the caller has to hear it: by hear_hashed() where this wrote
    // `hash`, with the `found` that it wrote, or by hear().
    enum class Heard : uint8_t { not_yet, steady, again };
    template <typename Family>
    Heard hear_alone(Socket socket, const msghdr& message, bool is_batch, uint64_t& hash,
                     ConversationTable::Entry& found);
    // Hears a datagram after hear_alone(), which wrote `hash` and `found`. False: hear() has to hear it. The
    // caller has begun to receive, and counts the datagram.
    template <typename Family>
    bool hear_hashed(Socket socket, const msghdr& message, uint64_t hash, ConversationTable::Entry found) {
        return detail::hear_hashed<Family>(memory_, socket, message, hash, found);
    }

    // Hears any datagram. `local`: where it reached us, as control::read() has it; empty where that is not
    // known. True: the caller counts it.
    bool hear(Socket socket, const msghdr& message, const Local& local);

    // The call only looks (MSG_PEEK). begin_peek() comes after begin_receiving() or begin_batch(), end_peek()
    // when all is heard.
    void begin_peek() {
        if (memory_ != nullptr)
            memory_->begin_peek();
    }
    void end_peek() {
        if (memory_ != nullptr)
            memory_->end_peek();
    }

    // A receive call on this socket, by this descriptor, found nothing.
    void drained(Socket socket, int fd) {
        if (memory_ != nullptr)
            memory_->drained(socket, fd);
    }

    // This thread has made a UDP socket.
    void made_socket() {
        if (memory_ != nullptr)
            memory_->made_socket();
    }

    // --- sending ---

    // What errno is now.
    [[gnu::always_inline]] int error_number() { return memory_ != nullptr ? memory_->error_number() : errno; }

    // A datagram for which a source was asked was not sent after all: the next answer is the same one.
    // `was_last`: it is what this thread sent last, alone in its call. Undoes what the last sending changed
    // for all threads. `source`: the datagram's, if it is one of several; else empty.
    void not_sent(Socket socket, const Peer& peer, bool was_last, const Local& source = {});

    // Returns where a socket that is about to be connected to `peer` has to have its address. Empty where the
    // routing table chooses it. If the socket is not connected after all, not_sent() is to know.
    Local source_for_connection(Socket socket, const Peer& peer);

    // The kernel refused `local` as the source for this peer. Forgets it until the peer is heard there again.
    void refused(Socket socket, const Peer& peer, const Local& local);

    // Adds `amount` to this thread's share of a counter.
    [[gnu::always_inline]] void count(Socket socket, Counter counter, uint64_t amount = 1) {
        detail::count(memory_, socket, counter, amount);
    }

private:
    friend class Listening;
    friend class Answering;

    ThreadMemory* memory_;
};

// The next two are for all datagrams of one call. What these have in common is looked up once. Neither lives
// longer than its turn.

// Hears datagrams of a usual form.
class Listening {
public:
    // Makes this socket the usual one of this thread where that can be.
    Listening(Turn& turn, Socket socket);

    // Hears a datagram, whichever of those forms it has. `room`: for the peer's address. False: Turn::hear()
    // has to hear it. The caller counts the datagram.
    bool hear(const msghdr& message, socklen_t room) const;

private:
    ThreadMemory* memory_; // null where the socket is not the usual one
    SharedState* state_;
    Socket socket_;
};

// Finds the sources of what is sent.
class Answering {
public:
    Answering(const Turn& turn, Socket socket);

    // Returns the source of a datagram to `name`, a peer's socket address that can be read. None where the
    // routing table chooses it. `room`: see source_at(). The caller counts what is answered.
    Source source_for(const void* name, socklen_t length, SourceRoom& room);

private:
    ThreadMemory* memory_;
    SharedState* state_;
    Socket socket_;
    // True where a steady question is answered from where this thread has heard it: questions do not go from
    // thread to thread, and the source is good for each peer of this socket.
    bool answers_steady_;
    bool has_begun_ = false; // to send: a call that names no peer answers nobody
};

// Reads the peer that a datagram to `name` goes to, which has `length` readable bytes. An IPv4 socket takes
// an address without a family for one of AF_INET (udp_sendmsg() in the kernel's net/ipv4/udp.c). False where
// there is none.
bool read_destination(Socket socket, const void* name, socklen_t length, Peer& peer);

// Called by the thread that forks, and by the only thread of its child.
void forks();
void forked();

// Returns where a socket that has no address yet has to have it, if it is about to answer `peer` for another
// socket: the program's own, a parent's or a sibling's. Empty where the peer does not wait for that.
Local handed_over(Socket socket, const Peer& peer);

// A socket has its address there, and is connected to `peer`. No other one gets it for the same question.
void withdraw_offer(const Peer& peer);

// A socket that is none of ours sends to `peer` for the first time: the program asks, and a stranger's
// question must not steer that.
void asks(const Peer& peer);

} // namespace multihome::peers
