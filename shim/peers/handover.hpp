// SPDX-License-Identifier: MIT
//
// Peers that wait for an answer from another port than the one they asked. A TFTP server makes a socket for
// each transfer.
//
// This is the one case in which a stranger could steer what a program sends to somebody else, so the rule is
// one of cause and effect. A socket answers for another one if
//  - it was made after the question was heard (`made`, the sequence number of sockets),
//  - the question waits, unanswered, and its time has not run out,
//  - this program has not itself asked the peer lately, from whatever port, and
//  - the peer's port is not one that servers answer from (answers_from()): such a peer is one that we ask.
// What is left for an attacker: to choose the source of the first datagram that a program sends to a peer's
// port above 1023. The program must not have sent to that port for two minutes, and must make the socket
// within the question's 30 s.
//
// An array of words. Each is the whole truth about one peer, and is written by a plain store. Four peers may
// wait in one place. A fifth one overwrites the oldest offer, and that transfer leaves from where the routing
// table says.
#pragma once

#include "shim/peers/conversation_table.hpp"
#include "shim/peers/local_addresses.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <iterator>
#include <netinet/in.h>

namespace multihome {

class Handover {
public:
    // True where a peer with this port (network byte order) is a server, as far as one can tell. These are
    // the ports below 1024, and those above that many programs of a host ask. None of them is a port that
    // Linux gives to clients (net.ipv4.ip_local_port_range): any client may have such a one.
    static bool answers_from(in_port_t port) {
        // OpenVPN, RADIUS, SSDP, STUN, IPsec behind NAT, SIP, NAT-PMP, mDNS, LLMNR, CoAP, memcached.
        static constexpr uint16_t servers[] = {1194, 1812, 1813, 1900, 3478, 4500, 5060,
                                               5061, 5351, 5353, 5355, 5683, 5684, 11211};
        const uint16_t number = ntohs(port);
        if (number > servers[std::size(servers) - 1]) // nearly every client's
            return false;
        return number < IPPORT_RESERVED || std::binary_search(std::begin(servers), std::end(servers), number);
    }

    // A question was heard at `at`, from the peer with this hash (of its address and port alone). `made`: the
    // number of the last socket that was made. Async-signal-safe, as all of these.
    void offer(uint64_t hash, LocalIndex at, uint16_t made, Ticks now, const LocalAddresses& locals,
               const Lifetimes& lifetimes) {
        if (was_asked(hash, now, lifetimes))
            return;
        const uint64_t word = fingerprint(hash, at, locals) | uint64_t{made} << made_shift |
                              uint64_t{at} << index_shift | (now & time_mask);
        // Release pairs with the acquire in is_of(): who reads the index of the address reads its salt too.
        offer_for(hash, made, now, locals).store(word, std::memory_order_release);
    }

    // Returns where the peer waits for an answer from; local_by_route where no offer stands for a socket with
    // the number `made`.
    LocalIndex find(uint64_t hash, uint16_t made, Ticks now, const LocalAddresses& locals,
                    const Lifetimes& lifetimes) const {
        for (unsigned way = 0; way < ways && made != 0; ++way) {
            const uint64_t word = slot(hash, way).offer.load(std::memory_order_acquire);
            if (!is_of(word, hash, locals))
                continue;
            // The numbers wrap; half of them are enough for the time of an offer.
            const auto since = static_cast<int16_t>(static_cast<uint16_t>(made - (word >> made_shift)));
            return since > 0 && age(word, now) <= lifetimes.question && !was_asked(hash, now, lifetimes)
                       ? index_of(word)
                       : local_by_route;
        }
        return local_by_route;
    }

    // The following two return what they changed. It can be taken back.
    using Change = ConversationTable::Change;

    // Withdraws the offer: the question was answered.
    Change withdraw(uint64_t hash, const LocalAddresses& locals) {
        Change newest;
        for (unsigned way = 0; way < ways; ++way) {
            std::atomic<uint64_t>& offer = slot(hash, way).offer;
            uint64_t word = offer.load(std::memory_order_acquire);
            // A failed exchange means a newer offer.
            if (is_of(word, hash, locals) &&
                offer.compare_exchange_strong(word, 0, std::memory_order_relaxed) && newest.word == nullptr)
                newest = {&offer, word, 0};
        }
        return newest;
    }

    // Notes that the program asked this peer. Relaxed: the word is the whole truth.
    Change ask(uint64_t hash, Ticks now) {
        const uint64_t word = (hash & ~asked_time_mask) | (now & asked_time_mask);
        std::atomic<uint64_t>& asked = slot(hash).asked;
        const uint64_t before = asked.load(std::memory_order_relaxed);
        if (before != word)
            asked.store(word, std::memory_order_relaxed);
        return {&asked, before, word};
    }

private:
    //         0-13  14-23  24-39  40-63
    //   offer time  index  made   fingerprint. With the place's 10 bits, a false match takes 34 equal bits.
    //         0-29        30-63
    //   asked time        fingerprint
    static constexpr unsigned slot_bits = 12;
    static constexpr unsigned ways = 4;           // slots for one place
    static constexpr uint64_t time_mask = 0x3fff; // 68 minutes; then an old offer stands once more
    static constexpr uint64_t asked_time_mask = 0x3fffffff;
    static constexpr unsigned index_shift = 14;
    static constexpr uint64_t index_mask = (1U << local_index_bits) - 1;
    static constexpr unsigned made_shift = index_shift + local_index_bits;
    static constexpr uint64_t fingerprint_mask = ~uint64_t{0} << (made_shift + 16);

    struct Slot {
        std::atomic<uint64_t> offer;
        std::atomic<uint64_t> asked;
    };

    static uint64_t fingerprint(uint64_t hash, LocalIndex at, const LocalAddresses& locals) {
        return (hash ^ locals.salt(at)) & fingerprint_mask;
    }

    static LocalIndex index_of(uint64_t word) {
        return static_cast<LocalIndex>(word >> index_shift & index_mask);
    }
    static uint64_t age(uint64_t word, Ticks now) { return (now - static_cast<Ticks>(word)) & time_mask; }
    // True where this word is an offer to the peer with this hash. The word was loaded by acquire: see
    // offer().
    static bool is_of(uint64_t word, uint64_t hash, const LocalAddresses& locals) {
        const LocalIndex at = index_of(word);
        return at != local_by_route && ((word ^ fingerprint(hash, at, locals)) & fingerprint_mask) == 0;
    }

    // Returns the first slot that is empty or has an offer to this peer; else that of the oldest offer. So
    // where a peer has two offers, find() comes to the newer one first.
    [[gnu::always_inline]] std::atomic<uint64_t>& offer_for(uint64_t hash, uint16_t made, Ticks now,
                                                            const LocalAddresses& locals) {
        std::atomic<uint64_t>& first = slot(hash).offer;
        return first.load(std::memory_order_relaxed) == 0 ? first : search_offer(hash, made, now, locals);
    }
    [[gnu::noinline]] std::atomic<uint64_t>& search_offer(uint64_t hash, uint16_t made, Ticks now,
                                                          const LocalAddresses& locals) {
        std::atomic<uint64_t>* chosen = nullptr;
        uint64_t chosen_age = 0;
        for (unsigned way = 0; way < ways; ++way) {
            std::atomic<uint64_t>& offer = slot(hash, way).offer;
            const uint64_t word = offer.load(std::memory_order_acquire);
            if (word == 0 || is_of(word, hash, locals))
                return offer;
            // Among offers of the same time, the one since which most sockets were made is the oldest.
            const auto since = static_cast<uint16_t>(made - (word >> made_shift));
            const uint64_t its_age = age(word, now) << 16 | since;
            if (chosen == nullptr || its_age > chosen_age) {
                chosen = &offer;
                chosen_age = its_age;
            }
        }
        return *chosen;
    }

    // True where the program has asked this peer lately.
    bool was_asked(uint64_t hash, Ticks now, const Lifetimes& lifetimes) const {
        const uint64_t word = slot(hash).asked.load(std::memory_order_relaxed);
        return word != 0 && ((word ^ hash) & ~asked_time_mask) == 0 &&
               ((now - static_cast<Ticks>(word)) & asked_time_mask) <= lifetimes.spoke_first;
    }

    // The slots of one place follow each other in a ring. The hash says at which one a peer begins. In that
    // one also lies when the program asked the peer.
    static size_t index(uint64_t hash, unsigned way) {
        const size_t first = hash & ((size_t{1} << slot_bits) - 1);
        return (first & ~size_t{ways - 1}) | ((first + way) & (ways - 1));
    }
    Slot& slot(uint64_t hash, unsigned way = 0) { return slots_[index(hash, way)]; }
    const Slot& slot(uint64_t hash, unsigned way = 0) const { return slots_[index(hash, way)]; }

    std::array<Slot, size_t{1} << slot_bits> slots_;
};

} // namespace multihome
