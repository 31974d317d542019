// SPDX-License-Identifier: MIT
//
// System-call filters, and what a server does that has one which the shim's calls do not pass.
#pragma once

#include "tests/transparency/probe.hpp"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

namespace probe {

// A filter that the process may install from now on.
inline sock_fprog ready_filter(std::vector<sock_filter>& program) {
    must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "PR_SET_NO_NEW_PRIVS");
    return {static_cast<unsigned short>(program.size()), program.data()};
}

inline void install(std::vector<sock_filter>& program, bool by_number) {
    sock_fprog filter = ready_filter(program);
    const long result = by_number ? syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter)
                                  : prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter);
    if (result != 0 && errno == EINVAL)
        skip("this kernel has no system-call filters");
    must(result == 0, "the filter");
}

// A filter that lets everything pass but these.
inline std::vector<sock_filter> all_but(const std::vector<int>& numbers, uint32_t action) {
    std::vector<sock_filter> program;
    program.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)));
    for (const int number : numbers) {
        program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(number), 0, 1));
        program.push_back(BPF_STMT(BPF_RET | BPF_K, action));
    }
    program.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
    return program;
}

inline void refuse(const std::vector<int>& numbers, uint32_t action, bool by_number) {
    std::vector<sock_filter> program = all_but(numbers, action);
    install(program, by_number);
}

// One that lets everything pass but a system call whose second argument, and the third where it is given, is
// this.
inline std::vector<sock_filter> all_but_option(int number, const std::vector<int>& arguments,
                                               uint32_t action) {
    auto rest = static_cast<uint8_t>(2 * arguments.size() + 1);
    std::vector<sock_filter> program{
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(number), 0, rest)};
    uint32_t at = offsetof(seccomp_data, args[1]);
    for (const int argument : arguments) {
        rest = static_cast<uint8_t>(rest - 2);
        program.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, at));
        program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(argument), 0, rest));
        at += sizeof(uint64_t);
    }
    program.push_back(BPF_STMT(BPF_RET | BPF_K, action));
    program.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
    return program;
}

// For getsockopt() at this level alone.
inline void refuse_options(int level) {
    auto program = all_but_option(SYS_getsockopt, {level}, SECCOMP_RET_KILL_PROCESS);
    install(program, false);
}

// The answer leaves from where the routing table says.
inline void answer_by_route(int server, Client& client) {
    say_answered(server, say_heard(server));
    std::printf("answered from %s\n", client.hear().c_str());
}

// The answers leave from where the routing table says, each time; and the program lives.
inline void serve(int server) {
    for (int time = 0; time < 3; ++time) {
        Client client;
        client.ask(server);
        answer_by_route(server, client);
    }
    say_packet_information(server);
}

} // namespace probe
