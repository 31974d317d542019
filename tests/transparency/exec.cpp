// SPDX-License-Identifier: MIT
//
// Point 3: a server's socket goes on to another program, over fork() and exec(), with and without the shim on
// either side. Before and after, everything that the program sees is printed.
#include "tests/transparency/probe.hpp"

#include <fcntl.h>
#include <string_view>
#include <sys/wait.h>
#include <utility>

using namespace probe;

namespace {

void look(const char* what, int server, bool may_be_shimmed = true) {
    std::printf("%s\n", what);
    using Option = std::pair<int, int>;
    for (const auto& [level, name] :
         {Option{IPPROTO_IP, IP_PKTINFO}, Option{IPPROTO_IP, IP_RECVTTL}, Option{SOL_SOCKET, SO_OOBINLINE}}) {
        int value = -1;
        socklen_t length = sizeof value;
        say("option", getsockopt(server, level, name, &value, &length));
        std::printf("is %d\n", value);
    }
    Client client;
    client.ask(server);
    Message message(256);
    message.show(server);
    message.answer(server);
    if (may_be_shimmed)
        client.print_answer();
    else
        std::printf("answered from %s\n", client.hear().c_str());
    std::fflush(stdout);
}

// The program at the other end of exec(): its server is descriptor 50, or 3 where systemd passes it. A
// datagram that was queued before it started is waiting there.
int inherited(std::string_view role) {
    const int server = role == "activated" ? 3 : 50;
    if (role == "chooser") {
        for (const char* text : {"::1", "::"}) {
            in6_pktinfo source{};
            must(inet_pton(AF_INET6, text, &source.ipi6_addr) == 1, "inet_pton");
            say("IPV6_PKTINFO", setsockopt(server, IPPROTO_IPV6, IPV6_PKTINFO, &source, sizeof source));
        }
        return 0;
    }
    if (role == "server") {
        look("inherited", server);
        return 0;
    }
    if (role == "bare_child") {
        // With the shim on the other side the packet information stays on, which recvfrom() does not show.
        say_answered(server, say_heard(server));
        return 0;
    }
    Message message(256);
    message.show(server);
    for (int time = 0; time < 2; ++time)
        look("inherited", server);
    int value = 0;
    int before = 0;
    socklen_t length = sizeof before;
    must(getsockopt(server, IPPROTO_IP, IP_PKTINFO, &before, &length) == 0, "getsockopt");
    switch_on(server, IPPROTO_IP, IP_PKTINFO);
    look("switched on", server);
    must(setsockopt(server, IPPROTO_IP, IP_PKTINFO, &value, sizeof value) == 0, "setsockopt");
    look("switched off", server);
    // As it was: each process remembers for itself what was asked for on a socket that they share.
    switch_on(server, IPPROTO_IP, IP_PKTINFO, before);
    return 0;
}

// A dual-stack socket that is made ready before its bind(), because it shares its port, and then asks for
// packet information itself.
int ready_and_asking() {
    const int server = socket(AF_INET6, SOCK_DGRAM, 0);
    switch_on(server, SOL_SOCKET, SO_REUSEADDR);
    switch_on(server, IPPROTO_IPV6, IPV6_RECVPKTINFO);
    const Name any("::", 0);
    must(bind(server, any.get(), any.length) == 0, "bind");
    return server;
}

// Sets LD_PRELOAD for the next program. In the bare run the shim is nowhere.
void choose_shim(bool with_shim) {
    const char* shim = std::getenv("SHIM"); // from compare.sh
    if (with_shim && shim != nullptr)
        setenv("LD_PRELOAD", shim, 1);
    else
        unsetenv("LD_PRELOAD");
}

// Executes this program again in the role of the child, with `shim` or without any.
void execute(int server, const char* role, bool with_shim) {
    must(dup2(server, 50) == 50, "dup2");
    std::fflush(stdout);
    choose_shim(with_shim);
    const pid_t child = fork();
    if (child == 0) {
        execl("/proc/self/exe", "exec", "inherited", role, nullptr);
        _exit(127);
    }
    int status = -1;
    waitpid(child, &status, 0);
    std::printf("child ended with %d\n", status);
}

// A worker has the socket before its parent binds it, and serves.
void bound_after_fork() {
    own_namespace();
    for (const int family : {AF_INET, AF_INET6})
        for (const unsigned port : {6911U, 40911U}) {
            const int server = socket(family, SOCK_DGRAM, 0);
            int pipe_ends[2];
            must(pipe(pipe_ends) == 0, "pipe");
            const pid_t child = fork();
            if (child == 0) {
                char byte = 0;
                must(read(pipe_ends[0], &byte, 1) == 1, "read");
                look("worker", server);
                _exit(0);
            }
            const Name any(family == AF_INET ? "0.0.0.0" : "::", htons(static_cast<uint16_t>(port)));
            must(bind(server, any.get(), any.length) == 0, "bind");
            must(write(pipe_ends[1], "x", 1) == 1, "write");
            int status = -1;
            waitpid(child, &status, 0);
            std::printf("worker ended with %d\n", status);
            for (const int fd : {server, pipe_ends[0], pipe_ends[1]})
                close(fd);
        }
}

// A worker binds the socket that its parent has made, and serves. The kernel refuses the parent's bind().
void bound_by_worker() {
    own_namespace();
    for (const int family : {AF_INET, AF_INET6}) {
        const int server = socket(family, SOCK_DGRAM, 0);
        const Name any(family == AF_INET ? "0.0.0.0" : "::", htons(6912));
        int is_bound[2];
        int is_refused[2];
        must(pipe(is_bound) == 0 && pipe(is_refused) == 0, "pipe");
        std::fflush(stdout);
        const pid_t child = fork();
        if (child == 0) {
            must(bind(server, any.get(), any.length) == 0, "bind");
            echo(server);
            must(write(is_bound[1], "x", 1) == 1, "write");
            char byte = 0;
            must(read(is_refused[0], &byte, 1) == 1, "read");
            echo(server);
            std::fflush(stdout);
            _exit(0);
        }
        char byte = 0;
        must(read(is_bound[0], &byte, 1) == 1, "read");
        say("bind", bind(server, any.get(), any.length));
        std::fflush(stdout);
        must(write(is_refused[1], "x", 1) == 1, "write");
        int status = -1;
        waitpid(child, &status, 0);
        std::printf("worker ended with %d\n", status);
        for (const int fd : {server, is_bound[0], is_bound[1], is_refused[0], is_refused[1]})
            close(fd);
    }
}

void fork_only() {
    const int server = bound("0.0.0.0");
    look("parent", server);
    std::fflush(stdout);
    // The child answers what the parent has heard, and the parent what the child has heard.
    for (int turn = 0; turn < 2; ++turn) {
        Client client;
        client.ask(server);
        int pipe_ends[2];
        must(pipe(pipe_ends) == 0, "pipe");
        Name peer;
        char data[64];
        const auto receive = [&] { recvfrom(server, data, sizeof data, 0, peer.get(), &peer.length); };
        const auto answer = [&] { sendto(server, "answer", 6, 0, peer.get(), peer.length); };
        if (turn == 0)
            receive();
        const pid_t child = fork();
        if (child == 0) {
            if (turn == 0)
                answer();
            else
                receive();
            must(write(pipe_ends[1], &peer, sizeof peer) == sizeof peer, "write");
            _exit(0);
        }
        int status = -1;
        waitpid(child, &status, 0);
        must(read(pipe_ends[0], &peer, sizeof peer) == sizeof peer, "read");
        if (turn == 1)
            answer();
        client.print_answer();
        close(pipe_ends[0]);
        close(pipe_ends[1]);
    }
    // A child that closes and opens leaves the parent's descriptors as they are.
    const pid_t child = fork();
    if (child == 0) {
        closefrom(3);
        const int own = bound("0.0.0.0");
        look("child", own);
        _exit(0);
    }
    int status = -1;
    waitpid(child, &status, 0);
    look("parent", server);
}

} // namespace

int main(int count, char** arguments) {
    const std::string_view topic = arguments[1];
    if (topic == "inherited" && count > 2)
        return inherited(arguments[2]);
    if (topic == "fork" || topic == "bound_after_fork" || topic == "bound_by_worker") {
        topic == "fork" ? fork_only() : topic == "bound_after_fork" ? bound_after_fork() : bound_by_worker();
        return 0;
    }
    // One program chooses a source for all that the socket sends, and takes that back. Another one serves.
    if (topic == "chosen_by_another") {
        const int server = bound("::");
        execute(server, "chooser", true);
        execute(server, "server", true);
        return 0;
    }
    const bool first_is_bare = topic.starts_with("bare_to_");
    const bool second_is_bare = topic.ends_with("_to_bare");
    // The first program is to run without the shim, so it starts itself once more.
    if (first_is_bare && std::getenv("LD_PRELOAD") != nullptr) {
        choose_shim(false);
        execv("/proc/self/exe", arguments);
        return 127;
    }
    const int server = topic.ends_with("_ready_and_asking") ? ready_and_asking() : bound("0.0.0.0");
    if (topic.ends_with("_to_shim_asking"))
        switch_on(server, IPPROTO_IP, IP_PKTINFO);
    look("first", server, !first_is_bare);
    Client waiting;
    waiting.ask(server);
    execute(server, second_is_bare ? "bare_child" : "shim_child", !second_is_bare);
    if (second_is_bare)
        std::printf("the child answered from %s\n", waiting.hear().c_str());
    // A program without the shim that shares its socket with one that has it would see packet information.
    if (!first_is_bare)
        look("first again", server);
    return 0;
}
