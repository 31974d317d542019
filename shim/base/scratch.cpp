// SPDX-License-Identifier: MIT
#include "shim/base/scratch.hpp"

#include "shim/base/mapping.hpp"

#include <algorithm>
#include <atomic>
#include <bit>
#include <pthread.h>
#include <utility>

namespace multihome {

namespace {

struct ThreadArea {
    void* memory = nullptr;
    size_t size = 0;
    bool in_use = false;
};
constinit thread_local ThreadArea thread_area;

constexpr size_t smallest_area = size_t{16} * 1024;

// Forgets the area first: a signal handler may map one at its address as soon as it is gone.
void unmap_thread_area() {
    const size_t size = std::exchange(thread_area.size, 0);
    if (void* const area = std::exchange(thread_area.memory, nullptr))
        mapping::destroy(area, size);
}

// The thread has ended, but for other destructors, which may still send. Each of their calls maps an area of
// its own, because nobody would unmap one that is kept.
void thread_ended(void*) {
    thread_area.in_use = true;
    unmap_thread_area();
}

// glibc keeps the values of the first keys in the thread itself, and allocates for those of others
// (PTHREAD_KEY_2NDLEVEL_SIZE in its nptl).
constexpr pthread_key_t keys_without_allocation = 32;

// Written once, from the constructor. Without a key nobody would unmap what a thread keeps. Among the
// initialized data, as in log.cpp: a page less.
[[gnu::section(".data")]] constinit pthread_key_t key = 0;
[[gnu::section(".data")]] constinit bool has_key = false;

} // namespace

void Scratch::start() {
    has_key = pthread_key_create(&key, thread_ended) == 0 && key < keys_without_allocation;
}

[[gnu::hot]] void* Scratch::take(size_t wanted) {
    if (area_ != nullptr) [[unlikely]]
        release();
    if (thread_area.in_use) [[unlikely]]
        return take_another(wanted);
    // Takes the area before it looks for it: a signal handler must not change it meanwhile.
    thread_area.in_use = true;
    std::atomic_signal_fence(std::memory_order_acq_rel);
    if (wanted > thread_area.size) [[unlikely]]
        return take_larger(wanted);
    return area_ = thread_area.memory;
}

[[gnu::noinline]] void* Scratch::take_larger(size_t wanted) {
    // The value only says that there is something to do when the thread ends.
    if (!has_key || wanted > most_kept || pthread_setspecific(key, &thread_area) != 0) {
        thread_area.in_use = false;
        return take_another(wanted);
    }
    unmap_thread_area();
    // By powers of two, so that a thread whose calls grow maps only a few times.
    const size_t larger = std::max(smallest_area, std::bit_ceil(wanted));
    area_ = thread_area.memory = mapping::create(larger, MAP_PRIVATE);
    thread_area.size = area_ != nullptr ? larger : 0;
    thread_area.in_use = area_ != nullptr;
    return area_;
}

[[gnu::noinline]] void* Scratch::take_another(size_t wanted) {
    size_ = wanted;
    return area_ = mapping::create(wanted, MAP_PRIVATE);
}

[[gnu::hot]] void Scratch::release() {
    if (area_ != thread_area.memory) [[unlikely]]
        return mapping::destroy(area_, size_);
    std::atomic_signal_fence(std::memory_order_acq_rel);
    thread_area.in_use = false;
}

} // namespace multihome
