// SPDX-License-Identifier: MIT
//
// The clocks by which the shim tells old from new. In the unit tests they stand still until a test moves
// them. So no test depends on how soon its thread gets a processor.
#include "turns.hpp"

#include "shim/base/libc.hpp"

#include <atomic>
#include <ctime>
#include <sys/syscall.h>

static std::atomic<long> clocks_stand_at{1'000'000}; // milliseconds

void multihome::test::pass_time(long milliseconds) {
    clocks_stand_at += milliseconds;
}

// Takes the place of libc's, because it is part of the executable.
extern "C" int clock_gettime(clockid_t clock, timespec* time) noexcept {
    if (clock != CLOCK_MONOTONIC && clock != CLOCK_MONOTONIC_COARSE)
        return static_cast<int>(multihome::libc::checked_syscall(SYS_clock_gettime, clock, time));
    time->tv_sec = clocks_stand_at / 1000;
    time->tv_nsec = clocks_stand_at % 1000 * 1'000'000;
    return 0;
}
