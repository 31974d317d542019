// SPDX-License-Identifier: MIT
#include "shim/base/scratch.hpp"

#include "shim/base/libc.hpp"

#include <pthread.h>
#include <sys/mman.h>

namespace multihome {

namespace {

struct ThreadArea {
    void* memory = nullptr;
    bool in_use = false;
};
constinit thread_local ThreadArea thread_area;

void* map_area() {
    const libc::ErrnoGuard keep_errno;
    void* memory = mmap(nullptr, Scratch::size, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return memory != MAP_FAILED ? memory : nullptr;
}

void unmap_area(void* memory) {
    const libc::ErrnoGuard keep_errno;
    munmap(memory, Scratch::size);
}

pthread_once_t key_once = PTHREAD_ONCE_INIT;
pthread_key_t key;
bool has_key = false;

// The area of this thread, mapped now if it has none; null where there is no memory, or nothing that would
// unmap it.
void* area_of_thread() {
    if (thread_area.memory != nullptr)
        return thread_area.memory;
    pthread_once(&key_once, [] { has_key = pthread_key_create(&key, unmap_area) == 0; });
    void* memory = has_key ? map_area() : nullptr;
    if (memory != nullptr && pthread_setspecific(key, memory) != 0) {
        unmap_area(memory);
        memory = nullptr;
    }
    thread_area.memory = memory;
    return memory;
}

} // namespace

void* Scratch::take(size_t wanted) {
    if (wanted > size || area_ != nullptr)
        return nullptr;
    of_thread_ = !thread_area.in_use;
    if (!of_thread_)
        return area_ = map_area();
    thread_area.in_use = true;
    area_ = area_of_thread();
    if (area_ == nullptr)
        thread_area.in_use = false;
    return area_;
}

Scratch::~Scratch() {
    if (area_ == nullptr)
        return;
    if (of_thread_)
        thread_area.in_use = false;
    else
        unmap_area(area_);
}

} // namespace multihome
