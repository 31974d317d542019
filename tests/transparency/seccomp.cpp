// SPDX-License-Identifier: MIT
//
// Point 4: programs that lock themselves into a system-call filter, as daemons do after they have started.
#include "tests/transparency/probe.hpp"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <string_view>
#include <sys/prctl.h>
#include <sys/syscall.h>

using namespace probe;

namespace {

// A filter that lets everything pass but these.
void refuse(const std::vector<int>& numbers, uint32_t action, bool by_number) {
    std::vector<sock_filter> program;
    program.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)));
    for (const int number : numbers) {
        program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(number), 0, 1));
        program.push_back(BPF_STMT(BPF_RET | BPF_K, action));
    }
    program.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
    sock_fprog filter{static_cast<unsigned short>(program.size()), program.data()};
    must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "PR_SET_NO_NEW_PRIVS");
    const long result = by_number ? syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter)
                                  : prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter);
    if (result != 0 && errno == EINVAL)
        skip("this kernel has no system-call filters");
    must(result == 0, "the filter");
}

// The answers leave from where the routing table says, both times; and the program lives.
void serve(int server) {
    for (int time = 0; time < 3; ++time) {
        Client client;
        client.ask(server);
        char data[64];
        Name peer;
        say("recvfrom", recvfrom(server, data, sizeof data, 0, peer.get(), &peer.length));
        say("sendto", sendto(server, data, 1, 0, peer.get(), peer.length));
        std::printf("answered from %s\n", client.hear().c_str());
    }
    int value = -1;
    socklen_t length = sizeof value;
    say("IP_PKTINFO", getsockopt(server, IPPROTO_IP, IP_PKTINFO, &value, &length));
    std::printf("is %d\n", value);
}

} // namespace

int main(int, char** arguments) {
    const std::string_view topic = arguments[1];
    const std::vector<int> messages{SYS_recvmsg, SYS_sendmsg, SYS_recvmmsg, SYS_sendmmsg};
    if (topic == "killed" || topic == "killed_by_number" || topic == "refused") {
        const int server = bound("0.0.0.0");
        refuse(messages, topic == "refused" ? SECCOMP_RET_ERRNO | EPERM : SECCOMP_RET_KILL_PROCESS,
               topic == "killed_by_number");
        serve(server);
        serve(bound("0.0.0.0"));
    } else if (topic == "killed_after_answers") {
        const int server = bound("0.0.0.0");
        echo(server);
        refuse(messages, SECCOMP_RET_KILL_PROCESS, false);
        serve(server);
    } else if (topic == "no_sending") {
        // A program that only listens.
        const int server = bound("0.0.0.0");
        Client client;
        client.ask(server);
        refuse({SYS_sendmsg, SYS_sendmmsg}, SECCOMP_RET_KILL_PROCESS, true);
        char data[64];
        Name peer;
        say("recvfrom", recvfrom(server, data, sizeof data, 0, peer.get(), &peer.length));
        say("sendto", sendto(server, data, 1, 0, peer.get(), peer.length));
        std::printf("answered from %s\n", client.hear().c_str());
    } else if (topic == "allowed") {
        // Filters that have nothing against the shim, several of them.
        const int server = bound("0.0.0.0");
        refuse({SYS_ptrace, SYS_mount}, SECCOMP_RET_KILL_PROCESS, false);
        echo(server);
        refuse({SYS_openat, SYS_execve, SYS_madvise, SYS_clone}, SECCOMP_RET_KILL_PROCESS, true);
        echo(server);
        echo(server);
    } else if (topic == "old_kernel") {
        // The options that the shim needs do not exist.
        std::vector<sock_filter> program{
            BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
            BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_setsockopt, 0, 5),
            BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args[1])),
            BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_IP, 0, 3),
            BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args[2])),
            BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IP_PKTINFO, 0, 1),
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOPROTOOPT),
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        };
        sock_fprog filter{static_cast<unsigned short>(program.size()), program.data()};
        must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "PR_SET_NO_NEW_PRIVS");
        if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0)
            skip("this kernel has no system-call filters");
        serve(bound("0.0.0.0"));
    } else {
        return 2;
    }
    return 0;
}
