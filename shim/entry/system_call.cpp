// SPDX-License-Identifier: MIT
//
// The exported functions that install a system-call filter, pidfd_getfd(), and syscall(2), which reaches all
// the others. See entry.hpp.
#include "shim/entry/entry.hpp"

#include "shim/base/cancellation.hpp"
#include "shim/base/kernel_constants.hpp"
#include "shim/base/libc.hpp"
#include "shim/base/log.hpp"
#include "shim/sockets/system_call_filter.hpp"

#include <cstdarg>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <type_traits>
#include <unistd.h>
#include <utility>

using namespace multihome; // NOLINT(google-build-using-namespace): this file is the program's side of it

namespace {

// A call that installs a system-call filter. `strict`: read() and write() are all that will be left.
template <typename Call>
auto filtered(bool strict, const void* program, Call call) {
    const Activity forbidden = strict ? Activity::all : system_call_filter::judge(program);
    // Before the call: afterwards it may be forbidden.
    if (overlap(forbidden, Activity::packets)) {
        log::write(LogLevel::warn,
                   "the program's system-call filter does not allow what multihome does for each "
                   "datagram: its UDP sockets answer as without multihome from now on");
        sockets::give_all_back();
    } else if (overlap(forbidden, Activity::new_sockets)) {
        log::write(LogLevel::warn,
                   "the program's system-call filter does not allow getsockopt, setsockopt and "
                   "getsockname: UDP sockets made from now on answer as without multihome");
    }
    const auto result = call();
    if (result >= 0)
        system_call_filter::enforce(forbidden);
    return result;
}

} // namespace

EXPORT int pidfd_getfd(int pidfd, int fd, unsigned int flags) noexcept {
    const int copy = libc::pidfd_getfd(pidfd, fd, flags);
    if (copy >= 0)
        sockets::arrived(copy);
    return copy;
}

EXPORT int prctl(int option, ...) noexcept {
    va_list list;
    va_start(list, option);
    unsigned long a[4];
    for (unsigned long& argument : a)
        argument = va_arg(list, unsigned long);
    va_end(list);
    const auto call = [&] { return libc::prctl(option, a[0], a[1], a[2], a[3]); };
    if (option != PR_SET_SECCOMP)
        return call();
    return filtered(a[0] == SECCOMP_MODE_STRICT, reinterpret_cast<const void*>(a[1]), call); // NOLINT
}

namespace {

template <typename Type>
Type as(long argument) {
    if constexpr (std::is_pointer_v<Type>)
        return reinterpret_cast<Type>(argument); // NOLINT(performance-no-int-to-ptr)
    else
        return static_cast<Type>(argument);
}

// Calls one of the functions above with the arguments of its system call.
template <typename Result, typename... Arguments, size_t... Index>
long call(Result (*function)(Arguments...), const long* arguments, std::index_sequence<Index...>) {
    // syscall(2) is no cancellation point, the functions that we hand over to are.
    const NoCancellation guard;
    return static_cast<long>(function(as<Arguments>(arguments[Index])...));
}

template <typename Result, typename... Arguments>
long call(Result (*function)(Arguments...), const long* arguments) {
    return call(function, arguments, std::index_sequence_for<Arguments...>{});
}

} // namespace

// libuv before 1.45 and others reach recvmmsg() and sendmmsg() this way.
EXPORT long syscall(long number, ...) noexcept {
    va_list list;
    va_start(list, number);
    long a[6];
    for (long& argument : a)
        argument = va_arg(list, long);
    va_end(list);
    switch (number) {
    case SYS_socket:
        return call(&socket, a);
    case SYS_bind:
        return call(&bind, a);
    case SYS_connect:
        return call(&::connect, a);
    case SYS_close:
        return call(&close, a);
    case SYS_close_range:
        return call(&close_range, a);
    case SYS_dup:
        return call(&dup, a);
#ifdef SYS_dup2
    case SYS_dup2:
        return call(&dup2, a);
#endif
    case SYS_dup3:
        return call(&dup3, a);
    case SYS_fcntl:
        return call(&fcntl_with_argument, a);
#if __SIZEOF_POINTER__ == 4
    case SYS_fcntl64:
        return call(&fcntl64_with_argument, a);
    case SYS_recvmmsg_time64:
        return call(&__recvmmsg64, a);
#endif
    case SYS_pidfd_getfd:
        return call(&pidfd_getfd, a);
    case SYS_setsockopt:
        return call(&setsockopt, a);
    case SYS_getsockopt:
        return call(&getsockopt, a);
    case SYS_recvfrom:
        return call(&recvfrom, a);
    case SYS_recvmsg:
        return call(&recvmsg, a);
    case SYS_recvmmsg:
        return call(&recvmmsg, a);
    case SYS_sendto:
        return call(&sendto, a);
    case SYS_sendmsg:
        return call(&sendmsg, a);
    case SYS_sendmmsg:
        return call(&sendmmsg, a);
    default:
        break;
    }
    const auto pass_on = [&] { return libc::syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]); };
    if (number == SYS_prctl && a[0] == PR_SET_SECCOMP)
        return prctl(PR_SET_SECCOMP, a[1], a[2], a[3], a[4]);
    if (number == SYS_seccomp && (a[0] == SECCOMP_SET_MODE_STRICT || a[0] == SECCOMP_SET_MODE_FILTER))
        return filtered(a[0] == SECCOMP_SET_MODE_STRICT, as<const void*>(a[2]), pass_on);
    return pass_on();
}
