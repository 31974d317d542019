// SPDX-License-Identifier: MIT
#include "shim/base/libc.hpp"

#include "shim/base/next_definitions.hpp"

#include <climits>
#include <csignal>
#include <cstdlib>
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

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
    // The sixth argument goes in ebp. That may be the compiler's frame pointer, so this saves it and puts it
    // back.
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
    // The number goes in r7, which is the frame pointer of Thumb code. So this saves r7 and puts it back.
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

// Returns a function of the type of `next` that makes a system call.
template <long number, typename Definition, typename Result, typename... Arguments>
constexpr auto* call(const Next<Definition, Result(Arguments...)>& /*next*/) {
    return +[](Arguments... arguments) { return static_cast<Result>(checked_syscall(number, arguments...)); };
}

// The functions to call where there is no next definition (yet): one for each line of symbols.def.
namespace raw {

constexpr auto* socket = call<SYS_socket>(libc::socket);
constexpr auto* bind = call<SYS_bind>(libc::bind);
constexpr auto* connect = call<SYS_connect>(libc::connect);
constexpr auto* close = call<SYS_close>(libc::close);
constexpr auto* close_range = call<SYS_close_range>(libc::close_range);
void closefrom(int first) {
    raw::close_range(first < 0 ? 0 : static_cast<unsigned>(first), UINT_MAX, 0);
}
constexpr auto* dup = call<SYS_dup>(libc::dup);
constexpr auto* dup3 = call<SYS_dup3>(libc::dup3);
int dup2(int old_fd, int new_fd) {
    // dup3() refuses equal numbers; dup2() then only checks that the descriptor is open.
    if (old_fd == new_fd)
        return checked_syscall(SYS_fcntl, old_fd, F_GETFD) < 0 ? -1 : new_fd;
    return raw::dup3(old_fd, new_fd, 0);
}
constexpr auto* fcntl = call<SYS_fcntl>(libc::fcntl);
constexpr auto* fcntl64 = call<SYS_fcntl>(libc::fcntl64);
constexpr auto* pidfd_getfd = call<SYS_pidfd_getfd>(libc::pidfd_getfd);
// fork() may stand in for vfork() (POSIX.1-2001).
constexpr auto* vfork = ::fork;
constexpr auto* setsockopt = call<SYS_setsockopt>(libc::setsockopt);
constexpr auto* getsockopt = call<SYS_getsockopt>(libc::getsockopt);
constexpr auto* recvfrom = call<SYS_recvfrom>(libc::recvfrom);
ssize_t __recvfrom_chk(int fd, void* buffer, size_t length, size_t buffer_length, int flags,
                       sockaddr* address, socklen_t* address_length) {
    if (length > buffer_length)
        std::abort(); // as __chk_fail() does
    return raw::recvfrom(fd, buffer, length, flags, address, address_length);
}
constexpr auto* recvmsg = call<SYS_recvmsg>(libc::recvmsg);
constexpr auto* recvmmsg = call<SYS_recvmmsg>(libc::recvmmsg);
#if __SIZEOF_POINTER__ == 4
constexpr auto* __recvmsg64 = call<SYS_recvmsg>(libc::__recvmsg64);
constexpr auto* __recvmmsg64 = call<SYS_recvmmsg_time64>(libc::__recvmmsg64);
#endif
constexpr auto* sendto = call<SYS_sendto>(libc::sendto);
constexpr auto* sendmsg = call<SYS_sendmsg>(libc::sendmsg);
constexpr auto* sendmmsg = call<SYS_sendmmsg>(libc::sendmmsg);
constexpr auto* prctl = call<SYS_prctl>(libc::prctl);
long syscall(long number, long a, long b, long c, long d, long e, long f) {
    return checked_syscall(number, a, b, c, d, e, f);
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
// NOLINTEND(bugprone-macro-parentheses)
#define MULTIHOME_ALL_FUNCTIONS
#include "shim/symbols.def"

void resolve_all() {
    WantedFunction functions[] = {
#define MULTIHOME_SYMBOL(result, name, arguments) WantedFunction{#name},
#define MULTIHOME_ALL_FUNCTIONS
#include "shim/symbols.def"
    };
    find_next_definitions(functions);
    const WantedFunction* next = functions;
#define MULTIHOME_SYMBOL(result, name, arguments) name.resolve((next++)->definition);
#define MULTIHOME_ALL_FUNCTIONS
#include "shim/symbols.def"
}

} // namespace multihome::libc
