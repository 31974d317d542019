// SPDX-License-Identifier: MIT
#include "shim/sockets/system_call_filter.hpp"

#include "shim/base/kernel_constants.hpp"
#include "shim/base/permissions.hpp"
#include "shim/base/user_memory.hpp"
#include "shim/sockets/sockets.hpp"

#include <algorithm>
#include <array>
#include <csignal>
#include <cstddef>
#include <cstring>
#include <ctime>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/netlink.h>
#include <linux/seccomp.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <sys/auxv.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/un.h>
#include <unistd.h>

namespace multihome::system_call_filter {

namespace {

#if defined(__x86_64__)
constexpr uint32_t this_architecture = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr uint32_t this_architecture = AUDIT_ARCH_AARCH64;
#elif defined(__i386__)
constexpr uint32_t this_architecture = AUDIT_ARCH_I386;
#elif defined(__arm__)
constexpr uint32_t this_architecture = AUDIT_ARCH_ARM;
#endif

// A system call with the arguments that a filter may look at. Those that differ from call to call stand for
// the others.
struct SystemCall {
    long number;
    uint64_t arguments[6];
};

constexpr uint64_t some_fd = 3;
constexpr uint64_t some_memory = 0x7f0000001000;
constexpr uint64_t length_of_ipv4 = sizeof(sockaddr_in);
constexpr uint64_t length_of_ipv6 = sizeof(sockaddr_in6);
constexpr auto at_current_directory = static_cast<uint64_t>(AT_FDCWD);
constexpr uint64_t set_size = 8; // the kernel's sigset_t

constexpr SystemCall getsockopt_of(uint64_t level, uint64_t name) {
    return {SYS_getsockopt, {some_fd, level, name, some_memory, some_memory}};
}
constexpr SystemCall setsockopt_of(uint64_t level, uint64_t name, uint64_t length = sizeof(int)) {
    return {SYS_setsockopt, {some_fd, level, name, some_memory, length}};
}
constexpr SystemCall map_with(uint64_t flags) {
    return {number_of_mmap, {0, size_t{512} * 1024, PROT_READ | PROT_WRITE, flags, ~uint64_t{0}, 0}};
}
constexpr SystemCall write_to(uint64_t fd) {
    return {SYS_write, {fd, some_memory, 100}};
}
constexpr SystemCall datagram_socket(uint64_t domain, uint64_t flags) {
    return {SYS_socket, {domain, SOCK_DGRAM | flags, 0}};
}

// An activity, and one of the system calls that it makes. To be completed wherever a call is added.
struct Need {
    Activity activity;
    SystemCall call;
};

constexpr Need needs[] = {
    {Activity::packets, {SYS_recvmsg, {some_fd, some_memory, 0}}},
    {Activity::packets, {SYS_sendmsg, {some_fd, some_memory, 0}}},
    // Is this a vfork child? (sockets)
    {Activity::packets, {SYS_getpid, {}}},
    // Bad pointers (user_memory).
    {Activity::packets, {SYS_rt_sigprocmask, {~uint64_t{0}, some_memory, 0, set_size}}},
    {Activity::packets,
     {SYS_futex,
      {some_memory, FUTEX_WAKE_OP | FUTEX_PRIVATE_FLAG, 0, 0, some_memory,
       FUTEX_OP(FUTEX_OP_OR, 0, FUTEX_OP_CMP_LT, -2048)}}},

    {Activity::mapping, map_with(MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE)},
    {Activity::mapping, map_with(MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE)},
    {Activity::mapping, {SYS_munmap, {some_memory, size_t{512} * 1024}}},
    {Activity::asking_for_locks, {SYS_mincore, {some_memory, 4096, some_memory}}},
    {Activity::random_key, {SYS_getrandom, {some_memory, 16, GRND_NONBLOCK}}},

    {Activity::new_sockets, getsockopt_of(SOL_SOCKET, SO_TYPE)},
    {Activity::new_sockets, getsockopt_of(SOL_SOCKET, SO_DOMAIN)},
    {Activity::new_sockets, getsockopt_of(SOL_SOCKET, SO_PROTOCOL)},
    {Activity::new_sockets, getsockopt_of(SOL_SOCKET, SO_COOKIE)},
    {Activity::new_sockets, getsockopt_of(SOL_SOCKET, SO_BINDTOIFINDEX)},
    {Activity::new_sockets, getsockopt_of(SOL_SOCKET, SO_OOBINLINE)},
    {Activity::new_sockets, setsockopt_of(SOL_SOCKET, SO_OOBINLINE)},
    {Activity::new_sockets, getsockopt_of(IPPROTO_IP, IP_PKTINFO)},
    {Activity::new_sockets, setsockopt_of(IPPROTO_IP, IP_PKTINFO)},
    {Activity::new_sockets, getsockopt_of(IPPROTO_IPV6, IPV6_RECVPKTINFO)},
    {Activity::new_sockets, setsockopt_of(IPPROTO_IPV6, IPV6_RECVPKTINFO)},
    {Activity::new_sockets, getsockopt_of(IPPROTO_IPV6, IPV6_2292PKTINFO)},
    {Activity::new_sockets, getsockopt_of(IPPROTO_IPV6, IPV6_V6ONLY)},
    {Activity::new_sockets, {SYS_getsockname, {some_fd, some_memory, some_memory}}},
    {Activity::verifying, getsockopt_of(IPPROTO_IP, IP_PKTINFO)},
    {Activity::verifying, getsockopt_of(IPPROTO_IPV6, IPV6_RECVPKTINFO)},

    {Activity::steering, getsockopt_of(SOL_SOCKET, SO_BINDTOIFINDEX)},
    {Activity::steering, setsockopt_of(SOL_SOCKET, SO_BINDTOIFINDEX)},
    {Activity::steering, getsockopt_of(IPPROTO_IP, IP_MULTICAST_IF)},
    {Activity::steering, setsockopt_of(IPPROTO_IP, IP_MULTICAST_IF, sizeof(ip_mreqn))},
    {Activity::steering, {SYS_getsockname, {some_fd, some_memory, some_memory}}},
    {Activity::steering, {SYS_connect, {some_fd, some_memory, sizeof(sockaddr)}}},
    {Activity::steering, {SYS_connect, {some_fd, some_memory, length_of_ipv6}}},
    {Activity::steering, {SYS_bind, {some_fd, some_memory, length_of_ipv4}}},
    {Activity::steering, {SYS_bind, {some_fd, some_memory, length_of_ipv6}}},
    {Activity::yielding, {SYS_sched_yield, {}}},
    {Activity::finding_interfaces, datagram_socket(AF_INET, SOCK_CLOEXEC)},
    {Activity::finding_interfaces, {SYS_connect, {some_fd, some_memory, length_of_ipv4}}},
    {Activity::finding_interfaces, {SYS_getsockname, {some_fd, some_memory, some_memory}}},
    {Activity::finding_interfaces, {SYS_ioctl, {some_fd, SIOCGIFCONF, some_memory}}},
    {Activity::finding_interfaces, {SYS_ioctl, {some_fd, SIOCGIFINDEX, some_memory}}},
    {Activity::finding_interfaces, {SYS_close, {some_fd}}},
    {Activity::finding_routes, {SYS_socket, {AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE}}},
    {Activity::finding_routes, {SYS_sendto, {some_fd, some_memory, 56}}},
    {Activity::finding_routes, {SYS_recvfrom, {some_fd, some_memory, 1024, MSG_DONTWAIT}}},
    {Activity::finding_routes, {SYS_close, {some_fd}}},
    {Activity::finding_routes, setsockopt_of(IPPROTO_IPV6, IPV6_FREEBIND)},

    {Activity::probing, {SYS_ioctl, {some_fd, SIOCOUTQ, some_memory}}},
    {Activity::probing, {SYS_sendmsg, {some_fd, some_memory, msg_probe | MSG_DONTWAIT | MSG_NOSIGNAL}}},

    {Activity::log_to_stderr, {SYS_getpid, {}}},
    {Activity::log_to_stderr, {number_of_fstat, {STDERR_FILENO, some_memory}}},
    {Activity::log_to_stderr, {SYS_rt_sigprocmask, {SIG_BLOCK, some_memory, some_memory, set_size}}},
    {Activity::log_to_stderr, {SYS_rt_sigprocmask, {SIG_SETMASK, some_memory, 0, set_size}}},
    {Activity::log_to_stderr, {SYS_rt_sigpending, {some_memory, set_size}}},
    {Activity::log_to_stderr, {SYS_rt_sigtimedwait, {some_memory, 0, some_memory, set_size}}},
    {Activity::log_to_stderr, write_to(STDERR_FILENO)},
    {Activity::log_to_file, {SYS_getpid, {}}},
    {Activity::log_to_file, {SYS_geteuid, {}}},
    {Activity::log_to_file,
     {SYS_openat,
      {at_current_directory, some_memory,
       O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | O_NOFOLLOW, 0640}}},
    {Activity::log_to_file, {number_of_fstat, {some_fd, some_memory}}},
    {Activity::log_to_file, {SYS_rt_sigprocmask, {SIG_BLOCK, some_memory, some_memory, set_size}}},
    {Activity::log_to_file, {SYS_rt_sigprocmask, {SIG_SETMASK, some_memory, 0, set_size}}},
    {Activity::log_to_file, {SYS_rt_sigpending, {some_memory, set_size}}},
    {Activity::log_to_file, {SYS_rt_sigtimedwait, {some_memory, 0, some_memory, set_size}}},
    {Activity::log_to_file, write_to(some_fd)},
    {Activity::log_to_file, {SYS_close, {some_fd}}},
    {Activity::resolving_no_links, {SYS_openat2, {at_current_directory, some_memory, some_memory, 24}}},
    {Activity::log_to_syslog, {SYS_getpid, {}}},
    {Activity::log_to_syslog, datagram_socket(AF_UNIX, SOCK_CLOEXEC | SOCK_NONBLOCK)},
    {Activity::log_to_syslog,
     {SYS_sendto,
      {some_fd, some_memory, 100, MSG_NOSIGNAL | MSG_DONTWAIT, some_memory, sizeof(sockaddr_un)}}},
    {Activity::log_to_syslog, {SYS_close, {some_fd}}},
};

// clock_gettime() is a system call where there is no vdso to do without.
constexpr Need needs_without_vdso[] = {
    {Activity::packets, {SYS_clock_gettime, {CLOCK_MONOTONIC_COARSE, some_memory}}},
    {Activity::log_to_stderr, {SYS_clock_gettime, {CLOCK_REALTIME_COARSE, some_memory}}},
    {Activity::log_to_file, {SYS_clock_gettime, {CLOCK_REALTIME_COARSE, some_memory}}},
    {Activity::log_to_syslog, {SYS_clock_gettime, {CLOCK_REALTIME_COARSE, some_memory}}},
};

// Classic BPF as seccomp uses it (Documentation/userspace-api/seccomp_filter.rst): 32-bit words of
// seccomp_data, an accumulator, an index register, 16 words of memory, jumps forward only.
class Filter {
public:
    Filter(const sock_filter* instructions, size_t count) : instructions_(instructions), count_(count) {}

    // The action for a call. The kernel has the last word on whether the program is valid; what it would
    // refuse counts as "not allowed" here, and nothing comes of it.
    uint32_t run(const SystemCall& call) const {
        seccomp_data data{};
        data.nr = static_cast<int>(call.number);
        data.arch = this_architecture;
        std::copy(std::begin(call.arguments), std::end(call.arguments), data.args);
        uint32_t a = 0;
        uint32_t x = 0;
        std::array<uint32_t, BPF_MEMWORDS> memory{};
        for (size_t at = 0; at < count_; ++at) {
            const sock_filter& step = instructions_[at];
            const uint32_t k = step.k;
            const uint32_t operand = BPF_SRC(step.code) == BPF_X ? x : k;
            switch (BPF_CLASS(step.code)) {
            case BPF_LD:
            case BPF_LDX: {
                uint32_t& target = BPF_CLASS(step.code) == BPF_LD ? a : x;
                if (!load(step, data, memory, target))
                    return SECCOMP_RET_KILL_PROCESS;
                break;
            }
            case BPF_ST:
            case BPF_STX:
                if (k >= memory.size())
                    return SECCOMP_RET_KILL_PROCESS;
                memory[k] = BPF_CLASS(step.code) == BPF_ST ? a : x;
                break;
            case BPF_ALU:
                if (!calculate(BPF_OP(step.code), operand, a))
                    return SECCOMP_RET_KILL_PROCESS;
                break;
            case BPF_JMP:
                at += BPF_OP(step.code) == BPF_JA            ? k
                      : holds(BPF_OP(step.code), a, operand) ? step.jt
                                                             : step.jf;
                break;
            case BPF_RET:
                return BPF_RVAL(step.code) == BPF_A ? a : k;
            default: // BPF_MISC
                (BPF_MISCOP(step.code) == BPF_TAX ? x : a) = BPF_MISCOP(step.code) == BPF_TAX ? a : x;
                break;
            }
        }
        return SECCOMP_RET_KILL_PROCESS;
    }

private:
    static bool load(const sock_filter& step, const seccomp_data& data,
                     const std::array<uint32_t, BPF_MEMWORDS>& memory, uint32_t& target) {
        switch (BPF_MODE(step.code)) {
        case BPF_IMM:
            target = step.k;
            return true;
        case BPF_MEM:
            if (step.k >= memory.size())
                return false;
            target = memory[step.k];
            return true;
        case BPF_LEN:
            target = sizeof data;
            return true;
        default: // BPF_ABS
            if (step.k > sizeof data - sizeof target)
                return false;
            std::memcpy(&target, reinterpret_cast<const char*>(&data) + step.k, sizeof target);
            return true;
        }
    }

    static bool calculate(unsigned operation, uint32_t operand, uint32_t& a) {
        switch (operation) {
        case BPF_ADD:
            a += operand;
            return true;
        case BPF_SUB:
            a -= operand;
            return true;
        case BPF_MUL:
            a *= operand;
            return true;
        case BPF_DIV:
            if (operand == 0)
                return false;
            a /= operand;
            return true;
        case BPF_OR:
            a |= operand;
            return true;
        case BPF_AND:
            a &= operand;
            return true;
        case BPF_XOR:
            a ^= operand;
            return true;
        case BPF_LSH:
            a = operand < 32 ? a << operand : 0;
            return true;
        case BPF_RSH:
            a = operand < 32 ? a >> operand : 0;
            return true;
        case BPF_NEG:
            a = 0U - a;
            return true;
        default:
            return false;
        }
    }

    static bool holds(unsigned operation, uint32_t a, uint32_t operand) {
        switch (operation) {
        case BPF_JEQ:
            return a == operand;
        case BPF_JGT:
            return a > operand;
        case BPF_JGE:
            return a >= operand;
        default: // BPF_JSET
            return (a & operand) != 0;
        }
    }

    const sock_filter* instructions_;
    size_t count_;
};

bool allows(const Filter& filter, const SystemCall& call) {
    const uint32_t action = filter.run(call) & SECCOMP_RET_ACTION_FULL;
    return action == SECCOMP_RET_ALLOW || action == SECCOMP_RET_LOG;
}

} // namespace

Judgement Judgement::nothing_is_allowed() {
    Judgement judgement;
    for (unsigned activity = 0; activity < static_cast<unsigned>(Activity::count); ++activity)
        judgement.forbid(static_cast<Activity>(activity));
    return judgement;
}

Judgement judge(const void* program) {
    sock_fprog filter_program;
    if (program == nullptr || !user_memory::can_read(program, sizeof filter_program))
        return {}; // the kernel refuses it
    std::memcpy(&filter_program, program, sizeof filter_program);
    if (filter_program.len == 0 || filter_program.filter == nullptr ||
        !user_memory::can_read(filter_program.filter, filter_program.len * sizeof(sock_filter)))
        return {};
    const Filter filter(filter_program.filter, filter_program.len);
    Judgement judgement;
    const auto check = [&](const Need& need) {
        if (judgement.allows(need.activity) && !allows(filter, need.call))
            judgement.forbid(need.activity);
    };
    for (const Need& need : needs)
        check(need);
    if (getauxval(AT_SYSINFO_EHDR) == 0)
        for (const Need& need : needs_without_vdso)
            check(need);
    if (!judgement.allows(Activity::packets)) {
        // Then a socket of ours would be one that we can do nothing for.
        judgement.forbid(Activity::new_sockets);
        judgement.forbid(Activity::steering);
    }
    return judgement;
}

void enforce(const Judgement& judgement) {
    for (unsigned activity = 0; activity < static_cast<unsigned>(Activity::count); ++activity)
        if (!judgement.allows(static_cast<Activity>(activity)))
            permissions::forbid(static_cast<Activity>(activity));
    if (!judgement.allows(Activity::packets))
        sockets::leave_all_alone();
}

} // namespace multihome::system_call_filter
