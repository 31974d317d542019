// SPDX-License-Identifier: MIT
#include "shim/base/libc.hpp"

#include "shim/base/next_definitions.hpp"
#include "shim/base/system_call_numbers.hpp"

#include <climits>
#include <cstdlib>
#include <dlfcn.h>
#include <fcntl.h>

namespace multihome::libc {

long raw_syscall(long number, long a, long b, long c, long d, long e, long f) {
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
    // The sixth argument goes in ebp, which may be the compiler's frame pointer: it is changed inside only.
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
    // The number goes in r7, which is the frame pointer of Thumb code: it is changed inside only.
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

namespace {

// The system call as libc would make it: -1 and errno on failure.
template <typename... Arguments>
long checked(long number, Arguments... arguments) {
    // C-style casts, because the arguments are pointers and integers of all widths.
    const long result = raw_syscall(number, ((long)arguments)...);
    if (result < 0 && result > -4096) {
        errno = static_cast<int>(-result);
        return -1;
    }
    return result;
}

int checked_int(long result) {
    return static_cast<int>(result);
}

// What is called where there is no next definition (yet): one function for each line of symbols.def.
namespace raw {

int socket(int domain, int type, int protocol) {
    return checked_int(checked(SYS_socket, domain, type, protocol));
}
int bind(int fd, const sockaddr* address, socklen_t length) {
    return checked_int(checked(SYS_bind, fd, address, length));
}
int connect(int fd, const sockaddr* address, socklen_t length) {
    return checked_int(checked(SYS_connect, fd, address, length));
}
int close(int fd) {
    return checked_int(checked(SYS_close, fd));
}
int close_range(unsigned int first, unsigned int last, int flags) {
    return checked_int(checked(SYS_close_range, first, last, flags));
}
void closefrom(int first) {
    checked(SYS_close_range, first < 0 ? 0 : first, UINT_MAX, 0);
}
int dup(int fd) {
    return checked_int(checked(SYS_dup, fd));
}
int dup3(int old_fd, int new_fd, int flags) {
    return checked_int(checked(SYS_dup3, old_fd, new_fd, flags));
}
int dup2(int old_fd, int new_fd) {
    // dup3() refuses equal numbers; dup2() then only checks that the descriptor is open.
    if (old_fd == new_fd)
        return checked(SYS_fcntl, old_fd, F_GETFD) < 0 ? -1 : new_fd;
    return raw::dup3(old_fd, new_fd, 0);
}
int fcntl(int fd, int command, long argument) {
    return checked_int(checked(SYS_fcntl, fd, command, argument));
}
int fcntl64(int fd, int command, long argument) {
    return raw::fcntl(fd, command, argument);
}
int pidfd_getfd(int pidfd, int fd, unsigned int flags) {
    return checked_int(checked(SYS_pidfd_getfd, pidfd, fd, flags));
}
int setsockopt(int fd, int level, int name, const void* value, socklen_t length) {
    return checked_int(checked(SYS_setsockopt, fd, level, name, value, length));
}
int getsockopt(int fd, int level, int name, void* value, socklen_t* length) {
    return checked_int(checked(SYS_getsockopt, fd, level, name, value, length));
}
ssize_t recvfrom(int fd, void* buffer, size_t length, int flags, sockaddr* address,
                 socklen_t* address_length) {
    return checked(SYS_recvfrom, fd, buffer, length, flags, address, address_length);
}
ssize_t __recvfrom_chk(int fd, void* buffer, size_t length, size_t buffer_length, int flags,
                       sockaddr* address, socklen_t* address_length) {
    if (length > buffer_length)
        std::abort(); // as __chk_fail() does
    return raw::recvfrom(fd, buffer, length, flags, address, address_length);
}
ssize_t recvmsg(int fd, msghdr* message, int flags) {
    return checked(SYS_recvmsg, fd, message, flags);
}
int recvmmsg(int fd, mmsghdr* messages, unsigned int count, int flags, timespec* timeout) {
    return checked_int(checked(SYS_recvmmsg, fd, messages, count, flags, timeout));
}
#if __SIZEOF_POINTER__ == 4
ssize_t __recvmsg64(int fd, msghdr* message, int flags) {
    return raw::recvmsg(fd, message, flags);
}
int __recvmmsg64(int fd, mmsghdr* messages, unsigned int count, int flags, Time64* timeout) {
    return checked_int(checked(SYS_recvmmsg_time64, fd, messages, count, flags, timeout));
}
#endif
ssize_t sendto(int fd, const void* buffer, size_t length, int flags, const sockaddr* address,
               socklen_t address_length) {
    return checked(SYS_sendto, fd, buffer, length, flags, address, address_length);
}
ssize_t sendmsg(int fd, const msghdr* message, int flags) {
    return checked(SYS_sendmsg, fd, message, flags);
}
int sendmmsg(int fd, mmsghdr* messages, unsigned int count, int flags) {
    return checked_int(checked(SYS_sendmmsg, fd, messages, count, flags));
}
int prctl(int option, unsigned long b, unsigned long c, unsigned long d, unsigned long e) {
    return checked_int(checked(SYS_prctl, option, b, c, d, e));
}
long syscall(long number, long a, long b, long c, long d, long e, long f) {
    return checked(number, a, b, c, d, e, f);
}

} // namespace raw

// Set while this thread is inside dlsym(). Only this thread reads it.
constinit thread_local volatile sig_atomic_t resolving = 0;

} // namespace

void* find_next(const char* name, void* raw_function, bool& final) {
    if (resolving != 0) {
        final = false;
        return raw_function;
    }
    const ErrnoGuard keep_errno;
    resolving = 1;
    void* found = dlsym(RTLD_NEXT, name);
    resolving = 0;
    return found != nullptr ? found : raw_function;
}

// NOLINTBEGIN(bugprone-macro-parentheses): names of functions and types
#define MULTIHOME_SYMBOL(result, name, arguments)                                                            \
    void* name##_definition::raw() {                                                                         \
        return reinterpret_cast<void*>(raw::name);                                                           \
    }
#define MULTIHOME_VARIADIC(result, name, fixed, rest) MULTIHOME_SYMBOL(result, name, fixed)
// NOLINTEND(bugprone-macro-parentheses)
#include "shim/symbols.def"
#undef MULTIHOME_SYMBOL
#undef MULTIHOME_VARIADIC

void resolve_all() {
    WantedFunction functions[] = {
#define MULTIHOME_SYMBOL(result, name, arguments)     WantedFunction{#name},
#define MULTIHOME_VARIADIC(result, name, fixed, rest) WantedFunction{#name},
#include "shim/symbols.def"
#undef MULTIHOME_SYMBOL
#undef MULTIHOME_VARIADIC
    };
    find_next_definitions(functions);
    const WantedFunction* next = functions;
#define MULTIHOME_SYMBOL(result, name, arguments)     name.resolve((next++)->definition);
#define MULTIHOME_VARIADIC(result, name, fixed, rest) name.resolve((next++)->definition);
#include "shim/symbols.def"
#undef MULTIHOME_SYMBOL
#undef MULTIHOME_VARIADIC
}

} // namespace multihome::libc
