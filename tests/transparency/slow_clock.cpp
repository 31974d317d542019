// SPDX-License-Identifier: MIT
//
// A host on which the vdso cannot read the kernel's clock (xen, hpet, acpi_pm): a library to be preloaded,
// which makes a system call for the exact clocks, as the vdso does there. The coarse ones it reads.
#include <ctime>
#include <dlfcn.h>
#include <sys/syscall.h>
#include <unistd.h>

extern "C" [[gnu::visibility("default")]] int clock_gettime(clockid_t clock, timespec* time) noexcept {
    static auto* const real = reinterpret_cast<decltype(&clock_gettime)>(dlsym(RTLD_NEXT, "clock_gettime"));
    if (clock == CLOCK_MONOTONIC || clock == CLOCK_REALTIME)
        return static_cast<int>(syscall(SYS_clock_gettime, clock, time));
    return real(clock, time);
}
