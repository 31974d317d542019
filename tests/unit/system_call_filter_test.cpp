// SPDX-License-Identifier: MIT
#include "shim/sockets/system_call_filter.hpp"

#include <cstddef>
#include <cstdint>
#include <doctest/doctest.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>
#include <vector>

namespace multihome::system_call_filter_test {

namespace {

using Program = std::vector<sock_filter>;

constexpr sock_filter load(uint32_t value) {
    return BPF_STMT(BPF_LD | BPF_IMM, value);
}
constexpr sock_filter load_index(uint32_t value) {
    return BPF_STMT(BPF_LDX | BPF_IMM, value);
}
constexpr sock_filter end(uint32_t action) {
    return BPF_STMT(BPF_RET | BPF_K, action);
}

// A calculation, and what it leaves in the accumulator.
struct Calculation {
    Program program;
    uint32_t result;
};

Activities judge(Program program) {
    const sock_fprog given{static_cast<unsigned short>(program.size()), program.data()};
    return system_call_filter::judge(&given);
}

// A filter that allows everything where the result is as it should be, and else nothing.
Activities judge(const Calculation& calculation) {
    Program program = calculation.program;
    program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, calculation.result, 1, 0));
    program.push_back(end(SECCOMP_RET_KILL_PROCESS));
    program.push_back(end(SECCOMP_RET_ALLOW));
    return judge(program);
}

// 12 and 5, calculated with. The operand is in the instruction or in the index register.
Calculation calculate(uint16_t operation, uint32_t result, bool from_index) {
    if (!from_index)
        return {{load(12), BPF_STMT(static_cast<uint16_t>(BPF_ALU | operation), 5)}, result};
    return {{load(12), load_index(5), BPF_STMT(static_cast<uint16_t>(BPF_ALU | operation | BPF_X), 0)},
            result};
}

// 5, and 0 where it does not pass the comparison.
Calculation compare(uint16_t operation, uint32_t operand, bool passes) {
    return {{load(5), BPF_JUMP(static_cast<uint16_t>(BPF_JMP | operation), operand, 1, 0), load(0)},
            passes ? 5U : 0U};
}

} // namespace

TEST_SUITE_BEGIN("system_call_filter");

TEST_CASE("a filter is run as the kernel runs it") {
    std::vector<Calculation> calculations{
        {{BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0)}, sizeof(seccomp_data)},
        // Memory, and from one register to the other.
        {{load(7), BPF_STMT(BPF_ST, 15), load(0), BPF_STMT(BPF_LD | BPF_MEM, 15)}, 7},
        {{load_index(7), BPF_STMT(BPF_STX, 0), BPF_STMT(BPF_LD | BPF_MEM, 0)}, 7},
        {{load(7), BPF_STMT(BPF_MISC | BPF_TAX, 0), load(0), BPF_STMT(BPF_MISC | BPF_TXA, 0)}, 7},
        {{load(5), BPF_JUMP(BPF_JMP | BPF_JA, 1, 0, 0), load(0)}, 5},
        {{load(5), load_index(5), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_X, 0, 1, 0), load(0)}, 5},
        compare(BPF_JEQ, 4, false),
        compare(BPF_JGT, 4, true),
        compare(BPF_JGT, 5, false),
        compare(BPF_JGE, 5, true),
        compare(BPF_JGE, 6, false),
        compare(BPF_JSET, 6, true),
        compare(BPF_JSET, 2, false),
    };
    for (const bool from_index : {false, true})
        for (const auto& [operation, result] : {std::pair<int, uint32_t>{BPF_ADD, 17},
                                                {BPF_SUB, 7},
                                                {BPF_MUL, 60},
                                                {BPF_DIV, 2},
                                                {BPF_OR, 13},
                                                {BPF_AND, 4},
                                                {BPF_XOR, 9},
                                                {BPF_LSH, 384},
                                                {BPF_RSH, 0},
                                                {BPF_NEG, uint32_t(-12)}})
            calculations.push_back(calculate(static_cast<uint16_t>(operation), result, from_index));
    for (size_t index = 0; index < calculations.size(); ++index) {
        CAPTURE(index);
        CHECK(judge(calculations[index]) == 0);
        ++calculations[index].result;
        CHECK((judge(calculations[index]) & Activity::packets) != 0);
    }
}

TEST_CASE("the action may be in the accumulator, and one that only tells the log allows") {
    CHECK(judge(Program{load(SECCOMP_RET_ALLOW), BPF_STMT(BPF_RET | BPF_A, 0)}) == 0);
    CHECK(judge(Program{end(SECCOMP_RET_LOG)}) == 0);
    for (const uint32_t action :
         {SECCOMP_RET_ERRNO, SECCOMP_RET_TRAP, SECCOMP_RET_TRACE, SECCOMP_RET_USER_NOTIF})
        CHECK((judge(Program{end(action)}) & Activity::packets) != 0);
}

TEST_CASE("what the kernel refuses allows nothing") {
    for (const sock_filter& step :
         Program{BPF_STMT(BPF_ALU | BPF_DIV, 0), BPF_STMT(BPF_ALU | BPF_MOD, 1), BPF_STMT(BPF_ALU | 0xf0, 1),
                 BPF_STMT(BPF_LD | BPF_MEM, 16), BPF_STMT(BPF_ST, 16),
                 BPF_STMT(BPF_LD | BPF_W | BPF_ABS, sizeof(seccomp_data) - 3)})
        CHECK((judge(Program{step, end(SECCOMP_RET_ALLOW)}) & Activity::packets) != 0);
    CHECK((judge(Program{load(0)}) & Activity::packets) != 0);
}

TEST_CASE("a filter that wants O_NOFOLLOW, or forbids it, bars the log file") {
    constexpr auto flags_at = uint32_t{offsetof(seccomp_data, args) + 2 * sizeof(uint64_t)};
    for (const bool wanted : {true, false}) {
        CAPTURE(wanted);
        const uint32_t with_flag = wanted ? SECCOMP_RET_ALLOW : SECCOMP_RET_KILL_PROCESS;
        const uint32_t without = wanted ? SECCOMP_RET_KILL_PROCESS : SECCOMP_RET_ALLOW;
        CHECK(judge(Program{BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
                            BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat, 1, 0), end(SECCOMP_RET_ALLOW),
                            BPF_STMT(BPF_LD | BPF_W | BPF_ABS, flags_at),
                            BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, O_NOFOLLOW, 0, 1), end(with_flag),
                            end(without)}) == Activity::log_to_file);
    }
}

TEST_CASE("what is no filter forbids nothing") {
    CHECK(system_call_filter::judge(nullptr) == 0);
    const auto* const nowhere = reinterpret_cast<sock_filter*>(8); // NOLINT(performance-no-int-to-ptr)
    CHECK(system_call_filter::judge(nowhere) == 0);
    sock_filter allow = end(SECCOMP_RET_ALLOW);
    for (const sock_fprog& program :
         {sock_fprog{0, &allow}, sock_fprog{1, nullptr}, sock_fprog{1, const_cast<sock_filter*>(nowhere)}})
        CHECK(system_call_filter::judge(&program) == 0);
}

TEST_SUITE_END();

} // namespace multihome::system_call_filter_test
