// SPDX-License-Identifier: MIT
//
// The one store of what we know of descriptors: an atomic word for each number (socket.hpp). They lie in
// blocks. The first one is an array. The others are mapped when a word is first stored in them. Untouched
// pages cost no memory, but limits on it count them (RLIMIT_DATA), so a block is small.
//
// Relaxed throughout: a word is the whole truth. What it lets us use (shared_state) is published by an atomic
// of its own. All of this is async-signal-safe and leaves errno alone.
#pragma once

#include "shim/sockets/socket.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace multihome::sockets {

namespace detail {
using Word = std::atomic<uint64_t>;
constexpr unsigned block_bits = 13;
constexpr unsigned block_size = 1U << block_bits; // 64 KiB
extern std::array<Word, block_size> direct;       // the first block

// Nothing has ever been known of the descriptors from here on.
extern std::atomic<unsigned> end;
// Returns the words of a block; null where no word has been stored in it.
Word* find_block(size_t block);
[[gnu::cold]] Socket load_high(int fd);
} // namespace detail

// True where load_direct() finds the word.
[[gnu::always_inline]] inline bool is_direct(int fd) {
    return static_cast<unsigned>(fd) < detail::block_size;
}

// Returns what is known of `fd`, without a call. To it, descriptors behind the first block are unknown.
[[gnu::always_inline]] inline Socket load_direct(int fd) {
    if (!is_direct(fd)) [[unlikely]]
        return Socket{};
    return Socket{detail::direct[static_cast<unsigned>(fd)].load(std::memory_order_relaxed)};
}

// Returns the same for any descriptor.
[[gnu::always_inline]] inline Socket load(int fd) {
    if (!is_direct(fd)) [[unlikely]]
        return detail::load_high(fd);
    return load_direct(fd);
}

// Stores what is known of `fd` from now on. Where there is no memory for it, nothing is known of it.
void store(int fd, Socket socket);

// The same if the word still is what `seen` says. False where another thread has changed it.
bool update(int fd, Socket seen, Socket wanted);

// Calls `visit` with the number and the word of each descriptor of which something is known, and stores what
// it returns; again where another thread has changed the word meanwhile. For rare calls: it looks at every
// number up to the highest that a socket has had.
template <typename Visit>
void change_each(Visit visit) {
    const unsigned end = detail::end.load(std::memory_order_relaxed);
    for (unsigned first = 0; first < end; first += detail::block_size) {
        detail::Word* words = detail::find_block(first >> detail::block_bits);
        if (words == nullptr)
            continue;
        const unsigned next = std::min(end, first + detail::block_size);
        for (unsigned number = first; number < next; ++number, ++words) {
            uint64_t word = words->load(std::memory_order_relaxed);
            // Looks before storing: an untouched page stays untouched.
            while (word != 0) {
                const uint64_t wanted = visit(static_cast<int>(number), Socket{word}).word();
                if (wanted == word || words->compare_exchange_strong(word, wanted, std::memory_order_relaxed))
                    break;
            }
        }
    }
}

// True where `is_meant` is true of any descriptor's word. Looks as far as change_each() does.
template <typename IsMeant>
bool is_any(IsMeant is_meant) {
    bool found = false;
    change_each([&](int, Socket seen) {
        found = found || is_meant(seen);
        return seen;
    });
    return found;
}

} // namespace multihome::sockets
