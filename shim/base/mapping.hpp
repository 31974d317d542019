// SPDX-License-Identifier: MIT
//
// Memory straight from the kernel: zeroed, never from the program's allocator, and but for locked memory only
// the pages that are touched cost anything. Async-signal-safe. Leaves errno alone.
#pragma once

#include <cstddef>
#include <sys/mman.h>

namespace multihome::mapping {

// `sharing`: MAP_PRIVATE, or MAP_SHARED with forked children. Null where the kernel refuses, or the program's
// system-call filter.
void* create(size_t size, int sharing);
void destroy(void* memory, size_t size);

// True where the program has asked that what is mapped from now on is locked into memory (mlockall(2),
// MCL_FUTURE): all pages of a mapping then cost memory at once, and count against RLIMIT_MEMLOCK.
bool memory_is_locked();

} // namespace multihome::mapping
