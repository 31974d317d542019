// SPDX-License-Identifier: MIT
//
// Peers that wait for an answer from another port than they asked: TFTP makes a socket for each transfer.
//
// This is the one case in which a stranger could steer what a program sends to somebody else, so the rule is
// one of cause and effect. A socket answers for another one if
//  - it was made after the question was heard (`made`, its number in the order in which sockets were made),
//  - the question waits, unanswered, and its time has not run out,
//  - this program has not itself spoken to the peer lately, from whatever port, and
//  - the peer's port is not one that servers answer from (answers_from()): such a peer is one that we ask.
// What is left for an attacker: each datagram in a peer's name steers one socket that a program makes to ask
// that peer. The peer's port must be above 1023, the program must not have sent to it for two minutes, and it
// must make the socket within the question's 30 s. A socket that sends has the wrong source for half a
// second, if the peer is not heard on it (Conversation::handed_over()). A connected one keeps its address.
//
// What is noted here is which port of ours a peer asked, and when. Whether it still waits there, and at which
// address, the table of conversations says. So a word that is taken for another peer's does no harm.
//
// An array of words. Each is the whole truth about one peer, and is written by a plain store, relaxed where
// nothing else is read for it. Four peers may wait in one place. A fifth one overwrites the oldest offer, and
// that transfer leaves from where the routing table says.
//
// All functions are async-signal-safe.
#pragma once

#include "shim/peers/answering_ports.h"
#include "shim/peers/conversation_table.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <iterator>
#include <netinet/in.h>

namespace multihome {

class Handover {
public:
    // True where a peer with this port (network byte order) is a server, as far as one can tell.
    static bool answers_from(in_port_t port) {
        static constexpr uint16_t servers[] = {MULTIHOME_ANSWERING_PORTS};
        static_assert(std::is_sorted(std::begin(servers), std::end(servers)));
        const uint16_t number = ntohs(port);
        if (number > servers[std::size(servers) - 1]) // nearly every client's
            return false;
        return number < IPPORT_RESERVED || std::binary_search(std::begin(servers), std::end(servers), number);
    }

    // How many UDP sockets were made. Relaxed: who takes an offer has heard, or was told of, the question.
    std::atomic<uint32_t>& sockets_made() { return sockets_made_; }

    // A question was heard at `port` of ours (network byte order, not 0). `hash`: the peer's alone.
    void offer(uint64_t hash, in_port_t port, Ticks now, const Lifetimes& lifetimes) {
        // It may turn out that this was not sent after all.
        if (was_spoken_to(hash, now, lifetimes))
            return lose_some(now);
        const uint32_t sockets = sockets_made_.load(std::memory_order_relaxed);
        if (first_.load(std::memory_order_relaxed) == 0)
            first_.store(sockets + 1, std::memory_order_relaxed);
        const auto made = static_cast<uint16_t>(sockets);
        const uint64_t word = (hash & fingerprint_mask) | uint64_t{made} << made_shift |
                              uint64_t{port} << port_shift | (now & time_mask);
        // Release pairs with the acquire in find(): who reads the word finds the question in the table.
        std::atomic<uint64_t>& offer = offer_for(hash, made, now);
        const uint64_t before = offer.load(std::memory_order_relaxed);
        if (before == word)
            return;
        if (before != 0 && port_of(before ^ word) != 0) [[unlikely]]
            lose_some(now);
        offer.store(word, std::memory_order_release);
    }

    // True where an offer that was due `now` may not stand: another socket answers, the peer has asked
    // another port of ours since, or the program seemed to speak to it. Else there is no need to make it once
    // more. (One that a fifth peer has overwritten is made again in the next quarter of a second.)
    bool has_lost_some(Ticks now) const {
        // Who takes an offer may have read the clock before it was made.
        return now - lost_at_.load(std::memory_order_relaxed) <= 1;
    }

    // False where no offer was ever made that a socket with the number `made` could take, as in most servers.
    bool may_offer_to(uint16_t made) const {
        const uint32_t first = first_.load(std::memory_order_relaxed);
        return first != 0 && made != 0 &&
               (made >= first || sockets_made_.load(std::memory_order_relaxed) > UINT16_MAX);
    }

    // Returns the port that the peer asked; 0 where no offer stands for a socket with the number `made`.
    in_port_t find(uint64_t hash, uint16_t made, Ticks now, const Lifetimes& lifetimes) const {
        if (!may_offer_to(made))
            return 0;
        for (unsigned way = 0; way < ways; ++way) {
            const uint64_t word = slots_[index(hash, way)].offer.load(std::memory_order_acquire);
            if (!is_of(word, hash))
                continue;
            // The numbers wrap. The sockets that were made since the question have those after its own.
            const auto question = static_cast<uint16_t>(word >> made_shift);
            const auto since = static_cast<uint16_t>(made - question);
            const auto made_since =
                static_cast<uint16_t>(sockets_made_.load(std::memory_order_relaxed) - question);
            const bool may_take = since != 0 && since <= made_since && age(word, now) <= lifetimes.question;
            return may_take && !was_spoken_to(hash, now, lifetimes) ? port_of(word) : in_port_t{0};
        }
        return 0;
    }

    // The following two return what they changed. It can be taken back.
    using Change = ConversationTable::Change;

    // Withdraws the offer: another socket answers.
    Change withdraw(uint64_t hash, Ticks now) {
        lose_some(now);
        for (unsigned way = 0; way < ways; ++way) {
            std::atomic<uint64_t>& offer = slots_[index(hash, way)].offer;
            uint64_t word = offer.load(std::memory_order_relaxed);
            // A failed exchange means a newer offer.
            if (is_of(word, hash) && offer.compare_exchange_strong(word, 0, std::memory_order_relaxed))
                return {&offer, word, 0};
        }
        return {};
    }

    // Notes that the program speaks to this peer on its own.
    Change speak(uint64_t hash, Ticks now) {
        const uint64_t word = (hash & ~uint64_t{spoken_time_mask}) | (now & spoken_time_mask);
        std::atomic<uint64_t>& spoken = slots_[index(hash)].spoken;
        const uint64_t before = spoken.load(std::memory_order_relaxed);
        if (before != word)
            spoken.store(word, std::memory_order_relaxed);
        return {&spoken, before, word};
    }

private:
    //         0-13  14-29  30-45  46-63
    //   offer time  port   made   fingerprint
    //         0-29              30-63
    //   spoken time             fingerprint
    static constexpr unsigned slot_bits = 12;
    static constexpr unsigned ways = 4;        // slots for one place
    static constexpr Ticks time_mask = 0x3fff; // 68 minutes; then an old offer stands once more
    static constexpr Ticks spoken_time_mask = 0x3fffffff;
    static constexpr unsigned port_shift = 14;
    static constexpr unsigned made_shift = port_shift + 16;
    static constexpr uint64_t fingerprint_mask = ~uint64_t{0} << (made_shift + 16);

    struct Slot {
        std::atomic<uint64_t> offer;
        std::atomic<uint64_t> spoken;
    };

    static Ticks age(uint64_t word, Ticks now) {
        return time_since(static_cast<Ticks>(word), now, time_mask);
    }
    static in_port_t port_of(uint64_t word) { return static_cast<in_port_t>(word >> port_shift); }
    // True where this word is an offer to the peer with this hash, as far as its bits tell.
    static bool is_of(uint64_t word, uint64_t hash) {
        return word != 0 && ((word ^ hash) & fingerprint_mask) == 0;
    }

    // See has_lost_some().
    void lose_some(Ticks now) {
        if (lost_at_.load(std::memory_order_relaxed) != now)
            lost_at_.store(now, std::memory_order_relaxed);
    }

    // Returns the first slot that is empty or has an offer to this peer; else that of the oldest offer. So
    // where a peer has two offers, find() comes to the newer one first.
    std::atomic<uint64_t>& offer_for(uint64_t hash, uint16_t made, Ticks now) {
        std::atomic<uint64_t>* chosen = nullptr;
        uint64_t chosen_age = 0;
        for (unsigned way = 0; way < ways; ++way) {
            std::atomic<uint64_t>& offer = slots_[index(hash, way)].offer;
            const uint64_t word = offer.load(std::memory_order_relaxed);
            if (word == 0 || is_of(word, hash))
                return offer;
            // Among offers of the same time, the one since which most sockets were made is the oldest.
            const auto since = static_cast<uint16_t>(made - (word >> made_shift));
            const uint64_t its_age = uint64_t{age(word, now)} << 16 | since;
            if (chosen == nullptr || its_age > chosen_age) {
                chosen = &offer;
                chosen_age = its_age;
            }
        }
        return *chosen;
    }

    // True where the program has spoken to this peer lately, on its own.
    bool was_spoken_to(uint64_t hash, Ticks now, const Lifetimes& lifetimes) const {
        const uint64_t word = slots_[index(hash)].spoken.load(std::memory_order_relaxed);
        return word != 0 && ((word ^ hash) & ~uint64_t{spoken_time_mask}) == 0 &&
               time_since(static_cast<Ticks>(word), now, spoken_time_mask) <= lifetimes.spoke_first;
    }

    // The slots of one place are a ring. The hash says with which one a peer begins: there also lies when the
    // program spoke to it.
    static size_t index(uint64_t hash, unsigned way = 0) {
        const size_t first = hash & ((size_t{1} << slot_bits) - 1);
        return (first & ~size_t{ways - 1}) | ((first + way) & (ways - 1));
    }

    std::atomic<uint32_t> sockets_made_;
    // sockets_made() at the first offer, and one more; 0: there was none yet. Relaxed, as that one.
    std::atomic<uint32_t> first_;
    std::atomic<Ticks> lost_at_; // see has_lost_some(). Relaxed: a hint
    std::array<Slot, size_t{1} << slot_bits> slots_;
};

} // namespace multihome
