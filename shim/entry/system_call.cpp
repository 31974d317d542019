// SPDX-License-Identifier: MIT
//
// The exported functions that install a system-call filter, pidfd_getfd(), and syscall(2), through which a
// program reaches all the others. See entry.hpp.
#include "shim/entry/entry.hpp"

#include "shim/base/cancellation.hpp"
#include "shim/base/log.hpp"
#include "shim/base/next_definitions.hpp"
#include "shim/base/permissions.hpp"
#include "shim/sockets/process.hpp"
#include "shim/sockets/system_call_filter.hpp"

#include <fcntl.h>
#include <linux/seccomp.h>
#include <optional>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <utility>

using namespace multihome; // NOLINT(google-build-using-namespace): this file is the program's side of it
using namespace multihome::entry; // NOLINT(google-build-using-namespace)

namespace {

// Makes a call that installs a system-call filter: `program`, as the program hands it to the kernel.
// `gives_descriptor`: where it succeeds it returns a descriptor, and not 0. Else a positive result is a
// failure: seccomp(2) returns the number of a thread that cannot take a filter for all threads.
//
// (The strict mode is not our business: it leaves a program only calls that we do not interpose.)
template <typename Call>
[[gnu::cold]] auto filtered(const void* program, bool gives_descriptor, Call call) {
    const Activities forbidden = system_call_filter::judge(program);
    // A vfork child runs in its parent's memory, and its filter is not its parent's. Where the filter does
    // not let us find out which of them runs, both go on without us.
    if (process::is_vfork_child() && (forbidden & Activity::naming_process) == 0)
        return call();
    const auto forbids_now = [&](Activities activity) {
        return (forbidden & activity) != 0 && permissions::may(activity);
    };
    const bool ends_packets = forbids_now(Activity::packets);
    const bool leaves_us_out = ends_packets || forbids_now(Activity::new_sockets);
    // A program whose sockets go on as they are has nothing to be warned of. Nor is one warned yet that
    // serves nothing: a server may start a worker that takes such a filter for each connection, and strangers
    // would fill the log. Its next UDP socket brings the warning, unless the filter forbids the log by then.
    const LogLevel level = ends_packets && sockets::is_to_be_warned() ? LogLevel::warn : LogLevel::info;
    // Before the call, because afterwards it may be forbidden.
    if (ends_packets) {
        log::write(level,
                   FMT_COMPILE("the program's system-call filter does not allow what multihome does for each "
                               "datagram: its UDP sockets answer as without multihome from now on"));
        sockets::give_all_back();
    } else if (leaves_us_out) {
        log::write(level,
                   FMT_COMPILE("the program's system-call filter does not allow getsockopt, setsockopt and "
                               "getsockname: UDP sockets made from now on answer as without multihome"));
    }
    const auto result = call();
    if (result == 0 || (result > 0 && gives_descriptor)) {
        permissions::forbid(forbidden);
        if ((forbidden & Activity::packets) != 0)
            sockets::leave_all_alone();
    } else if (leaves_us_out) {
        log::write(level, FMT_COMPILE("the kernel has refused that filter: multihome goes on"));
    }
    return result;
}

template <typename Type>
Type as(long argument) {
    // A C-style cast, because it may be a pointer or an integer of any width.
    return (Type)argument; // NOLINT(performance-no-int-to-ptr)
}

// True where the next definition calls us: it makes its system call by syscall(2), and must not come to us
// again.
template <typename Next>
bool is_next(const Next& next, const void* caller) {
    return libc::are_of_one_object(caller, reinterpret_cast<const void*>(next.get()));
}

// What the descriptor is. A call that is none of our business goes to the kernel as it is: it may block, and
// so must not be made with the thread's cancellation held off. A signal handler may see that, and may leave
// the call by siglongjmp().
Socket socket_of(long fd) {
    return sockets::get(static_cast<int>(fd));
}

// True for the commands of fcntl() that do not concern us. They go to the kernel as they are: glibc's
// function makes more of F_GETOWN than the kernel does. The kernel reads an int; what is above that may be
// anything.
bool makes_no_copy(long argument) {
    const int command = as<int>(argument);
    return command != F_DUPFD && command != F_DUPFD_CLOEXEC;
}

// Calls one of the exported functions with the arguments of its system call.
template <typename Result, typename... Arguments>
long call(Result (*function)(Arguments...), const long* arguments) {
    // syscall(2) is no cancellation point, but the function that we call may be one. A thread that may be
    // cancelled at any time may be cancelled here too.
    std::optional<NoCancellation> guard(std::in_place);
    if (guard->was_at_any_time())
        guard.reset();
    const auto call = [&]<size_t... Index>(std::index_sequence<Index...>) {
        return static_cast<long>(function(as<Arguments>(arguments[Index])...));
    };
    return call(std::index_sequence_for<Arguments...>{});
}

} // namespace

EXPORT int pidfd_getfd(int pidfd, int fd, unsigned int flags) noexcept {
    // It may be a descriptor of our own process.
    sockets::mark_all();
    const int copy = libc::pidfd_getfd(pidfd, fd, flags);
    if (copy >= 0)
        sockets::arrived(copy);
    return copy;
}

int prctl_with_arguments(int option, unsigned long b, unsigned long c, unsigned long d,
                         unsigned long e) noexcept {
    const auto pass_on = [&] { return libc::prctl(option, b, c, d, e); };
    if (option == PR_SET_SECCOMP && b == SECCOMP_MODE_FILTER)
        return filtered(as<const void*>(static_cast<long>(c)), false, pass_on);
    const int result = pass_on();
    // The vdso reads the exact clock by the processor's counter, which from now on ends the program.
    if (option == PR_SET_TSC && b == PR_TSC_SIGSEGV && result == 0)
        permissions::forbid(Activity::exact_time);
    return result;
}
SECOND_NAME(__prctl_time64, prctl_with_arguments, "prctl")

// libuv before 1.45 calls recvmmsg() and sendmmsg() like this, and so do others.
long syscall_with_arguments(long number, long a, long b, long c, long d, long e, long f) noexcept {
    const void* const caller = __builtin_return_address(0);
    const long arguments[] = {a, b, c, d, e, f};
    switch (number) {
#define MULTIHOME_CASE_UNLESS(condition, number, name, function)                                             \
    case SYS_##number:                                                                                       \
        if (is_next(libc::name, caller) || (condition))                                                      \
            break;                                                                                           \
        return call(&::function, arguments)
#define MULTIHOME_CASE(name) MULTIHOME_CASE_UNLESS(false, name, name, name)
        MULTIHOME_CASE(socket);
        MULTIHOME_CASE(bind);
        MULTIHOME_CASE(connect);
        MULTIHOME_CASE(close);
        MULTIHOME_CASE(close_range);
        MULTIHOME_CASE(dup);
#ifdef SYS_dup2
        MULTIHOME_CASE(dup2);
#endif
        MULTIHOME_CASE(dup3);
        MULTIHOME_CASE(pidfd_getfd);
        MULTIHOME_CASE(setsockopt);
        MULTIHOME_CASE(getsockopt);
        MULTIHOME_CASE_UNLESS(is_foreign(socket_of(a)), recvfrom, recvfrom, recvfrom);
        MULTIHOME_CASE_UNLESS(socket_of(a).has(Socket::no_descriptors), recvmsg, recvmsg, recvmsg);
        MULTIHOME_CASE_UNLESS(socket_of(a).has(Socket::no_descriptors), recvmmsg, recvmmsg, recvmmsg);
        MULTIHOME_CASE_UNLESS(is_foreign(socket_of(a)), sendto, sendto, sendto);
        MULTIHOME_CASE_UNLESS(socket_of(a).has(Socket::no_descriptors), sendmsg, sendmsg, sendmsg);
        MULTIHOME_CASE_UNLESS(socket_of(a).has(Socket::no_descriptors), sendmmsg, sendmmsg, sendmmsg);
        MULTIHOME_CASE_UNLESS(makes_no_copy(b), fcntl, fcntl, fcntl_with_argument);
        MULTIHOME_CASE_UNLESS(false, prctl, prctl, prctl_with_arguments);
#if __SIZEOF_POINTER__ == 4
        MULTIHOME_CASE_UNLESS(makes_no_copy(b), fcntl64, fcntl64, fcntl64_with_argument);
        MULTIHOME_CASE_UNLESS(socket_of(a).has(Socket::no_descriptors), recvmmsg_time64, __recvmmsg64,
                              __recvmmsg64);
#endif
#undef MULTIHOME_CASE
#undef MULTIHOME_CASE_UNLESS
    default:
        break;
    }
    const auto pass_on = [=] { return libc::syscall(number, a, b, c, d, e, f); };
    if (number == SYS_seccomp && as<unsigned>(a) == SECCOMP_SET_MODE_FILTER)
        return filtered(as<const void*>(c),
                        (static_cast<unsigned long>(b) & SECCOMP_FILTER_FLAG_NEW_LISTENER) != 0, pass_on);
    return pass_on();
}
