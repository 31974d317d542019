// SPDX-License-Identifier: MIT
#include "shim/sockets/descriptor_words.hpp"

#include "shim/base/mapping.hpp"

namespace multihome::sockets {

namespace detail {
constinit std::array<Word, block_size> direct{};
// Among the initialized data, as in log.cpp: a page less.
[[gnu::section(".data")]] constinit std::atomic<unsigned> end{0};
} // namespace detail

namespace {

using detail::block_bits;
using detail::block_size;
using detail::Word;

constexpr size_t block_count = size_t{1} << (31 - block_bits);

using BlockPointer = std::atomic<Word*>;
// The list of the blocks, 2 MiB. It is mapped together with the first block that is.
constinit std::atomic<BlockPointer*> blocks{nullptr};

// Maps zeroed memory and publishes it in `where`. Returns what is published there; null where the kernel
// refuses. Release pairs with the acquire loads below.
template <typename Type>
Type* publish_memory(std::atomic<Type*>& where, size_t size) {
    auto* created = static_cast<Type*>(mapping::create(size, MAP_PRIVATE));
    Type* winner = nullptr;
    if (created == nullptr ||
        where.compare_exchange_strong(winner, created, std::memory_order_acq_rel, std::memory_order_acquire))
        return created;
    mapping::destroy(created, size);
    return winner;
}

Word* create_block(size_t block) {
    BlockPointer* list = blocks.load(std::memory_order_acquire);
    if (list == nullptr)
        list = publish_memory(blocks, block_count * sizeof(BlockPointer));
    return list != nullptr ? publish_memory(list[block], sizeof(Word) * block_size) : nullptr;
}

// Returns the word of `fd`, which is about to say `socket`. Null where there is no memory for it, and for a
// number that cannot be a descriptor.
Word* word_for(int fd, Socket socket) {
    if (fd < 0)
        return nullptr;
    const auto number = static_cast<unsigned>(fd);
    const bool is_anything = socket.word() != 0;
    Word* words = detail::find_block(number >> block_bits);
    if (words == nullptr && is_anything)
        words = create_block(number >> block_bits);
    if (words == nullptr)
        return nullptr;
    unsigned seen = detail::end.load(std::memory_order_relaxed);
    while (is_anything && seen <= number &&
           !detail::end.compare_exchange_weak(seen, number + 1, std::memory_order_relaxed)) {
    }
    return &words[number % block_size];
}

} // namespace

Word* detail::find_block(size_t block) {
    if (block == 0)
        return direct.data();
    BlockPointer* list = blocks.load(std::memory_order_acquire);
    return list != nullptr ? list[block].load(std::memory_order_acquire) : nullptr;
}

Socket detail::load_high(int fd) {
    // A negative number is nobody's descriptor, and libc says so.
    if (fd < 0)
        return {Socket::Kind::other, 0};
    const auto number = static_cast<unsigned>(fd);
    const Word* words = find_block(number >> block_bits);
    return words != nullptr ? Socket{words[number % block_size].load(std::memory_order_relaxed)} : Socket{};
}

void store(int fd, Socket socket) {
    if (Word* const word = word_for(fd, socket); word != nullptr)
        word->store(socket.word(), std::memory_order_relaxed);
}

bool update(int fd, Socket seen, Socket wanted) {
    uint64_t expected = seen.word();
    Word* const word = word_for(fd, wanted);
    return word == nullptr ||
           word->compare_exchange_strong(expected, wanted.word(), std::memory_order_relaxed);
}

} // namespace multihome::sockets
