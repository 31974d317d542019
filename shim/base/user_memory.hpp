// SPDX-License-Identifier: MIT
//
// The program's pointers. The kernel answers a bad one with EFAULT, and we must not crash on it. So we make
// sure that memory is there before we look at it. In the usual cases this takes no system call: the memory
// lies on this thread's stack, or on a page that an earlier call has found good.
#pragma once

#include "shim/base/address.hpp"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <sys/socket.h>

namespace multihome::user_memory {

// What the kernel compares a word with when we ask whether it can be read. Any value does.
constexpr long compared_value = 0x6d686f6d;

namespace detail {

// The pages that were found good, by a hash of their number: 16 MiB of buffers. A page that the program
// unmaps later stays in here. A program that passes a pointer into it then crashes instead of getting EFAULT.
constexpr unsigned remembered_bits = 12;
constexpr size_t remembered_pages = size_t{1} << remembered_bits;
constexpr unsigned page_bits = 12;
constexpr size_t page_size = size_t{1} << page_bits;
extern std::array<std::atomic<uintptr_t>, remembered_pages> good_pages[2]; // to read, to write

bool ask_kernel(const void* pointer, size_t length, bool write);

extern char nobodys_memory[sizeof(mmsghdr)];

// Where the page is remembered. Neighbouring pages, and buffers a power of two apart, have different places.
[[gnu::always_inline]] inline size_t place_of(uintptr_t page) {
    return static_cast<size_t>(uint64_t{page} * 0x9e3779b97f4a7c15U >> (64 - remembered_bits));
}

[[gnu::always_inline]] inline bool is_remembered(uintptr_t page, bool write) {
    // Relaxed: a hint. The value itself is all there is.
    return good_pages[write ? 1 : 0][place_of(page)].load(std::memory_order_relaxed) == page;
}

constexpr uintptr_t stack_reach = uintptr_t{16} * 1024;

// The callers' frames lie right above ours. So close to them there is only this thread's stack.
[[gnu::always_inline]] inline bool is_on_stack(uintptr_t address, size_t length) {
    const char here = 0; // a place in the frame of the function that this is inlined into
    // The same as 0 < address - here < stack_reach, in one instruction less.
    return reinterpret_cast<uintptr_t>(&here) - address > -stack_reach && length < stack_reach;
}

// True where the memory lies on one page, and that page is known.
[[gnu::always_inline]] inline bool is_on_known_page(uintptr_t address, size_t length, bool write) {
    const uintptr_t page = address >> page_bits;
    return page != 0 && page == (address + length - 1) >> page_bits && is_remembered(page, write);
}

[[gnu::always_inline]] inline bool is_known(const void* pointer, size_t length, bool write) {
    const auto address = reinterpret_cast<uintptr_t>(pointer);
    return is_on_stack(address, length) || is_on_known_page(address, length, write);
}

} // namespace detail

// Quick answers. True where the memory lies on this thread's stack, near to the callers' frames, or on a page
// that is known. Where false, ask can_read() or can_write().
[[gnu::always_inline]] inline bool is_known_readable(const void* pointer, size_t length) {
    return detail::is_known(pointer, length, false);
}
[[gnu::always_inline]] inline bool is_known_writable(const void* pointer, size_t length) {
    return detail::is_known(pointer, length, true);
}

// A pointer that a thread passes again and again: to know it once more takes one comparison. Each kind of
// pointer has its own, and always the same length. For memory that is unmapped later, see good_pages.
class LastPointer {
public:
    // The same quick answers.
    [[gnu::always_inline]] bool is_known_readable(const void* pointer, size_t length) {
        return pointer == last_ || is_known(pointer, length, false);
    }
    [[gnu::always_inline]] bool is_known_writable(const void* pointer, size_t length) {
        return pointer == last_ || is_known(pointer, length, true);
    }

private:
    [[gnu::always_inline]] bool is_known(const void* pointer, size_t length, bool write) {
        if (!detail::is_known(pointer, length, write))
            return false;
        last_ = pointer;
        return true;
    }

    const void* last_ = detail::nobodys_memory; // a null pointer is not known
};

// A thread's last pointers. A signal handler may change them: whatever it stores is known, too.
struct LastPointers {
    LastPointer received, sent, sent_batch; // message headers, each with room for a mmsghdr
    LastPointer name;                       // sizeof(sockaddr_in6)
    LastPointer name_length;
};
extern constinit thread_local LastPointers last;

// True where `length` (at least 1) bytes can be read. False also where the program's system-call filter does
// not let us ask: then nothing is ours, and the program's own call is made. Async-signal-safe.
[[gnu::always_inline]] inline bool can_read(const void* pointer, size_t length) {
    return is_known_readable(pointer, length) || detail::ask_kernel(pointer, length, false);
}

// True where they can be written, and read. Async-signal-safe.
[[gnu::always_inline]] inline bool can_write(void* pointer, size_t length) {
    return is_known_writable(pointer, length) || detail::ask_kernel(pointer, length, true);
}

// Reads a peer from the program's socket address of `length` bytes. Empty where there is none, or where it
// cannot be read. Async-signal-safe.
std::optional<Peer> read_peer(const sockaddr* address, socklen_t length);

// can_read() for a loop over many pointers, which often lie on one page.
class ReadablePage {
public:
    // A quick answer. True where the memory lies on the page that was found good last.
    [[gnu::always_inline]] bool has(const void* pointer, size_t length) const {
        return reinterpret_cast<uintptr_t>(pointer) - start_ <= detail::page_size - length;
    }
    bool can_read(const void* pointer, size_t length) {
        if (!user_memory::can_read(pointer, length))
            return false;
        start_ = start_of(pointer);
        return true;
    }

private:
    static uintptr_t start_of(const void* pointer) {
        return reinterpret_cast<uintptr_t>(pointer) & ~(detail::page_size - 1);
    }

    uintptr_t start_ = start_of(this); // this one is good
};

} // namespace multihome::user_memory
