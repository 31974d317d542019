// SPDX-License-Identifier: MIT
//
// System calls that no interposed function sees: what a program does without the shim, in a process that has
// it.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace kernel {

inline long call(long number, long a, long b = 0, long c = 0, long d = 0, long e = 0) {
#if defined(__x86_64__)
    register long r10 asm("r10") = d;
    register long r8 asm("r8") = e;
    long result = number;
    asm volatile("syscall"
                 : "+a"(result)
                 : "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
                 : "rcx", "r11", "memory");
    return result;
#elif defined(__aarch64__)
    register long x8 asm("x8") = number;
    register long x0 asm("x0") = a;
    register long x1 asm("x1") = b;
    register long x2 asm("x2") = c;
    register long x3 asm("x3") = d;
    register long x4 asm("x4") = e;
    asm volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4) : "memory");
    return x0;
#else
    (void)number, (void)a, (void)b, (void)c, (void)d, (void)e;
    std::puts("SKIP: no system calls of this machine are known here");
    std::exit(77);
#endif
}

inline int socket() {
    return static_cast<int>(call(SYS_socket, AF_INET, SOCK_DGRAM | SOCK_CLOEXEC));
}
inline void set(int fd, int level, int name, const void* value, size_t length) {
    call(SYS_setsockopt, fd, level, name, reinterpret_cast<long>(value), static_cast<long>(length));
}
inline void set(int fd, int level, int name, int value) {
    set(fd, level, name, &value, sizeof value);
}
inline int bind(int fd, const sockaddr_in& name) {
    return static_cast<int>(call(SYS_bind, fd, reinterpret_cast<long>(&name), sizeof name));
}
inline int connect(int fd, const sockaddr_in& name) {
    return static_cast<int>(call(SYS_connect, fd, reinterpret_cast<long>(&name), sizeof name));
}
inline void close(int fd) {
    call(SYS_close, fd);
}

} // namespace kernel
