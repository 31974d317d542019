// SPDX-License-Identifier: MIT
//
// Point 3: a socket whose bind() the shim does not see: by a system call, by the kernel for a client that
// sends, or by another process.
#include "tests/kernel_calls.hpp"
#include "tests/transparency/probe.hpp"

#include <sys/wait.h>

using namespace probe;

namespace {

// A client asks, and is answered.
void serve(int fd, Message& message) {
    Client client;
    client.ask(fd);
    message.prepare(512);
    say("recvmsg", recvmsg(fd, &message.header, 0));
    std::printf("control messages: %zu bytes\n", message.header.msg_controllen);
    say("sendto", message.answer(fd));
    client.print_answer();
}

// A socket that is bound where no interposed function can see it, as by glibc's bindresvport().
void bound_unseen(const char* address, bool shares_port) {
    const Name name(address, 0);
    const int fd = socket(name.storage.ss_family, SOCK_DGRAM, 0);
    must(fd >= 0, "socket");
    if (shares_port)
        switch_on(fd, SOL_SOCKET, SO_REUSEADDR);
    Message message(512);
    say("recvmsg before", recvmsg(fd, &message.header, MSG_DONTWAIT));
    must(kernel::call(SYS_bind, fd, reinterpret_cast<long>(name.get()), name.length) == 0, "bind");
    for (int time = 0; time < 2; ++time) {
        serve(fd, message);
        echo(fd);
    }
    look("bound unseen", fd, fd);
}

// A socket that a forked child binds, which may have other rights than its parent. The parent serves it.
void bound_by_child(const char* address) {
    const Name name(address, 0);
    const int fd = socket(name.storage.ss_family, SOCK_DGRAM, 0);
    must(fd >= 0, "socket");
    const pid_t child = fork();
    if (child == 0)
        _exit(bind(fd, name.get(), name.length) == 0 ? 0 : 1);
    int status = -1;
    must(waitpid(child, &status, 0) == child && status == 0, "bind in a child");
    Message message(512);
    Client client;
    client.ask(fd);
    message.show(fd);
    say("sendto", message.answer(fd));
    client.print_answer();
    look("bound by a child", fd, fd);
}

// What the kernel has bound because it has sent is a client, and no server.
void bound_by_sending() {
    const int fd = socket(AF_INET, SOCK_DGRAM, 0);
    const int upstream = bound("127.0.0.1");
    const Name to = name_of(upstream);
    say("sendto", sendto(fd, "question", 8, 0, to.get(), to.length));
    Client other;
    for (int time = 0; time < 2; ++time) {
        other.ask(fd);
        say_answered(fd, say_heard(fd));
        std::printf("from %s\n", other.hear().c_str());
    }
    echo(bound("0.0.0.0"));
}

// A socket that is bound to one address loses its port, and a descriptor of it is bound to the wildcard.
void copy_bound_anew(bool by_copy) {
    const int fd = bound("127.0.0.1");
    const int copy = dup(fd);
    must(copy >= 0, "dup");
    const sockaddr nobody{};
    must(connect(by_copy ? copy : fd, &nobody, sizeof nobody) == 0, "connect to nobody");
    const Name wildcard("0.0.0.0", 0);
    must(bind(copy, wildcard.get(), wildcard.length) == 0, "bind");
    Message message(512);
    for (const int each : {fd, copy})
        serve(each, message);
    look("the socket", fd, fd);
    look("its copy", copy, copy);
}

} // namespace

int main(int, char** arguments) {
    return run_topic(arguments[1], {{"bound_unseen", [] { bound_unseen("0.0.0.0", false); }},
                                    {"bound_unseen6", [] { bound_unseen("::", false); }},
                                    {"bound_unseen_shared", [] { bound_unseen("0.0.0.0", true); }},
                                    {"bound_by_child", [] { bound_by_child("0.0.0.0"); }},
                                    {"bound_by_child6", [] { bound_by_child("::"); }},
                                    {"bound_by_sending", bound_by_sending},
                                    {"bound_anew", [] { copy_bound_anew(false); }},
                                    {"copy_bound_anew", [] { copy_bound_anew(true); }}});
}
