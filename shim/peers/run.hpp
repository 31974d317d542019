// SPDX-License-Identifier: MIT
//
// The datagrams that one thread has received in a row, in the order of their arrival: the conversation of
// each, and which of our addresses it reached. So answers find their requests. Each conversation has an order
// of its own.
#pragma once

#include "shim/peers/conversation.hpp"

#include <algorithm>
#include <array>
#include <cstdint>

namespace multihome {

class Run {
public:
    static constexpr unsigned capacity = 96;

    // A datagram of a conversation, as one word.
    class Record {
    public:
        constexpr Record() = default;
        // `at`: the index of the address that it reached. `generation`: of that index
        // (LocalAddresses::generation()). `is_steady`: see is_steady().
        constexpr Record(uint64_t hash, LocalIndex at, uint8_t generation, bool is_steady)
            : word_((hash & conversation_mask) | present_bit | waiting_bit |
                    (is_steady ? steady_bit | home_bit : 0) | uint64_t{generation} << generation_shift | at) {
        }

        constexpr explicit operator bool() const { return word_ != 0; }
        constexpr bool is_of(uint64_t hash) const { return ((word_ ^ hash) & conversation_mask) == 0; }
        constexpr LocalIndex at() const { return static_cast<LocalIndex>(word_ & index_mask); }
        constexpr uint8_t generation() const { return static_cast<uint8_t>(word_ >> generation_shift); }
        constexpr bool is_answered() const { return word_ != 0 && !is_question(); }
        // Of the same conversation, at the same address.
        constexpr bool is_like(Record other) const {
            return ((word_ ^ other.word_) & (conversation_mask | index_mask)) == 0;
        }
        // Not answered yet.
        constexpr bool is_question() const { return (word_ & waiting_bit) != 0; }
        // Of this conversation, and not answered yet.
        constexpr bool is_question_of(uint64_t hash) const { return is_of(hash) && is_question(); }
        // The same, and steady.
        constexpr bool is_steady_question_of(uint64_t hash) const {
            constexpr uint64_t wanted = waiting_bit | steady_bit;
            return ((word_ ^ (hash | wanted)) & (conversation_mask | wanted)) == 0;
        }
        // A datagram that was sent to a group: the routing table chooses where its answer leaves from.
        static constexpr Record to_group(uint64_t hash) {
            Record record{hash, local_by_route, 0, false};
            record.word_ |= group_bit;
            return record;
        }
        constexpr bool is_to_group() const { return (word_ & group_bit) != 0; }
        // True where an answer changes nothing of what is known of the conversation, and its source is kept
        // (source_message.hpp).
        constexpr bool is_steady() const { return (word_ & steady_bit) != 0; }
        // True where the peer was known at this address when the datagram had been heard.
        constexpr bool is_at_home() const { return (word_ & home_bit) != 0; }
        constexpr void set_at_home() { word_ |= home_bit; }
        constexpr void answer() { word_ &= ~waiting_bit; }
        constexpr void set_not_answered() { word_ |= waiting_bit; }
        constexpr void forget_address() { word_ &= ~(index_mask | steady_bit | home_bit); }
        constexpr void forget_steady() { word_ &= ~steady_bit; }

    private:
        static constexpr uint64_t index_mask = (1U << local_index_bits) - 1;
        static constexpr unsigned generation_shift = local_index_bits;
        static constexpr uint64_t present_bit = uint64_t{1} << (generation_shift + 8);
        static constexpr uint64_t group_bit = present_bit << 1;
        static constexpr uint64_t home_bit = group_bit << 1;
        // Next to the conversation: one comparison tells whether this is a steady question of one.
        static constexpr uint64_t waiting_bit = home_bit << 1; // not answered yet
        static constexpr uint64_t steady_bit = waiting_bit << 1;
        // 41 bits: enough to tell the conversations of one run from each other.
        static constexpr uint64_t conversation_mask = ~(steady_bit | (steady_bit - 1));

        uint64_t word_ = 0;
    };

    constexpr Run() = default;

    void clear() {
        count_ = 0;
        next_ = 0;
    }

    // Begins a new run with its first record.
    void begin_with(Record record) {
        count_ = 1;
        next_ = 0;
        records_[0] = record;
    }
    // Drops the record where there is no room: then only the table knows of the datagram.
    void add(Record record) {
        if (!is_full())
            records_[count_++] = record;
    }

    // Makes room in a full run: keeps the first half and the last quarter.
    void forget_middle() {
        constexpr unsigned last = capacity / 4;
        std::copy_n(records_.end() - last, last, records_.begin() + capacity / 2);
        count_ = capacity / 2 + last;
    }

    // Keeps the first `count` records, and drops the others.
    void drop(unsigned count) { count_ = static_cast<uint16_t>(count < count_ ? count : count_); }

    // Forgets the first `count` records. The others keep their places.
    void forget_first(unsigned count) {
        if (count >= count_)
            return clear();
        for (unsigned index = 0; index < count; ++index)
            records_[index] = {};
    }

    // Where the first datagram was heard, of this run or of the last one that had any.
    LocalIndex first_at() const { return records_[0].at(); }
    unsigned count() const { return count_; }
    // The run must not be empty.
    Record last() const { return records_[count_ - 1U]; }
    bool is_full() const { return count_ >= capacity; }

    // The run's only datagram has come once more, or was answered.
    void ask_again() { records_[0].set_not_answered(); }
    void answer_only() { records_[0].answer(); }

    // The answers to come are in order, from the first on.
    void begin_order() { next_ = 0; }

    // Answers begin. In order, the turn is with the first that is not answered; else with the last one.
    [[gnu::always_inline]] void begin_answers(bool in_order) {
        if (!in_order)
            next_ = static_cast<uint16_t>(count_ - 1U);
    }
    // Answers a question of this conversation whose turn it is, and which is steady. Returns it; null where
    // it is none of that.
    [[gnu::always_inline]] const Record* answer_steady(uint64_t hash) {
        if (next_ >= count_ || !records_[next_].is_steady_question_of(hash)) [[unlikely]]
            return nullptr;
        Record& record = records_[next_++];
        record.answer();
        return &record;
    }

    // The following two answer a datagram of this conversation. They return its record as it was before, or
    // the empty one where there is none.

    // In order: answers the first that is not answered yet. Where all are answered, it is the last one again.
    Record answer_first(uint64_t hash) {
        while (next_ < count_ && !records_[next_].is_question())
            ++next_;
        return mark_answered(search_first(hash));
    }

    // Answers the last one. Where that is answered already, an unanswered one at the same address, if there
    // is any.
    Record answer_latest(uint64_t hash) { return mark_answered(search_latest(hash)); }

    // An answer to this conversation was not sent after all. The next one answers the same datagram.
    void not_sent(uint64_t hash) {
        for (unsigned index = count_; index > 0; --index) {
            Record& record = records_[index - 1];
            if (!record.is_of(hash) || !record.is_answered())
                continue;
            record.set_not_answered();
            next_ = static_cast<uint16_t>(index - 1 < next_ ? index - 1 : next_);
            return;
        }
    }

    // Forgets the addresses that `is_gone` as sources for this conversation. A datagram that reached one
    // keeps its place in the order.
    template <typename IsGone>
    void forget(uint64_t hash, IsGone is_gone) {
        for (unsigned index = 0; index < count_; ++index) {
            Record& record = records_[index];
            if (record.is_of(hash) && record.at() != local_by_route && is_gone(record.at()))
                record.forget_address();
        }
    }

    // What is known of its conversations may change from now on without this thread.
    void change_unseen() {
        for (unsigned index = 0; index < count_; ++index)
            records_[index].forget_steady();
    }

    // Marks all datagrams of this conversation as answered.
    void answer_all(uint64_t hash) {
        for (unsigned index = 0; index < count_; ++index)
            if (records_[index].is_of(hash))
                records_[index].answer();
    }

    // Marks the last unanswered datagram like this one as answered.
    void answer_like(Record answered) {
        for (unsigned index = count_; index > 0; --index)
            if (Record& record = records_[index - 1]; record.is_like(answered) && !record.is_answered())
                return record.answer();
    }

    // Returns the last datagram of this conversation; null where there is none.
    Record* latest(uint64_t hash) {
        for (unsigned index = count_; index > 0; --index)
            if (records_[index - 1].is_of(hash))
                return &records_[index - 1];
        return nullptr;
    }

private:
    static Record mark_answered(Record* record) {
        if (record == nullptr)
            return {};
        const Record before = *record;
        record->answer();
        return before;
    }

    Record* search_first(uint64_t hash) {
        for (unsigned index = next_; index < count_; ++index)
            if (records_[index].is_question_of(hash))
                return &records_[index];
        return latest(hash);
    }

    Record* search_latest(uint64_t hash) {
        Record* const last = latest(hash);
        if (last == nullptr || !last->is_answered())
            return last;
        for (Record* record = last; record != records_.data(); --record)
            if (Record& before = record[-1]; before.is_question_of(hash) && before.at() == last->at())
                return &before;
        return last;
    }

    uint16_t count_ = 0;
    uint16_t next_ = 0; // whose turn it is; where answers are in order, all before it have been answered
    std::array<Record, capacity> records_{};
};

} // namespace multihome
