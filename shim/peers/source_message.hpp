// SPDX-License-Identifier: MIT
//
// The control messages that choose a source, one for each local address. Each is made once, and the kernel
// reads it where it lies. So whatever interrupts a call between our choice and the kernel's look at it (a
// signal handler, another thread) finds nothing to change.
//
// They lie in memory of our own, not in the shared state. A worker with fewer rights shares that state, and
// must not be able to make its parent send messages of other kinds.
#pragma once

#include "shim/base/control.hpp"
#include "shim/base/family.hpp"
#include "shim/peers/local_addresses.hpp"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace multihome {

// Control messages for msg_control and msg_controllen. None: the call goes out as the program made it.
struct Source {
    const void* messages = nullptr;
    size_t length = 0;

    explicit operator bool() const { return messages != nullptr; }
    bool is_ipv4() const { return length <= CMSG_SPACE(sizeof(in_pktinfo)); }
};

// Room for a source for which no message is kept: see source_at().
struct SourceRoom {
    alignas(cmsghdr) unsigned char bytes[control::own_space];
};

// A control message that is made once.
class SourceMessage {
public:
    // It must have been made.
    Source get() const { return {words_.data(), length()}; }
    // Makes it, for good.
    Source make(const Local& local);

    // 0 where it has not been made. Acquire pairs with the release in make(): then the rest is there as well.
    size_t length() const { return words_[0].load(std::memory_order_acquire); }
    // The eight bytes from `position` on, a multiple of a word's size. Relaxed: length() comes first.
    uint64_t word_at(size_t position) const {
        const auto* const word = words_.data() + position / sizeof(size_t);
        if constexpr (sizeof(size_t) == sizeof(uint64_t))
            return word->load(std::memory_order_relaxed);
        return word->load(std::memory_order_relaxed) | uint64_t{word[1].load(std::memory_order_relaxed)}
                                                           << 32;
    }

private:
    static constexpr size_t word_count = CMSG_SPACE(sizeof(in6_pktinfo)) / sizeof(size_t);
    static_assert(CMSG_SPACE(sizeof(in6_pktinfo)) % sizeof(size_t) == 0 &&
                  sizeof(in_pktinfo) <= sizeof(in6_pktinfo));

    // A control message (cmsg(3)), whose first word is its length: 0 where it has not been made.
    std::array<std::atomic<size_t>, word_count> words_;
};
static_assert(std::atomic<size_t>::is_always_lock_free && sizeof(std::atomic<size_t>) == sizeof(size_t) &&
              alignof(cmsghdr) <= alignof(size_t));

namespace detail {

extern std::array<SourceMessage, LocalAddresses::count> source_messages;

// Made once, and takes room on the stack.
[[gnu::noinline]] Source make_source(const LocalAddresses& locals, LocalIndex index, SourceRoom& room);

} // namespace detail

// True where the source at the local address `index` is kept for good, if that is in its first generation.
// Then kept_source() returns it. Async-signal-safe.
inline bool is_kept(LocalIndex index) {
    return detail::source_messages[index].length() != 0;
}
[[gnu::always_inline]] inline Source kept_source(LocalIndex index) {
    return detail::source_messages[index].get();
}

// The message for that source, where it is the address that this datagram reached; else null. `index` must be
// in its first generation. Async-signal-safe.
template <typename Family>
[[gnu::always_inline]] inline const SourceMessage* kept_message_for(LocalIndex index,
                                                                    const RawDatagram& raw) {
    const SourceMessage& message = detail::source_messages[index];
    return Family::is_source(raw, message) ? &message : nullptr;
}

// Returns the source at the local address `index`; none where there is no such address. Writes a source that
// is not kept to `room`. Async-signal-safe.
inline Source source_at(const LocalAddresses& locals, LocalIndex index, SourceRoom& room) {
    return is_kept(index) && locals.is_first_generation(index) ? kept_source(index)
                                                               : detail::make_source(locals, index, room);
}

} // namespace multihome
