// SPDX-License-Identifier: MIT
//
// Point 3: the life of a descriptor inside one process.
#include "tests/transparency/probe.hpp"

#include <dlfcn.h>
#include <fcntl.h>
#include <spawn.h>
#include <string_view>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

using namespace probe;

namespace {

// A descriptor is closed, or opened, where no interposed function can see it.
long behind_our_back(long number, long a, long b = 0, long c = 0) {
#if defined(__x86_64__)
    long result = number;
    asm volatile("syscall" : "+a"(result) : "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
    return result;
#elif defined(__aarch64__)
    register long x8 asm("x8") = number;
    register long x0 asm("x0") = a;
    register long x1 asm("x1") = b;
    register long x2 asm("x2") = c;
    asm volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2) : "memory");
    return x0;
#else
    (void)number, (void)a, (void)b, (void)c;
    skip("not on this machine");
#endif
}

void dup_forms() {
    const int server = bound("0.0.0.0");
    int copies[] = {dup(server),
                    dup2(server, 200),
                    dup3(server, 201, O_CLOEXEC),
                    fcntl(server, F_DUPFD, 202),
                    fcntl(server, F_DUPFD_CLOEXEC, 210),
                    static_cast<int>(syscall(SYS_dup, server)),
                    static_cast<int>(behind_our_back(SYS_dup, server))};
    for (const int copy : copies) {
        look("received on the original", server, copy);
        look("received on the copy", copy, server);
    }
    say("dup2 to itself", dup2(server, server) == server);
    say("dup3 to itself", dup3(server, server, 0));
    say("dup of nothing", dup(999));
    // The copies go on when the original is closed.
    close(server);
    for (const int copy : copies)
        look("without the original", copy, copies[0]);
    switch_on(copies[1], IPPROTO_IP, IP_PKTINFO);
    for (const int copy : copies)
        look("asked for", copy, copies[0]);
    // A copy that never was used before, onto the number of one that was.
    const int second = bound("0.0.0.0");
    say("dup2 onto the other server", dup2(second, 200));
    look("replaced", 200, second);
}

// Sends `fd` over a UNIX socket, with `by_many` through recvmmsg().
int pass(int fd, bool by_many) {
    int pair[2];
    must(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) == 0, "socketpair");
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof fd)]{};
    char data[1] = {'x'};
    iovec part{data, 1};
    mmsghdr message{};
    message.msg_hdr.msg_iov = &part;
    message.msg_hdr.msg_iovlen = 1;
    message.msg_hdr.msg_control = control;
    message.msg_hdr.msg_controllen = sizeof control;
    cmsghdr* header = CMSG_FIRSTHDR(&message.msg_hdr);
    *header = {CMSG_LEN(sizeof fd), SOL_SOCKET, SCM_RIGHTS};
    std::memcpy(CMSG_DATA(header), &fd, sizeof fd);
    must(sendmsg(pair[0], &message.msg_hdr, 0) == 1, "sendmsg");
    close(fd);
    std::memset(control, 0, sizeof control);
    must((by_many ? recvmmsg(pair[1], &message, 1, 0, nullptr) : recvmsg(pair[1], &message.msg_hdr, 0)) == 1,
         "recvmsg");
    int received = -1;
    std::memcpy(&received, CMSG_DATA(header), sizeof received);
    close(pair[0]);
    close(pair[1]);
    return received;
}

void passed() {
    for (const bool by_many : {false, true}) {
        int server = bound("0.0.0.0");
        look("before", server, server);
        server = pass(server, by_many);
        look("passed", server, server);
        switch_on(server, IPPROTO_IP, IP_PKTINFO);
        server = pass(server, by_many);
        look("passed, asked for", server, server);
        // Another kind of socket arrives where the server was.
        close(server);
        const int client = pass(bound("127.0.0.9"), by_many);
        say("the same number", client == server);
        switch_on(client, IPPROTO_IP, IP_PKTINFO);
        Client sender;
        sender.ask(client, "127.0.0.9");
        Message message(256);
        message.print(recvmsg(client, &message.header, 0));
        close(client);
    }
}

int server_in_use() {
    const int server = bound("0.0.0.0");
    look("before", server, server);
    return server;
}

// Makes something else than a server, and returns one descriptor of it, to be closed behind our back.
using Make = int (*)();

int make_unix_socket() {
    int pair[2];
    must(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) == 0, "socketpair");
    must(sendto(pair[1], "x", 1, 0, nullptr, 0) == 1, "sendto");
    return pair[0];
}

int make_file() {
    return open("/dev/null", O_RDWR);
}

// accept() is not interposed: the shim sees this one for the first time when it is used.
int make_tcp_connection() {
    // Out of the way of the number that is to be used again.
    const int listener = fcntl(socket(AF_INET, SOCK_STREAM, 0), F_DUPFD, 300);
    const int caller = fcntl(socket(AF_INET, SOCK_STREAM, 0), F_DUPFD, 300);
    closefrom(400);
    Name at("127.0.0.1", 0);
    must(bind(listener, at.get(), at.length) == 0 && listen(listener, 1) == 0, "listen");
    at = name_of(listener);
    must(connect(caller, at.get(), at.length) == 0 && send(caller, "x", 1, 0) == 1, "connect");
    return accept(listener, nullptr, nullptr);
}

// Bound to one address, by system calls that are not seen.
int make_udp_of_one_address() {
    const int fd = static_cast<int>(behind_our_back(SYS_socket, AF_INET, SOCK_DGRAM));
    const Name one("127.0.0.9", 0);
    behind_our_back(SYS_bind, fd, reinterpret_cast<long>(one.get()), one.length);
    return fd;
}

int make_udp_client() {
    const int fd = static_cast<int>(behind_our_back(SYS_socket, AF_INET, SOCK_DGRAM));
    const Name somebody("127.0.0.9", htons(9));
    must(sendto(fd, "x", 1, 0, somebody.get(), somebody.length) == 1, "sendto");
    return fd;
}

int make_server() {
    return bound("0.0.0.0");
}

int make_unseen_server() {
    const int fd = static_cast<int>(behind_our_back(SYS_socket, AF_INET, SOCK_DGRAM));
    const Name any("0.0.0.0", 0);
    behind_our_back(SYS_bind, fd, reinterpret_cast<long>(any.get()), any.length);
    return fd;
}

struct Kind {
    const char* name;
    Make make;
    // From which datagram on the answer has to leave from the address that was asked. The shim finds out that
    // a number was reused where it could not see it when a datagram comes without packet information, and
    // that a client is bound to the wildcard is not its business.
    int right_from;
};
constexpr int never = 1000;
// A number that was known to be none of the shim's business, which is not looked at again.
constexpr Kind unseen_for_good{"an unseen server", make_unseen_server, never};
constexpr Kind kinds[] = {
    {"a UNIX socket", make_unix_socket, never},
    {"a file", make_file, never},
    {"a TCP connection", make_tcp_connection, never},
    {"bound to one address", make_udp_of_one_address, 0},
    {"a client", make_udp_client, never},
    {"a server", make_server, 0},
    {"an unseen server", make_unseen_server, 1},
};

// What a program may do with it, the first use being option, datagram or sending by turns.
void use(const Kind& kind, int fd, unsigned turn) {
    int datagrams = 0;
    int type = 0;
    socklen_t type_length = sizeof type;
    Name own;
    const bool udp = getsockname(fd, own.get(), &own.length) == 0 && own.storage.ss_family == AF_INET &&
                     getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_length) == 0 && type == SOCK_DGRAM;
    const std::string asked = own.address() == "0.0.0.0" ? asked_address : own.address();
    const auto set_option = [&] {
        int value = 1;
        socklen_t length = sizeof value;
        say("set IP_PKTINFO", setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &value, sizeof value));
        say("get IP_PKTINFO", getsockopt(fd, IPPROTO_IP, IP_PKTINFO, &value, &length));
        std::printf("is %d\n", value);
        if (turn % 2 == 0) {
            value = 0;
            say("set IP_PKTINFO to 0", setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &value, sizeof value));
        }
    };
    const auto receive = [&] {
        Client client;
        if (udp)
            client.ask(fd, asked.c_str());
        Message message(64);
        message.print(recvmsg(fd, &message.header, MSG_DONTWAIT));
        const auto* peer = reinterpret_cast<const sockaddr*>(&message.name);
        if (!udp || sendto(fd, "answer", 6, 0, peer, message.header.msg_namelen) != 6)
            return;
        if (datagrams++ >= kind.right_from)
            client.print_answer(asked.c_str());
        else
            std::printf("answered: %s\n", client.hear() != "nobody" ? "yes" : "no");
    };
    if (turn % 3 == 0)
        set_option();
    // Twice before an option is touched, which would repair what was not forgotten.
    for (int time = 0; time < (udp ? 2 : 1); ++time)
        receive();
    set_option();
    if (udp)
        receive();
}

void close_by(std::string_view how, int fd) {
    if (how == "close") {
        close(fd);
    } else if (how == "raw_close") {
        behind_our_back(SYS_close, fd);
    } else if (how == "fclose") {
        FILE* file = fdopen(fd, "r");
        must(file != nullptr && std::fclose(file) == 0, "fclose");
    } else if (how == "close_range") {
        say("close_range", close_range(static_cast<unsigned>(fd), ~0U, 0));
    } else if (how == "close_range_by_number") {
        say("close_range", syscall(SYS_close_range, fd, ~0U, 0));
    } else if (how == "closefrom") {
        closefrom(fd);
    } else {
        const int null = open("/dev/null", O_RDONLY);
        say("dup2", dup2(null, fd) == fd);
        behind_our_back(SYS_close, null);
        behind_our_back(SYS_close, fd);
    }
}

void reuse(std::string_view how) {
    for (const Kind& kind : kinds)
        for (unsigned turn = 0; turn < 6; ++turn) {
            const int server = server_in_use();
            close_by(how, server);
            const int now = kind.make();
            std::printf("now %s, %s number\n", kind.name, now == server ? "the same" : "another");
            use(how == "dup2" && kind.make == make_unseen_server ? unseen_for_good : kind, now, turn);
            behind_our_back(SYS_close, now);
        }
}

// Calls that look like closing and are not.
void not_closed() {
    const int server = server_in_use();
    say("close_range to close on exec",
        close_range(static_cast<unsigned>(server), ~0U, 4 /* CLOSE_RANGE_CLOEXEC */));
    look("close on exec", server, server);
    say("close_range of nothing", close_range(5000, 4000, 0));
    say("close of nothing", close(999));
    say("close of -1", close(-1));
    look("still there", server, server);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addclose(&actions, server);
    posix_spawn_file_actions_addopen(&actions, server, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addclosefrom_np(&actions, 3);
    pid_t child = 0;
    char program[] = "/bin/true";
    char* arguments[] = {program, nullptr};
    say("posix_spawn", posix_spawn(&child, program, &actions, nullptr, arguments, environ));
    int status = -1;
    waitpid(child, &status, 0);
    say("its status", status);
    look("after posix_spawn", server, server);
}

// A vfork child shares the parent's memory, but not its descriptors.
void vfork_child() {
    const int server = bound("0.0.0.0");
    const int asking = bound("0.0.0.0");
    switch_on(asking, IPPROTO_IP, IP_PKTINFO);
    look("before", server, server);
    look("before, asking", asking, asking);
    for (int way = 0; way < 4; ++way) {
        // Everything in here happens between vfork() and _exit(), as Python's subprocess does it.
        const pid_t child = vfork();
        if (child == 0) {
            if (way == 0) {
                for (int fd = 3; fd < 300; ++fd)
                    close(fd);
            } else if (way == 1) {
                close_range(3, ~0U, 0);
            } else if (way == 2) {
                dup2(2, server);
                dup2(server, asking);
            } else {
                closefrom(3);
                socket(AF_INET, SOCK_STREAM, 0);
                socket(AF_UNIX, SOCK_STREAM, 0);
            }
            _exit(0);
        }
        int status = -1;
        must(waitpid(child, &status, 0) == child && status == 0, "vfork");
        look("after vfork", server, server);
        look("after vfork, asking", asking, asking);
    }
}

// What has gone wrong before is still told.
void vfork_and_dlerror() {
    must(dlopen("/no/such/library", RTLD_NOW) == nullptr, "dlopen");
    const pid_t child = vfork(); // NOLINT(clang-analyzer-security.insecureAPI.vfork): what is tested
    if (child == 0)
        _exit(0);
    const char* error = dlerror();
    std::printf("dlerror: %s\n", error != nullptr ? error : "nothing");
    int status = -1;
    must(waitpid(child, &status, 0) == child && status == 0, "vfork");
    echo(bound("0.0.0.0"));
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
    must(behind_our_back(SYS_bind, fd, reinterpret_cast<long>(name.get()), name.length) == 0, "bind");
    for (int time = 0; time < 2; ++time) {
        Client client;
        client.ask(fd);
        message.prepare(512);
        say("recvmsg", recvmsg(fd, &message.header, 0));
        std::printf("control messages: %zu bytes\n", message.header.msg_controllen);
        say("sendto", sendto(fd, "answer", 6, 0, reinterpret_cast<const sockaddr*>(&message.name),
                             message.header.msg_namelen));
        client.print_answer();
        echo(fd);
    }
    look("bound unseen", fd, fd);
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
        char data[64];
        Name peer;
        say("recvfrom", recvfrom(fd, data, sizeof data, 0, peer.get(), &peer.length));
        say("sendto", sendto(fd, "text", 4, 0, peer.get(), peer.length));
        std::printf("from %s\n", other.hear().c_str());
    }
    echo(bound("0.0.0.0"));
}

// Whether less is mapped than a byte for each descriptor of a billion.
void print_mapped() {
    FILE* file = std::fopen("/proc/self/statm", "r");
    long pages = 0;
    must(file != nullptr && std::fscanf(file, "%ld", &pages) == 1, "statm");
    std::fclose(file);
    std::printf("less than 1 GB mapped: %s\n", pages < 1'000'000'000 / sysconf(_SC_PAGESIZE) ? "yes" : "no");
}

void high_number(rlim_t limit, int number) {
    const rlimit wanted{limit, limit};
    // high_numbers.cpp does without.
    if (std::getenv("HIGH_NUMBERS") == nullptr && setrlimit(RLIMIT_NOFILE, &wanted) != 0)
        skip("may not raise RLIMIT_NOFILE");
    rlimit told{};
    must(getrlimit(RLIMIT_NOFILE, &told) == 0, "getrlimit");
    std::printf("at most %llu\n", static_cast<unsigned long long>(told.rlim_max));
    const int server = bound("0.0.0.0");
    must(dup2(server, number) == number, "dup2");
    look("a high number and a low one", number, server);
    look("a low number and a high one", server, number);
    close(server);
    look("alone", number, number);
    switch_on(number, IPPROTO_IP, IP_PKTINFO);
    look("asked for", number, number);
    say("closed", close(number));
    char data[8];
    Name peer;
    say("recvfrom", recvfrom(number, data, sizeof data, 0, peer.get(), &peer.length));
    const int other = bound("127.0.0.9");
    must(dup2(other, number) == number, "dup2");
    Client client;
    client.ask(number, "127.0.0.9");
    Message message(64);
    message.print(recvmsg(number, &message.header, 0));
    closefrom(3);
    say("recvfrom", recvfrom(number, data, sizeof data, 0, peer.get(), &peer.length));
    // Never heard of.
    say("recvfrom", recvfrom(number - 1, data, sizeof data, 0, peer.get(), &peer.length));
    echo(bound("0.0.0.0"));
    print_mapped();
}

} // namespace

int main(int, char** arguments) {
    const std::string_view topic = arguments[1];
    if (topic == "dup")
        dup_forms();
    else if (topic == "scm_rights")
        passed();
    else if (topic == "not_closed")
        not_closed();
    else if (topic == "vfork")
        vfork_child();
    else if (topic == "vfork_and_dlerror")
        vfork_and_dlerror();
    else if (topic == "bound_unseen")
        bound_unseen("0.0.0.0", false);
    else if (topic == "bound_unseen6")
        bound_unseen("::", false);
    else if (topic == "bound_unseen_shared")
        bound_unseen("0.0.0.0", true);
    else if (topic == "bound_by_sending")
        bound_by_sending();
    else if (topic == "number_900000")
        high_number(900'100, 900'000);
    else if (topic == "nofile_billion")
        high_number(1'000'000'000, 40'000);
    else if (topic.starts_with("reuse_after_"))
        reuse(topic.substr(std::strlen("reuse_after_")));
    else
        return 2;
    return 0;
}
