// SPDX-License-Identifier: MIT
//
// Point 1, incoming: control messages that the program asked for, in buffers of every size.
#include "tests/transparency/probe.hpp"

#include <algorithm>
#include <array>
#include <linux/errqueue.h>
#include <linux/net_tstamp.h>
#include <netinet/udp.h>
#include <string_view>
#include <sys/wait.h>

using namespace probe;

namespace {

struct Option {
    const char* topic;
    int level;
    int name;
    int value = 1;
};

#ifndef SO_RCVMARK
#define SO_RCVMARK 75
#endif
// From linux/in6.h, which cannot be included beside netinet/in.h.
constexpr int ipv6_flow_info = 11;
constexpr int ipv6_original_destination = 74;
constexpr int received_in_software = SOF_TIMESTAMPING_RX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE;

// Those that exist on an AF_INET socket.
constexpr Option ipv4_options[] = {
    {"timestamp", SOL_SOCKET, SO_TIMESTAMP},
    {"timestampns", SOL_SOCKET, SO_TIMESTAMPNS},
    {"ttl", IPPROTO_IP, IP_RECVTTL},
    {"tos", IPPROTO_IP, IP_RECVTOS},
    {"own_pktinfo", IPPROTO_IP, IP_PKTINFO},
    {"original_destination", IPPROTO_IP, IP_RECVORIGDSTADDR},
    {"ip_options", IPPROTO_IP, IP_RECVOPTS},
    {"return_options", IPPROTO_IP, IP_RETOPTS},
    {"mark", SOL_SOCKET, SO_RCVMARK},
    {"timestamping", SOL_SOCKET, SO_TIMESTAMPING, received_in_software},
};

constexpr Option ipv6_options[] = {
    {"hoplimit", IPPROTO_IPV6, IPV6_RECVHOPLIMIT},
    {"traffic_class", IPPROTO_IPV6, IPV6_RECVTCLASS},
    {"own_pktinfo6", IPPROTO_IPV6, IPV6_RECVPKTINFO},
    {"own_pktinfo_2292", IPPROTO_IPV6, 2 /* IPV6_2292PKTINFO */},
    {"own_pktinfo_on_dual_stack", IPPROTO_IP, IP_PKTINFO},
    {"original_destination6", IPPROTO_IPV6, ipv6_original_destination},
    {"flow_info", IPPROTO_IPV6, ipv6_flow_info},
    {"hop_options", IPPROTO_IPV6, IPV6_RECVHOPOPTS},
    {"destination_options", IPPROTO_IPV6, IPV6_RECVDSTOPTS},
};

struct Setting {
    const char* server;
    const char* asked;
    const char* other;
    const char* client;
};
constexpr Setting ipv4{"0.0.0.0", asked_address, other_address, client_address};
constexpr Setting ipv6{"::", "fd00::2", "fd00::3", "fd00::4"};

// An option that not every kernel has.
void switch_on_if_known(int server, const Option& option) {
    if (setsockopt(server, option.level, option.name, &option.value, sizeof option.value) == 0)
        return;
    must(errno == ENOPROTOOPT, option.topic);
    std::printf("this kernel has no %s\n", option.topic);
}

// The kernel switches the stamps of what is received on from a work queue (net_enable_timestamp() in its
// net/core/dev.c), so that the first datagrams may carry none.
void wait_for_stamps(int server) {
    Client client;
    Message message(200);
    for (int attempt = 0; attempt < 1000; ++attempt) {
        client.ask(server);
        message.prepare(200);
        must(recvmsg(server, &message.header, 0) > 0, "recvmsg");
        for (cmsghdr* header = CMSG_FIRSTHDR(&message.header); header != nullptr;
             header = CMSG_NXTHDR(&message.header, header))
            if (header->cmsg_level == SOL_SOCKET && header->cmsg_type == SO_TIMESTAMPING)
                return;
        usleep(10'000);
    }
    must(false, "no datagram carries a stamp");
}

// What a question has to carry for the options to have something to tell.
void decorate(const Client& client, bool six) {
    if (six) {
        switch_on(client.fd(), IPPROTO_IPV6, IPV6_UNICAST_HOPS, 77);
        switch_on(client.fd(), IPPROTO_IPV6, IPV6_TCLASS, 0x28);
        // A label is drawn by lot.
        switch_on(client.fd(), IPPROTO_IPV6, IPV6_AUTOFLOWLABEL, 0);
        const unsigned char padding[8] = {0, 0, 1, 4, 0, 0, 0, 0};
        for (const int header : {IPV6_HOPOPTS, IPV6_DSTOPTS})
            must(setsockopt(client.fd(), IPPROTO_IPV6, header, padding, sizeof padding) == 0, "IPV6_HOPOPTS");
        return;
    }
    switch_on(client.fd(), IPPROTO_IP, IP_TTL, 77);
    switch_on(client.fd(), IPPROTO_IP, IP_TOS, 0x28);
    const unsigned char no_operations[4] = {1, 1, 1, 0};
    must(setsockopt(client.fd(), IPPROTO_IP, IP_OPTIONS, no_operations, sizeof no_operations) == 0,
         "IP_OPTIONS");
}

long receive_and_answer(int server, Client& client, const char* asked, Message& message, int flags = 0) {
    const long received = recvmsg(server, &message.header, flags);
    message.print(received);
    sendto(server, "answer", 6, 0, reinterpret_cast<const sockaddr*>(&message.name),
           message.header.msg_namelen);
    client.print_answer(asked);
    return received;
}

// Buffers of every length, from none at all to more than enough.
void sweep(int server, const Setting& setting, long largest) {
    Client client(setting.client);
    decorate(client, &setting == &ipv6);
    for (long room = -1; room <= largest; ++room) {
        std::printf("room for %ld:\n", room);
        client.ask(server, setting.asked);
        Message message(room);
        if (room % 16 == 0) {
            // Looked at first, then read.
            message.print(recvmsg(server, &message.header, MSG_PEEK | MSG_TRUNC));
            message.prepare(room);
        }
        receive_and_answer(server, client, setting.asked, message, room % 3 == 0 ? MSG_CMSG_CLOEXEC : 0);
    }
}

void all_on(int server, const Setting& setting) {
    for (const Option& option : ipv4_options)
        if (&setting == &ipv4 || option.level == SOL_SOCKET)
            switch_on_if_known(server, option);
    if (&setting == &ipv6)
        for (const Option& option : ipv6_options)
            switch_on_if_known(server, option);
}

// All extension headers of a packet, as large as they can be, in the forms of both RFC 3542 and RFC 2292.
void extension_headers(int server) {
    constexpr int old_hop_options = 3; // from linux/in6.h
    constexpr int old_destination_options = 4;
    for (const int option : {IPV6_RECVHOPOPTS, IPV6_RECVDSTOPTS, old_hop_options, old_destination_options})
        switch_on(server, IPPROTO_IPV6, option);
    Client client(ipv6.client);
    // Eight options that nobody knows, and that are skipped.
    std::array<unsigned char, 2040> header{};
    header[1] = header.size() / 8 - 1;
    for (size_t at = 2, length = 0; at < header.size(); at += length) {
        length = std::min<size_t>(header.size() - at, 255);
        header[at] = 0x1e;
        header[at + 1] = static_cast<unsigned char>(length - 2);
    }
    for (const int option : {IPV6_HOPOPTS, IPV6_DSTOPTS})
        must(setsockopt(client.fd(), IPPROTO_IPV6, option, header.data(), header.size()) == 0,
             "IPV6_HOPOPTS");
    for (const size_t room :
         {size_t{2048}, size_t{4096}, size_t{8192}, size_t{8224}, size_t{20000}, size_t{1} << 20}) {
        client.ask(server, ipv6.asked);
        std::vector<unsigned char> control(room);
        Message message(-1);
        message.header.msg_control = control.data();
        message.header.msg_controllen = control.size();
        const long received = recvmsg(server, &message.header, 0);
        size_t sum = 0;
        for (size_t at = 0; at < message.header.msg_controllen; ++at)
            sum = sum * 31 + control[at];
        std::printf("room for %zu: %ld, %zu of messages, flags %d, sum %zx\n", room, received,
                    static_cast<size_t>(message.header.msg_controllen), message.header.msg_flags, sum);
        sendto(server, "answer", 6, 0, reinterpret_cast<const sockaddr*>(&message.name),
               message.header.msg_namelen);
        client.print_answer(ipv6.asked);
    }
}

// No buffer, in all the ways to say so.
void no_buffer(int server, bool asked_for_something) {
    if (asked_for_something)
        switch_on(server, IPPROTO_IP, IP_RECVTTL);
    echo(server);
    Client client;
    for (int way = 0; way < 4; ++way) {
        client.ask(server);
        Message message(way == 1 ? 0 : -1);
        if (way == 2)
            message.header.msg_controllen = 64; // of nothing
        if (way == 3)
            message.header.msg_control = &message; // nothing of something
        receive_and_answer(server, client, asked_address, message);
    }
}

// Messages of one recvmmsg() call with different buffers.
void many(int server, const Setting& setting) {
    const bool six = &setting == &ipv6;
    switch_on(server, six ? IPPROTO_IPV6 : IPPROTO_IP, six ? IPV6_RECVHOPLIMIT : IP_RECVTTL);
    switch_on(server, SOL_SOCKET, SO_TIMESTAMPNS);
    switch_on(server, six ? IPPROTO_IPV6 : IPPROTO_IP, six ? IPV6_RECVTCLASS : IP_RECVTOS);
    constexpr long rooms[] = {-1, 0, 8, 24, 32, 40, 56, 72, 80, 200, 2000, -1};
    constexpr unsigned count = std::size(rooms);
    Client client(setting.client);
    for (unsigned number = 0; number < count; ++number)
        client.ask(server, number % 2 == 0 ? setting.asked : setting.other);
    std::vector<Message> messages;
    std::vector<mmsghdr> headers(count);
    messages.reserve(count);
    for (unsigned number = 0; number < count; ++number) {
        messages.emplace_back(rooms[number]);
        headers[number].msg_hdr = messages[number].header;
        headers[number].msg_len = 4711;
    }
    headers[4].msg_hdr.msg_name = nullptr;
    headers[5].msg_hdr.msg_namelen = 4;
    say("recvmmsg", recvmmsg(server, headers.data(), count, MSG_WAITFORONE, nullptr));
    for (unsigned number = 0; number < count; ++number) {
        messages[number].header = headers[number].msg_hdr;
        messages[number].print(headers[number].msg_len);
        const msghdr& header = headers[number].msg_hdr;
        if (header.msg_name == nullptr || number == 5)
            continue;
        sendto(server, "answer", 6, 0, static_cast<const sockaddr*>(header.msg_name), header.msg_namelen);
        client.print_answer(number % 2 == 0 ? setting.asked : setting.other);
    }
    echo(server, server, setting.asked, setting.client);
}

void segmentation(int server, const Setting& setting) {
    switch_on(server, SOL_UDP, UDP_GRO);
    switch_on(server, IPPROTO_IP, IP_RECVTTL);
    Client client(setting.client);
    const Name to(setting.asked, name_of(server).port());
    switch_on(client.fd(), SOL_UDP, UDP_SEGMENT, 10);
    for (long room = -1; room <= 72; ++room) {
        std::printf("room for %ld:\n", room);
        sendto(client.fd(), "three segments of 10 bytes and one", 34, 0, to.get(), to.length);
        must(readable(server), "nothing arrived");
        Message message(room);
        receive_and_answer(server, client, setting.asked, message);
    }
}

void drop_count(int server) {
    switch_on(server, SOL_SOCKET, SO_RXQ_OVFL);
    switch_on(server, SOL_SOCKET, SO_RCVBUF, 1);
    Client client;
    for (int number = 0; number < 100; ++number)
        client.ask(server);
    char data[64];
    while (recv(server, data, sizeof data, MSG_DONTWAIT) > 0)
        ;
    for (long room = -1; room <= 40; ++room) {
        std::printf("room for %ld:\n", room);
        client.ask(server);
        Message message(room);
        receive_and_answer(server, client, asked_address, message);
    }
}

// The error queue: refused datagrams, read into buffers of different lengths.
void error_queue(int server, const char* to_address, const char* asked, bool own_packet_info) {
    const bool six = std::strchr(to_address, ':') != nullptr;
    switch_on(server, six ? IPPROTO_IPV6 : IPPROTO_IP, six ? IPV6_RECVERR : IP_RECVERR);
    if (std::strncmp(to_address, "::ffff:", 7) == 0)
        switch_on(server, IPPROTO_IP, IP_RECVERR);
    switch_on(server, six ? IPPROTO_IPV6 : IPPROTO_IP, six ? IPV6_RECVHOPLIMIT : IP_RECVTTL);
    if (own_packet_info)
        switch_on(server, six ? IPPROTO_IPV6 : IPPROTO_IP, six ? IPV6_RECVPKTINFO : IP_PKTINFO);
    // A port that nobody listens on any more.
    const int closed = bound(to_address);
    const Name nobody(to_address, name_of(closed).port());
    close(closed);
    for (long room = -1; room <= 160; room = room < 0 ? 0 : room + 8) {
        std::printf("room for %ld:\n", room);
        sendto(server, "x", 1, 0, nobody.get(), nobody.length);
        pollfd poller{server, 0, 0};
        must(poll(&poller, 1, 5000) == 1 && (poller.revents & POLLERR) != 0, "no error came");
        Message message(room);
        long result = recvmsg(server, &message.header, MSG_ERRQUEUE);
        message.print(result);
        char data[8];
        Name from;
        result = recvfrom(server, data, sizeof data, MSG_ERRQUEUE | MSG_DONTWAIT, from.get(), &from.length);
        say("and once more", result);
    }
    echo(server, server, asked, std::strchr(asked, ':') != nullptr ? "fd00::4" : client_address);
}

// The "offender" of a time of sending is the source of the datagram sent: the very thing that the shim
// changes.
void mask_source(msghdr& header) {
    constexpr size_t at = CMSG_LEN(sizeof(sock_extended_err)) + offsetof(sockaddr_in, sin_addr);
    for (cmsghdr* message = CMSG_FIRSTHDR(&header); message != nullptr;
         message = CMSG_NXTHDR(&header, message)) {
        auto* bytes = reinterpret_cast<unsigned char*>(message);
        if (message->cmsg_level == IPPROTO_IP && message->cmsg_type == IP_RECVERR &&
            message->cmsg_len >= at + sizeof(in_addr))
            std::memset(bytes + at, 0, sizeof(in_addr));
    }
}

// When an answer was sent, which the error queue tells together with the packet and, for who asks for that as
// well, packet information (SOF_TIMESTAMPING_OPT_CMSG).
void times_of_sending(int server) {
    constexpr int flags =
        SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_OPT_CMSG;
    switch_on(server, SOL_SOCKET, SO_TIMESTAMPING, flags);
    for (long room = -1; room <= 160; room = room < 0 ? 0 : room + 8) {
        std::printf("room for %ld:\n", room);
        echo(server);
        pollfd poller{server, 0, 0};
        must(poll(&poller, 1, 5000) == 1 && (poller.revents & POLLERR) != 0, "no time came");
        Message message(room);
        const long received = recvmsg(server, &message.header, MSG_ERRQUEUE);
        mask_source(message.header);
        message.print(received);
    }
}

// What an IPv6 socket is told, in place of a datagram, of one that it could not send (RFC 3542, 11.3).
void path_mtu(int server) {
    switch_on(server, IPPROTO_IPV6, IPV6_RECVPATHMTU);
    switch_on(server, IPPROTO_IPV6, IPV6_DONTFRAG);
    const Name to("fd00::4", htons(9));
    const std::string much(65500, 'x'); // with its headers more than the loopback interface takes
    for (long room = -1; room <= 64; room = room < 0 ? 0 : room + 8) {
        std::printf("room for %ld:\n", room);
        say("sendto", sendto(server, much.data(), much.size(), 0, to.get(), to.length));
        Message message(room);
        message.print(recvmsg(server, &message.header, MSG_DONTWAIT));
        message.print(recvmsg(server, &message.header, MSG_DONTWAIT));
    }
    echo(server, server, "fd00::2", "fd00::4");
}

// A datagram that is still waiting when the program switches an option on: the shim's was on before.
void waiting(int server) {
    Client client;
    for (int number = 0; number < 3; ++number)
        client.ask(server);
    Message message(200);
    receive_and_answer(server, client, asked_address, message);
    switch_on(server, IPPROTO_IP, IP_RECVTTL);
    message.prepare(200);
    receive_and_answer(server, client, asked_address, message);
    switch_on(server, IPPROTO_IP, IP_RECVTTL, 0);
    message.prepare(200);
    receive_and_answer(server, client, asked_address, message);
}

// So much room for control messages that one call of the shim's takes two datagrams: the others take further
// calls, which have to wait, or not to, as one call would.
void in_parts(int server) {
    constexpr unsigned count = 5;
    constexpr size_t room = 250'000;
    static unsigned char control[count][room];
    Client clients[count];
    const Name to(asked_address, name_of(server).port());
    const auto ask = [&](unsigned first, unsigned end) {
        for (unsigned number = first; number < end; ++number)
            must(sendto(clients[number].fd(), "question", 8, 0, to.get(), to.length) == 8, "sendto");
    };
    const auto receive = [&](const char* what, int flags, timespec* timeout) {
        char data[count][16];
        Name names[count];
        iovec parts[count];
        mmsghdr headers[count]{};
        for (unsigned number = 0; number < count; ++number) {
            parts[number] = {data[number], sizeof data[number]};
            headers[number].msg_hdr = {
                names[number].get(), names[number].length, &parts[number], 1, control[number], room, 0};
        }
        const long received =
            say_call(what, [&] { return recvmmsg(server, headers, count, flags, timeout); });
        for (unsigned number = 0; number < received; ++number) {
            const msghdr& header = headers[number].msg_hdr;
            std::printf("length %u, control of %zu, flags %d\n", headers[number].msg_len,
                        header.msg_controllen, header.msg_flags);
            sendto(server, "answer", 6, 0, names[number].get(), header.msg_namelen);
            clients[number].print_answer();
        }
    };
    ask(0, count);
    receive("all are there", 0, nullptr);
    ask(0, count);
    timespec long_time{1000, 0};
    receive("all are there, with a time limit", 0, &long_time);
    ask(0, 2);
    receive("no others come", MSG_DONTWAIT, nullptr);
    ask(0, 2);
    receive("waits for one", MSG_WAITFORONE, nullptr);
    // The others come when the first ones have been taken, and a while after that.
    ask(0, 2);
    const pid_t child = fork();
    if (child == 0) {
        while (readable(server, 0))
            poll(nullptr, 0, 1);
        poll(nullptr, 0, 50);
        ask(2, count);
        _exit(0);
    }
    receive("waits for all", 0, nullptr);
    must(child > 0 && waitpid(child, nullptr, 0) == child, "fork");
}

} // namespace

int main(int, char** arguments) {
    const std::string_view topic = arguments[1];
    for (const Option& option : ipv6_options) {
        if (topic != option.topic)
            continue;
        own_namespace();
        const int server = bound("::");
        switch_on_if_known(server, option);
        sweep(server, ipv6, 88);
        // The same socket asked over IPv4.
        Client client;
        client.ask(server);
        Message message(200);
        receive_and_answer(server, client, asked_address, message);
        return 0;
    }
    if (topic.ends_with("6"))
        own_namespace();
    const Setting& setting = topic.ends_with("6") ? ipv6 : ipv4;
    const int server = bound(setting.server);
    for (const Option& option : ipv4_options) {
        if (topic != option.topic)
            continue;
        switch_on_if_known(server, option);
        if (option.name == SO_TIMESTAMPING && option.level == SOL_SOCKET)
            wait_for_stamps(server);
        sweep(server, ipv4, 88);
        return 0;
    }
    if (topic == "nothing_asked_for" || topic == "nothing_asked_for6") {
        sweep(server, setting, 80);
    } else if (topic == "no_buffer") {
        no_buffer(server, false);
        no_buffer(server, true);
    } else if (topic == "every_length" || topic == "every_length6") {
        // An exact fit and a buffer that is too small for each of the messages are among them.
        all_on(server, setting);
        sweep(server, setting, 440);
    } else if (topic == "extension_headers6") {
        extension_headers(server);
    } else if (topic == "gro") {
        segmentation(server, ipv4);
    } else if (topic == "gro6") {
        segmentation(server, ipv6);
    } else if (topic == "rxq_ovfl") {
        drop_count(server);
    } else if (topic == "errqueue") {
        error_queue(server, "127.0.0.1", asked_address, false);
    } else if (topic == "errqueue_own_pktinfo") {
        error_queue(server, "127.0.0.1", asked_address, true);
    } else if (topic == "errqueue6") {
        error_queue(server, "fd00::4", "fd00::2", false);
    } else if (topic == "errqueue_own_pktinfo6") {
        error_queue(server, "fd00::4", "fd00::2", true);
    } else if (topic == "errqueue_mapped6") {
        error_queue(server, "::ffff:127.0.0.1", asked_address, false);
    } else if (topic == "times_of_sending") {
        times_of_sending(server);
    } else if (topic == "path_mtu6") {
        path_mtu(server);
    } else if (topic == "recvmmsg") {
        many(server, ipv4);
    } else if (topic == "recvmmsg6") {
        many(server, ipv6);
    } else if (topic == "waiting") {
        waiting(server);
    } else if (topic == "in_parts") {
        in_parts(server);
    } else {
        return 2;
    }
    return 0;
}
