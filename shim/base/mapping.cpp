// SPDX-License-Identifier: MIT
#include "shim/base/mapping.hpp"

#include "shim/base/libc.hpp"
#include "shim/base/permissions.hpp"

#include <sys/auxv.h>

namespace multihome::mapping {

namespace {

void* map(size_t size, int sharing) {
    return mmap(nullptr, size, PROT_READ | PROT_WRITE, sharing | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
}

} // namespace

void* create(size_t size, int sharing) {
    if (!permissions::may(Activity::mapping))
        return nullptr;
    const libc::ErrnoGuard keep_errno;
    void* memory = map(size, sharing);
    return memory != MAP_FAILED ? memory : nullptr;
}

void destroy(void* memory, size_t size) {
    if (!permissions::may(Activity::mapping))
        return;
    const libc::ErrnoGuard keep_errno;
    munmap(memory, size);
}

bool memory_is_locked() {
    if (!permissions::may(Activity::mapping | Activity::asking_for_locks))
        return false;
    const libc::ErrnoGuard keep_errno;
    const auto page_size = getauxval(AT_PAGESZ);
    void* page = map(page_size, MAP_PRIVATE);
    // EAGAIN: RLIMIT_MEMLOCK is used up (mmap(2)). Otherwise there is no memory even for a page.
    if (page == MAP_FAILED)
        return errno == EAGAIN;
    // The kernel gives up no locked page. Not mincore(2): systemd's @system-service does not permit it.
    const bool locked = madvise(page, page_size, MADV_DONTNEED) != 0 && errno == EINVAL;
    munmap(page, page_size);
    return locked;
}

} // namespace multihome::mapping
