// SPDX-License-Identifier: MIT
#include "shim/base/user_memory.hpp"

#include "shim/base/libc.hpp"
#include "shim/base/permissions.hpp"

#include <algorithm>
#include <linux/futex.h>
#include <sys/syscall.h>

namespace multihome::user_memory {

namespace detail {
constinit std::array<std::atomic<uintptr_t>, remembered_pages> good_pages[2]{};
} // namespace detail

namespace {

// Every program with threads makes both system calls, so that a filter will allow them. Both change nothing.

// rt_sigprocmask() reads the set before it looks at what to do with it. Then it refuses to do -1.
bool probe_read(uintptr_t address) {
    constexpr long no_such_action = -1;
    constexpr long set_size = 8;
    return libc::raw_syscall(SYS_rt_sigprocmask, no_such_action, address, 0, set_size) != -EFAULT;
}

// FUTEX_WAKE_OP sets no bit of the word, atomically, which needs the right to write. Nobody waits on either.
bool probe_write(uintptr_t address) {
    static uint32_t nobody_waits_here;
    constexpr long operation = FUTEX_OP(FUTEX_OP_OR, 0, FUTEX_OP_CMP_LT, -2048);
    return libc::raw_syscall(SYS_futex, &nobody_waits_here, FUTEX_WAKE_OP | FUTEX_PRIVATE_FLAG, 0, 0, address,
                             operation) != -EFAULT;
}

} // namespace

bool detail::ask_kernel(uintptr_t address, size_t length, bool write) {
    // Page 0 is never there, and the probes take a null pointer as no pointer at all.
    if (address >> page_bits == 0 || address + length < address ||
        !permissions::may(Activity::asking_for_pages))
        return false;
    const uintptr_t last_page = (address + length - 1) >> page_bits;
    for (uintptr_t page = address >> page_bits; page <= last_page; ++page) {
        if (is_remembered(page, write))
            continue;
        // Any aligned word of the page speaks for all of it. On the first page we take one that the pointer
        // names: the others need not be the program's, and valgrind would say so.
        const uintptr_t size_of_word = write ? 4 : 8;
        const uintptr_t word = std::max(page << page_bits, address & ~(size_of_word - 1));
        if (write ? !probe_write(word) : !probe_read(word))
            return false;
        good_pages[write ? 1 : 0][place_of(page)].store(page, std::memory_order_relaxed);
    }
    return true;
}

} // namespace multihome::user_memory
