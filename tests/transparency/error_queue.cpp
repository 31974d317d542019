// SPDX-License-Identifier: MIT
//
// Point 1, incoming: what the kernel tells of datagrams that the program has sent, in buffers of many sizes.
#include "tests/transparency/probe.hpp"

#include <linux/errqueue.h>
#include <linux/net_tstamp.h>
#include <string_view>

using namespace probe;

namespace {

void wait_for_error(int server) {
    pollfd poller{server, 0, 0};
    must(poll(&poller, 1, 5000) == 1 && (poller.revents & POLLERR) != 0, "nothing came to the error queue");
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
        wait_for_error(server);
        Message message(room);
        message.show(server, MSG_ERRQUEUE);
        char data[8];
        Name from;
        say("and once more",
            recvfrom(server, data, sizeof data, MSG_ERRQUEUE | MSG_DONTWAIT, from.get(), &from.length));
    }
    echo(server, server, asked,
         std::strchr(asked, ':') != nullptr ? ipv6_addresses.client : ipv4_addresses.client);
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
        wait_for_error(server);
        Message message(room);
        const long received = recvmsg(server, &message.header, MSG_ERRQUEUE);
        mask_source(message.header);
        message.print(received);
    }
}

// A client that has gone, to which the program sends from an address of its own choice. The refusal, which a
// call for many reads, names that address. It tells nothing of where the client has asked.
void refused_by_client() {
    own_namespace();
    const int server = bound("0.0.0.0");
    switch_on(server, IPPROTO_IP, IP_RECVERR);
    Name name;
    {
        Client client;
        name = name_of(client.fd());
        client.ask(server);
        say_answered(server, say_heard(server));
        client.print_answer();
    }
    char data[] = "x";
    iovec part{data, 1};
    msghdr refused = header_for(name, part);
    alignas(cmsghdr) unsigned char control[CMSG_SPACE(sizeof(in_pktinfo))]{};
    refused.msg_control = control;
    refused.msg_controllen = sizeof control;
    in_pktinfo chosen{};
    must(inet_pton(AF_INET, other_address, &chosen.ipi_spec_dst) == 1, "inet_pton");
    cmsghdr* const header = CMSG_FIRSTHDR(&refused);
    *header = {CMSG_LEN(sizeof chosen), IPPROTO_IP, IP_PKTINFO};
    std::memcpy(CMSG_DATA(header), &chosen, sizeof chosen);
    say("refused", sendmsg(server, &refused, 0));
    wait_for_error(server);
    Message message(160);
    mmsghdr batch[2]{{message.header, 0}, {}};
    say("recvmmsg", recvmmsg(server, batch, 2, MSG_ERRQUEUE, nullptr));
    const int back = socket(AF_INET, SOCK_DGRAM, 0);
    must(bind(back, name.get(), name.length) == 0, "bind");
    say_answered(server, name);
    must(readable(back), "nothing comes back");
    Name from;
    recvfrom(back, data, sizeof data, 0, from.get(), &from.length);
    std::printf("answer asked=%s from=%s\n", asked_address, from.address().c_str());
}

// The kernel stops in a batch, at a datagram that is too large. It notes that once for each try.
void too_large_in_batch(int server, const Addresses& addresses) {
    switch_on(server, IPPROTO_IP, IP_RECVERR);
    if (std::string_view{addresses.server} == "::")
        switch_on(server, IPPROTO_IPV6, IPV6_RECVERR);
    Client client(addresses.client);
    client.ask(server, addresses.asked);
    Name peer = say_heard(server);
    static char data[65535];
    iovec parts[] = {{data, 1}, {data, sizeof data}, {data, 1}};
    mmsghdr batch[3]{};
    for (size_t number = 0; number < 3; ++number)
        batch[number].msg_hdr = header_for(peer, parts[number]);
    say_call("sendmmsg", [&] { return sendmmsg(server, batch, 3, 0); });
    client.print_answer(addresses.asked);
    int entries = 0;
    for (Message message(160); recvmsg(server, &message.header, MSG_ERRQUEUE | MSG_DONTWAIT) >= 0;
         message.header.msg_controllen = 160)
        ++entries;
    say("entries in the error queue", entries);
}

// What an IPv6 socket is told, in place of a datagram, of one that it could not send (RFC 3542, 11.3).
void path_mtu(int server) {
    switch_on(server, IPPROTO_IPV6, IPV6_RECVPATHMTU);
    switch_on(server, IPPROTO_IPV6, IPV6_DONTFRAG);
    const Name to(ipv6_addresses.client, htons(9));
    const std::string much(65500, 'x'); // with its headers more than the loopback interface takes
    for (long room = -1; room <= 64; room = room < 0 ? 0 : room + 8) {
        std::printf("room for %ld:\n", room);
        say("sendto", sendto(server, much.data(), much.size(), 0, to.get(), to.length));
        Message message(room);
        message.show(server, MSG_DONTWAIT);
        message.show(server, MSG_DONTWAIT);
    }
    echo(server, server, ipv6_addresses.asked, ipv6_addresses.client);
}

} // namespace

int main(int, char** arguments) {
    const std::string_view topic = arguments[1];
    if (topic == "refused_by_client") {
        refused_by_client();
        return 0;
    }
    const bool six = topic.ends_with("6");
    if (six)
        own_namespace();
    const Addresses& addresses = six ? ipv6_addresses : ipv4_addresses;
    const int server = bound(addresses.server);
    if (topic.starts_with("errqueue_mapped"))
        error_queue(server, "::ffff:127.0.0.1", asked_address, false);
    else if (topic.starts_with("errqueue"))
        error_queue(server, six ? ipv6_addresses.client : "127.0.0.1", addresses.asked,
                    topic.find("own_pktinfo") != topic.npos);
    else if (topic == "times_of_sending")
        times_of_sending(server);
    else if (topic.starts_with("too_large_in_batch"))
        too_large_in_batch(server, addresses);
    else if (topic == "path_mtu6")
        path_mtu(server);
    else
        return 2;
    return 0;
}
