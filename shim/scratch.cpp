// SPDX-License-Identifier: MIT
#include "shim/scratch.hpp"

#include "shim/libc.hpp"

#include <array>
#include <atomic>
#include <sys/mman.h>

namespace multihome {

namespace {

// An area that lies here belongs to nobody; who exchanges it for null owns it.
constinit std::array<std::atomic<void*>, 16> pool{};

} // namespace

void* Scratch::take(size_t wanted) {
    if (wanted > size || area_ != nullptr)
        return nullptr;
    for (std::atomic<void*>& place : pool) {
        if (place.load(std::memory_order_relaxed) == nullptr)
            continue;
        // Acquire pairs with the release in the destructor: the previous owner has finished with the memory.
        area_ = place.exchange(nullptr, std::memory_order_acquire);
        if (area_ != nullptr)
            return area_;
    }
    const libc::ErrnoGuard keep_errno;
    void* memory =
        mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        return nullptr;
    area_ = memory;
    return area_;
}

Scratch::~Scratch() {
    if (area_ == nullptr)
        return;
    for (std::atomic<void*>& place : pool) {
        void* expected = nullptr;
        if (place.compare_exchange_strong(expected, area_, std::memory_order_release,
                                          std::memory_order_relaxed))
            return;
    }
    const libc::ErrnoGuard keep_errno;
    munmap(area_, size);
}

} // namespace multihome
