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
    return list != nullptr ? publish_memory(list[block], sizeof(Word) * detail::block_size) : nullptr;
}

} // namespace

namespace detail {

Word* find_block(size_t block) {
    if (block == 0)
        return direct.data();
    BlockPointer* list = blocks.load(std::memory_order_acquire);
    return list != nullptr ? list[block].load(std::memory_order_acquire) : nullptr;
}

void raise_end(unsigned fd) {
    unsigned seen = end.load(std::memory_order_relaxed);
    while (seen <= fd && !end.compare_exchange_weak(seen, fd + 1, std::memory_order_relaxed)) {
    }
}

Word* find_word(int fd, bool create) {
    if (fd < 0)
        return nullptr;
    const auto number = static_cast<unsigned>(fd);
    const size_t block = number >> block_bits;
    Word* words = find_block(block);
    if (words == nullptr && create)
        words = create_block(block);
    return words != nullptr ? &words[number & (block_size - 1)] : nullptr;
}

Socket load_high(unsigned fd) {
    if (Word* word = find_word(static_cast<int>(fd), false))
        return Socket{word->load(std::memory_order_relaxed)};
    // A negative number is nobody's descriptor, and libc says so.
    return static_cast<int>(fd) < 0 ? Socket{Socket::Kind::other, 0} : Socket{};
}

} // namespace detail
} // namespace multihome::sockets
