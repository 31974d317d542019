// SPDX-License-Identifier: MIT
#include "shim/base/mapping.hpp"

#include "shim/base/kernel_constants.hpp"
#include "shim/base/libc.hpp"
#include "shim/base/permissions.hpp"

#include <cerrno>
#include <sys/auxv.h>

namespace multihome::mapping {

namespace {

// By raw system calls, which no preloaded library sees, and whose functions need not be bound at each start.
using libc::is_error;
using libc::raw_syscall;

// Returns an address, or -errno.
long map(size_t size, int sharing) {
    return raw_syscall(number_of_mmap, 0, size, PROT_READ | PROT_WRITE,
                       sharing | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
}

} // namespace

void* create(size_t size, int sharing) {
    if (!permissions::may(Activity::mapping))
        return nullptr;
    const long memory = map(size, sharing);
    return is_error(memory) ? nullptr : reinterpret_cast<void*>(memory); // NOLINT(performance-no-int-to-ptr)
}

void destroy(void* memory, size_t size) {
    if (permissions::may(Activity::mapping))
        raw_syscall(SYS_munmap, memory, size);
}

bool memory_is_locked() {
    if (!permissions::may(Activity::mapping | Activity::asking_for_locks))
        return false;
    const size_t page_size = getauxval(AT_PAGESZ);
    const long page = map(page_size, MAP_PRIVATE);
    // EAGAIN: RLIMIT_MEMLOCK is used up (mmap(2)). Otherwise there is no memory even for a page.
    if (is_error(page))
        return page == -EAGAIN;
    // The kernel gives up no locked page. Not mincore(2): systemd's @system-service does not permit it.
    const bool locked = raw_syscall(SYS_madvise, page, page_size, MADV_DONTNEED) == -EINVAL;
    raw_syscall(SYS_munmap, page, page_size);
    return locked;
}

} // namespace multihome::mapping
