// SPDX-License-Identifier: MIT
#include "shim/peers/shared_state.hpp"

#include "shim/base/libc.hpp"

#include <cstring>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>

namespace multihome::shared_state {

namespace detail {
constinit std::atomic<SharedState*> state{nullptr};
constinit unsigned bucket_bits = 0;
constinit Lifetimes lifetimes;
} // namespace detail

namespace {

// GRND_NONBLOCK, because a daemon started early in boot must not hang in its first bind(). The 16 random
// bytes that the kernel gave the process (getauxval(3), AT_RANDOM) are nearly as good for a hash table.
HashKey random_key() {
    constexpr unsigned grnd_nonblock = 1;
    HashKey key{};
    if (libc::raw_syscall(SYS_getrandom, reinterpret_cast<long>(&key), sizeof key, grnd_nonblock) !=
        long{sizeof key}) {
        const auto* given =
            reinterpret_cast<const void*>(getauxval(AT_RANDOM)); // NOLINT(performance-no-int-to-ptr)
        if (given != nullptr)
            std::memcpy(&key, given, sizeof key);
    }
    return key;
}

} // namespace

SharedState* create(size_t peers) {
    if (SharedState* existing = get())
        return existing;
    const libc::ErrnoGuard keep_errno;
    const unsigned bucket_bits = ConversationTable::bucket_bits_for(peers);
    const size_t size = SharedState::size_for(bucket_bits);
    // MAP_NORESERVE: memory is taken page by page as peers are heard.
    void* memory =
        mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        return nullptr;
    // The mapping is all zero bytes, which is what every atomic in it starts with.
    auto* created = static_cast<SharedState*>(memory);
    created->version = SharedState::expected_version;
    created->bucket_bits = bucket_bits;
    created->mapping_size = size;
    created->key = random_key();
    std::memcpy(created->magic, SharedState::expected_magic, sizeof created->magic);
    // The settings never change, so that two threads that get here store the same value.
    detail::bucket_bits = bucket_bits;
    SharedState* winner = nullptr;
    // Release pairs with the acquire in get().
    if (!detail::state.compare_exchange_strong(winner, created, std::memory_order_acq_rel,
                                               std::memory_order_acquire)) {
        munmap(memory, size);
        return winner;
    }
    return created;
}

} // namespace multihome::shared_state
