// SPDX-License-Identifier: MIT
//
// Memory for calls that carry many messages, where a thread's stack may be too small for our copies of them.
// Areas are mapped when they are first needed and kept in a small pool, so that a busy server maps none per
// call.
#pragma once

#include <cstddef>

namespace multihome {

// An area for the length of one call. Given back by the destructor, which also runs when the thread is
// cancelled inside the call. Async-signal-safe.
class Scratch {
public:
    // Room for the largest call that the kernel takes (UIO_MAXIOV, 1024 messages) with common control
    // buffers. Pages that are not touched cost nothing.
    static constexpr size_t size = 512 * 1024;

    Scratch() = default;
    ~Scratch();
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;

    // `size` bytes aligned for any type; null where there is no memory, or where `size` is beyond the area's
    // size.
    void* take(size_t size);

private:
    void* area_ = nullptr;
};

} // namespace multihome
