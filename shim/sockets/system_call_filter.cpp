// SPDX-License-Identifier: MIT
#include "shim/sockets/system_call_filter.hpp"

#include "shim/base/log.hpp"
#include "shim/base/user_memory.hpp"
#include "shim/sockets/sockets.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>

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

// What libc calls for mmap() and fstat(): 32-bit kernels have older calls of these names.
#if defined(SYS_mmap2)
constexpr long number_of_mmap = SYS_mmap2;
#else
constexpr long number_of_mmap = SYS_mmap;
#endif
#if defined(SYS_fstatat64)
constexpr long number_of_fstatat = SYS_fstatat64;
#else
constexpr long number_of_fstatat = SYS_newfstatat;
#endif

// What sockets that are ours go on making: the packet path, the check for bad pointers (user_memory), that
// for vfork children (sockets), memory for large batches (scratch).
constexpr long for_packets[] = {SYS_recvmsg, SYS_sendmsg,    SYS_getpid, SYS_rt_sigprocmask,
                                SYS_futex,   number_of_mmap, SYS_munmap};
// What a line of the log takes.
constexpr long for_lines[] = {SYS_write, SYS_openat, SYS_close, number_of_fstatat, SYS_getpid};
// What looking at a new socket takes beside those.
constexpr long for_new_sockets[] = {SYS_getsockopt, SYS_setsockopt, SYS_getsockname};

// Classic BPF as seccomp uses it (Documentation/userspace-api/seccomp_filter.rst): 32-bit words of
// seccomp_data, an accumulator, an index register, 16 words of memory, jumps forward only.
class Filter {
public:
    Filter(const sock_filter* instructions, size_t count) : instructions_(instructions), count_(count) {}

    // The action for a call with all arguments 0, which stands for all of them. The kernel has the last word
    // on whether the program is valid; what it would refuse counts as "not allowed" here, and nothing comes
    // of it.
    uint32_t run(long number) const {
        seccomp_data data{};
        data.nr = static_cast<int>(number);
        data.arch = this_architecture;
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

bool allows(const Filter& filter, long number) {
    const uint32_t action = filter.run(number) & SECCOMP_RET_ACTION_FULL;
    return action == SECCOMP_RET_ALLOW || action == SECCOMP_RET_LOG;
}

} // namespace

Judgement judge(const void* program) {
    sock_fprog filter_program;
    if (program == nullptr || !user_memory::can_read(program, sizeof filter_program))
        return {}; // the kernel refuses it
    std::memcpy(&filter_program, program, sizeof filter_program);
    if (filter_program.len == 0 || filter_program.filter == nullptr ||
        !user_memory::can_read(filter_program.filter, filter_program.len * sizeof(sock_filter)))
        return {};
    const Filter filter(filter_program.filter, filter_program.len);
    const auto allows_all = [&](const auto& numbers) {
        return std::all_of(std::begin(numbers), std::end(numbers),
                           [&](long number) { return allows(filter, number); });
    };
    Judgement judgement;
    judgement.may_log = allows_all(for_lines);
    if (!allows_all(for_packets))
        judgement.verdict = Verdict::stay_out;
    else if (!allows_all(for_new_sockets))
        judgement.verdict = Verdict::no_new_sockets;
    return judgement;
}

void enforce(const Judgement& judgement) {
    if (judgement.verdict != Verdict::harmless)
        sockets::take_over_no_more();
    if (judgement.verdict == Verdict::stay_out)
        sockets::leave_all_alone();
    if (!judgement.may_log)
        log::silence();
}

} // namespace multihome::system_call_filter
