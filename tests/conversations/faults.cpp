// SPDX-License-Identifier: MIT
//
// A library to preload behind the shim: the next call of a kind fails in the thread that asks for it, as
// calls now and then do. What the shim calls is then ours, so the fault is the kernel's as far as the shim
// can tell.
#include "tests/conversations/orders.hpp"

#include <cerrno>
#include <dlfcn.h>

using multihome::conversations::Fault;

namespace {

thread_local Fault fault = Fault::none;
thread_local int fault_errno = 0;

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

// NOLINTBEGIN(readability-inconsistent-declaration-parameter-name)
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
