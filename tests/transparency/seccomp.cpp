// SPDX-License-Identifier: MIT
//
// Point 4: programs that lock themselves into a system-call filter, as daemons do after they have started.
#include "tests/kernel_calls.hpp"
#include "tests/transparency/filters.hpp"
#include "tests/transparency/unseen.hpp"

#include <new>
#include <string_view>
#include <sys/mman.h>

using namespace probe;

namespace {

// All that the shim receives and sends with.
void refuse_messages(uint32_t action, bool by_number) {
    refuse({SYS_recvmsg, SYS_sendmsg, SYS_recvmmsg, SYS_sendmmsg}, action, by_number);
}

void refused(uint32_t action, bool by_number) {
    const int server = bound("0.0.0.0");
    refuse_messages(action, by_number);
    serve(server);
    serve(bound("0.0.0.0"));
}

// Filters that were there before the shim, which does not see them. (Where it calls recvmsg() in vain, errno
// does not stay as it was.)
void refused_unseen() {
    for (const int error : {EPERM, ENOSYS}) {
        const int server = bound("0.0.0.0");
        std::vector<sock_filter> program =
            all_but({SYS_recvmsg}, SECCOMP_RET_ERRNO | static_cast<uint32_t>(error));
        const sock_fprog filter = ready_filter(program);
        must(kernel::call(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, reinterpret_cast<long>(&filter)) == 0,
             "the filter");
        Client client;
        client.ask(server);
        char data[16];
        Name peer;
        say("recvfrom", recvfrom(server, data, sizeof data, 0, peer.get(), &peer.length));
        say_answered(server, peer);
        std::printf("answered from %s\n", client.hear().c_str());
    }
}

void killed_after_answers() {
    const int server = bound("0.0.0.0");
    echo(server);
    refuse_messages(SECCOMP_RET_KILL_PROCESS, false);
    serve(server);
}

// A program that only listens.
void no_sending() {
    const int server = bound("0.0.0.0");
    Client client;
    client.ask(server);
    refuse({SYS_sendmsg, SYS_sendmmsg}, SECCOMP_RET_KILL_PROCESS, true);
    answer_by_route(server, client);
}

void options_of_sockets() {
    echo(bound("0.0.0.0"));
    refuse_options(SOL_SOCKET);
    serve(bound("0.0.0.0"));
}

// What the shim would like to know of a socket that it did not see being made. The program itself never asks
// for it.
void unseen_socket() {
    auto* unseen_socket = unseen<int(int, int, int)>("socket");
    auto program = all_but_option(SYS_getsockopt, {SOL_SOCKET, SO_MARK}, SECCOMP_RET_KILL_PROCESS);
    install(program, false);
    const int server = unseen_socket(AF_INET, SOCK_DGRAM, 0);
    const Name any("0.0.0.0", 0);
    must(bind(server, any.get(), any.length) == 0, "bind");
    echo(server);
}

void copies() {
    const int server = bound("0.0.0.0");
    echo(server);
    must(dup(server) >= 0, "dup");
    const Client client;
    const Name to = name_of(client.fd());
    refuse({SYS_getsockopt}, SECCOMP_RET_KILL_PROCESS, false);
    say("connect", connect(server, to.get(), to.length));
}

// A client asks; then the address that it asked is gone, and the filter forbids to find out why the answer
// fails.
void refused_source() {
    own_namespace();
    const int server = bound("::");
    Client client("fd00::4");
    client.ask(server, "fd00::2");
    Name peer = say_heard(server);
    remove_address("fd00::2");
    refuse({SYS_ioctl, SYS_getsockopt}, SECCOMP_RET_KILL_PROCESS, false);
    for (int time = 0; time < 2; ++time) {
        say_answered(server, peer);
        std::printf("answered from %s\n", client.hear().c_str());
    }
    char data[] = "x";
    iovec part{data, 1};
    mmsghdr batch[2]{};
    for (mmsghdr& message : batch)
        message.msg_hdr = header_for(peer, part);
    say("sendmmsg", sendmmsg(server, batch, 2, 0));
}

// The number of a server stands for another socket, which the shim could not see: it may not look.
void another_socket() {
    auto* unseen_dup2 = unseen<int(int, int)>("dup2");
    const int server = bound("0.0.0.0");
    echo(server);
    const int other = bound("127.0.0.9");
    refuse_options(SOL_SOCKET);
    must(unseen_dup2(other, server) == server, "dup2");
    Client client;
    client.ask(server, "127.0.0.9");
    answer_by_route(server, client);
}

// A socket with routes of its own may be bound to a device, and the filter does not let anybody ask.
void device() {
    own_namespace();
    const int server = bound_at_own_port("0.0.0.0");
    switch_on(server, SOL_SOCKET, SO_MARK, 0);
    Client client;
    client.ask(server);
    auto program = all_but_option(SYS_getsockopt, {SOL_SOCKET, SO_BINDTOIFINDEX}, SECCOMP_RET_KILL_PROCESS);
    install(program, false);
    const Name peer = say_heard(server);
    say_call("connect", [&] { return connect(server, peer.get(), peer.length); });
    say("send", send(server, "answer", 6, 0));
    std::printf("answered from %s\n", client.hear().c_str());
}

// The number of a server stands for a TCP connection, which the shim could not see, and whose options are its
// own. The connection has SO_OOBINLINE from its listener.
void connection() {
    const Listener listener;
    const int server = bound("0.0.0.0");
    must(std::fclose(fdopen(server, "r")) == 0, "fclose");
    const int accepted = listener.accept_caller();
    say("the same number", accepted == server);
    refuse({SYS_recvmsg}, SECCOMP_RET_KILL_PROCESS, false);
    must(send(listener.caller(), "!", 1, MSG_OOB) == 1 && readable(accepted), "send");
    char byte = 0;
    say("an urgent byte", recv(accepted, &byte, 1, MSG_DONTWAIT));
}

// Something on a page that nobody has looked at.
template <typename Type>
Type& on_new_page() {
    void* page = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    must(page != MAP_FAILED, "mmap");
    return *new (page) Type;
}

// The filter forbids what the shim asks the kernel of pointers with.
void new_pages(std::string_view what) {
    auto& name = on_new_page<Name>();
    name = Name("127.0.0.1", htons(9));
    auto& message = on_new_page<msghdr>();
    auto& second = on_new_page<sock_fprog>();
    std::vector<sock_filter> program = all_but({SYS_ptrace, SYS_recvmsg}, SECCOMP_RET_KILL_PROCESS);
    second = ready_filter(program);
    char text[] = "text";
    iovec part{text, sizeof text};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    int pair[2];
    must(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) == 0, "socketpair");
    refuse({SYS_rt_sigprocmask, SYS_futex}, SECCOMP_RET_KILL_PROCESS, false);
    if (what == "connect")
        say("connect", connect(socket(AF_INET, SOCK_STREAM, 0), name.get(), name.length));
    else if (what == "sendmsg")
        say("sendmsg", sendmsg(pair[0], &message, 0));
    else
        say("a second filter", prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &second));
    serve(bound("0.0.0.0"));
}

// A client that is to share its address, as a server would. A filter then lets the shim look at nothing, and
// switch nothing off. The program is not to see messages that it has not asked for.
void reuse_address(std::string_view how) {
    const int fd = socket(AF_INET, SOCK_DGRAM, 0);
    switch_on(fd, SOL_SOCKET, SO_REUSEADDR);
    const int other = bound("127.0.0.1");
    const Name to = name_of(other);
    refuse({how == "no_sending" ? SYS_sendmsg : SYS_setsockopt, SYS_getsockopt}, SECCOMP_RET_KILL_PROCESS,
           false);
    if (how == "connect")
        say("connect", connect(fd, to.get(), to.length));
    else
        say("sendto", sendto(fd, "question", 8, 0, to.get(), to.length));
    const Name back("127.0.0.1", name_of(fd).port());
    say_answered(other, back);
    Message message(512);
    say("recvmsg", recvmsg(fd, &message.header, 0));
    std::printf("control messages: %zu bytes\n", message.header.msg_controllen);
}

// A known peer asks at another address: was it the answer that took so long?
void ask_elsewhere(int server) {
    Client client;
    for (const char* asked : {asked_address, asked_address, other_address}) {
        client.ask(server, asked);
        say_answered(server, say_heard(server));
        client.print_answer(asked);
    }
}

void forbidden_clock() {
    const int server = bound("0.0.0.0");
    refuse({SYS_clock_gettime}, SECCOMP_RET_KILL_PROCESS, false);
    ask_elsewhere(server);
}

// As in Tor's sandbox, which looks at the arguments.
void no_signal_mask() {
    const int server = bound("0.0.0.0");
    refuse({SYS_rt_sigprocmask}, SECCOMP_RET_KILL_PROCESS, false);
    ask_elsewhere(server);
    // On pages that nobody has looked at yet.
    Client client;
    client.ask(server);
    static Name peer;
    static char data[16];
    say("recvfrom", recvfrom(server, data, sizeof data, 0, peer.get(), &peer.length));
    say("sendto", sendto(server, data, 1, 0, peer.get(), peer.length));
    client.print_answer();
}

// Not a filter, but it forbids an instruction by which the vdso reads a clock.
void no_counter(bool by_number) {
    const int server = bound("0.0.0.0");
    if ((by_number ? static_cast<int>(syscall(SYS_prctl, PR_SET_TSC, PR_TSC_SIGSEGV, 0, 0, 0))
                   : prctl(PR_SET_TSC, PR_TSC_SIGSEGV, 0, 0, 0)) != 0) {
#if defined(__x86_64__) || defined(__i386__)
        skip("this kernel does not let the counter be forbidden");
#else
        skip("this processor has no such counter");
#endif
    }
    ask_elsewhere(server);
}

void high_number() {
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    refuse({SYS_mmap}, SECCOMP_RET_KILL_PROCESS, false);
    say("dup2", dup2(fd, 40'000));
}

// Filters that have nothing against the shim, several of them.
void allowed() {
    const int server = bound("0.0.0.0");
    refuse({SYS_ptrace, SYS_mount}, SECCOMP_RET_KILL_PROCESS, false);
    echo(server);
    refuse({SYS_openat, SYS_execve, SYS_madvise, SYS_clone}, SECCOMP_RET_KILL_PROCESS, true);
    echo(server);
    echo(server);
}

// The options that the shim needs do not exist; the filter behind that is none that it has seen.
void old_kernel() {
    auto program = all_but_option(SYS_setsockopt, {IPPROTO_IP, IP_PKTINFO}, SECCOMP_RET_ERRNO | ENOPROTOOPT);
    sock_fprog filter = ready_filter(program);
    auto* unseen_prctl = unseen<int(int, ...)>("prctl");
    if (unseen_prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0)
        skip("this kernel has no system-call filters");
    serve(bound("0.0.0.0"));
    serve(bound("0.0.0.0")); // of which no more is said
}

} // namespace

int main(int, char** arguments) {
    return run_topic(arguments[1], {{"killed", [] { refused(SECCOMP_RET_KILL_PROCESS, false); }},
                                    {"killed_by_number", [] { refused(SECCOMP_RET_KILL_PROCESS, true); }},
                                    {"refused", [] { refused(SECCOMP_RET_ERRNO | EPERM, false); }},
                                    {"refused_unseen", refused_unseen},
                                    {"killed_after_answers", killed_after_answers},
                                    {"no_sending", no_sending},
                                    {"refused_source", refused_source},
                                    {"another_socket", another_socket},
                                    {"connection", connection},
                                    {"device", device},
                                    {"options_of_sockets", options_of_sockets},
                                    {"unseen_socket", unseen_socket},
                                    {"new_page_connect", [] { new_pages("connect"); }},
                                    {"new_page_sendmsg", [] { new_pages("sendmsg"); }},
                                    {"new_page_filter", [] { new_pages("filter"); }},
                                    {"copies", copies},
                                    {"reuse_address_connect", [] { reuse_address("connect"); }},
                                    {"reuse_address_sendto", [] { reuse_address("sendto"); }},
                                    {"reuse_address_no_sending", [] { reuse_address("no_sending"); }},
                                    {"high_number", high_number},
                                    {"clock", forbidden_clock},
                                    {"no_signal_mask", no_signal_mask},
                                    {"no_counter", [] { no_counter(false); }},
                                    {"no_counter_by_number", [] { no_counter(true); }},
                                    {"allowed", allowed},
                                    {"old_kernel", old_kernel}});
}
