// SPDX-License-Identifier: MIT
//
// The datagrams of one run (see recent.hpp) in the order of their arrival, each as one word: who asked, and
// at which of our addresses. So that answers to a batch can be matched with its requests without asking the
// peer table.
#pragma once

#include "shim/base/address.hpp"
#include "shim/peers/peer_table.hpp"

#include <array>
#include <cstdint>

namespace multihome {

// One datagram of a run. Its key tells the peer: of an IPv4 peer that is the port and the address themselves,
// in the order in which they lie in a sockaddr_in, of an IPv6 peer its fingerprint.
class Record {
public:
    constexpr Record() = default;
    constexpr Record(uint64_t key, LocalIndex local, bool answered)
        : word_(key | present_bit | local | (answered ? answered_bit : 0)) {}

    static constexpr uint64_t key_mask = ~uint64_t{0xffff} | uint64_t{1} << 15;

    static uint64_t key_of_ipv4(const Peer& peer) {
        return uint64_t{peer.port} << 16 | uint64_t{peer.address.ipv4().s_addr} << 32;
    }
    // `hash`: of an IPv6 peer.
    static constexpr uint64_t key_of_ipv6(uint64_t hash) {
        return PeerTable::Entry::fingerprint(hash) << 16 | uint64_t{1} << 15;
    }

    constexpr uint64_t key() const { return word_ & key_mask; }
    constexpr explicit operator bool() const { return word_ != 0; }
    constexpr bool is_of(uint64_t key) const { return ((word_ ^ key) & key_mask) == 0; }
    // True where it is of the peer, and no answer has used it.
    constexpr bool waits_for(uint64_t key) const { return ((word_ ^ key) & (key_mask | used_bit)) == 0; }
    constexpr LocalIndex local() const {
        return static_cast<LocalIndex>(word_ & ((1U << local_index_bits) - 1));
    }
    // Whether the peer's entry in the table says so, as far as is known.
    constexpr bool answered() const { return (word_ & answered_bit) != 0; }
    constexpr void note_answered() { word_ |= answered_bit; }
    constexpr bool used() const { return (word_ & used_bit) != 0; }
    constexpr void use() { word_ |= used_bit; }

private:
    static constexpr uint64_t answered_bit = uint64_t{1} << 10;
    static constexpr uint64_t used_bit = uint64_t{1} << 11;
    static constexpr uint64_t present_bit = uint64_t{1} << 12;
    static_assert(local_index_bits <= 10);

    uint64_t word_ = 0;
};

class Run {
public:
    static constexpr unsigned capacity = 104;

    constexpr Run() = default;

    void clear() {
        count_ = 0;
        next_ = 0;
    }

    // Beyond the capacity the peer table alone knows them.
    void add(Record record) {
        if (count_ < capacity)
            records_[count_] = record;
        if (count_ <= capacity)
            ++count_;
    }

    // Takes back what came after the first `count`.
    void drop(uint16_t count) { count_ = count < count_ ? count : count_; }

    // The only datagram is another one now.
    void replace(Record record) { records_[0] = record; }

    // All datagrams, those beyond the capacity as one.
    uint16_t count() const { return count_; }

    // The next datagram in the order of arrival that no answer has used yet, if it is of this peer; else the
    // empty record.
    Record next(uint64_t key) const {
        return next_ < known() && records_[next_].waits_for(key) ? records_[next_] : Record{};
    }

    // After next() has found it: an answer has used it.
    void take_next() { records_[next_++].use(); }

    // The first datagram of this peer that no answer has used yet, which now one has. If all have been used,
    // the last of them; the empty record where there is none.
    Record take(uint64_t key) {
        // All before next_ have been used. Answers in the order of the requests find theirs at once.
        if (const Record record = next(key)) [[likely]] {
            take_next();
            return record;
        }
        return take_out_of_order(key);
    }

    // The last datagram of this peer; the empty record where there is none.
    Record latest(uint64_t key) const {
        for (unsigned index = known(); index > 0; --index)
            if (records_[index - 1].is_of(key))
                return records_[index - 1];
        return {};
    }

private:
    unsigned known() const { return count_ < capacity ? count_ : capacity; }

    [[gnu::noinline]] Record take_out_of_order(uint64_t key) {
        const unsigned count = known();
        while (next_ < count && records_[next_].used())
            ++next_;
        for (unsigned index = next_; index < count; ++index)
            if (records_[index].waits_for(key)) {
                records_[index].use();
                return records_[index];
            }
        return latest(key);
    }

    uint16_t count_ = 0;
    uint16_t next_ = 0;
    std::array<Record, capacity> records_{};
};

} // namespace multihome
