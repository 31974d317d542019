// SPDX-License-Identifier: MIT
#include "shim/sockets/system_call_filter.hpp"

#include "shim/base/kernel_constants.hpp"
#include "shim/base/libc.hpp"
#include "shim/base/user_memory.hpp"
#include "shim/sockets/local_route.hpp"

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
#include <netinet/udp.h>
#include <optional>
#include <span>
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

// A system call. Where an argument differs from call to call, one value stands for all.
struct SystemCall {
    long number;
    uint64_t arguments[6];
};

constexpr uint64_t some_fd = 3;
constexpr uint64_t some_memory = 0x7f0000001000;
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
constexpr SystemCall open_with(uint64_t flags) {
    return {SYS_openat,
            {at_current_directory, some_memory,
             O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | O_LARGEFILE | flags, 0640}};
}

// A system call, and the activities that make it. Add a row for each call that you add.
struct Need {
    Activities activities;
    SystemCall call;
};

using enum Activity::Bit;

constexpr Need needs[] = {
    {packets, {SYS_recvmsg, {some_fd, some_memory, 0}}},
    {packets, {SYS_sendmsg, {some_fd, some_memory, 0}}},
    // Is this a vfork child? (sockets/process) And a line of the log names the process.
    {packets | naming_process | log_to_stderr | log_to_file | log_to_syslog, {SYS_getpid, {}}},
    // Bad pointers (user_memory).
    {packets | asking_for_pages,
     {SYS_futex,
      {some_memory, FUTEX_CMP_REQUEUE | FUTEX_PRIVATE_FLAG, 0, 0, some_memory, user_memory::compared_value}}},
    {packets | asking_for_pages,
     {SYS_futex,
      {some_memory, FUTEX_WAKE_OP | FUTEX_PRIVATE_FLAG, 0, 0, some_memory,
       FUTEX_OP(FUTEX_OP_OR, 0, FUTEX_OP_CMP_LT, -2048)}}},

    {mapping, map_with(MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE)},
    {mapping, map_with(MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE)},
    {mapping, {SYS_munmap, {some_memory, size_t{512} * 1024}}},
    {asking_for_locks, {SYS_madvise, {some_memory, 4096, MADV_DONTNEED}}},
    {random_key, {SYS_getrandom, {some_memory, 128, GRND_NONBLOCK}}},

    {new_sockets, getsockopt_of(SOL_SOCKET, SO_TYPE)},
    {new_sockets, getsockopt_of(SOL_SOCKET, SO_DOMAIN)},
    {new_sockets, getsockopt_of(SOL_SOCKET, SO_PROTOCOL)},
    {new_sockets, getsockopt_of(SOL_SOCKET, SO_COOKIE)},
    {new_sockets, getsockopt_of(SOL_SOCKET, SO_ERROR)},
    {steering, getsockopt_of(SOL_SOCKET, SO_BINDTOIFINDEX)},
    {new_sockets, getsockopt_of(SOL_SOCKET, SO_OOBINLINE)},
    {new_sockets, setsockopt_of(SOL_SOCKET, SO_OOBINLINE)},
    {new_sockets | verifying, getsockopt_of(IPPROTO_IP, IP_PKTINFO)},
    {new_sockets, setsockopt_of(IPPROTO_IP, IP_PKTINFO)},
    {new_sockets | verifying, getsockopt_of(IPPROTO_IPV6, IPV6_RECVPKTINFO)},
    {new_sockets, setsockopt_of(IPPROTO_IPV6, IPV6_RECVPKTINFO)},
    {new_sockets, getsockopt_of(IPPROTO_IPV6, IPV6_2292PKTINFO)},
    {new_sockets, getsockopt_of(IPPROTO_IPV6, IPV6_V6ONLY)},
    {new_sockets | steering | finding_interfaces, {SYS_getsockname, {some_fd, some_memory, some_memory}}},

    {steering, setsockopt_of(SOL_SOCKET, SO_BINDTOIFINDEX)},
    {steering, getsockopt_of(IPPROTO_IP, IP_MULTICAST_IF)},
    {steering, setsockopt_of(IPPROTO_IP, IP_MULTICAST_IF, sizeof(ip_mreqn))},
    {steering | finding_interfaces, {SYS_connect, {some_fd, some_memory, sizeof(sockaddr_in)}}},
    {steering, {SYS_connect, {some_fd, some_memory, sizeof(sockaddr_in6)}}},
    {steering, {SYS_bind, {some_fd, some_memory, sizeof(sockaddr_in)}}},
    {steering, {SYS_bind, {some_fd, some_memory, sizeof(sockaddr_in6)}}},
    {yielding, {SYS_sched_yield, {}}},
    {resting, {SYS_ppoll, {0, 0, some_memory, 0, set_size}}},
    {finding_interfaces, {SYS_socket, {AF_INET, SOCK_DGRAM | SOCK_CLOEXEC}}},
    {finding_interfaces, {SYS_ioctl, {some_fd, SIOCGIFCONF, some_memory}}},
    {finding_interfaces, {SYS_ioctl, {some_fd, SIOCGIFINDEX, some_memory}}},
    {finding_routes, {SYS_socket, {AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE}}},
    {finding_routes, {SYS_sendto, {some_fd, some_memory, local_route::question_length}}},
    {finding_routes, {SYS_recvfrom, {some_fd, some_memory, local_route::answer_length, MSG_DONTWAIT}}},
    {finding_routes, setsockopt_of(IPPROTO_IPV6, IPV6_FREEBIND)},
    {finding_interfaces | finding_routes | log_to_file | log_to_syslog | closing, {SYS_close, {some_fd}}},

    {packets, {number_of_clock_gettime, {CLOCK_MONOTONIC_COARSE, some_memory}}},
    {log_to_stderr | log_to_file | log_to_syslog,
     {number_of_clock_gettime, {CLOCK_REALTIME_COARSE, some_memory}}},
    // A system call only where the vdso cannot read the kernel's clock (xen, hpet, acpi_pm).
    {exact_time, {number_of_clock_gettime, {CLOCK_MONOTONIC, some_memory}}},
#if __SIZEOF_POINTER__ == 4
    {exact_time, {SYS_clock_gettime, {CLOCK_MONOTONIC, some_memory}}}, // the vdso's on 32-bit processors
#endif

    {probing, {SYS_ioctl, {some_fd, SIOCOUTQ, some_memory}}},
    {probing, getsockopt_of(IPPROTO_UDP, UDP_CORK)},
    {probing, getsockopt_of(IPPROTO_IP, IP_RECVERR)},
    {probing, getsockopt_of(IPPROTO_IPV6, IPV6_RECVERR)},
    {probing, {SYS_sendmsg, {some_fd, some_memory, msg_probe | MSG_DONTWAIT | MSG_NOSIGNAL}}},
    {probing,
     {SYS_sendmsg, {some_fd, some_memory, msg_probe | MSG_DONTWAIT | MSG_NOSIGNAL | MSG_MORE | MSG_CONFIRM}}},

    {log_to_stderr, {number_of_fstat, {STDERR_FILENO, some_memory}}},
    {log_to_stderr, {SYS_write, {STDERR_FILENO, some_memory, 100}}},
    {asking_for_room, {SYS_ppoll, {some_memory, 1, some_memory, 0, set_size}}},
    {log_to_file, {number_of_fstat, {some_fd, some_memory}}},
    {log_to_file, {SYS_write, {some_fd, some_memory, 100}}},
    {log_to_stderr | log_to_file, {SYS_rt_sigprocmask, {SIG_BLOCK, some_memory, some_memory, set_size}}},
    {log_to_stderr | log_to_file, {SYS_rt_sigprocmask, {SIG_SETMASK, some_memory, 0, set_size}}},
    {log_to_stderr | log_to_file, {SYS_rt_sigpending, {some_memory, set_size}}},
    {log_to_stderr | log_to_file, {SYS_rt_sigtimedwait, {some_memory, 0, some_memory, set_size}}},
    {log_to_file, {SYS_geteuid, {}}},
    {log_to_file, open_with(O_NOFOLLOW)}, // root
    {log_to_file, open_with(0)},          // others
    {resolving_no_links, {SYS_openat2, {at_current_directory, some_memory, some_memory, 24}}},
    {log_to_syslog, {SYS_socket, {AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK}}},
    {log_to_syslog,
     {SYS_sendto,
      {some_fd, some_memory, 100, MSG_NOSIGNAL | MSG_DONTWAIT, some_memory, sizeof(sockaddr_un)}}},
};
static_assert(sizeof(sockaddr_in) == sizeof(sockaddr)); // connect() with AF_UNSPEC, which takes a peer off

// True where the kernel's function reads the clock, and makes no system call. The vdso reads the coarse
// clocks from memory, whatever the kernel's clock is (do_coarse() in its lib/vdso/gettimeofday.c). That of
// 32-bit ARM has no clocks on processors without the timer that it reads (arch/arm/kernel/vdso.c).
bool is_read_from_memory(const SystemCall& call) {
    return call.number == number_of_clock_gettime && call.arguments[0] != CLOCK_MONOTONIC &&
           this_architecture != AUDIT_ARCH_ARM && getauxval(AT_SYSINFO_EHDR) != 0;
}

// Classic BPF as seccomp uses it (Documentation/userspace-api/seccomp_filter.rst): 32-bit words of
// seccomp_data, an accumulator, an index register, 16 words of memory, jumps forward only.
using Program = std::span<const sock_filter>;
using Memory = std::array<uint32_t, BPF_MEMWORDS>;

// Returns what an instruction loads; empty where the kernel refuses the instruction.
std::optional<uint32_t> load(const sock_filter& step, const seccomp_data& data, const Memory& memory) {
    const unsigned mode = BPF_MODE(step.code);
    if (mode == BPF_IMM)
        return step.k;
    if (mode == BPF_LEN)
        return uint32_t{sizeof data};
    if (mode == BPF_MEM)
        return step.k < memory.size() ? std::optional{memory[step.k]} : std::nullopt;
    // BPF_ABS
    uint32_t word = 0;
    if (step.k > sizeof data - sizeof word)
        return std::nullopt;
    std::memcpy(&word, reinterpret_cast<const char*>(&data) + step.k, sizeof word);
    return word;
}

// Returns the result of an operation; empty where the kernel refuses it, or ends the program with it.
std::optional<uint32_t> calculate(unsigned operation, uint32_t a, uint32_t operand) {
    if ((operation == BPF_DIV && operand == 0) || operation == BPF_MOD || operation > BPF_XOR)
        return std::nullopt;
    return operation == BPF_ADD   ? a + operand
           : operation == BPF_SUB ? a - operand
           : operation == BPF_MUL ? a * operand
           : operation == BPF_DIV ? a / operand
           : operation == BPF_OR  ? a | operand
           : operation == BPF_AND ? a & operand
           : operation == BPF_XOR ? a ^ operand
           : operation == BPF_LSH ? a << (operand & 31)
           : operation == BPF_RSH ? a >> (operand & 31)
                                  : 0U - a; // BPF_NEG
}

bool holds(unsigned operation, uint32_t a, uint32_t operand) {
    return operation == BPF_JEQ   ? a == operand
           : operation == BPF_JGT ? a > operand
           : operation == BPF_JGE ? a >= operand
                                  : (a & operand) != 0; // BPF_JSET
}

// Returns the filter's action for a call. Where the kernel would refuse the program, this is "not allowed",
// and nothing comes of it: the kernel has the last word.
uint32_t run(Program program, const SystemCall& call) {
    seccomp_data data{};
    data.nr = static_cast<int>(call.number);
    data.arch = this_architecture;
    // As wide as this processor's registers.
    std::ranges::transform(call.arguments, data.args,
                           [](uint64_t argument) { return static_cast<unsigned long>(argument); });
    uint32_t a = 0;
    uint32_t x = 0;
    Memory memory{};
    for (uint64_t at = 0; at < program.size(); ++at) {
        const sock_filter& step = program[static_cast<size_t>(at)];
        const unsigned kind = BPF_CLASS(step.code);
        const unsigned operation = BPF_OP(step.code);
        const uint32_t operand = BPF_SRC(step.code) == BPF_X ? x : step.k;
        switch (kind) {
        case BPF_LD:
        case BPF_LDX:
        case BPF_ALU: {
            const auto result = kind == BPF_ALU ? calculate(operation, a, operand) : load(step, data, memory);
            if (!result)
                return SECCOMP_RET_KILL_PROCESS;
            (kind == BPF_LDX ? x : a) = *result;
            break;
        }
        case BPF_ST:
        case BPF_STX:
            if (step.k >= memory.size())
                return SECCOMP_RET_KILL_PROCESS;
            memory[step.k] = kind == BPF_ST ? a : x;
            break;
        case BPF_JMP:
            at += operation == BPF_JA ? step.k : holds(operation, a, operand) ? step.jt : step.jf;
            break;
        case BPF_RET:
            return BPF_RVAL(step.code) == BPF_A ? a : step.k;
        default: // BPF_MISC
            if (BPF_MISCOP(step.code) == BPF_TAX)
                x = a;
            else
                a = x;
            break;
        }
    }
    return SECCOMP_RET_KILL_PROCESS;
}

bool allows(Program program, const SystemCall& call) {
    const uint32_t action = run(program, call) & SECCOMP_RET_ACTION_FULL;
    return action == SECCOMP_RET_ALLOW || action == SECCOMP_RET_LOG;
}

} // namespace

Activities judge(const void* program) {
    const libc::ErrnoGuard keep_errno; // getauxval() may change it
    // The kernel refuses a filter that cannot be read. One that we may not look at may forbid anything.
    const Activities unreadable = permissions::may(asking_for_pages) ? 0 : ~Activities{0};
    sock_fprog given;
    if (program == nullptr || !user_memory::can_read(program, sizeof given))
        return unreadable;
    std::memcpy(&given, program, sizeof given);
    if (given.len == 0 || given.filter == nullptr ||
        !user_memory::can_read(given.filter, given.len * sizeof(sock_filter)))
        return unreadable;
    Activities forbidden = 0;
    for (const Need& need : needs)
        if (!is_read_from_memory(need.call) && !allows({given.filter, given.len}, need.call))
            forbidden |= need.activities;
    // Without packets, a socket of ours is one that we can do nothing for.
    if ((forbidden & packets) != 0)
        forbidden |= new_sockets | steering;
    return forbidden;
}

} // namespace multihome::system_call_filter
