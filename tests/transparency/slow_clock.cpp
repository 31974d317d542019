// SPDX-License-Identifier: MIT
//
// A host on which the vdso cannot read the kernel's clock (xen, hpet, acpi_pm): a library to be preloaded,
// which makes a system call for the exact clocks, as the vdso does there. The coarse ones it reads. It hides
// the vdso from others, so that they come here.
#include <ctime>
#include <dlfcn.h>
#include <link.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <unistd.h>

extern "C" [[gnu::visibility("default")]] int clock_gettime(clockid_t clock, timespec* time) noexcept {
    static auto* const real = reinterpret_cast<decltype(&clock_gettime)>(dlsym(RTLD_NEXT, "clock_gettime"));
    if (clock == CLOCK_MONOTONIC || clock == CLOCK_REALTIME)
        return static_cast<int>(syscall(SYS_clock_gettime, clock, time));
    return real(clock, time);
}

using Visit = int(dl_phdr_info*, size_t, void*);

extern "C" [[gnu::visibility("default")]] int dl_iterate_phdr(Visit* visit, void* argument) {
    static auto* const real = reinterpret_cast<int (*)(Visit*, void*)>(dlsym(RTLD_NEXT, "dl_iterate_phdr"));
    struct Others {
        Visit* visit;
        void* argument;
    } others{visit, argument};
    const auto visit_others = [](dl_phdr_info* object, size_t size, void* context) {
        const auto* to = static_cast<const Others*>(context);
        const bool is_vdso = object->dlpi_addr == getauxval(AT_SYSINFO_EHDR);
        return is_vdso ? 0 : to->visit(object, size, to->argument);
    };
    return real(visit_others, &others);
}
