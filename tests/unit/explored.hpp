// SPDX-License-Identifier: MIT
//
// What the explorer (explorer.hpp) has in place of std::atomic, and the shim's templates over it.
#pragma once

#include "shim/peers/conversation_table.hpp"
#include "shim/peers/local_addresses.hpp"

#include "entry_word.hpp"
#include "explorer.hpp"
#include "table_memory.hpp"
#include "view.hpp"

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <type_traits>

namespace multihome::test {

// Outside of an exploration it is a plain value.
template <typename T>
class Explored {
public:
    static_assert(std::is_integral_v<T> && sizeof(T) <= sizeof(uint64_t));

    Explored(T value = 0) : location_{value} {}
    Explored(const Explored&) = delete;
    Explored& operator=(const Explored&) = delete;

    T load(std::memory_order order) const {
        Explorer* explorer = Explorer::current();
        if (explorer == nullptr)
            return static_cast<T>(location_.initial);
        return static_cast<T>(explorer->is_running() ? explorer->load(location_, order)
                                                     : explorer->newest(location_));
    }

    void store(T value, std::memory_order order) {
        if (Explorer* explorer = Explorer::current(); explorer != nullptr)
            explorer->store(location_, value, order);
        else
            location_.initial = value;
    }

    bool compare_exchange_strong(T& expected, T wanted, std::memory_order success,
                                 std::memory_order failure) {
        if (Explorer* explorer = Explorer::current(); explorer != nullptr) {
            uint64_t value = expected;
            const bool succeeded = explorer->exchange(location_, value, wanted, success, failure);
            if (!succeeded)
                expected = static_cast<T>(value);
            return succeeded;
        }
        if (location_.initial != expected) {
            expected = static_cast<T>(location_.initial);
            return false;
        }
        location_.initial = wanted;
        return true;
    }
    bool compare_exchange_strong(T& expected, T wanted, std::memory_order order) {
        return compare_exchange_strong(expected, wanted, order, std::memory_order_relaxed);
    }

private:
    Location location_;
};

} // namespace multihome::test

namespace multihome::detail {

template <>
inline void fence<test::Explored>(std::memory_order order) {
    if (test::Explorer* explorer = test::Explorer::current(); explorer != nullptr)
        explorer->fence(order);
}

} // namespace multihome::detail

namespace multihome::test {

// One bucket of a table, and made-up conversations in it, as TableMemory has them.
class ExploredMemory { // NOLINT(clang-analyzer-optin.performance.Padding): the table is aligned
public:
    using Table = BasicConversationTable<Explored>;
    using Locals = BasicLocalAddresses<Explored>;
    using Kind = Conversation::Kind;
    static constexpr unsigned addresses = 32;

    ExploredMemory() : locals_(std::make_unique<Locals>()) {
        for (unsigned number = 0; number < addresses; ++number)
            indexes_[number] = locals_->index_of(local_address(number)).index;
    }

    Table table() const { return {&bucket_, 0, locals_.get(), Lifetimes{}}; }
    Locals& locals() const { return *locals_; }

    // Its number (from 1) is its fingerprint.
    static uint64_t hash(uint64_t number) { return number << Conversation::bits; }

    // Where the peer with this number asks: at one of two addresses that are its own.
    LocalIndex local_of(uint64_t number, bool second) const {
        return indexes_[number % (addresses / 2) + (second ? addresses / 2 : 0)];
    }
    bool is_its_own(uint64_t number, LocalIndex index) const {
        return index == local_of(number, false) || index == local_of(number, true);
    }

    // Whose word it is, while the local addresses are those of the beginning; 0 for the empty one.
    uint64_t number_of(uint64_t word) const { return test::number_of(word, *locals_); }

    // True where `word` is empty, or was written as a whole for one of the tests' conversations.
    bool is_whole(uint64_t word) const {
        const Conversation state{word};
        if (!state)
            return word == 0;
        const uint64_t number = number_of(word);
        return number > 0 && number < addresses / 2 &&
               (is_without_address(state) || is_its_own(number, state.first_index())) &&
               (state.kind() != Kind::moving || is_its_own(number, state.second_index()));
    }

    bool are_all_whole() const {
        bool whole = true;
        for (const Explored<uint64_t>& word : bucket_.words)
            whole = is_whole(word.load(std::memory_order_relaxed)) && whole;
        return whole;
    }
    unsigned count(uint64_t number) const {
        unsigned found = 0;
        for (const Explored<uint64_t>& word : bucket_.words)
            found += number_of(word.load(std::memory_order_relaxed)) == number ? 1 : 0;
        return found;
    }

private:
    std::unique_ptr<Locals> locals_;
    mutable Table::Bucket bucket_;
    std::array<LocalIndex, addresses> indexes_ = {};
};

} // namespace multihome::test
