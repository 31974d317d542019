// SPDX-License-Identifier: MIT
//
// Point 1, incoming: control messages that the program asked for, in buffers of every size.
#include "tests/transparency/probe.hpp"

#include <algorithm>
#include <array>
#include <linux/net_tstamp.h>
#include <netinet/udp.h>
#include <string_view>

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

// Buffers of every length, from none at all to more than enough.
void sweep(int server, const Addresses& addresses, long largest) {
    Client client(addresses.client);
    decorate(client, &addresses == &ipv6_addresses);
    for (long room = -1; room <= largest; ++room) {
        std::printf("room for %ld:\n", room);
        client.ask(server, addresses.asked);
        Message message(room);
        if (room % 16 == 0) {
            // Looked at first, then read.
            message.show(server, MSG_PEEK | MSG_TRUNC);
            message.prepare(room);
        }
        show_and_answer(server, client, addresses.asked, message, room % 3 == 0 ? MSG_CMSG_CLOEXEC : 0);
    }
}

void all_on(int server, const Addresses& addresses) {
    for (const Option& option : ipv4_options)
        if (&addresses == &ipv4_addresses || option.level == SOL_SOCKET)
            switch_on_if_known(server, option);
    if (&addresses == &ipv6_addresses)
        for (const Option& option : ipv6_options)
            switch_on_if_known(server, option);
}

// All extension headers of a packet, as large as they can be, in the forms of both RFC 3542 and RFC 2292.
void extension_headers(int server) {
    constexpr int old_hop_options = 3; // from linux/in6.h
    constexpr int old_destination_options = 4;
    for (const int option : {IPV6_RECVHOPOPTS, IPV6_RECVDSTOPTS, old_hop_options, old_destination_options})
        switch_on(server, IPPROTO_IPV6, option);
    Client client(ipv6_addresses.client);
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
        client.ask(server, ipv6_addresses.asked);
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
        message.answer(server);
        client.print_answer(ipv6_addresses.asked);
    }
}

void segmentation(int server, const Addresses& addresses) {
    switch_on(server, SOL_UDP, UDP_GRO);
    switch_on(server, IPPROTO_IP, IP_RECVTTL);
    Client client(addresses.client);
    const Name to(addresses.asked, name_of(server).port());
    switch_on(client.fd(), SOL_UDP, UDP_SEGMENT, 10);
    for (long room = -1; room <= 72; ++room) {
        std::printf("room for %ld:\n", room);
        sendto(client.fd(), "three segments of 10 bytes and one", 34, 0, to.get(), to.length);
        must(readable(server), "nothing arrived");
        Message message(room);
        show_and_answer(server, client, addresses.asked, message);
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
        show_and_answer(server, client, asked_address, message);
    }
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
        sweep(server, ipv6_addresses, 88);
        // The same socket asked over IPv4.
        Client client;
        client.ask(server);
        Message message(200);
        show_and_answer(server, client, asked_address, message);
        return 0;
    }
    const bool six = topic.ends_with("6");
    if (six)
        own_namespace();
    const Addresses& addresses = six ? ipv6_addresses : ipv4_addresses;
    const int server = bound(addresses.server);
    for (const Option& option : ipv4_options) {
        if (topic != option.topic)
            continue;
        switch_on_if_known(server, option);
        if (option.name == SO_TIMESTAMPING && option.level == SOL_SOCKET)
            wait_for_stamps(server);
        sweep(server, ipv4_addresses, 88);
        return 0;
    }
    if (topic.starts_with("nothing_asked_for")) {
        sweep(server, addresses, 80);
    } else if (topic.starts_with("every_length")) {
        // An exact fit and a buffer that is too small for each of the messages are among them.
        all_on(server, addresses);
        sweep(server, addresses, 440);
    } else if (topic == "extension_headers6") {
        extension_headers(server);
    } else if (topic.starts_with("gro")) {
        segmentation(server, addresses);
    } else if (topic == "rxq_ovfl") {
        drop_count(server);
    } else {
        return 2;
    }
    return 0;
}
