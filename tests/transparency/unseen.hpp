// SPDX-License-Identifier: MIT
//
// What no interposed function can see.
#pragma once

#include "tests/transparency/probe.hpp"

#include <dlfcn.h>
#include <sys/syscall.h>

namespace probe {

// A system call that no function of libc's makes.
inline long behind_our_back(long number, long a, long b = 0, long c = 0) {
#if defined(__x86_64__)
    long result = number;
    asm volatile("syscall" : "+a"(result) : "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
    return result;
#elif defined(__aarch64__)
    register long x8 asm("x8") = number;
    register long x0 asm("x0") = a;
    register long x1 asm("x1") = b;
    register long x2 asm("x2") = c;
    asm volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2) : "memory");
    return x0;
#else
    (void)number, (void)a, (void)b, (void)c;
    skip("not on this machine");
#endif
}

// A function of libc's, called past the shim's own.
template <typename Function>
Function* unseen(const char* name) {
    void* libc = dlopen("libc.so.6", RTLD_NOW | RTLD_NOLOAD);
    must(libc != nullptr, "dlopen");
    return reinterpret_cast<Function*>(dlsym(libc, name));
}

} // namespace probe
