// SPDX-License-Identifier: MIT
// For the build in which the fuzzer contains the shim, so that the sanitizers see into it: a sanitizer's
// runtime wraps recvmsg() and its kin too, and reads what their pointers lead to, which here is often
// nothing. So the shim's next definitions are libc's own there. Linked with -Wl,--wrap=dlsym.
#include "tools/differential/call.hpp"

#include <dlfcn.h>

extern "C" void* __real_dlsym(void* handle, const char* name);
extern "C" void* __wrap_dlsym(void* handle, const char* name);

extern "C" void* __wrap_dlsym(void* handle, const char* name) {
    if (handle != RTLD_NEXT)
        return __real_dlsym(handle, name);
    static void* const libc = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
    return libc != nullptr ? __real_dlsym(libc, name) : nullptr;
}
