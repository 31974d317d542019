// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <new>
#include <sys/mman.h>

namespace multihome::test {

// Anonymous zeroed memory for `count` of one Type, which forked children share, as the shim has it.
template <typename Type>
class SharedMemory {
public:
    explicit SharedMemory(size_t count = 1) : size_(count * sizeof(Type)) {
        memory_ = mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (memory_ == MAP_FAILED)
            throw std::bad_alloc{};
    }
    ~SharedMemory() { munmap(memory_, size_); }
    SharedMemory(const SharedMemory&) = delete;
    SharedMemory& operator=(const SharedMemory&) = delete;

    Type* get() const { return static_cast<Type*>(memory_); }
    Type* operator->() const { return get(); }
    Type& operator*() const { return *get(); }

private:
    size_t size_;
    void* memory_ = nullptr;
};

} // namespace multihome::test
