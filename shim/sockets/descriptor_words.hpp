// SPDX-License-Identifier: MIT
//
// The one store of what we know of descriptors: an atomic word for each number (socket.hpp). Those below
// direct_count lie in one array, the others in blocks that are mapped when a word is first stored in them.
// Untouched pages cost nothing.
//
// Relaxed throughout: a word is the whole truth; what it lets us use (shared_state) is published by an atomic
// of its own. All of this is async-signal-safe and leaves errno alone.
#pragma once

#include "shim/sockets/socket.hpp"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace multihome::sockets {

namespace detail {
using Word = std::atomic<uint64_t>;
constexpr unsigned block_bits = 15;
constexpr unsigned direct_count = 1U << block_bits;
extern std::array<Word, direct_count> direct;

[[gnu::cold]] Socket peek_high(unsigned fd);
// The words of a block; null where no word has been stored in it.
Word* find_block(size_t block);
// The number of blocks that there may be words in: 1 while all descriptors have been below direct_count.
size_t used_blocks();
// The word of `fd`; null for a number that cannot be a descriptor, and where there is no memory for it.
// `create`: there is to be memory for it.
Word* find_word(int fd, bool create);
} // namespace detail

// A descriptor whose word a quick look finds.
[[gnu::always_inline]] inline bool is_direct(int fd) {
    return static_cast<unsigned>(fd) < detail::direct_count;
}

// What is known of `fd` without looking at the socket, and without a call; unknown for descriptors from
// direct_count on.
[[gnu::always_inline]] inline Socket peek_direct(int fd) {
    if (!is_direct(fd)) [[unlikely]]
        return Socket{};
    return Socket{detail::direct[static_cast<unsigned>(fd)].load(std::memory_order_relaxed)};
}

// The same for all descriptors.
[[gnu::always_inline]] inline Socket peek(int fd) {
    if (!is_direct(fd)) [[unlikely]]
        return detail::peek_high(static_cast<unsigned>(fd));
    return peek_direct(fd);
}

inline void store(int fd, Socket socket) {
    // Of what has no word nothing is known already.
    if (detail::Word* word = detail::find_word(fd, socket.word() != 0))
        word->store(socket.word(), std::memory_order_relaxed);
}

// Stores `wanted`, if the word still is what `seen` says: else somebody else knows better by now.
inline void update(int fd, Socket seen, Socket wanted) {
    uint64_t expected = seen.word();
    if (detail::Word* word = detail::find_word(fd, false))
        word->compare_exchange_strong(expected, wanted.word(), std::memory_order_relaxed);
}

// Calls `visit` with the number and the word of each descriptor of which something is known, and stores what
// it returns where that is another one and the word has not changed meanwhile. For rare calls.
template <typename Visit>
void change_each(Visit visit) {
    const size_t count = detail::used_blocks();
    for (size_t block = 0; block < count; ++block) {
        detail::Word* words = detail::find_block(block);
        if (words == nullptr)
            continue;
        for (unsigned index = 0; index < detail::direct_count; ++index) {
            uint64_t word = words[index].load(std::memory_order_relaxed);
            // Look before storing: an untouched page stays untouched.
            if (word == 0)
                continue;
            const auto fd = static_cast<int>(block << detail::block_bits | index);
            const uint64_t wanted = visit(fd, Socket{word}).word();
            if (wanted != word)
                words[index].compare_exchange_strong(word, wanted, std::memory_order_relaxed);
        }
    }
}

} // namespace multihome::sockets
