// SPDX-License-Identifier: MIT
//
// A library to preload behind the shim: the next call of a kind fails in the thread that asks for it, as
// calls now and then do, and time passes as it is told. What the shim calls is then ours, so the fault and
// the time are the kernel's as far as the shim can tell.
#include "tests/conversations/orders.hpp"

#include <atomic>
#include <cerrno>
#include <ctime>
#include <dlfcn.h>
#include <new>
#include <sys/auxv.h>
#include <sys/mman.h>

using multihome::conversations::Fault;

namespace {

thread_local Fault fault = Fault::none;
thread_local int fault_errno = 0;

// So many seconds have passed for this program and its workers, besides those of the clock.
std::atomic<time_t>* passed = nullptr;

[[gnu::constructor]] void share_time() {
    void* const memory =
        mmap(nullptr, sizeof *passed, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory != MAP_FAILED)
        passed = new (memory) std::atomic<time_t>{0};
}

// Whether a call of this kind fails now.
bool fails(Fault kind) {
    if (fault != kind)
        return false;
    fault = Fault::none;
    errno = fault_errno;
    return true;
}

template <typename Function>
Function* next(Function* /*of this type*/, const char* name) {
    return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

} // namespace

extern "C" {

// The next call of this kind by this thread fails with `error`. Fault::none takes it back.
// NOLINTNEXTLINE(readability-identifier-naming)
__attribute__((visibility("default"))) void multihome_test_fault(Fault kind, int error) {
    fault = kind;
    fault_errno = error;
}

// NOLINTNEXTLINE(readability-identifier-naming)
__attribute__((visibility("default"))) void multihome_test_pass_time(uint32_t seconds) {
    if (passed != nullptr)
        *passed += seconds;
}

// Hides the kernel's object (vdso(7)), so that the shim reads the clock by the next function.
unsigned long getauxval(unsigned long type) {
    static auto* const real = next(getauxval, "getauxval");
    return type == AT_SYSINFO_EHDR ? 0 : real(type);
}

// NOLINTBEGIN(readability-inconsistent-declaration-parameter-name)
int clock_gettime(clockid_t which, timespec* time) {
    static auto* const real = next(clock_gettime, "clock_gettime");
    const int result = real(which, time);
    if (result == 0 && passed != nullptr)
        time->tv_sec += *passed;
    return result;
}

ssize_t sendto(int fd, const void* data, size_t size, int flags, const sockaddr* name, socklen_t length) {
    static auto* const real = next(sendto, "sendto");
    return fails(Fault::send) ? -1 : real(fd, data, size, flags, name, length);
}

ssize_t sendmsg(int fd, const msghdr* message, int flags) {
    static auto* const real = next(sendmsg, "sendmsg");
    return fails(Fault::send) ? -1 : real(fd, message, flags);
}

int sendmmsg(int fd, mmsghdr* messages, unsigned int count, int flags) {
    static auto* const real = next(sendmmsg, "sendmmsg");
    return fails(Fault::send) ? -1 : real(fd, messages, count, flags);
}

ssize_t recvfrom(int fd, void* data, size_t size, int flags, sockaddr* name, socklen_t* length) {
    static auto* const real = next(recvfrom, "recvfrom");
    return fails(Fault::receive) ? -1 : real(fd, data, size, flags, name, length);
}

ssize_t recvmsg(int fd, msghdr* message, int flags) {
    static auto* const real = next(recvmsg, "recvmsg");
    return fails(Fault::receive) ? -1 : real(fd, message, flags);
}

int recvmmsg(int fd, mmsghdr* messages, unsigned int count, int flags, timespec* timeout) {
    static auto* const real = next(recvmmsg, "recvmmsg");
    return fails(Fault::receive) ? -1 : real(fd, messages, count, flags, timeout);
}
// NOLINTEND(readability-inconsistent-declaration-parameter-name)

} // extern "C"
