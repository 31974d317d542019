// SPDX-License-Identifier: MIT
//
// Point 4: the ways to come by a system-call filter: in a vfork child, for all threads, with a listener, a
// bad one, and the question whether there are any.
#include "tests/transparency/filters.hpp"

#include <atomic>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/wait.h>

using namespace probe;

namespace {

[[gnu::noinline]] void start_vfork_child() {
    const pid_t child = vfork(); // NOLINT(clang-analyzer-security.insecureAPI.vfork): what is tested
    if (child == 0)
        _exit(0);
    int status = -1;
    must(waitpid(child, &status, 0) == child, "vfork");
    say("vfork", status);
}

void filters_between_vfork_children() {
    start_vfork_child();
    refuse({SYS_getpid}, SECCOMP_RET_KILL_PROCESS, false);
    start_vfork_child();
    refuse({SYS_ptrace}, SECCOMP_RET_KILL_PROCESS, false);
    serve(bound("0.0.0.0"));
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

// A child that shares this memory takes a filter, and with it connects a socket to nobody, and one in vain.
void connect_in_vfork_child() {
    const int server = bound("0.0.0.0");
    echo(server);
    const int client = socket(AF_INET, SOCK_DGRAM, 0);
    const sockaddr nobody{.sa_family = AF_UNSPEC, .sa_data = {}};
    const sockaddr_in everybody{
        .sin_family = AF_INET, .sin_port = htons(53), .sin_addr = {INADDR_BROADCAST}, .sin_zero = {}};
    std::vector<sock_filter> program = all_but({SYS_getsockname}, SECCOMP_RET_KILL_PROCESS);
    // NOLINTBEGIN(clang-analyzer-security.insecureAPI.vfork, clang-analyzer-unix.Vfork): what is tested
    const pid_t child = vfork();
    if (child == 0) {
        install(program, false);
        const int left = connect(server, &nobody, sizeof nobody);
        const int refused = connect(client, reinterpret_cast<const sockaddr*>(&everybody), sizeof everybody);
        // NOLINTEND(clang-analyzer-security.insecureAPI.vfork, clang-analyzer-unix.Vfork)
        _exit(left == 0 && refused != 0 ? 0 : 1);
    }
    int status = -1;
    must(waitpid(child, &status, 0) == child, "vfork");
    say("connect() in a vfork child", status);
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
    sock_fprog filter = ready_filter(program);
    must(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &filter) > 0,
         "a thread's number");
    for (int time = 0; time < 3; ++time)
        echo(server);
}

// Who takes a filter that asks another process gets a descriptor, and not 0.
void listener() {
    const int server = bound("0.0.0.0");
    std::vector<sock_filter> program = all_but({SYS_recvmsg}, SECCOMP_RET_KILL_PROCESS);
    sock_fprog filter = ready_filter(program);
    const long listener =
        syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &filter);
    if (listener < 0)
        skip("no second listener here");
    must(listener > 0, "a listener");
    serve(server);
}

// So libseccomp asks whether the kernel has this system call. Strict mode takes no flags: the kernel refuses.
void asked_for() {
    const int server = bound("0.0.0.0");
    echo(server);
    must(syscall(SYS_seccomp, SECCOMP_SET_MODE_STRICT, 1, nullptr) == -1 && errno == EINVAL,
         "strict mode with a flag");
    int argument = 0;
    must(syscall(SYS_seccomp, SECCOMP_SET_MODE_STRICT, 0, &argument) == -1 && errno == EINVAL,
         "strict mode with an argument");
    for (int time = 0; time < 3; ++time)
        echo(server);
}

// A program without a UDP socket takes a filter: nothing is to be said of that. A child serves before.
// `more`: what the first filter forbids as well.
void serves_nothing(std::vector<int> more) {
    const pid_t child = fork();
    if (child == 0) {
        echo(bound("0.0.0.0"));
        std::fflush(stdout);
        _exit(0);
    }
    int status = -1;
    must(waitpid(child, &status, 0) == child && status == 0, "a child that serves");
    must(socket(AF_INET, SOCK_STREAM, 0) >= 0, "socket");
    more.insert(more.end(), {SYS_recvmsg, SYS_getsockopt});
    refuse(more, SECCOMP_RET_KILL_PROCESS, false);
    refuse({SYS_sendmsg}, SECCOMP_RET_KILL_PROCESS, true);
}

// As ocserv's workers: it cannot be said later either.
void serves_nothing_without_log() {
    serves_nothing({SYS_rt_sigpending, SYS_sendto});
}

// One that serves nothing makes a UDP socket after that. Now it is said, once.
void serves_later() {
    refuse({SYS_recvmsg}, SECCOMP_RET_KILL_PROCESS, false);
    refuse({SYS_sendmsg}, SECCOMP_RET_KILL_PROCESS, true);
    serve(bound("0.0.0.0"));
    serve(bound("0.0.0.0"));
}

} // namespace

int main(int, char** arguments) {
    return run_topic(arguments[1],
                     {{"vfork", filters_between_vfork_children},
                      {"filter_in_vfork_child", [] { filter_in_vfork_child(SYS_recvmsg); }},
                      {"filter_in_vfork_child_without_getpid", [] { filter_in_vfork_child(SYS_getpid); }},
                      {"connect_in_vfork_child", connect_in_vfork_child},
                      {"refused_for_all_threads", refused_for_all_threads},
                      {"without_end", without_end},
                      {"listener", listener},
                      {"asked_for", asked_for},
                      {"serves_nothing", [] { serves_nothing({}); }},
                      {"serves_nothing_without_log", serves_nothing_without_log},
                      {"serves_later", serves_later}});
}
