// SPDX-License-Identifier: MIT
//
// Memory for calls that carry many messages. A thread's stack may be too small for our copies of them. A
// thread maps its area when it first needs one, and keeps it until it ends. Only a call that needs very much
// has an area of its own; so has each call where we have no key for thread-specific data.
#pragma once

#include <cstddef>

namespace multihome {

// An area for the length of one call. A thread that is cancelled inside the call never gets to the
// destructor; the thread's area is unmapped when it has ended. A signal handler gets an area of its own if it
// interrupts a call that uses the thread's. Async-signal-safe.
class Scratch {
public:
    // Enough for 1,024 messages with common control buffers.
    static constexpr size_t size = size_t{512} * 1024;
    // The largest area that a thread keeps.
    static constexpr size_t most_kept = 8 * size;

    // Called once, when the library is loaded. Later the program may have taken the keys that cost no memory.
    static void start();

    Scratch() = default;
    ~Scratch() {
        if (area_ != nullptr) [[unlikely]]
            release();
    }
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;

    // Returns `wanted` bytes, aligned for any type; null where there is no memory. Gives back what was taken
    // before.
    void* take(size_t wanted);

private:
    void* take_larger(size_t wanted);  // the thread's area is too small
    void* take_another(size_t wanted); // it cannot be had
    void release();

    void* area_ = nullptr;
    size_t size_ = 0; // of an area that is mapped for this call alone
};

} // namespace multihome
