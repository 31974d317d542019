// SPDX-License-Identifier: MIT
//
// Memory straight from the kernel: zeroed, never from the program's allocator, and but for locked memory only
// the pages that are touched cost anything. Async-signal-safe. Leaves errno alone.
#pragma once

#include <cstddef>

namespace multihome::mapping {

enum class With {
    nobody,   // this process alone; a forked child gets a copy
    children, // forked children see the same memory
};

// Null where the kernel refuses, or the program's system-call filter.
void* create(size_t size, With shared_with);
void destroy(void* memory, size_t size);

// True where the program has asked that what is mapped from now on is locked into memory (mlockall(2),
// MCL_FUTURE): all pages of a mapping then cost memory at once, and count against RLIMIT_MEMLOCK.
bool memory_is_locked();

} // namespace multihome::mapping
