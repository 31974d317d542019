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
constinit char nobodys_memory[sizeof(mmsghdr)];
} // namespace detail

constinit thread_local LastPointers last;

namespace {

// Every program with threads calls futex(), so that a filter will allow it. Neither of these changes
// anything.
constinit uint32_t nobody_waits_here = 0;

// FUTEX_CMP_REQUEUE reads the word, and compares it. Then it wakes and moves nobody.
bool probe_read(uintptr_t address) {
    return libc::raw_syscall(SYS_futex, address, FUTEX_CMP_REQUEUE | FUTEX_PRIVATE_FLAG, 0, 0,
                             &nobody_waits_here, compared_value) != -EFAULT;
}

// FUTEX_WAKE_OP sets no bit of the word, atomically, which needs the right to write. Nobody waits on either.
bool probe_write(uintptr_t address) {
    constexpr long operation = FUTEX_OP(FUTEX_OP_OR, 0, FUTEX_OP_CMP_LT, -2048);
    return libc::raw_syscall(SYS_futex, &nobody_waits_here, FUTEX_WAKE_OP | FUTEX_PRIVATE_FLAG, 0, 0, address,
                             operation) != -EFAULT;
}

} // namespace

std::optional<Peer> read_peer(const sockaddr* address, socklen_t length) {
    Peer peer;
    if (address == nullptr || length < sizeof(sockaddr_in) || length > sizeof(sockaddr_storage) ||
        !can_read(address, std::min<size_t>(length, sizeof(sockaddr_in6))) ||
        !multihome::read_peer(address, length, peer))
        return {};
    return peer;
}

bool detail::ask_kernel(const void* pointer, size_t length, bool write) {
    const auto address = reinterpret_cast<uintptr_t>(pointer);
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
        const uintptr_t word = std::max(page << page_bits, address & ~(sizeof(uint32_t) - 1));
        if (write ? !probe_write(word) : !probe_read(word))
            return false;
        good_pages[write ? 1 : 0][place_of(page)].store(page, std::memory_order_relaxed);
    }
    return true;
}

} // namespace multihome::user_memory
