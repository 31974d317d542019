// SPDX-License-Identifier: MIT
//
// Point 4: programs that lock themselves into a system-call filter, as daemons do after they have started.
#include "tests/transparency/probe.hpp"

#include <atomic>
#include <dlfcn.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <new>
#include <pthread.h>
#include <string_view>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

using namespace probe;

namespace {

// A function that the shim does not see the call of.
void* find_in_libc(const char* name) {
    void* libc = dlopen("libc.so.6", RTLD_NOW | RTLD_NOLOAD);
    must(libc != nullptr, "dlopen");
    return dlsym(libc, name);
}

sock_fprog filter_of(std::vector<sock_filter>& program) {
    return {static_cast<unsigned short>(program.size()), program.data()};
}

void install(std::vector<sock_filter>& program, bool by_number) {
    sock_fprog filter = filter_of(program);
    must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "PR_SET_NO_NEW_PRIVS");
    const long result = by_number ? syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter)
                                  : prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter);
    if (result != 0 && errno == EINVAL)
        skip("this kernel has no system-call filters");
    must(result == 0, "the filter");
}

// A filter that lets everything pass but these.
std::vector<sock_filter> all_but(const std::vector<int>& numbers, uint32_t action) {
    std::vector<sock_filter> program;
    program.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)));
    for (const int number : numbers) {
        program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(number), 0, 1));
        program.push_back(BPF_STMT(BPF_RET | BPF_K, action));
    }
    program.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
    return program;
}

void refuse(const std::vector<int>& numbers, uint32_t action, bool by_number) {
    std::vector<sock_filter> program = all_but(numbers, action);
    install(program, by_number);
}

// One that lets everything pass but a system call with this option of a socket.
std::vector<sock_filter> all_but_option(int number, int level, int name, uint32_t action) {
    return {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(number), 0, 5),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args[1])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(level), 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args[2])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(name), 0, 1),
        BPF_STMT(BPF_RET | BPF_K, action),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
}

// One that kills for getsockopt() at this level alone.
void refuse_options(int level) {
    std::vector<sock_filter> program{
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getsockopt, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args[1])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(level), 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    install(program, false);
}

// A client asks; then the address that it asked is gone, and the filter forbids to find out why the answer
// fails.
void refused_source() {
    own_namespace();
    const int server = bound("::");
    Client client("fd00::4");
    client.ask(server, "fd00::2");
    char data[64];
    Name peer;
    say("recvfrom", recvfrom(server, data, sizeof data, 0, peer.get(), &peer.length));
    remove_address("fd00::2");
    refuse({SYS_ioctl, SYS_getsockopt}, SECCOMP_RET_KILL_PROCESS, false);
    for (int time = 0; time < 2; ++time) {
        say("sendto", sendto(server, "answer", 6, 0, peer.get(), peer.length));
        std::printf("answered from %s\n", client.hear().c_str());
    }
    mmsghdr batch[2]{};
    iovec parts[2];
    for (int number = 0; number < 2; ++number) {
        parts[number] = {data, 1};
        batch[number].msg_hdr.msg_name = peer.get();
        batch[number].msg_hdr.msg_namelen = peer.length;
        batch[number].msg_hdr.msg_iov = &parts[number];
        batch[number].msg_hdr.msg_iovlen = 1;
    }
    say("sendmmsg", sendmmsg(server, batch, 2, 0));
}

// The number of a server stands for another socket, which the shim could not see: it may not look.
void another_socket() {
    auto* unseen_dup2 = reinterpret_cast<int (*)(int, int)>(find_in_libc("dup2"));
    const int server = bound("0.0.0.0");
    echo(server);
    const int other = bound("127.0.0.9");
    refuse_options(SOL_SOCKET);
    must(unseen_dup2(other, server) == server, "dup2");
    Client client;
    client.ask(server, "127.0.0.9");
    char data[64];
    Name peer;
    say("recvfrom", recvfrom(server, data, sizeof data, 0, peer.get(), &peer.length));
    say("sendto", sendto(server, "answer", 6, 0, peer.get(), peer.length));
    std::printf("answered from %s\n", client.hear().c_str());
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
    second = filter_of(program);
    char text[] = "text";
    iovec part{text, sizeof text};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    int pair[2];
    must(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) == 0, "socketpair");
    refuse({SYS_rt_sigprocmask, SYS_futex}, SECCOMP_RET_KILL_PROCESS, false);
    if (what == "new_page_connect")
        say("connect", connect(socket(AF_INET, SOCK_STREAM, 0), name.get(), name.length));
    else if (what == "new_page_sendmsg")
        say("sendmsg", sendmsg(pair[0], &message, 0));
    else
        say("a second filter", prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &second));
    serve(bound("0.0.0.0"));
}

// A socket that is about to be bound, which the shim has prepared; then nothing may be switched off any more.
// The program is not to see messages that it has not asked for.
void prepared(std::string_view how) {
    const int fd = socket(AF_INET, SOCK_DGRAM, 0);
    switch_on(fd, SOL_SOCKET, SO_REUSEADDR);
    const int other = bound("127.0.0.1");
    const Name to = name_of(other);
    refuse({how == "prepared_no_sending" ? SYS_sendmsg : SYS_setsockopt, SYS_getsockopt},
           SECCOMP_RET_KILL_PROCESS, false);
    if (how == "prepared_connect")
        say("connect", connect(fd, to.get(), to.length));
    else
        say("sendto", sendto(fd, "question", 8, 0, to.get(), to.length));
    const Name back("127.0.0.1", name_of(fd).port());
    say("sendto", sendto(other, "answer", 6, 0, back.get(), back.length));
    Message message(512);
    const ssize_t received = recvmsg(fd, &message.header, 0);
    say("recvmsg", received);
    std::printf("control messages: %zu bytes\n", message.header.msg_controllen);
}

[[gnu::noinline]] void start_vfork_child() {
    const pid_t child = vfork(); // NOLINT(clang-analyzer-security.insecureAPI.vfork): what is tested
    if (child == 0)
        _exit(0);
    int status = -1;
    must(waitpid(child, &status, 0) == child, "vfork");
    say("vfork", status);
}

// A child that shares this memory takes a filter, and closes what it does not need.
void filter_in_vfork_child(int forbidden) {
    const int server = bound("0.0.0.0");
    echo(server);
    echo(server);
    std::vector<sock_filter> program = all_but({forbidden}, SECCOMP_RET_KILL_PROCESS);
    // NOLINTBEGIN(clang-analyzer-security.insecureAPI.vfork, clang-analyzer-unix.Vfork): what is tested
    const pid_t child = vfork();
    if (child == 0) {
        install(program, false);
        close(server);
        // NOLINTEND(clang-analyzer-security.insecureAPI.vfork, clang-analyzer-unix.Vfork)
        _exit(0);
    }
    int status = -1;
    must(waitpid(child, &status, 0) == child && status == 0, "the child");
    if (forbidden == SYS_getpid)
        return serve(server);
    for (int time = 0; time < 4; ++time)
        echo(server);
}

void* filter_of_its_own(void* filtered) {
    refuse({SYS_ptrace}, SECCOMP_RET_KILL_PROCESS, false);
    static_cast<std::atomic<bool>*>(filtered)->store(true);
    for (;;)
        pause();
}

// A filter that does not return, with nothing behind it. The kernel refuses it, and nobody reads on.
void without_end() {
    echo(bound("0.0.0.0"));
    constexpr size_t page = 4096;
    auto* pages = static_cast<char*>(
        mmap(nullptr, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    must(pages != MAP_FAILED && mprotect(pages + page, page, PROT_NONE) == 0, "mmap");
    sock_fprog filter{1, reinterpret_cast<sock_filter*>(pages + page) - 1};
    *filter.filter = BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr));
    must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "PR_SET_NO_NEW_PRIVS");
    say("a filter without an end", prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter));
}

// A filter for all threads is not installed where a thread has one that the others do not have.
void refused_for_all_threads() {
    const int server = bound("0.0.0.0");
    echo(server);
    std::atomic<bool> filtered{false};
    pthread_t thread{};
    must(pthread_create(&thread, nullptr, filter_of_its_own, &filtered) == 0, "pthread_create");
    while (!filtered.load())
        poll(nullptr, 0, 1);
    std::vector<sock_filter> program = all_but({SYS_recvmsg}, SECCOMP_RET_KILL_PROCESS);
    sock_fprog filter = filter_of(program);
    must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "PR_SET_NO_NEW_PRIVS");
    must(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &filter) > 0,
         "a thread's number");
    for (int time = 0; time < 3; ++time)
        echo(server);
}

// Who takes a filter that asks another process gets a descriptor, and not 0.
void listener() {
    const int server = bound("0.0.0.0");
    std::vector<sock_filter> program = all_but({SYS_recvmsg}, SECCOMP_RET_KILL_PROCESS);
    sock_fprog filter = filter_of(program);
    must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "PR_SET_NO_NEW_PRIVS");
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &filter) <= 0)
        skip("no second listener here");
    serve(server);
}

// A known peer asks at another address: was it the answer that took so long?
void ask_elsewhere(int server) {
    Client client;
    for (const char* asked : {asked_address, asked_address, other_address}) {
        client.ask(server, asked);
        char data[64];
        Name peer;
        say("recvfrom", recvfrom(server, data, sizeof data, 0, peer.get(), &peer.length));
        say("sendto", sendto(server, data, 1, 0, peer.get(), peer.length));
        client.print_answer(asked);
    }
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
    } else if (topic == "refused_source") {
        refused_source();
    } else if (topic == "another_socket") {
        another_socket();
    } else if (topic == "options_of_sockets") {
        echo(bound("0.0.0.0"));
        refuse_options(SOL_SOCKET);
        serve(bound("0.0.0.0"));
    } else if (topic == "unseen_socket") {
        // What the shim would like to know of a socket that it did not see being made.
        auto* unseen_socket = reinterpret_cast<int (*)(int, int, int)>(find_in_libc("socket"));
        // The program itself never asks for it.
        auto program = all_but_option(SYS_getsockopt, SOL_SOCKET, SO_MARK, SECCOMP_RET_KILL_PROCESS);
        install(program, false);
        const int server = unseen_socket(AF_INET, SOCK_DGRAM, 0);
        const Name any("0.0.0.0", 0);
        must(bind(server, any.get(), sizeof(sockaddr_in)) == 0, "bind");
        echo(server);
    } else if (topic.starts_with("new_page_")) {
        new_pages(topic);
    } else if (topic == "copies") {
        const int server = bound("0.0.0.0");
        echo(server);
        must(dup(server) >= 0, "dup");
        const Client client;
        const Name to = name_of(client.fd());
        refuse({SYS_getsockopt}, SECCOMP_RET_KILL_PROCESS, false);
        say("connect", connect(server, to.get(), to.length));
    } else if (topic.starts_with("prepared_")) {
        prepared(topic);
    } else if (topic == "high_number") {
        const int fd = socket(AF_INET, SOCK_STREAM, 0);
        refuse({SYS_mmap}, SECCOMP_RET_KILL_PROCESS, false);
        say("dup2", dup2(fd, 40'000));
    } else if (topic == "vfork") {
        start_vfork_child();
        refuse({SYS_getpid}, SECCOMP_RET_KILL_PROCESS, false);
        start_vfork_child();
        refuse({SYS_ptrace}, SECCOMP_RET_KILL_PROCESS, false);
        serve(bound("0.0.0.0"));
    } else if (topic == "filter_in_vfork_child") {
        filter_in_vfork_child(SYS_recvmsg);
    } else if (topic == "filter_in_vfork_child_without_getpid") {
        filter_in_vfork_child(SYS_getpid);
    } else if (topic == "clock") {
        const int server = bound("0.0.0.0");
        refuse({SYS_clock_gettime}, SECCOMP_RET_KILL_PROCESS, false);
        ask_elsewhere(server);
    } else if (topic == "no_counter" || topic == "no_counter_by_number") {
        // Not a filter, but it forbids an instruction by which the vdso reads a clock.
        const int server = bound("0.0.0.0");
        const bool by_number = topic == "no_counter_by_number";
        if ((by_number ? static_cast<int>(syscall(SYS_prctl, PR_SET_TSC, PR_TSC_SIGSEGV, 0, 0, 0))
                       : prctl(PR_SET_TSC, PR_TSC_SIGSEGV, 0, 0, 0)) != 0)
            skip("this processor has no such counter");
        ask_elsewhere(server);
    } else if (topic == "refused_for_all_threads") {
        refused_for_all_threads();
    } else if (topic == "without_end") {
        without_end();
    } else if (topic == "listener") {
        listener();
    } else if (topic == "allowed") {
        // Filters that have nothing against the shim, several of them.
        const int server = bound("0.0.0.0");
        refuse({SYS_ptrace, SYS_mount}, SECCOMP_RET_KILL_PROCESS, false);
        echo(server);
        refuse({SYS_openat, SYS_execve, SYS_madvise, SYS_clone}, SECCOMP_RET_KILL_PROCESS, true);
        echo(server);
        echo(server);
    } else if (topic == "old_kernel") {
        // The options that the shim needs do not exist; the filter behind that is none that it has seen.
        auto program =
            all_but_option(SYS_setsockopt, IPPROTO_IP, IP_PKTINFO, SECCOMP_RET_ERRNO | ENOPROTOOPT);
        sock_fprog filter = filter_of(program);
        must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "PR_SET_NO_NEW_PRIVS");
        auto* unseen_prctl = reinterpret_cast<int (*)(int, ...)>(find_in_libc("prctl"));
        if (unseen_prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0)
            skip("this kernel has no system-call filters");
        serve(bound("0.0.0.0"));
    } else {
        return 2;
    }
    return 0;
}
