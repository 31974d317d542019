// SPDX-License-Identifier: MIT
//
// The clock by which the shim tells one long answer from two (ThreadMemory::answers_at()). In the unit tests it
// stands still until a test moves it. So no test depends on how soon its thread gets a processor.
#include "turns.hpp"

#include "shim/base/libc.hpp"

#include <atomic>
#include <ctime>
#include <sys/syscall.h>

static std::atomic<long> milliseconds{1'000'000};

void multihome::test::pause_between_answers() {
    ++milliseconds;
}

// Takes the place of libc's, because it is part of the executable.
extern "C" int clock_gettime(clockid_t clock, timespec* time) noexcept {
    if (clock != CLOCK_MONOTONIC)
        return static_cast<int>(multihome::libc::checked_syscall(SYS_clock_gettime, clock, time));
    time->tv_sec = milliseconds / 1000;
    time->tv_nsec = milliseconds % 1000 * 1'000'000;
    return 0;
}
