// SPDX-License-Identifier: MIT
//
// Memory for calls that carry many messages, where a thread's stack may be too small for our copies of them.
// A thread maps its area when it first needs one, and keeps it until it ends.
#pragma once

#include <cstddef>

namespace multihome {

// An area for the length of one call. A thread that is cancelled inside the call never gets to the
// destructor; its area is unmapped when the thread has ended. A signal handler that needs one while the call
// it interrupted does gets one of its own. Async-signal-safe after a thread's first use.
class Scratch {
public:
    // Room for the largest call that the kernel takes (UIO_MAXIOV, 1024 messages) with common control
    // buffers.
    static constexpr size_t size = size_t{512} * 1024;

    Scratch() = default;
    ~Scratch() {
        if (area_ != nullptr) [[unlikely]]
            release();
    }
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;

    // `wanted` bytes aligned for any type; null where there is no memory, or where that is beyond `size`.
    void* take(size_t wanted);

private:
    void release();

    void* area_ = nullptr;
    size_t size_ = 0;
    bool of_thread_ = false; // else mapped for this call alone
};

} // namespace multihome
