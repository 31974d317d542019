// SPDX-License-Identifier: MIT
//
// What no interposed function can see. System calls: tests/kernel_calls.hpp.
#pragma once

#include "tests/transparency/probe.hpp"

#include <dlfcn.h>

namespace probe {

// A function of libc's, called past the shim's own.
template <typename Function>
Function* unseen(const char* name) {
    void* libc = dlopen("libc.so.6", RTLD_NOW | RTLD_NOLOAD);
    must(libc != nullptr, "dlopen");
    return reinterpret_cast<Function*>(dlsym(libc, name));
}

} // namespace probe
