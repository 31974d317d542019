// SPDX-License-Identifier: MIT
#include "shim/base/libc.hpp"

#include "shim/base/next_definitions.hpp"

#include <dlfcn.h>
#include <sys/syscall.h>

namespace multihome::libc {

long detail::system_call(long number, long a, long b, long c, long d, long e, long f) {
#if defined(__x86_64__)
    register long r10 asm("r10") = d;
    register long r8 asm("r8") = e;
    register long r9 asm("r9") = f;
    long result = number;
    asm volatile("syscall"
                 : "+a"(result)
                 : "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                 : "rcx", "r11", "memory");
    return result;
#elif defined(__aarch64__)
    register long x8 asm("x8") = number;
    register long x0 asm("x0") = a;
    register long x1 asm("x1") = b;
    register long x2 asm("x2") = c;
    register long x3 asm("x3") = d;
    register long x4 asm("x4") = e;
    register long x5 asm("x5") = f;
    asm volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
    return x0;
#elif defined(__i386__)
    // The sixth argument goes in ebp, which may be the compiler's frame pointer: so it is kept on the stack.
    long result = number;
    asm volatile("pushl %6\n\t"
                 "pushl %%ebp\n\t"
                 "movl 4(%%esp), %%ebp\n\t"
                 "int $0x80\n\t"
                 "popl %%ebp\n\t"
                 "addl $4, %%esp"
                 : "+a"(result)
                 : "b"(a), "c"(b), "d"(c), "S"(d), "D"(e), "m"(f)
                 : "memory", "cc");
    return result;
#elif defined(__arm__)
    register long r0 asm("r0") = a;
    register long r1 asm("r1") = b;
    register long r2 asm("r2") = c;
    register long r3 asm("r3") = d;
    register long r4 asm("r4") = e;
    register long r5 asm("r5") = f;
    // The number goes in r7, which is the frame pointer of Thumb code: so it is kept in another register.
    long kept;
    asm volatile("mov %1, r7\n\t"
                 "mov r7, %2\n\t"
                 "svc 0\n\t"
                 "mov r7, %1"
                 : "+r"(r0), "=&r"(kept)
                 : "r"(number), "r"(r1), "r"(r2), "r"(r3), "r"(r4), "r"(r5)
                 : "memory");
    return r0;
#else
#error "multihome knows the system call instruction of x86-64, aarch64, 32-bit x86 and 32-bit ARM only"
#endif
}

// The one function that a libc may lack, before glibc 2.36. A program may call it by number even so.
static int pidfd_getfd_by_number(int pidfd, int fd, unsigned int flags) {
    return static_cast<int>(checked_syscall(SYS_pidfd_getfd, pidfd, fd, flags));
}

void* find_next(const char* name) {
    const ErrnoGuard keep_errno;
    if (void* const found = dlsym(RTLD_NEXT, name); found != nullptr)
        return found;
    dlerror(); // takes back what dlsym() has noted: the program did not ask
    return reinterpret_cast<void*>(pidfd_getfd_by_number);
}

constinit ClockFunction* detail::clock = clock_gettime;

void resolve_all() {
#if defined(__aarch64__)
    WantedFunction kernels_clock{"__kernel_clock_gettime"};
#else
    WantedFunction kernels_clock{"__vdso_clock_gettime"};
#endif
    WantedFunction functions[] = {
#define MULTIHOME_SYMBOL(result, name, arguments) WantedFunction{#name},
#define MULTIHOME_ALL_FUNCTIONS
#include "shim/symbols.def"
    };
    find_next_definitions(functions, kernels_clock);
    if (kernels_clock.definition != nullptr)
        __atomic_store_n(&detail::clock, reinterpret_cast<ClockFunction*>(kernels_clock.definition),
                         __ATOMIC_RELAXED);
    const WantedFunction* next = functions;
#define MULTIHOME_SYMBOL(result, name, arguments) name.resolve((next++)->definition);
#define MULTIHOME_ALL_FUNCTIONS
#include "shim/symbols.def"
}

} // namespace multihome::libc
