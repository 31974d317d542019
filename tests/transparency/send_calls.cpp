// SPDX-License-Identifier: MIT
//
// Point 1, outgoing: batches that the kernel stops within, datagrams without a byte, and sources that are
// local by a route alone.
#include "tests/kernel_calls.hpp"
#include "tests/transparency/probe.hpp"
#include "tests/transparency/unseen.hpp"

#include <array>
#include <fcntl.h>
#include <netinet/udp.h>
#include <string_view>
#include <sys/time.h>
#include <thread>

using namespace probe;

namespace {

// Two clients are answered at once, one of them from an address of a local route, which the kernel takes for
// a source only where the socket may be bound to any address.
void any_ip_in_batch(const char* first, const char* second) {
    const int server = bound("::");
    for (const char* last : {second, "fd00:7::6"}) {
        const char* asked[] = {first, last};
        Client clients[] = {Client("fd00::4"), Client("fd00::4")};
        for (int number = 0; number < 2; ++number)
            clients[number].ask(server, asked[number]);
        mmsghdr batch[2]{};
        iovec parts[2];
        Name names[2];
        char data[2][16];
        for (int number = 0; number < 2; ++number) {
            parts[number] = {data[number], sizeof data[number]};
            batch[number].msg_hdr = header_for(names[number], parts[number]);
        }
        say("recvmmsg", recvmmsg(server, batch, 2, 0, nullptr));
        say_call("sendmmsg", [&] { return sendmmsg(server, batch, 2, 0); });
        for (int number = 0; number < 2; ++number)
            clients[number].print_answer(asked[number]);
    }
}

// What the shim needs for such a source is on while the program switches it off, and off when the program
// chooses the source itself.
void any_ip_and_options() {
    namespace_with_local_route();
    constexpr int free_bind = 78; // IPV6_FREEBIND
    const int server = bound("::");
    echo(server, server, "fd00:7::5", "fd00::4");
    switch_on(server, IPPROTO_IPV6, free_bind, 0);
    echo(server, server, "fd00:7::6", "fd00::4");
    in6_pktinfo chosen{};
    must(inet_pton(AF_INET6, "fd00::3", &chosen.ipi6_addr) == 1, "inet_pton");
    must(setsockopt(server, IPPROTO_IPV6, IPV6_PKTINFO, &chosen, sizeof chosen) == 0, "IPV6_PKTINFO");
    int value = -1;
    socklen_t length = sizeof value;
    auto* unseen_getsockopt = unseen<decltype(getsockopt)>("getsockopt");
    must(unseen_getsockopt(server, IPPROTO_IPV6, free_bind, &value, &length) == 0, "IPV6_FREEBIND");
    std::printf("any source: %d\n", value);
}

// By sendto(), sendmsg(), or sendmmsg().
constexpr int send_calls = 3;
long send_nothing(int call, int fd, const Name& to) {
    if (call == 0)
        return sendto(fd, "", 0, 0, to.get(), to.length);
    mmsghdr message{};
    message.msg_hdr.msg_name = const_cast<sockaddr*>(to.get());
    message.msg_hdr.msg_namelen = to.length;
    return call == 1 ? sendmsg(fd, &message.msg_hdr, 0) : sendmmsg(fd, &message, 1, 0);
}

// Datagrams without a byte: the result is 0, and no failure, also where it takes a second call to send them.
void empty() {
    namespace_with_local_route();
    for (int call = 0; call < send_calls; ++call) {
        std::printf("call %d\n", call);
        // Another one for each call: the first answer from an address of a local route changes an option.
        const int server = bound("::");
        Client client("fd00::4");
        for (const char* asked : {"fd00:7::5", "fd00::2", "fd00::2", "fd00::2"}) {
            client.ask(server, asked, "");
            const Name peer = say_heard(server);
            say_call("answer", [&] { return send_nothing(call, server, peer); });
            client.print_answer(asked);
        }
        close(server);
    }
    // The address is gone when they are answered.
    const int server = bound("::");
    Client clients[send_calls] = {Client("fd00::4"), Client("fd00::4"), Client("fd00::4")};
    Name peers[send_calls];
    for (int call = 0; call < send_calls; ++call) {
        clients[call].ask(server, "fd00::2", "");
        peers[call] = say_heard(server);
    }
    remove_address("fd00::2");
    for (int call = 0; call < send_calls; ++call) {
        say_call("answer", [&] { return send_nothing(call, server, peers[call]); });
        std::printf("answered from %s\n", clients[call].hear().c_str());
    }
}

// A server has one buffer for the addresses of every family, and gives back its whole length. The kernel cuts
// that in a message, and refuses it in a sendto().
void long_names() {
    const int server = bound("0.0.0.0");
    Client client;
    for (const unsigned length : {128U, 129U, 256U, 0x7fffffffU, 0x80000000U})
        for (int call = 0; call < send_calls; ++call) {
            client.ask(server);
            Name peer = say_heard(server);
            peer.length = length;
            std::printf("a name of %u bytes, call %d\n", length, call);
            if (say_call("answer", [&] { return send_nothing(call, server, peer); }) >= 0)
                client.print_answer();
            // As TFTP does: the first that a socket of its own sends.
            Client another;
            another.ask(server);
            peer = say_heard(server);
            peer.length = length;
            const int own = socket(AF_INET, SOCK_DGRAM, 0);
            if (say_call("answer of its own", [&] { return send_nothing(call, own, peer); }) >= 0)
                another.print_answer();
            close(own);
        }
}

// A batch stops where the kernel says nothing of the reason: at a signal, or at a part that does not fit into
// the datagram that is being put together. Something waits to be sent meanwhile, to a neighbour who does not
// answer.
void stopped() {
    own_namespace();
    if (std::system("ip link add one type veth peer name other && ip link set one up && "
                    "ip link set other up && ip address add 192.0.2.1/24 dev one") != 0)
        skip("ip(8) cannot make a veth pair");
    const int server = bound("0.0.0.0");
    Client client;
    client.ask(server);
    Name peer = say_heard(server);
    Name nobody("192.0.2.77", htons(9));
    static char data[60'000];
    constexpr unsigned count = 64;
    iovec parts[count];
    mmsghdr batch[count]{};
    const auto prepare = [&](unsigned number, Name& name, size_t length) {
        parts[number] = {data, length};
        batch[number].msg_hdr = header_for(name, parts[number]);
    };
    say("to nobody", sendto(server, data, 1, 0, nobody.get(), nobody.length));
    for (unsigned number = 0; number < 3; ++number)
        prepare(number, peer, number == 0 ? 1 : sizeof data);
    say_call("MSG_MORE", [&] { return sendmmsg(server, batch, 3, MSG_MORE); });
    switch_on(server, IPPROTO_UDP, UDP_CORK);
    say_call("UDP_CORK", [&] { return sendmmsg(server, batch, 3, 0); });
    switch_on(server, IPPROTO_UDP, UDP_CORK, 0);

    switch_on(server, SOL_SOCKET, SO_SNDBUF, 8192);
    for (unsigned number = 0; number < count; ++number)
        prepare(number, number % 2 != 0 ? peer : nobody, 1000);
    struct sigaction action {};
    action.sa_handler = [](int) {};
    must(sigaction(SIGALRM, &action, nullptr) == 0, "sigaction");
    // Again and again: the first one may come before the call.
    const itimerval soon{{0, 500'000}, {0, 500'000}};
    const itimerval never{};
    must(setitimer(ITIMER_REAL, &soon, nullptr) == 0, "setitimer");
    say_call("a signal", [&] {
        const int sent = sendmmsg(server, batch, count, 0);
        must(setitimer(ITIMER_REAL, &never, nullptr) == 0, "setitimer");
        return sent;
    });
    say_call("without waiting", [&] { return sendmmsg(server, batch + 1, count - 1, MSG_DONTWAIT); });
    client.print_answer();
}

// While a call waits for room, another thread puts something else in the server's place. What the kernel then
// does not send for the server is not sent there.
void replaced_while_waiting() {
    own_namespace();
    if (std::system("ip link add one type veth peer name other && ip link set one up && "
                    "ip link set other up && ip address add 192.0.2.1/24 dev one && "
                    "sysctl -qw net.ipv4.neigh.one.mcast_solicit=100") != 0)
        skip("ip(8) cannot make a veth pair");
    struct sigaction action {};
    action.sa_handler = [](int) {};
    must(sigaction(SIGUSR1, &action, nullptr) == 0, "sigaction");
    const Listener listener;
    const int accepted = listener.accept_caller();
    const pthread_t waiting = pthread_self();
    static char data[1000];
    iovec part{data, sizeof data};
    Name nobody("192.0.2.77", htons(9)); // a neighbour who does not answer
    const auto replaced = [&](int server, int replacement, const char* what, const auto& send) {
        Client client;
        client.ask(server);
        Name peer = say_heard(server);
        say_answered(server, peer);
        client.print_answer();
        switch_on(server, SOL_SOCKET, SO_SNDBUF, 4096);
        std::thread other([&] {
            wait_until_blocked(getpid());
            dup2(replacement, server);
            pthread_kill(waiting, SIGUSR1);
        });
        say_call(what, [&] { return send(server, peer); });
        other.join();
        close(server);
    };
    const auto send_batch = [&](int server, Name& peer) {
        mmsghdr batch[16]{};
        for (unsigned number = 0; number < 16; ++number)
            batch[number].msg_hdr = header_for(number % 2 != 0 ? peer : nobody, part);
        return sendmmsg(server, batch, 16, 0);
    };
    replaced(bound("0.0.0.0"), bound("0.0.0.0"), "sendmmsg", send_batch);
    // The same with sockets from elsewhere.
    const auto arrived = [] {
        // A number of which nothing is known.
        const int fd = static_cast<int>(kernel::call(SYS_fcntl, kernel::socket(), F_DUPFD, 500));
        must(kernel::bind(fd, sockaddr_in{AF_INET, 0, {}, {}}) == 0, "bind");
        Name none;
        recvfrom(fd, data, sizeof data, MSG_DONTWAIT, none.get(), &none.length); // its first call
        return fd;
    };
    replaced(arrived(), arrived(), "sendmmsg", send_batch);
    // This time, the wait ends once the kernel has given up to ask for the neighbour.
    if (std::system("sysctl -qw net.ipv4.neigh.one.mcast_solicit=1 && "
                    "nft 'table ip t { chain c { type filter hook output priority 0; "
                    "ip daddr 127.0.0.4 ip length > 900 drop; }; }'") != 0)
        skip("this kernel has no nftables, or nft is not installed");
    must(std::signal(SIGUSR1, SIG_IGN) != SIG_ERR, "signal");
    replaced(bound("0.0.0.0"), listener.caller(), "sendto", [&](int server, Name& peer) {
        while (sendto(server, data, sizeof data, MSG_DONTWAIT, nobody.get(), nobody.length) > 0)
            continue;
        return sendto(server, data, sizeof data, 0, peer.get(), peer.length);
    });
    say("others have got", recv(accepted, data, sizeof data, MSG_DONTWAIT));
}

// A filter drops what leaves from one address. Who has asked there is answered as without the shim, and those
// behind it in the batch are answered as well.
void filtered(const char* rules, const Addresses& at) {
    own_namespace();
    if (std::system(rules) != 0)
        skip("this kernel has no nftables, or nft is not installed");
    const int server = bound(at.server);
    for (const auto& asked :
         {std::array{at.asked, at.other, at.asked}, std::array{at.other, at.asked, at.other}}) {
        Client clients[3]{Client(at.client), Client(at.client), Client(at.client)};
        iovec parts[3];
        Name names[3];
        char data[3][16];
        mmsghdr batch[3]{};
        for (size_t number = 0; number < 3; ++number) {
            clients[number].ask(server, asked[number]);
            parts[number] = {data[number], sizeof data[number]};
            batch[number].msg_hdr = header_for(names[number], parts[number]);
        }
        say("recvmmsg", recvmmsg(server, batch, 3, 0, nullptr));
        say_call("sendmmsg", [&] { return sendmmsg(server, batch, 3, 0); });
        for (size_t number = 0; number < 3; ++number)
            if (asked[number] == at.other)
                std::printf("answered from %s\n", clients[number].hear().c_str());
            else
                clients[number].print_answer(asked[number]);
    }
}

void filtered4() {
    filtered("nft 'table ip t { chain c { type filter hook output priority 0; ip saddr 127.0.0.3 drop; }; }'",
             ipv4_addresses);
}

void filtered6() {
    filtered("nft 'table ip6 t { chain c { type filter hook output priority 0; ip6 saddr fd00::3 drop; }; }'",
             ipv6_addresses);
}

} // namespace

int main(int, char** arguments) {
    return run_topic(arguments[1], {{"any_ip_in_batch",
                                     [] {
                                         namespace_with_local_route();
                                         any_ip_in_batch("fd00::2", "fd00:7::5");
                                         any_ip_in_batch("fd00:7::5", "fd00::2");
                                     }},
                                    {"any_ip_and_options", any_ip_and_options},
                                    {"empty", empty},
                                    {"long_names", long_names},
                                    {"stopped", stopped},
                                    {"replaced_while_waiting", replaced_while_waiting},
                                    {"filtered", filtered4},
                                    {"filtered6", filtered6}});
}
