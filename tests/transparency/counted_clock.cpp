// SPDX-License-Identifier: MIT
//
// A library to be preloaded whose clock must not be read by anybody but the program, as libfaketime's, which
// goes on with each call and waits for a lock. It says how often that was done.
#include <ctime>
#include <dlfcn.h>

static int calls = 0;

extern "C" [[gnu::visibility("default")]] int clock_gettime(clockid_t clock, timespec* time) noexcept {
    static auto* const real = reinterpret_cast<decltype(&clock_gettime)>(dlsym(RTLD_NEXT, "clock_gettime"));
    ++calls;
    return real(clock, time);
}
extern "C" [[gnu::visibility("default")]] int clock_calls() {
    return calls;
}
