// SPDX-License-Identifier: MIT
//
// Memory that cannot be read or written everywhere.
#pragma once

#include "shim/base/user_memory.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <doctest/doctest.h>
#include <initializer_list>
#include <sys/mman.h>

namespace multihome::test {

// Pages of the given protections, one after the other, at an address where no test before has found good
// ones.
class Pages {
public:
    static constexpr size_t size = 4096;

    explicit Pages(std::initializer_list<int> protections) : count_(protections.size()) {
        memory_ = static_cast<char*>(
            mmap(nullptr, count_ * size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
        REQUIRE(memory_ != MAP_FAILED);
        size_t index = 0;
        for (const int protection : protections)
            REQUIRE(mprotect(at(index++), size, protection) == 0);
        for (auto& pages : user_memory::detail::good_pages)
            for (std::atomic<uintptr_t>& page : pages)
                page.store(0);
    }
    ~Pages() { munmap(memory_, count_ * size); }
    Pages(const Pages&) = delete;
    Pages& operator=(const Pages&) = delete;

    char* at(size_t page, size_t offset = 0) const { return memory_ + page * size + offset; }

private:
    size_t count_;
    char* memory_ = nullptr;
};

} // namespace multihome::test
