// SPDX-License-Identifier: MIT
//
// The times that the knowledge of peers goes by.
//
// Both functions are async-signal-safe.
#pragma once

#include "shim/base/libc.hpp"
#include "shim/base/permissions.hpp"
#include "shim/peers/conversation.hpp"

#include <cstdint>
#include <ctime>

namespace multihome::peers {

// Called where something is stored or its age matters. No system call where there is a vdso (vdso(7)).
inline Ticks now() {
    const timespec time = libc::read_clock(CLOCK_MONOTONIC_COARSE);
    constexpr long nanoseconds_a_tick = 1'000'000'000 / ticks_a_second;
    return static_cast<Ticks>(time.tv_sec) * ticks_a_second +
           static_cast<Ticks>(time.tv_nsec / nanoseconds_a_tick);
}

// In nanoseconds.
inline uint64_t exactly_now() {
    const timespec time =
        libc::read_clock(permissions::may(Activity::exact_time) ? CLOCK_MONOTONIC : CLOCK_MONOTONIC_COARSE);
    return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(time.tv_nsec);
}

} // namespace multihome::peers
