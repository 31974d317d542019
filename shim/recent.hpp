// SPDX-License-Identifier: MIT
//
// What this thread received last, so that a client that asks two of our addresses from one port gets each
// answer from the address it asked.
//
// A *run* is what one receive call brought, or several in a row that ended with "nothing more" (EAGAIN)
// before anything was sent: then the program drained its socket first, and its answers are expected in the
// order of the requests. After a receive call that brought one datagram, an answer to that peer belongs to
// that datagram.
//
// Thread-local, and taken out of each thread's stack, hence below 1 KiB. A signal handler that receives in
// between starts a run of its own; what it interrupted then falls back to the peer table.
#pragma once

#include "shim/address.hpp"
#include "shim/counters.hpp"
#include "shim/peer_table.hpp"

#include <array>
#include <atomic>
#include <cstdint>

namespace multihome {

class Recent {
public:
    static constexpr unsigned capacity = 104;

    // A datagram that was just received: the peer, where it reached us, and its place in the peer table.
    struct Heard {
        Peer peer;
        Local local;
        uint32_t tag = 0;     // the socket's
        uint64_t arrival = 0; // see control::read_only_arrival(); 0 where that does not tell the whole of it
        uint64_t hash = 0; // the peer's
        std::atomic<uint64_t>* slot = nullptr;
        uint64_t word =
            0; // what the slot held, or the identity with local_by_route where it was not recorded
    };

    // The case that a busy server meets most: one datagram, its answer, and another one at the same address.
    // What the long way would find out again, as it lies in the kernel's buffers. Belongs to last_, which is
    // the only datagram of its run and whose entry in the peer table is marked as answered.
    struct Shortcut {
        uint64_t socket =
            0; // the descriptor's word, with all that a choice of the source depends on; 0: none
        uint64_t arrival = 0;
        uint64_t name = 0;   // the first eight bytes of the peer's sockaddr_in: family, port, address
        uint64_t source = 0; // see control::pack_source()
        Counters::Shard* counters = nullptr;
    };

    constexpr Recent() = default;

    const Shortcut& shortcut() const { return shortcut_; }

    // A datagram came by a single receive call. True where the shortcut's socket got it at the shortcut's
    // address, and the one before it has been answered.
    bool continues(uint64_t socket, uint64_t arrival) const {
        return shortcut_.socket == socket && shortcut_.arrival == arrival && state_ == State::answering;
    }

    // After continues(). True where it came from the same peer and its entry in the peer table is as it was:
    // then it has been noted.
    bool repeats(uint64_t name) {
        // Relaxed: only the equality counts.
        if (shortcut_.name != name || last_.slot->load(std::memory_order_relaxed) != last_.word)
            return false;
        // records_ and last_ hold it already.
        state_ = State::receiving;
        return true;
    }

    // After continues(). Notes it as one from `peer`, whose entry lies in `slot`.
    void continue_with(uint64_t name, const Peer& peer, std::atomic<uint64_t>* slot, uint64_t word) {
        shortcut_.name = name;
        last_.peer = peer;
        last_.slot = slot;
        last_.word = word;
        records_[0] = word & ~consumed_bit;
        state_ = State::receiving;
    }

    // The table's word for the shortcut's peer.
    uint64_t word() const { return last_.word; }

    // A datagram goes to `address`, which can be read. True where the shortcut knows its source: it answers
    // the datagram just received.
    bool answers(uint64_t socket, const sockaddr* address, uint64_t& source) {
        uint64_t name;
        std::memcpy(&name, address, sizeof name);
        // Read before the name is compared: a signal handler in between may change both.
        source = shortcut_.source;
        std::atomic_signal_fence(std::memory_order_acq_rel);
        // The entry as it was: no other thread has heard the peer elsewhere. Relaxed: only the equality
        // counts.
        if (shortcut_.socket != socket || shortcut_.name != name ||
            last_.slot->load(std::memory_order_relaxed) != last_.word)
            return false;
        state_ = State::answering;
        return true;
    }

    // A datagram went to `peer` from `local`, the long way. True where that was the answer to last() and the
    // next one may take the shortcut.
    bool may_set_shortcut(uint32_t tag, const Peer& peer, const Local& local) const {
        return last_.tag == tag && last_.peer == peer && last_.local == local && last_.arrival != 0 &&
               last_.slot != nullptr && (last_.word & PeerTable::Entry::answered_bit) != 0 && count_ == 1 &&
               state_ == State::answering;
    }
    void set_shortcut(uint64_t socket, uint64_t name, uint64_t source, Counters::Shard& counters) {
        // Void while it is written, for a signal handler.
        shortcut_.socket = 0;
        std::atomic_signal_fence(std::memory_order_acq_rel);
        shortcut_ = {0, last_.arrival, name, source, &counters};
        std::atomic_signal_fence(std::memory_order_acq_rel);
        shortcut_.socket = socket;
    }

    // The datagram that this thread's last receive call brought, if that was on the socket `tag`. Null
    // otherwise.
    Heard* last(uint32_t tag) { return count_ != 0 && tag_ == tag && last_.tag == tag ? &last_ : nullptr; }

    // The datagram that an earlier call brought, for comparison with the one just received.
    const Heard* previous(uint32_t tag) const { return last_.tag == tag ? &last_ : nullptr; }

    // Starts the record of a receive call that may bring several datagrams, or that only looks (MSG_PEEK).
    void begin_call(uint32_t tag, bool in_order) {
        shortcut_.socket = 0;
        const bool goes_on = tag_ == tag && !in_order && state_ == State::receiving;
        if (!goes_on)
            count_ = 0;
        tag_ = tag;
        state_ = in_order ? State::in_order : State::receiving;
    }

    // Adds a datagram in the order of arrival. Beyond the capacity the table alone knows them.
    void add(const Heard& heard) {
        last_ = heard;
        note();
    }

    // The same for a datagram that is equal to previous().
    void note() {
        if (count_ < capacity)
            records_[count_] = last_.word & ~consumed_bit;
        if (count_ <= capacity)
            ++count_;
    }

    // The datagram only looked at will be received again.
    void end_peek() { state_ = State::answering; }

    // A receive call found nothing: the program drained the socket.
    void drained(uint32_t tag) {
        if (tag_ == tag && state_ == State::receiving)
            state_ = count_ > 1 ? State::in_order : State::answering;
    }

    // True where answers are to be matched in order, not with last().
    bool in_order() const { return state_ == State::in_order && count_ > 1; }

    // Something was sent: the next receive call starts a new run.
    void sent() {
        if (state_ == State::receiving)
            state_ = State::answering;
    }

    // The last datagram's address turned out not to be a source.
    void forget(const Peer& peer) {
        shortcut_.socket = 0;
        if (last_.peer == peer)
            last_ = {};
    }

    // In order: the first datagram of this identity that no answer has used yet, and if all have been used,
    // the last of them. 0 where there is none.
    uint64_t take(uint64_t identity) {
        using Entry = PeerTable::Entry;
        uint64_t used = 0;
        const unsigned count = count_ < capacity ? count_ : capacity;
        for (unsigned index = 0; index < count; ++index) {
            uint64_t& record = records_[index];
            if ((record & Entry::identity_mask) != identity)
                continue;
            if ((record & consumed_bit) == 0) {
                record |= consumed_bit;
                return record;
            }
            used = record;
        }
        return used;
    }

    // The last datagram of this identity in the run. 0 where there is none.
    uint64_t latest(uint64_t identity) const {
        const unsigned count = count_ < capacity ? count_ : capacity;
        for (unsigned index = count; index > 0; --index)
            if ((records_[index - 1] & PeerTable::Entry::identity_mask) == identity)
                return records_[index - 1];
        return 0;
    }

private:
    // Records are table words; the bit that means "answered" there means "an answer used this one" here.
    static constexpr uint64_t consumed_bit = PeerTable::Entry::answered_bit;

    enum class State : uint8_t {
        receiving, // single receive calls, nothing sent since
        answering, // something was sent
        in_order,  // a batch
    };

    Shortcut shortcut_;
    Heard last_;
    uint32_t tag_ = 0;
    uint16_t count_ = 0;
    State state_ = State::answering;
    std::array<uint64_t, capacity> records_{};
};
static_assert(sizeof(Recent) <= 1024);

extern constinit thread_local Recent recent;

} // namespace multihome
