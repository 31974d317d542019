// SPDX-License-Identifier: MIT
//
// The next definitions of the interposed functions: what the program would have called without the shim. This
// may be another preloaded object's function. The shim calls each of them through here.
#pragma once

#include <cerrno>
#include <cstdint>
#include <ctime>
#include <sys/socket.h>
#include <sys/types.h>

namespace multihome::libc {

using ClockFunction = int(clockid_t, timespec*);

namespace detail {
long system_call(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0, long f = 0);
// Written once, when the library is loaded.
extern ClockFunction* clock;
} // namespace detail

// Makes the system call without libc. Returns the kernel's result: -errno on failure. Async-signal-safe.
template <typename... Arguments>
long raw_syscall(long number, Arguments... arguments) {
    // C-style casts, because the arguments are pointers and integers of all widths.
    return detail::system_call(number, ((long)arguments)...);
}

// True for -errno; an address may be negative as well.
inline bool is_error(long result) {
    return result < 0 && result > -4096;
}

// Makes the same call as libc would: -1 and errno on failure.
template <typename... Arguments>
long checked_syscall(long number, Arguments... arguments) {
    const long result = raw_syscall(number, arguments...);
    if (is_error(result)) {
        errno = static_cast<int>(-result);
        return -1;
    }
    return result;
}

// Reads a clock by the kernel's function (vdso(7)), because a preloaded library may have a clock_gettime() of
// its own: libfaketime's waits for a lock, and counts its calls. That one is called only where the kernel's
// is not found, as on older arm64 kernels, whose object has no DT_GNU_HASH. The kernel's makes a system call
// only for a clock that it cannot read, never for a coarse one. Async-signal-safe.
inline timespec read_clock(clockid_t which) {
    timespec time{};
    detail::clock(which, &time);
    return time;
}

// Returns the definition of `name` that comes after ours. Leaves errno alone.
void* find_next(const char* name);

// A function's next definition. It is resolved on first use, so that it works before any constructor has run.
// After the first, each call is one jump through a pointer.
template <typename Name, typename Signature>
class Next;

template <typename Name, typename Result, typename... Arguments>
class Next<Name, Result(Arguments...)> {
public:
    using Function = Result(Arguments...);

    // Async-signal-safe once resolved. Not noexcept: glibc unwinds a cancelled thread through this frame.
    Result operator()(Arguments... arguments) const {
        // A plain load, which becomes part of the call. Every processor reads an aligned pointer whole. The
        // code behind it was mapped before dlsym() could return it. Every thread that resolves stores the
        // same value, nearly always before there is a second thread (resolve_all()).
        return function(arguments...);
    }

    // Takes `definition`; where that is null, asks dlsym(). Returns what the function is now.
    Function* resolve(void* definition = nullptr) const {
        if (definition == nullptr)
            definition = find_next(Name::text);
        auto* found = reinterpret_cast<Function*>(definition);
        __atomic_store_n(&function, found, __ATOMIC_RELAXED);
        return found;
    }

    // Returns the function, for a jump to it. Leaves errno alone, and dlerror() too once it is resolved.
    Function* get() const { return function != resolve_and_call ? function : resolve(); }

private:
    [[gnu::cold]] static Result resolve_and_call(Arguments... arguments) {
        return Next{}.resolve()(arguments...);
    }

    constinit static inline Function* function = resolve_and_call;
};

#if __SIZEOF_POINTER__ == 4
// A time, in programs that were compiled with _TIME_BITS=64.
struct Time64 {
    int64_t seconds;
    int32_t nanoseconds;
    int32_t padding;
};
#endif

#define MULTIHOME_UNPACK(...) __VA_ARGS__
#define MULTIHOME_NEXT(function, ...)                                                                        \
    struct function##_name {                                                                                 \
        static constexpr const char* text = #function;                                                       \
    };                                                                                                       \
    inline constexpr Next<function##_name, __VA_ARGS__> function{};
#define MULTIHOME_SYMBOL(result, name, arguments) MULTIHOME_NEXT(name, result arguments)
#define MULTIHOME_VARIADIC(result, name, fixed, rest)                                                        \
    MULTIHOME_NEXT(name, result(MULTIHOME_UNPACK fixed, MULTIHOME_UNPACK rest))
#define MULTIHOME_ALL_FUNCTIONS
#include "shim/symbols.def"
#undef MULTIHOME_NEXT
#undef MULTIHOME_UNPACK

// Resolves every function now.
void resolve_all();

// Keeps errno as it was: our own system calls are nobody's business.
class ErrnoGuard {
public:
    ErrnoGuard() : saved_(errno) {}
    ~ErrnoGuard() { errno = saved_; }
    ErrnoGuard(const ErrnoGuard&) = delete;
    ErrnoGuard& operator=(const ErrnoGuard&) = delete;

private:
    int saved_;
};

} // namespace multihome::libc
