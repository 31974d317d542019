// SPDX-License-Identifier: MIT
//
// The next definitions of the interposed functions: what the program would have called without the shim,
// another preloaded object's function included. Everything that leaves the shim leaves through here.
#pragma once

#include <atomic>
#include <cerrno>
#include <csignal>
#include <ctime>
#include <sys/socket.h>
#include <sys/types.h>

namespace multihome::libc {

// Makes the system call itself, without any libc function, and returns the kernel's word for it (-errno on
// failure). Async-signal-safe.
long raw_syscall(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0, long f = 0);

// The definition of `name` that comes after ours, or `raw` where there is none. Called from inside itself
// (see Next) it returns `raw` and sets `final` to false. Leaves errno alone.
void* find_next(const char* name, void* raw, bool& final);

// A function's next definition, resolved on first use, so that it works before any constructor has run.
//
// dlsym() may call an allocator, and that may be a preloaded one that makes interposed calls of its own while
// it starts. Such nested calls, and functions that this libc does not have, go to `raw`, which makes the
// system call directly.
template <typename Signature>
class Next;

template <typename Result, typename... Arguments>
class Next<Result(Arguments...)> {
public:
    using Function = Result(Arguments...);

    constexpr Next(const char* name, Function* raw) : name_(name), raw_(raw) {}

    // Async-signal-safe once resolved. Not noexcept: glibc unwinds a cancelled thread through this frame.
    Result operator()(Arguments... arguments) { return get()(arguments...); }

    Function* get() {
        // Relaxed: the pointed-to code was mapped before dlsym() could return it, and every thread that
        // resolves stores the same value.
        Function* function = function_.load(std::memory_order_relaxed);
        return function != nullptr ? function : resolve();
    }

private:
    [[gnu::cold, gnu::noinline]] Function* resolve() {
        bool final = true;
        auto* function = reinterpret_cast<Function*>(find_next(name_, reinterpret_cast<void*>(raw_), final));
        if (final)
            function_.store(function, std::memory_order_relaxed);
        return function;
    }

    const char* name_;
    Function* raw_;
    std::atomic<Function*> function_{nullptr};
};

#define MULTIHOME_UNPACK(...)                     __VA_ARGS__
#define MULTIHOME_SYMBOL(result, name, arguments) extern Next<result arguments> name;
#define MULTIHOME_VARIADIC(result, name, fixed, rest)                                                        \
    extern Next<result(MULTIHOME_UNPACK fixed, MULTIHOME_UNPACK rest)> name;
#include "shim/symbols.def"
#undef MULTIHOME_SYMBOL
#undef MULTIHOME_VARIADIC

// Resolves what the packet path needs, so that no signal handler has to.
void resolve_packet_path();

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
