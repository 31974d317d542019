// SPDX-License-Identifier: MIT
//
// Point 4: signal handlers on a small alternate stack, while the main loop is inside the same call.
#include "tests/transparency/probe.hpp"

#include <atomic>
#include <pthread.h>
#include <sched.h>
#include <string_view>
#include <sys/auxv.h>
#include <sys/mman.h>

using namespace probe;

namespace {

// The handler's own server, and the calls that it makes.
int handled_server;
int first_call;
int first_unknown; // a descriptor that nothing was done with before
std::atomic<int> handled{0};
std::atomic<int> handled_errors{0};
std::atomic<bool> is_handling{false};
std::atomic<int> allocations{0}; // in the handler

// Receives what there is, by each of the calls in turn, and answers it: all of it async-signal-safe.
void handle(int) {
    const int errno_before = errno;
    Name peer;
    char data[64];
    for (int call = first_call; call < receive_calls; ++call) {
        iovec part{data, sizeof data};
        mmsghdr messages[2]{{header_for(peer, part), 0}, {header_for(peer, part), 0}};
        peer.length = sizeof peer.storage;
        const long received =
            call == 0   ? recvfrom(handled_server, data, sizeof data, MSG_DONTWAIT, peer.get(), &peer.length)
            : call == 1 ? recvmsg(handled_server, &messages[0].msg_hdr, MSG_DONTWAIT)
                        : recvmmsg(handled_server, messages, 2, MSG_DONTWAIT, nullptr);
        if (received < 0) {
            if (errno != EAGAIN)
                ++handled_errors;
            continue;
        }
        msghdr& answer = messages[0].msg_hdr;
        if (call == 0)
            answer.msg_namelen = peer.length;
        part.iov_len = 6;
        answer.msg_flags = 0;
        for (long number = 0; number < (call == 2 ? received : 1); ++number)
            if (sendmsg(handled_server, &answer, 0) == 6)
                ++handled;
    }
    if (first_unknown >= 0) {
        Name name;
        // On a socket and a file that the shim has not seen.
        recvfrom(first_unknown, data, sizeof data, MSG_DONTWAIT, name.get(), &name.length);
        sendto(STDIN_FILENO, data, 1, 0, nullptr, 0);
        int value = 0;
        socklen_t length = sizeof value;
        getsockopt(first_unknown, IPPROTO_IP, IP_PKTINFO, &value, &length);
    }
    errno = errno_before;
}

// Receives all that there is, by recvfrom(), and answers nobody.
void drain(int) {
    Name peer;
    char data[1400];
    while (recvfrom(handled_server, data, sizeof data, MSG_DONTWAIT, peer.get(), &peer.length) >= 0)
        ++handled;
}

// Receives one datagram in each of the ways for which the shim needs much memory.
void receive_much(int) {
    is_handling = true;
    static Message message(1024);
    message.prepare(1024);
    if (recvmsg(handled_server, &message.header, MSG_DONTWAIT) >= 0)
        ++handled;
    static mmsghdr messages[64];
    static char data;
    static iovec part{&data, 1};
    for (mmsghdr& one : messages) {
        one.msg_hdr = {};
        one.msg_hdr.msg_iov = &part;
        one.msg_hdr.msg_iovlen = 1;
    }
    handled += recvmmsg(handled_server, messages, 64, MSG_DONTWAIT, nullptr);
    is_handling = false;
}

// Makes more thread-specific keys than have a place in the thread itself. For the values of others glibc
// allocates.
void make_keys() {
    for (int number = 0; number < 40; ++number) {
        pthread_key_t key{};
        must(pthread_key_create(&key, nullptr) == 0, "pthread_key_create");
    }
}

// The loader calls this before the constructor of any library.
void before_everything(int count, char** arguments, char**) {
    if (count > 1 && std::strcmp(arguments[1], "many_early_keys") == 0)
        make_keys();
}
__attribute__((section(".preinit_array"), used)) void (*const preinit)(int, char**,
                                                                       char**) = before_everything;

// The handler, on an alternate stack with a page below it that must not be touched.
void prepare_handler(void (*handler)(int)) {
    constexpr size_t stack_size = 8192;
    if (getauxval(AT_MINSIGSTKSZ) + 2048 > stack_size)
        skip("this processor's registers alone fill a signal stack of 8 KiB");
    auto* memory = static_cast<char*>(
        mmap(nullptr, stack_size + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    must(memory != MAP_FAILED && mprotect(memory, 4096, PROT_NONE) == 0, "the stack");
    stack_t stack{};
    stack.ss_sp = memory + 4096;
    stack.ss_size = stack_size;
    must(sigaltstack(&stack, nullptr) == 0, "sigaltstack");
    struct sigaction action {};
    action.sa_handler = handler;
    action.sa_flags = SA_ONSTACK | SA_RESTART;
    must(sigaction(SIGUSR1, &action, nullptr) == 0, "sigaction");
}

struct Signaller {
    pthread_t target;
    std::atomic<bool> stop{false};
};

void* send_signals(void* argument) {
    auto* signaller = static_cast<Signaller*>(argument);
    while (!signaller->stop) {
        pthread_kill(signaller->target, SIGUSR1);
        usleep(50);
    }
    return nullptr;
}

// On one processor: then it is in the middle of its instructions that a thread is interrupted, where it is
// mostly in its system calls otherwise.
void stay_on_one_processor() {
    cpu_set_t allowed;
    must(sched_getaffinity(0, sizeof allowed, &allowed) == 0, "sched_getaffinity");
    int first = 0;
    while (!CPU_ISSET(first, &allowed))
        ++first;
    CPU_ZERO(&allowed);
    CPU_SET(first, &allowed);
    must(sched_setaffinity(0, sizeof allowed, &allowed) == 0, "sched_setaffinity");
}

// The main loop answers thousands of questions by the given call, while handlers interrupt it and answer
// others.
void interrupted(int call) {
    constexpr int questions = 10'000;
    stay_on_one_processor();
    const int server = bound("0.0.0.0");
    handled_server = bound("0.0.0.0");
    prepare_handler(handle);
    echo(server);
    echo(handled_server);
    Signaller signaller;
    signaller.target = pthread_self();
    pthread_t thread{};
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &set, nullptr);
    must(pthread_create(&thread, nullptr, send_signals, &signaller) == 0, "pthread_create");
    pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
    Client client;
    Client handled_client;
    int right = 0;
    int wrong = 0;
    int handled_right = 0;
    int handled_wrong = 0;
    const auto count_handled = [&] {
        while (readable(handled_client.fd(), 0))
            (handled_client.hear() == asked_address ? handled_right : handled_wrong) += 1;
    };
    for (int number = 0; number < questions; ++number) {
        const Name to(asked_address, name_of(handled_server).port());
        sendto(handled_client.fd(), "x", 1, 0, to.get(), to.length);
        // No more than its queue holds.
        while (handled < number - 100)
            raise(SIGUSR1);
        const char* asked = number % 2 == 0 ? asked_address : other_address;
        client.ask(server, asked);
        Name peer;
        must(receive_by(call, server, peer) >= 0, receive_call_name(call));
        must(sendto(server, "answer", 6, 0, peer.get(), peer.length) == 6, "sendto");
        (client.hear() == asked ? right : wrong) += 1;
        count_handled();
    }
    signaller.stop = true;
    pthread_join(thread, nullptr);
    // What is left; on loopback it has all arrived.
    while (readable(handled_server, 0))
        raise(SIGUSR1);
    count_handled();
    std::printf("questions: %d, errors in the handler: %d, answered there: %d, heard: %d\n", right + wrong,
                handled_errors.load(), handled.load(), handled_right + handled_wrong);
    // One line for all of them.
    std::printf("answer asked=%s from=%s\n", asked_address, wrong == 0 ? asked_address : "another");
    std::printf("answer asked=%s from=%s\n", asked_address, handled_wrong == 0 ? asked_address : "another");
}

// The very first calls of the process are made in the handler.
void first_use() {
    handled_server = bound("0.0.0.0");
    int pair[2];
    must(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) == 0, "socketpair");
    first_unknown = pair[0];
    prepare_handler(handle);
    for (first_call = 0; first_call < receive_calls; ++first_call) {
        Client client;
        client.ask(handled_server);
        raise(SIGUSR1);
        client.print_answer();
    }
    std::printf("answered: %d, errors: %d\n", handled.load(), handled_errors.load());
}

// More strangers ask than the table of clients can hold.
void crowded() {
    handled_server = bound("0.0.0.0");
    prepare_handler(drain);
    const Name to(asked_address, name_of(handled_server).port());
    for (int number = 0; number < 2000; ++number) {
        const int stranger = bound(client_address);
        must(sendto(stranger, "x", 1, 0, to.get(), to.length) == 1, "sendto");
        raise(SIGUSR1);
        close(stranger);
    }
    std::printf("received: %d\n", handled.load());
    echo(handled_server);
}

// Receiving is async-signal-safe, and allocating is not.
void many_keys() {
    make_keys();
    handled_server = bound("0.0.0.0");
    echo(handled_server);
    prepare_handler(receive_much);
    for (int round = 0; round < 2; ++round) {
        Client client;
        client.ask(handled_server);
        client.ask(handled_server);
        raise(SIGUSR1);
    }
    std::printf("received: %d, allocations in the handler: %d\n", handled.load(), allocations.load());
    echo(handled_server);
}

} // namespace

// The program's own, in front of libc's.
// NOLINTNEXTLINE(bugprone-reserved-identifier): libc's name
extern "C" void* __libc_calloc(size_t count, size_t size);
extern "C" void* calloc(size_t count, size_t size) {
    if (is_handling)
        ++allocations;
    return __libc_calloc(count, size);
}

int main(int, char** arguments) {
    const std::string_view topic = arguments[1];
    first_unknown = -1;
    if (topic == "first_use")
        first_use();
    else if (topic == "crowded")
        crowded();
    else if (topic == "many_keys" || topic == "many_early_keys")
        many_keys();
    else
        for (int call = 0; call < receive_calls; ++call)
            if (topic == receive_call_name(call))
                interrupted(call);
    return 0;
}
