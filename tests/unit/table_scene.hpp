// SPDX-License-Identifier: MIT
//
// A table of conversations, and what the packet path does with it.
#pragma once

#include "shim/peers/conversation_table.hpp"

#include "table_memory.hpp"

namespace multihome::test {

// The packet path's steps, on a bucket that the test fills.
class TableScene {
public:
    explicit TableScene(unsigned bucket_bits = 1, const Lifetimes& lifetimes = {})
        : memory(bucket_bits, lifetimes), table(memory.table()) {}

    ConversationTable::Heard hear(uint64_t number, Ticks now, bool second = false) {
        const uint64_t hash = TableMemory::hash(0, number);
        return table.hear(hash, memory.local_of(number, second), now, table.find(hash));
    }
    void answer(uint64_t number, bool second = false) {
        const uint64_t hash = TableMemory::hash(0, number);
        if (const ConversationTable::Entry entry = table.find(hash))
            table.answer(memory.local_of(number, second), entry);
    }
    LocalIndex speak(uint64_t number, Ticks now, bool late = false) {
        const uint64_t hash = TableMemory::hash(0, number);
        return table.speak(hash, now, table.find(hash), late).from;
    }
    // Makes it a known peer.
    void settle(uint64_t number, Ticks now) {
        hear(number, now);
        answer(number);
        hear(number, now);
    }
    Conversation state(uint64_t number) const { return table.find(TableMemory::hash(0, number)).state(); }
    bool knows(uint64_t number) const { return static_cast<bool>(state(number)); }
    // How many of the numbers from `first` to `last` are there.
    unsigned count(uint64_t first, uint64_t last) const {
        unsigned found = 0;
        for (uint64_t number = first; number <= last; ++number)
            found += knows(number) ? 1 : 0;
        return found;
    }

    TableMemory memory;
    ConversationTable table;
};

} // namespace multihome::test
