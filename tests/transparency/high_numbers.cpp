// SPDX-License-Identifier: MIT
//
// Descriptors with high numbers where RLIMIT_NOFILE may not be raised: a library to be preloaded behind the
// shim, which then sees numbers from 30,000 on that do not exist. What is called with one is passed on with
// the real one. Whoever asks for the limit, the shim as well, is told a billion.
#include <cstdint>
#include <dlfcn.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

namespace {

constexpr int first_high = 30'000;
constexpr rlim_t limit_told = 1'000'000'000;
constexpr int slots = 8;
struct Pair {
    int high;
    int low;
} pairs[slots];

int translate(int fd) {
    if (fd < first_high)
        return fd;
    for (const Pair& pair : pairs)
        if (pair.high == fd)
            return pair.low;
    return fd; // the kernel says EBADF
}

template <typename Function>
Function* next(const char* name) {
    return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

} // namespace

#define EXPORT extern "C" [[gnu::visibility("default")]]
#define PASS_ON(function, fd, ...)                                                                           \
    static auto* const real = next<decltype(function)>(#function);                                           \
    return real(translate(fd), __VA_ARGS__)

EXPORT int getrlimit(__rlimit_resource_t resource, rlimit* limit) noexcept {
    static auto* const real = next<decltype(getrlimit)>("getrlimit");
    if (resource != RLIMIT_NOFILE)
        return real(resource, limit);
    *limit = {limit_told, limit_told};
    return 0;
}
EXPORT int prlimit(pid_t process, __rlimit_resource resource, const rlimit* wanted, rlimit* limit) noexcept {
    static auto* const real = next<decltype(prlimit)>("prlimit");
    const int result = real(process, resource, wanted, limit);
    if (resource == RLIMIT_NOFILE && limit != nullptr)
        *limit = {limit_told, limit_told};
    return result;
}
EXPORT long sysconf(int name) noexcept {
    static auto* const real = next<decltype(sysconf)>("sysconf");
    return name == _SC_OPEN_MAX ? static_cast<long>(limit_told) : real(name);
}
EXPORT int getdtablesize() noexcept {
    return static_cast<int>(limit_told);
}

EXPORT int dup2(int fd, int number) noexcept {
    static auto* const real = next<decltype(dup2)>("dup2");
    if (number < first_high)
        return real(translate(fd), number);
    for (Pair& pair : pairs)
        if (pair.high == 0) {
            pair = {number, dup(translate(fd))};
            return number;
        }
    return -1;
}
EXPORT int close(int fd) {
    static auto* const real = next<decltype(close)>("close");
    const int low = translate(fd);
    for (Pair& pair : pairs)
        if (pair.high == fd)
            pair = {};
    return real(low);
}
EXPORT int getsockname(int fd, sockaddr* address, socklen_t* length) noexcept {
    PASS_ON(getsockname, fd, address, length);
}
EXPORT int getsockopt(int fd, int level, int name, void* value, socklen_t* length) noexcept {
    PASS_ON(getsockopt, fd, level, name, value, length);
}
EXPORT int setsockopt(int fd, int level, int name, const void* value, socklen_t length) noexcept {
    PASS_ON(setsockopt, fd, level, name, value, length);
}
EXPORT ssize_t recvfrom(int fd, void* buffer, size_t length, int flags, sockaddr* address,
                        socklen_t* address_length) {
    PASS_ON(recvfrom, fd, buffer, length, flags, address, address_length);
}
EXPORT ssize_t recvmsg(int fd, msghdr* message, int flags) {
    PASS_ON(recvmsg, fd, message, flags);
}
EXPORT ssize_t sendto(int fd, const void* buffer, size_t length, int flags, const sockaddr* address,
                      socklen_t address_length) {
    PASS_ON(sendto, fd, buffer, length, flags, address, address_length);
}
EXPORT ssize_t sendmsg(int fd, const msghdr* message, int flags) {
    PASS_ON(sendmsg, fd, message, flags);
}
// For one descriptor, which is how the probes call it.
EXPORT int poll(pollfd* descriptors, nfds_t count, int timeout) {
    static auto* const real = next<decltype(poll)>("poll");
    if (count != 1)
        return real(descriptors, count, timeout);
    pollfd one = *descriptors;
    one.fd = translate(one.fd);
    const int result = real(&one, 1, timeout);
    descriptors->revents = one.revents;
    return result;
}
