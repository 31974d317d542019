// SPDX-License-Identifier: MIT
//
// Point 2: the options that the shim needs for itself answer as the program has set them.
#include "tests/kernel_calls.hpp"
#include "tests/transparency/filters.hpp"
#include "tests/transparency/probe.hpp"
#include "tests/transparency/unseen.hpp"

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

using namespace probe;

namespace {

struct Option {
    const char* name;
    int level;
    int number;
};

constexpr Option all_options[] = {
    {"IP_PKTINFO", IPPROTO_IP, IP_PKTINFO},
    {"IPV6_RECVPKTINFO", IPPROTO_IPV6, IPV6_RECVPKTINFO},
    {"IPV6_2292PKTINFO", IPPROTO_IPV6, 2},
    {"SO_OOBINLINE", SOL_SOCKET, SO_OOBINLINE}, // the mark
    {"IPV6_FREEBIND", IPPROTO_IPV6, 78},
    // Neighbours, which are none of the shim's business.
    {"IP_BIND_ADDRESS_NO_PORT", IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT},
    {"IP_RECVTTL", IPPROTO_IP, IP_RECVTTL},
    {"IPV6_RECVHOPLIMIT", IPPROTO_IPV6, IPV6_RECVHOPLIMIT},
    {"SO_REUSEADDR", SOL_SOCKET, SO_REUSEADDR},
    {"IP_MULTICAST_IF", IPPROTO_IP, IP_MULTICAST_IF},
};

void get_with(int fd, const Option& option, socklen_t room) {
    unsigned char value[16];
    std::memset(value, 0xaa, sizeof value);
    socklen_t length = room;
    errno = 4711;
    const int result = getsockopt(fd, option.level, option.number, value, &length);
    std::printf("get %s with %u: %d %s length %u ", option.name, room, result,
                result < 0      ? strerrorname_np(errno)
                : errno == 4711 ? "errno untouched"
                                : "errno touched",
                length);
    for (const unsigned char byte : value)
        std::printf("%02x", byte);
    std::printf("\n");
}

// All options as the program sees them.
void show(int fd) {
    for (const Option& option : all_options)
        get_with(fd, option, sizeof(int));
}

// What a datagram brings: the messages of the options that are on, and no other.
void show_datagram(int server, const char* asked = asked_address, const char* client_at = client_address) {
    Client client(client_at);
    client.ask(server, asked);
    Message message(256);
    show_and_answer(server, client, asked, message);
}

long set(int fd, const Option& option, int value) {
    std::printf("set %s to %d: ", option.name, value);
    return say_call("result",
                    [&] { return setsockopt(fd, option.level, option.number, &value, sizeof value); });
}

void exchange(int server, bool six) {
    show_datagram(server);
    if (six)
        show_datagram(server, "fd00::2", "fd00::4");
}

// Each option switched on and off again, before and after bind(), with all the others watched.
void on_and_off(const char* address) {
    own_namespace();
    const bool six = std::strchr(address, ':') != nullptr;
    for (const Option& option : all_options) {
        if (option.number == IP_MULTICAST_IF)
            continue;
        // Not port 0, which IP_BIND_ADDRESS_NO_PORT would leave open.
        const Name name(address, htons(7000));
        const int server = socket(name.storage.ss_family, SOCK_DGRAM, 0);
        std::printf("== %s, before bind\n", option.name);
        set(server, option, 1);
        show(server);
        must(bind(server, name.get(), name.length) == 0, "bind");
        show(server);
        exchange(server, six);
        set(server, option, 0);
        show(server);
        exchange(server, six);
        close(server);

        std::printf("== %s, after bind\n", option.name);
        const int other = bound(address);
        show(other);
        set(other, option, 1);
        show(other);
        exchange(other, six);
        // Twice is once.
        set(other, option, 1);
        set(other, option, 0);
        show(other);
        exchange(other, six);
        set(other, option, -1);
        get_with(other, option, sizeof(int));
        set(other, option, 256);
        get_with(other, option, sizeof(int));
        set(other, option, 0);
        close(other);
    }
}

// Two at once: one that is switched off leaves the other on.
void together() {
    own_namespace();
    const int server = bound("::");
    for (unsigned on = 0; on < 16; ++on) {
        for (unsigned bit = 0; bit < 4; ++bit)
            set(server, all_options[bit], (on >> bit & 1) != 0);
        show(server);
        exchange(server, true);
    }
}

// Every length that a value can be given or asked for with.
void lengths(const char* address) {
    if (std::strchr(address, ':') != nullptr)
        own_namespace();
    const int server = bound(address);
    echo(server);
    for (const Option& option : all_options)
        for (socklen_t length = 0; length <= 12; ++length) {
            for (const int first : {0, 1, 256}) {
                const int value[3] = {first, 0, 0};
                std::printf("set %s with %u, value %d\n", option.name, length, first);
                say_call("result",
                         [&] { return setsockopt(server, option.level, option.number, value, length); });
                get_with(server, option, length);
            }
        }
    for (const Option& option : all_options) {
        get_with(server, option, static_cast<socklen_t>(-1));
        const int value = 1;
        say("negative length",
            setsockopt(server, option.level, option.number, &value, static_cast<socklen_t>(-1)));
        say("no value", setsockopt(server, option.level, option.number, nullptr, sizeof value));
        socklen_t length = sizeof value;
        say("no room", getsockopt(server, option.level, option.number, nullptr, &length));
        char room[4];
        say("no length", getsockopt(server, option.level, option.number, room, nullptr));
    }
    show_datagram(server);
}

// Sockets that are not the shim's, and descriptors that are no sockets.
void elsewhere() {
    own_namespace();
    const int sockets[] = {
        socket(AF_INET, SOCK_STREAM, 0),
        socket(AF_INET6, SOCK_STREAM, 0),
        socket(AF_UNIX, SOCK_DGRAM, 0),
        socket(AF_INET, SOCK_DGRAM, 0),
        socket(AF_INET, SOCK_DGRAM, 136 /* Lite */),
        bound("127.0.0.9"),
        STDIN_FILENO,
        -1,
    };
    for (const int fd : sockets) {
        show(fd);
        for (const Option& option : all_options)
            set(fd, option, 1);
        show(fd);
    }
    echo(bound("0.0.0.0"));
}

// An option belongs to the socket, whichever descriptor it is set through.
void copies() {
    const int server = bound("0.0.0.0");
    const int copy = dup(server);
    echo(copy, server);
    set(copy, all_options[0], 1);
    show(server);
    show(copy);
    show_datagram(server);
    set(server, all_options[0], 0);
    show(copy);
    show_datagram(copy);
    close(server);
    set(copy, all_options[0], 1);
    show_datagram(copy);
}

// The program's own use of the option, as servers that know of it do: on, receive, answer from there.
void own_use() {
    const int server = bound("0.0.0.0");
    set(server, all_options[0], 1);
    Client client;
    for (const char* asked : {asked_address, other_address}) {
        client.ask(server, asked);
        Message message(256);
        message.show(server);
        message.header.msg_flags = 0;
        say("sendmsg", sendmsg(server, &message.header, 0)); // with the control messages as they came
        std::printf("chosen: from=%s\n", client.hear().c_str());
    }
    show_datagram(server);
}

// A socket that is connected and let go again.
void connected() {
    own_namespace();
    const int server = bound_at_own_port("0.0.0.0");
    Client client;
    const Name to = name_of(client.fd());
    client.ask(server);
    char data[16];
    say("recv", recv(server, data, sizeof data, 0));
    say("connect", connect(server, to.get(), to.length));
    show(server);
    set(server, all_options[0], 1);
    show(server);
    sockaddr none{};
    none.sa_family = AF_UNSPEC;
    say("disconnect", connect(server, &none, sizeof none));
    show(server);
    set(server, all_options[0], 0);
    show(server);
    echo(server);
}

// What the kernel tells of the path to a peer, with errno as it was.
void path_mtu() {
    const int server = bound("0.0.0.0");
    Client client;
    client.ask(server);
    const Name peer = say_heard(server);
    say("connect", connect(server, peer.get(), peer.length));
    int value = -1;
    socklen_t length = sizeof value;
    say_call("IP_MTU", [&] { return getsockopt(server, IPPROTO_IP, IP_MTU, &value, &length); });
    std::printf("is %d\n", value);
    say("send", send(server, "answer", 6, 0));
    client.print_answer();
}

// A socket that is bound to a device stays so when it is connected, also where the kernel would not bind it
// again: before Linux 5.7 that took a privilege.
void device() {
    own_namespace();
    const int server = bound_at_own_port("0.0.0.0");
    say("SO_BINDTODEVICE", setsockopt(server, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3));
    // Unseen, as if the kernel were an old one.
    auto program = all_but_option(SYS_setsockopt, {SOL_SOCKET, SO_BINDTOIFINDEX}, SECCOMP_RET_ERRNO | EPERM);
    sock_fprog filter = ready_filter(program);
    if (kernel::call(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, reinterpret_cast<long>(&filter)) != 0)
        skip("this kernel has no system-call filters");
    Client client;
    client.ask(server);
    const Name peer = say_heard(server);
    say("connect", connect(server, peer.get(), peer.length));
    char name[16]{};
    socklen_t length = sizeof name;
    say("SO_BINDTODEVICE", getsockopt(server, SOL_SOCKET, SO_BINDTODEVICE, name, &length));
    std::printf("is %s\n", name);
    say("send", send(server, "answer", 6, 0));
    client.print_answer();
}

// The kernel refuses an answer to port 0, whatever its source: no reason to let the socket have any source.
void port_0() {
    own_namespace();
    const int server = bound_at_own_port("::");
    echo(server, server, "fd00::2", "fd00::4");
    const int stranger = socket(AF_INET6, SOCK_RAW, IPPROTO_UDP);
    must(stranger >= 0, "a raw socket");
    switch_on(stranger, IPPROTO_IPV6, IPV6_CHECKSUM, 6);
    const Name from("fd00::3", 0);
    must(bind(stranger, from.get(), from.length) == 0, "bind");
    const Name to("fd00::2", 0);
    const uint16_t datagram[] = {0, name_of(server).port(), htons(8), 0};
    must(sendto(stranger, datagram, sizeof datagram, 0, to.get(), to.length) == sizeof datagram, "sendto");
    must(readable(server), "the datagram did not arrive");
    char data[16];
    Name peer;
    say("recvfrom", recvfrom(server, data, sizeof data, 0, peer.get(), &peer.length));
    std::printf("from port %d\n", peer.port());
    say("sendto", sendto(server, "answer", 6, 0, peer.get(), peer.length));
    // As the kernel has it.
    auto* unseen_getsockopt = unseen<decltype(getsockopt)>("getsockopt");
    int free_bind = -1;
    socklen_t length = sizeof free_bind;
    must(unseen_getsockopt(server, IPPROTO_IPV6, 78, &free_bind, &length) == 0, "IPV6_FREEBIND");
    std::printf("any source: %d\n", free_bind);
    echo(server, server, "fd00::2", "fd00::4");
}

// IP_PKTINFO as the kernel has it.
void show_kernels(int fd) {
    int value = -1;
    socklen_t length = sizeof value;
    auto* unseen_getsockopt = unseen<decltype(getsockopt)>("getsockopt");
    must(unseen_getsockopt(fd, IPPROTO_IP, IP_PKTINFO, &value, &length) == 0, "IP_PKTINFO");
    std::printf("packet information: %d\n", value);
}

// A bind() that leaves the port open: such a socket is a client.
void no_port() {
    const int fd = socket(AF_INET, SOCK_DGRAM, 0);
    switch_on(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT);
    const Name any("0.0.0.0", 0);
    must(bind(fd, any.get(), any.length) == 0, "bind");
    show_kernels(fd);
    Client other;
    const Name to = name_of(other.fd());
    say("sendto", sendto(fd, "question", 8, 0, to.get(), to.length));
    std::printf("asked from %s\n", other.hear().c_str());
    show_kernels(fd);
}

// Sockets on ports that MULTIHOME_PORTS leaves out: one that the kernel has chosen, one that is bound where
// the shim does not see it.
void another_port() {
    const Name any("0.0.0.0", 0);
    const int found = socket(AF_INET, SOCK_DGRAM, 0);
    must(unseen<decltype(bind)>("bind")(found, any.get(), any.length) == 0, "bind");
    for (const int server : {bound("0.0.0.0"), found}) {
        echo(server);
        show_kernels(server);
    }
}

// The program switches on what marks a socket of ours. It chooses a source for all that it sends, and takes
// that back.
void marked_by_program() {
    own_namespace();
    const int server = bound("::");
    switch_on(server, SOL_SOCKET, SO_OOBINLINE);
    switch_on(server, IPPROTO_IPV6, IPV6_RECVPKTINFO);
    for (const char* text : {"fd00::3", "::"}) {
        in6_pktinfo source{};
        must(inet_pton(AF_INET6, text, &source.ipi6_addr) == 1, "inet_pton");
        say("IPV6_PKTINFO", setsockopt(server, IPPROTO_IPV6, IPV6_PKTINFO, &source, sizeof source));
    }
    show(server);
    exchange(server, true);
}

} // namespace

int main(int, char** arguments) {
    return run_topic(arguments[1], {{"on_and_off", [] { on_and_off("0.0.0.0"); }},
                                    {"on_and_off6", [] { on_and_off("::"); }},
                                    {"together", together},
                                    {"marked_by_program", marked_by_program},
                                    {"lengths", [] { lengths("0.0.0.0"); }},
                                    {"lengths6", [] { lengths("::"); }},
                                    {"elsewhere", elsewhere},
                                    {"copies", copies},
                                    {"own_use", own_use},
                                    {"connected", connected},
                                    {"no_port", no_port},
                                    {"another_port", another_port},
                                    {"path_mtu", path_mtu},
                                    {"device", device},
                                    {"port_0", port_0}});
}
