// SPDX-License-Identifier: MIT
//
// Where the words of the descriptors lie (see sockets.hpp): those below direct_count in one array, the others
// in blocks that are mapped when a word is first stored in them. All untouched pages cost nothing.
#pragma once

#include "shim/sockets/sockets.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace multihome::sockets::words {

using Word = std::atomic<uint64_t>;

namespace detail {
constexpr unsigned block_bits = 15;
constexpr size_t block_count = size_t{1} << (32 - block_bits);
static_assert(sockets::detail::direct_count == 1U << block_bits);
// The words of a block; null where no word has been stored in it.
Word* find_block(size_t block);
// The number of blocks that there may be words in: 1 while all descriptors have been below direct_count.
size_t used_blocks();
} // namespace detail

// The word of `fd`; null for a number that cannot be a descriptor, and where there is no memory for it.
// `create`: there is to be memory for it. Async-signal-safe. Leaves errno alone.
Word* find_word(int fd, bool create);

// Calls `visit` with each word there is, and its number. For rare calls. Async-signal-safe.
template <typename Visit>
void for_each_word(Visit visit) {
    const size_t count = detail::used_blocks();
    for (size_t block = 0; block < count; ++block) {
        Word* words = detail::find_block(block);
        if (words == nullptr)
            continue;
        const auto first = static_cast<unsigned>(block << detail::block_bits);
        for (unsigned index = 0; index < sockets::detail::direct_count; ++index)
            visit(words[index], first + index);
    }
}

} // namespace multihome::sockets::words
