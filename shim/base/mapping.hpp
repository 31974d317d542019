// SPDX-License-Identifier: MIT
//
// Memory straight from the kernel. It is zeroed, and never comes from the program's allocator. Only the pages
// that are touched cost anything, except where memory is locked. Async-signal-safe. Leaves errno alone.
#pragma once

#include <cstddef>
#include <sys/mman.h>

namespace multihome::mapping {

// `sharing`: MAP_PRIVATE, or MAP_SHARED with forked children. Null where the kernel or a system-call filter
// refuses.
[[gnu::noinline]] void* create(size_t size, int sharing);
[[gnu::noinline]] void destroy(void* memory, size_t size);

// True where the program locks into memory what is mapped from now on (mlockall(2), MCL_FUTURE). Then all
// pages of a mapping cost memory at once, and count against RLIMIT_MEMLOCK.
bool memory_is_locked();

} // namespace multihome::mapping
