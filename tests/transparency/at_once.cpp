// SPDX-License-Identifier: MIT
//
// Point 3: two threads or processes use a socket for the first time at once, or change it at once; and a
// vfork child, which shares its parent's memory, uses numbers of its own. Each topic ends with an answer,
// because compare.sh wants to see that the shim is at work.
#include "tests/kernel_calls.hpp"
#include "tests/transparency/probe.hpp"

#include <atomic>
#include <csignal>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <thread>

using namespace probe;

namespace {

bool says(int fd, int level, int name) {
    int value = 0;
    socklen_t length = sizeof value;
    must(getsockopt(fd, level, name, &value, &length) == 0, "getsockopt");
    return value != 0;
}

int make_unseen_server() {
    const int server = kernel::socket();
    const Name any("0.0.0.0", 0);
    must(kernel::call(SYS_bind, server, reinterpret_cast<long>(any.get()), any.length) == 0, "bind");
    return server;
}

// Two workers that were forked before the inherited socket was used.
void workers() {
    constexpr int rounds = 400;
    int wrong = 0;
    void* const shared =
        mmap(nullptr, sizeof(std::atomic<int>), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    must(shared != MAP_FAILED, "mmap");
    auto& ready = *static_cast<std::atomic<int>*>(shared);
    for (int round = 0; round < rounds; ++round) {
        const int server = make_unseen_server();
        ready = 0;
        for (int worker = 0; worker < 2; ++worker) {
            const pid_t child = fork();
            must(child >= 0, "fork");
            if (child == 0) {
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                ++ready;
                while (ready < 2)
                    sched_yield();
                Message message(256);
                (void)recvmsg(server, &message.header, MSG_DONTWAIT);
                _exit(says(server, IPPROTO_IP, IP_PKTINFO) ? 1 : 0);
            }
        }
        for (int status = 0; wait(&status) > 0;)
            wrong += status != 0 ? 1 : 0;
        kernel::close(server);
    }
    std::printf("%d of %d workers found IP_PKTINFO on\n", wrong, 2 * rounds);
}

// One thread receives on a socket that another one is about to bind.
void receive_and_bind() {
    constexpr int rounds = 400;
    int wrong = 0;
    for (int round = 0; round < rounds; ++round) {
        const int server = socket(AF_INET6, SOCK_DGRAM, 0);
        std::atomic<int> phase{0};
        std::thread receiver([&] {
            phase = 1;
            while (phase < 2) {
                Message message(256);
                (void)recvmsg(server, &message.header, MSG_DONTWAIT);
                sched_yield();
            }
        });
        while (phase < 1)
            sched_yield();
        const Name any("::", 0);
        must(bind(server, any.get(), any.length) == 0, "bind");
        phase = 2;
        receiver.join();
        wrong += says(server, IPPROTO_IPV6, IPV6_RECVPKTINFO) ? 1 : 0;
        close(server);
    }
    std::printf("%d of %d sockets have IPV6_RECVPKTINFO on\n", wrong, rounds);
}

// One thread copies the socket, another one sets an option.
void copy_and_set() {
    constexpr int rounds = 2'000;
    const int server = bound("0.0.0.0");
    std::atomic<bool> has_ended{false};
    std::thread copier([&] {
        while (!has_ended)
            close(dup(server));
    });
    int wrong = 0;
    for (int round = 0; round < rounds; ++round) {
        switch_on(server, IPPROTO_IP, IP_PKTINFO, round % 2);
        std::this_thread::yield();
        wrong += says(server, IPPROTO_IP, IP_PKTINFO) != (round % 2 != 0) ? 1 : 0;
    }
    has_ended = true;
    copier.join();
    std::printf("%d of %d times the option was not as it was set\n", wrong, rounds);
}

// One thread sets an option by one descriptor, another one sets another option by a copy.
void set_on_copies() {
    constexpr int rounds = 1'000;
    int wrong = 0;
    for (int round = 0; round < rounds; ++round) {
        const int server = bound("0.0.0.0");
        const int copy = dup(server);
        std::atomic<int> ready{0};
        const auto at_once = [&](int fd, int name, int value) {
            ++ready;
            while (ready < 2)
                sched_yield();
            switch_on(fd, IPPROTO_IP, name, value);
        };
        std::thread other{[&] { at_once(copy, IP_UNICAST_IF, 0); }};
        at_once(server, IP_PKTINFO, 1);
        other.join();
        wrong += says(copy, IPPROTO_IP, IP_PKTINFO) ? 0 : 1;
        close(server);
        close(copy);
    }
    std::printf("%d of %d times the option was not on\n", wrong, rounds);
}

// Chooses a source for all that the socket sends.
void choose(int fd, const char* text) {
    in6_pktinfo source{};
    must(inet_pton(AF_INET6, text, &source.ipi6_addr) == 1, "inet_pton");
    must(setsockopt(fd, IPPROTO_IPV6, IPV6_PKTINFO, &source, sizeof source) == 0, "IPV6_PKTINFO");
}

// One thread copies the socket, another one chooses a source, and takes that back.
void copy_and_choose() {
    constexpr int rounds = 4'000;
    int wrong = 0;
    for (int round = 0; round < rounds; ++round) {
        const int server = bound("::");
        std::atomic<int> ready{0};
        const auto wait_for_both = [&] {
            ++ready;
            while (ready < 2)
                sched_yield();
        };
        int copy = -1;
        std::thread copier([&] {
            wait_for_both();
            copy = dup(server);
        });
        wait_for_both();
        choose(server, "::1");
        copier.join();
        choose(server, "::");
        Message message(256);
        (void)recvmsg(copy, &message.header, MSG_DONTWAIT);
        wrong += says(copy, IPPROTO_IPV6, IPV6_RECVPKTINFO) ? 1 : 0;
        close(server);
        close(copy);
    }
    std::printf("%d of %d copies have IPV6_RECVPKTINFO on\n", wrong, rounds);
}

// One thread receives, another one chooses a source.
void receive_and_choose() {
    constexpr int rounds = 2'000;
    int wrong = 0;
    const int client = bound("::1");
    for (int round = 0; round < rounds; ++round) {
        const int server = bound("::");
        const Name to("::1", name_of(server).port());
        for (int number = 0; number < 60; ++number)
            must(sendto(client, "x", 1, 0, to.get(), to.length) == 1, "sendto");
        std::atomic<bool> is_receiving{false};
        std::thread receiver([&] {
            char data;
            Name peer;
            while (recvfrom(server, &data, 1, MSG_DONTWAIT, peer.get(), &peer.length) == 1)
                is_receiving = true;
        });
        while (!is_receiving)
            sched_yield();
        choose(server, "::1");
        receiver.join();
        wrong += says(server, IPPROTO_IPV6, IPV6_RECVPKTINFO) ? 1 : 0;
        close(server);
    }
    std::printf("%d of %d sockets have IPV6_RECVPKTINFO on\n", wrong, rounds);
}

// NOLINTBEGIN(clang-analyzer-security.insecureAPI.vfork, clang-analyzer-unix.Vfork): what is tested

// The child's socket has the number of its parent's server.
void vfork_and_connect() {
    const int server = bound("::");
    const Name discard("127.0.0.1", htons(9));
    const pid_t child = vfork();
    if (child == 0) {
        close(server);
        const int own = socket(AF_INET, SOCK_DGRAM, 0);
        _exit(own == server && connect(own, discard.get(), discard.length) == 0 ? 0 : 1);
    }
    int status = -1;
    waitpid(child, &status, 0);
    std::printf("the child ended with %d\n", status);
    echo(server, server, asked_address, client_address);
}

// The child puts another server of its parent's there, and sets an option of that one.
void vfork_and_set() {
    const int server = bound("0.0.0.0");
    const int other = bound("0.0.0.0");
    const pid_t child = vfork();
    if (child == 0) {
        constexpr int on = 1;
        _exit(dup2(other, server) == server && setsockopt(server, IPPROTO_IP, IP_PKTINFO, &on, sizeof on) == 0
                  ? 0
                  : 1);
    }
    int status = -1;
    waitpid(child, &status, 0);
    std::printf("the child ended with %d\n", status);
    Client client;
    client.ask(server);
    Message message(256);
    message.show(server);
    message.answer(server);
    client.print_answer();
}

// NOLINTEND(clang-analyzer-security.insecureAPI.vfork, clang-analyzer-unix.Vfork)

void and_answer(void (*topic)()) {
    topic();
    const int server = bound("0.0.0.0");
    echo(server, server, asked_address, client_address);
}

} // namespace

int main(int, char** arguments) {
    return run_topic(arguments[1], {{"workers_at_once", [] { and_answer(workers); }},
                                    {"receive_and_bind", [] { and_answer(receive_and_bind); }},
                                    {"copy_and_set", [] { and_answer(copy_and_set); }},
                                    {"set_on_copies", [] { and_answer(set_on_copies); }},
                                    {"copy_and_choose", [] { and_answer(copy_and_choose); }},
                                    {"receive_and_choose", [] { and_answer(receive_and_choose); }},
                                    {"vfork_and_connect", vfork_and_connect},
                                    {"vfork_and_set", vfork_and_set}});
}
