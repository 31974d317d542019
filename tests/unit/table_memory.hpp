// SPDX-License-Identifier: MIT
//
// A table of conversations in memory that forked children share, and conversations whose bucket the tests
// choose.
#pragma once

#include "shim/peers/conversation_table.hpp"

#include "entry_word.hpp"
#include "shared_memory.hpp"

#include <cstddef>
#include <cstdint>

namespace multihome::test {

// A made-up address of this host.
inline Local local_address(uint32_t number, uint32_t interface_index = 0) {
    return {Address::from_ipv4({htonl(0x0a000000 + number)}), interface_index};
}

class TableMemory {
public:
    using Table = ConversationTable;
    using Kind = Conversation::Kind;
    // So many local addresses have a number from the start.
    static constexpr unsigned addresses = 64;

    explicit TableMemory(unsigned bucket_bits, const Lifetimes& lifetimes = {})
        : lifetimes_(lifetimes), count_(size_t{1} << bucket_bits), buckets_(count_) {
        for (unsigned number = 0; number < addresses; ++number)
            indexes_[number] = locals_->index_of(local_address(number)).index;
    }

    Table table() const {
        return {buckets_.get(), (count_ - 1) * sizeof(Table::Bucket), locals_.get(), lifetimes_};
    }
    LocalAddresses& locals() const { return *locals_; }
    size_t bucket_count() const { return count_; }
    Table::Bucket& bucket(size_t index) const { return buckets_.get()[index]; }
    const Lifetimes& lifetimes() const { return lifetimes_; }

    void clear() const {
        for (size_t index = 0; index < count_; ++index)
            for (std::atomic<uint64_t>& word : bucket(index).words)
                word.store(0);
    }

    // The hash of a made-up conversation: its number (from 1) is its fingerprint.
    static uint64_t hash(size_t bucket, uint64_t number) {
        return number << Conversation::bits | uint64_t{bucket} * sizeof(Table::Bucket);
    }

    // Whose word it is; 0 for the empty one.
    uint64_t number_of(uint64_t word) const { return test::number_of(word, *locals_); }

    // How many entries the conversation has.
    unsigned count(uint64_t hash) const {
        unsigned found = 0;
        for (const std::atomic<uint64_t>& word : bucket(hash / sizeof(Table::Bucket) % count_).words)
            if (number_of(word.load()) == hash >> Conversation::bits)
                ++found;
        return found;
    }

    // The two addresses at which the tests let the peer with this number ask. Different from those of most
    // others, so that a word which mixes two entries is seen.
    LocalIndex local_of(uint64_t number, bool second) const {
        return indexes_[number % (addresses / 2) + (second ? addresses / 2 : 0)];
    }

    // True where `word` is empty, or was written as a whole for one conversation with a number below `limit`.
    bool is_whole(uint64_t word, uint64_t limit) const {
        const Conversation state{word};
        if (!state)
            return word == 0;
        const uint64_t number = number_of(word);
        const auto is_its_own = [&](LocalIndex index) {
            return index == local_of(number, false) || index == local_of(number, true);
        };
        return number > 0 && number < limit &&
               (is_without_address(state) || is_its_own(state.first_index())) &&
               (state.kind() != Kind::moving || is_its_own(state.second_index()));
    }
    unsigned count_broken(uint64_t limit) const {
        unsigned broken = 0;
        for (size_t index = 0; index < count_; ++index)
            for (const std::atomic<uint64_t>& word : bucket(index).words)
                if (!is_whole(word.load(), limit))
                    ++broken;
        return broken;
    }

private:
    Lifetimes lifetimes_;
    size_t count_;
    SharedMemory<Table::Bucket> buckets_;
    SharedMemory<LocalAddresses> locals_;
    LocalIndex indexes_[addresses] = {};
};

} // namespace multihome::test
