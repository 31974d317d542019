// SPDX-License-Identifier: MIT
//
// Point 1, incoming: calls without a buffer for control messages, for many datagrams, and for one that was
// there before an option was switched on.
#include "tests/transparency/probe.hpp"

#include <string_view>
#include <sys/wait.h>

using namespace probe;

namespace {

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
        show_and_answer(server, client, asked_address, message);
    }
}

// Messages of one recvmmsg() call with different buffers.
void many(int server, const Addresses& addresses) {
    const bool six = &addresses == &ipv6_addresses;
    switch_on(server, six ? IPPROTO_IPV6 : IPPROTO_IP, six ? IPV6_RECVHOPLIMIT : IP_RECVTTL);
    switch_on(server, SOL_SOCKET, SO_TIMESTAMPNS);
    switch_on(server, six ? IPPROTO_IPV6 : IPPROTO_IP, six ? IPV6_RECVTCLASS : IP_RECVTOS);
    constexpr long rooms[] = {-1, 0, 8, 24, 32, 40, 56, 72, 80, 200, 2000, -1};
    constexpr unsigned count = std::size(rooms);
    Client client(addresses.client);
    for (unsigned number = 0; number < count; ++number)
        client.ask(server, number % 2 == 0 ? addresses.asked : addresses.other);
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
        if (number == 4 || number == 5)
            continue;
        messages[number].answer(server);
        client.print_answer(number % 2 == 0 ? addresses.asked : addresses.other);
    }
    echo(server, server, addresses.asked, addresses.client);
}

// A datagram that is still waiting when the program switches an option on: the shim's was on before.
void waiting(int server) {
    Client client;
    for (int number = 0; number < 3; ++number)
        client.ask(server);
    Message message(200);
    show_and_answer(server, client, asked_address, message);
    switch_on(server, IPPROTO_IP, IP_RECVTTL);
    message.prepare(200);
    show_and_answer(server, client, asked_address, message);
    switch_on(server, IPPROTO_IP, IP_RECVTTL, 0);
    message.prepare(200);
    show_and_answer(server, client, asked_address, message);
}

// So much room for control messages that what a thread keeps takes two datagrams: all of them take memory of
// their own, and the call waits, or does not, as it would without.
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
            headers[number].msg_hdr = header_for(names[number], parts[number]);
            headers[number].msg_hdr.msg_control = control[number];
            headers[number].msg_hdr.msg_controllen = room;
        }
        const long received =
            say_call(what, [&] { return recvmmsg(server, headers, count, flags, timeout); });
        for (unsigned number = 0; number < received; ++number) {
            const msghdr& header = headers[number].msg_hdr;
            std::printf("length %u, control of %zu, flags %d\n", headers[number].msg_len,
                        header.msg_controllen, header.msg_flags);
            names[number].length = header.msg_namelen;
            say_answered(server, names[number]);
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
    if (topic == "recvmmsg6")
        own_namespace();
    const Addresses& addresses = topic == "recvmmsg6" ? ipv6_addresses : ipv4_addresses;
    const int server = bound(addresses.server);
    if (topic == "no_buffer") {
        no_buffer(server, false);
        no_buffer(server, true);
    } else if (topic.starts_with("recvmmsg")) {
        many(server, addresses);
    } else if (topic == "waiting") {
        waiting(server);
    } else if (topic == "in_parts") {
        in_parts(server);
    } else {
        return 2;
    }
    return 0;
}
