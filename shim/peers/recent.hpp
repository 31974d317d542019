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
// Thread-local, and taken out of each thread's stack, hence below 1 KiB.
//
// Signal handlers. What is marked "quick" may be called at any time, and works on the shortcut alone. All
// else happens between enter() and leave(), and a handler that interrupts that cannot enter: it finds the
// shortcut closed and goes by the peer table. A handler that receives at another moment starts a run of its
// own; what it interrupted then falls back to the peer table.
#pragma once

#include "shim/base/address.hpp"
#include "shim/base/control.hpp"
#include "shim/peers/counters.hpp"
#include "shim/peers/peer_table.hpp"
#include "shim/peers/run.hpp"
#include "shim/peers/source_message.hpp"

#include <atomic>
#include <bit>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace multihome {

// The words of socket addresses and control messages are taken apart as they lie in memory.
static_assert(std::endian::native == std::endian::little);

class Recent {
public:
    // A datagram that was just received: the peer, where it reached us, and its place in the peer table.
    struct Heard {
        Peer peer;
        Local local;
        uint32_t tag = 0;     // the socket's
        uint64_t arrival = 0; // IPv4: see control::SimpleArrival; 0 where that does not tell the whole of it
        uint64_t hash = 0;    // the peer's
        uint64_t name = 0;    // the first eight bytes of the peer's socket address
        Record record;
        std::atomic<uint64_t>* slot = &no_slot; // never null
        uint64_t word = 0;                      // what the slot held; never 0 for a datagram
    };
    // Never a null pointer, because a signal handler may replace what it interrupts the use of. Holds what no
    // entry is.
    constinit static inline std::atomic<uint64_t> no_slot{~uint64_t{0}};

    static constexpr uint64_t no_arrival = 1;         // an interface without an address
    static constexpr uint64_t no_name = ~uint64_t{0}; // of a family that there is not
    static constexpr char nowhere = 0;                // no address of the program's, nor a null pointer

    // The case that a busy server meets most: one datagram, its answer, and another one at the same address.
    // What the long way would find out again, as it lies in the kernel's buffers. Belongs to last_, which is
    // the only datagram of its run and whose entry in the peer table is marked as answered.
    struct Shortcut {
        uint64_t socket =
            0; // the descriptor's word, with all that a choice of the source depends on; 0: none
        uint64_t arrival = no_arrival; // an IPv4 one, with waiting_byte in it, which no arrival is equal to
        // The first eight bytes of the peer's socket address. Those of a sockaddr_in are all there is to
        // know: family, port and address. To those of a sockaddr_in6 belong the addresses in last_. Neither
        // may be taken for the other, so at least one of them is no_name.
        uint64_t name = no_name;
        uint64_t ipv6_name = no_name;
        const SourceMessage* source = nullptr;
        const void* address = &nowhere; // where the program last had the peer's address: it can be read
        Counters::Shard* counters = nullptr;
        const int* error_number = nullptr; // where errno is, for a call that may have to be made twice
    };

    constexpr Recent() = default;

    // False where the caller has interrupted somebody who has entered and not left. One who never leaves,
    // because a signal handler went elsewhere with longjmp(), leaves the thread to the peer table for good.
    bool enter() {
        if (entered_)
            return false;
        entered_ = true;
        std::atomic_signal_fence(std::memory_order_acq_rel);
        open_ = shortcut_.socket;
        shortcut_.socket = 0;
        std::atomic_signal_fence(std::memory_order_acq_rel);
        return true;
    }
    void leave() {
        std::atomic_signal_fence(std::memory_order_acq_rel);
        shortcut_.socket = open_;
        std::atomic_signal_fence(std::memory_order_acq_rel);
        entered_ = false;
    }

    // Quick.
    const Shortcut& shortcut() const { return shortcut_; }

    // Quick. A datagram came by a single receive call. True where the shortcut's socket got it at the
    // shortcut's address from the same IPv4 peer, the one before it has been answered, and the peer's entry
    // in the table is as it was: then it has been noted.
    // The peer's `name` is looked at only if that is an arrival: then the kernel has written it.
    [[gnu::always_inline]] bool repeats(uint64_t socket, const void* name, uint64_t arrival) {
        if (shortcut_.arrival != arrival) [[unlikely]]
            return false;
        uint64_t first_bytes = 0;
        std::memcpy(&first_bytes, name, sizeof first_bytes);
        if (!belongs_to(socket, first_bytes)) [[unlikely]]
            return false;
        // run_ and last_ hold it already.
        set_waiting(true);
        return true;
    }

    // Quick. The same for a peer with a sockaddr_in6, whose `name` the kernel has written whole, and for all
    // control messages that came: our packet information alone.
    [[gnu::always_inline]] bool repeats_ipv6(uint64_t socket, const void* name, const void* control,
                                             size_t length) {
        const auto* message = static_cast<const unsigned char*>(control);
        const auto* info = message + CMSG_LEN(0);
        // Others may come that take as much space, and hold any bytes.
        if (control::kind_at(message) != control::ipv6_kind) [[unlikely]]
            return false;
        if (length == CMSG_SPACE(sizeof(in6_pktinfo))) [[likely]] {
            if (is_waiting() || !is_address(last_.local.address, info)) [[unlikely]]
                return false;
        } else {
            // From an IPv4 peer to a dual-stack socket: see control::read_simple().
            constexpr size_t second = CMSG_SPACE(sizeof(in6_pktinfo));
            if (length != second + CMSG_SPACE(sizeof(in_pktinfo)) ||
                control::kind_at(message + second) != control::ipv4_kind)
                return false;
            uint64_t arrival = 0;
            std::memcpy(&arrival, info + second, sizeof arrival);
            if (shortcut_.arrival != arrival) [[unlikely]]
                return false;
        }
        if (!belongs_to_ipv6(socket, name)) [[unlikely]]
            return false;
        set_waiting(true);
        return true;
    }

    // The same, for peers and addresses of either family, but for who the peer is. Nothing has been noted.
    bool continues(uint64_t socket, const control::SimpleArrival& arrival) const {
        return open_ == socket && !is_waiting() && is_alike(arrival);
    }

    // True where the datagram came to the address that last() came to.
    bool is_alike(const control::SimpleArrival& arrival) const {
        if (arrival.word != 0)
            return arrival.word == last_.arrival;
        return last_.local && last_.local.address == arrival.address &&
               (last_.local.interface_index == 0 || last_.local.interface_index == arrival.interface_index);
    }

    // The same for a socket that heard last() as well, from a peer that has been answered.
    bool is_like_answered(uint32_t tag, const control::SimpleArrival& arrival) const {
        return last_.tag == tag && (last_.word & PeerTable::Entry::answered_bit) != 0 && is_alike(arrival);
    }

    // True where the entry of last() is as it was. Relaxed: only the equality counts.
    bool is_settled() const { return last_.slot->load(std::memory_order_relaxed) == last_.word; }

    // True where `address`, of `length` bytes that can be read, at least a sockaddr_in, is the peer of
    // last(). False may also mean that it is written in another way.
    bool is_last_peer(const void* address, socklen_t length) const {
        uint64_t name = 0;
        std::memcpy(&name, address, sizeof name);
        if (name != last_.name)
            return false;
        if (address_family(name) == AF_INET)
            return true;
        if (length < sizeof(sockaddr_in6))
            return false;
        const auto* bytes = static_cast<const unsigned char*>(address);
        uint32_t scope = 0;
        std::memcpy(&scope, bytes + offsetof(sockaddr_in6, sin6_scope_id), sizeof scope);
        return is_address(last_.peer.address, bytes + offsetof(sockaddr_in6, sin6_addr)) &&
               (last_.peer.scope == 0 || last_.peer.scope == scope);
    }

    // After continues() and is_settled(): from the same peer again.
    void continue_with_same() { set_waiting(true); }

    // After continues(). Notes it as one from another peer, whose entry is an answered one. `name`: the first
    // eight bytes of its socket address.
    void continue_with(uint64_t name, const Peer& peer, uint64_t hash, uint64_t key,
                       const PeerTable::Found& found) {
        set_name(name, peer);
        set_last(name, peer, hash, key, found);
        run_.replace(last_.record);
        set_waiting(true);
    }

    // In a batch, after is_alike() with an answered entry: likewise.
    void add_another(uint64_t name, const Peer& peer, uint64_t hash, uint64_t key,
                     const PeerTable::Found& found) {
        set_last(name, peer, hash, key, found);
        note();
    }

    // Quick. A datagram goes to `address`, which can be read. True where the shortcut knows the message for
    // its source: it answers the datagram just received.
    [[gnu::always_inline]] bool answers(uint64_t socket, const void* address, const SourceMessage*& source) {
        uint64_t name = 0;
        std::memcpy(&name, address, sizeof name);
        source = shortcut_.source;
        std::atomic_signal_fence(std::memory_order_acq_rel);
        if (!belongs_to(socket, name)) [[unlikely]]
            return false;
        return answers_from(source);
    }

    // Quick. The same for a sockaddr_in6.
    [[gnu::always_inline]] bool answers_ipv6(uint64_t socket, const void* address,
                                             const SourceMessage*& source) {
        source = shortcut_.source;
        std::atomic_signal_fence(std::memory_order_acq_rel);
        if (!belongs_to_ipv6(socket, address)) [[unlikely]]
            return false;
        return answers_from(source);
    }

    // The same for an address of either family, of `length` bytes, by who has entered.
    bool answers(uint64_t socket, const void* address, socklen_t length, const SourceMessage*& source) {
        source = shortcut_.source;
        if (open_ != socket || !is_last_peer(address, length) || !is_settled())
            return false;
        set_waiting(false);
        return true;
    }

    // A datagram went to `peer` from `local`, the long way. True where that was the answer to last() and the
    // next one may take the shortcut.
    bool may_set_shortcut(uint32_t tag, const Peer& peer, const Local& local) const {
        return last_.tag == tag && last_.peer == peer && last_.local == local && is_comparable() &&
               is_recorded() && (last_.word & PeerTable::Entry::answered_bit) != 0 && run_.count() == 1 &&
               !in_order_ && !is_waiting();
    }
    // `address`: where the program has it.
    void set_shortcut(uint64_t socket, const void* address, Counters::Shard& counters) {
        uint64_t name = 0;
        std::memcpy(&name, address, sizeof name);
        shortcut_.arrival = last_.arrival != 0 ? last_.arrival : no_arrival;
        set_name(name, last_.peer);
        shortcut_.source = &SourceMessage::make(PeerTable::Entry::local(last_.word), last_.local);
        // Where the program wrote an IPv4 address for a dual-stack socket, no IPv6 one need be readable.
        shortcut_.address = address_family(name) == address_family(last_.name) ? address : &nowhere;
        shortcut_.counters = &counters;
        shortcut_.error_number = &errno;
        open_ = socket;
    }

    // The datagram that this thread's last receive call brought, if that was on the socket `tag`. Null
    // otherwise.
    Heard* last(uint32_t tag) {
        return run_.count() != 0 && tag_ == tag && last_.tag == tag ? &last_ : nullptr;
    }

    // The datagram that an earlier call brought, for comparison with the one just received.
    const Heard* previous(uint32_t tag) const { return last_.tag == tag ? &last_ : nullptr; }

    // Starts the record of a receive call that may bring several datagrams, or that only looks (MSG_PEEK).
    void begin_call(uint32_t tag, bool in_order) {
        open_ = 0;
        goes_on_ = tag_ == tag && !in_order && is_receiving();
        if (!goes_on_)
            run_.clear();
        before_ = static_cast<uint8_t>(run_.count());
        tag_ = tag;
        in_order_ = in_order;
        set_waiting(!in_order);
    }

    // Adds a datagram in the order of arrival. Beyond the capacity the table alone knows them.
    void add(const Heard& heard) {
        set_last(heard);
        note();
    }

    // The same for a datagram that is equal to previous().
    void note() { run_.add(last_.record); }

    // What was only looked at will be received again: the run goes on as if it had not been.
    void end_peek() {
        in_order_ = false;
        if (goes_on_)
            run_.drop(before_);
        else
            set_waiting(false);
    }

    // A receive call found nothing: the program drained the socket.
    void drained(uint32_t tag) {
        if (tag_ != tag || !is_receiving())
            return;
        in_order_ = run_.count() > 1;
        set_waiting(false);
    }

    // True where answers are to be matched in order, not with last().
    bool in_order() const { return in_order_ && run_.count() > 1; }

    // True where answers come in the order of the datagrams, if only of one.
    bool is_ordered() const { return in_order_; }

    // Something was sent: the next receive call starts a new run.
    void sent() { set_waiting(false); }

    // The last datagram's address turned out not to be a source.
    void forget(const Peer& peer) {
        open_ = 0;
        if (last_.peer == peer)
            set_last({});
    }

    // In order: see Run.
    Record next(uint64_t key) const { return run_.next(key); }
    void take_next() { run_.take_next(); }
    Record take(uint64_t key) { return run_.take(key); }
    Record latest(uint64_t key) const { return run_.latest(key); }

private:
    // Quick. True where the shortcut is about this socket and this peer, and the peer's entry in the table is
    // as it was: no other thread has heard it elsewhere. The socket comes last, because a signal handler that
    // has replaced any of it has closed the shortcut meanwhile, and may have opened it for another peer.
    [[gnu::always_inline]] bool belongs_to(uint64_t socket, uint64_t name) const {
        if (shortcut_.name != name) [[unlikely]]
            return false;
        if (!is_settled()) [[unlikely]]
            return false;
        std::atomic_signal_fence(std::memory_order_acq_rel);
        return shortcut_.socket == socket;
    }

    // Quick. The same for a sockaddr_in6. The name comes first: where it is another one, the rest of it may
    // be missing.
    [[gnu::always_inline]] bool belongs_to_ipv6(uint64_t socket, const void* address) const {
        uint64_t name = 0;
        std::memcpy(&name, address, sizeof name);
        if (shortcut_.ipv6_name != name) [[unlikely]]
            return false;
        const auto* bytes = static_cast<const unsigned char*>(address);
        if (!is_address(last_.peer.address, bytes + offsetof(sockaddr_in6, sin6_addr))) [[unlikely]]
            return false;
        if (!is_settled()) [[unlikely]]
            return false;
        std::atomic_signal_fence(std::memory_order_acq_rel);
        return shortcut_.socket == socket;
    }

    // Quick. True where `source` still is what the shortcut answers from: a signal handler may have opened it
    // for this peer only now.
    [[gnu::always_inline]] bool answers_from(const SourceMessage* source) {
        std::atomic_signal_fence(std::memory_order_acq_rel);
        if (shortcut_.source != source) [[unlikely]]
            return false;
        set_waiting(false);
        return true;
    }

    // True where `bytes` are the address, as an IPv6 one. One branch, because nearly always they are.
    [[gnu::always_inline]] static bool is_address(const Address& address, const unsigned char* bytes) {
        uint64_t first = 0;
        uint64_t second = 0;
        std::memcpy(&first, bytes, sizeof first);
        std::memcpy(&second, bytes + sizeof first, sizeof second);
        return ((first ^ address.first) | (second ^ address.second)) == 0;
    }

    // Whom the shortcut is about: `name` is what the peer's socket address starts with. Where it takes an
    // interface as well to tell an IPv6 peer, or where it reached us, the quick ways do not know it.
    void set_name(uint64_t name, const Peer& peer) {
        const bool ipv4 = address_family(name) == AF_INET;
        const bool by_interface = peer.scope != 0 || (last_.arrival == 0 && last_.local.interface_index != 0);
        shortcut_.name = ipv4 ? name : no_name;
        shortcut_.ipv6_name = ipv4 || by_interface ? no_name : name;
    }

    // True where is_alike() can tell that another datagram came to the same address as last().
    bool is_comparable() const {
        return last_.local.address.is_ipv4() ? last_.arrival != 0 && (last_.arrival & waiting_bits) == 0
                                             : static_cast<bool>(last_.local);
    }

    // Member by member: what is quick follows `slot` at any time, and the compiler may write a whole
    // structure in any pieces.
    void set_last(const Heard& heard) {
        last_.peer = heard.peer;
        last_.local = heard.local;
        last_.tag = heard.tag;
        last_.arrival = heard.arrival;
        last_.hash = heard.hash;
        last_.name = heard.name;
        last_.record = heard.record;
        last_.word = heard.word;
        set_slot(heard.slot);
    }
    void set_slot(std::atomic<uint64_t>* slot) {
        // Relaxed: seen by this thread alone, but whole.
        std::atomic_ref<std::atomic<uint64_t>*>{last_.slot}.store(slot, std::memory_order_relaxed);
    }

    void set_last(uint64_t name, const Peer& peer, uint64_t hash, uint64_t key,
                  const PeerTable::Found& found) {
        last_.name = name;
        last_.peer = peer;
        last_.hash = hash;
        set_slot(found.slot);
        last_.word = found.word;
        last_.record = {key, last_.record.local(), true};
    }

    // The byte of an arrival that holds the highest bits of the interface's index, which no shortcut is
    // opened for unless they are 0. While the last datagram waits for something to be sent, another one
    // belongs to the same run and must not take the shortcut: one comparison finds out both.
    static constexpr unsigned waiting_byte = 3;
    static constexpr uint64_t waiting_bits = uint64_t{0xff} << 8 * waiting_byte;

    // One store, so that a signal handler between two instructions finds all as it should be.
    [[gnu::always_inline]] void set_waiting(bool waiting) {
        reinterpret_cast<unsigned char*>(&shortcut_.arrival)[waiting_byte] = waiting ? 0xff : 0;
    }
    bool is_waiting() const { return (shortcut_.arrival & waiting_bits) != 0; }

    // Single receive calls, and nothing sent since.
    bool is_receiving() const { return is_waiting() && !in_order_; }

    // The peer table has an entry for last().
    bool is_recorded() const { return last_.slot != &no_slot; }

    Shortcut shortcut_;
    uint64_t open_ = 0; // while somebody has entered: the shortcut's socket
    Heard last_;
    uint32_t tag_ = 0;
    bool entered_ = false;
    bool in_order_ = false; // a batch, or a socket that was drained
    bool goes_on_ = false;  // the last receive call continued the run before it,
    uint8_t before_ = 0;    // which had so many datagrams
    static_assert(Run::capacity < UINT8_MAX);
    Run run_;
};
static_assert(sizeof(Recent) <= 1024);

extern constinit thread_local Recent recent;

} // namespace multihome
