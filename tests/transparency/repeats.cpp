// SPDX-License-Identifier: MIT
//
// Points 1 and 2 for a client that asks again and again: from its second answer on, the shim knows it all
// already and looks at less.
#include "tests/transparency/probe.hpp"

#include <array>
#include <memory>
#include <string_view>

using namespace probe;

namespace {

constexpr int rounds = 4;

// Asks in turn two of the addresses, each several times.
const char* asked_in(int round, bool ipv6) {
    const bool first = round < rounds;
    return ipv6 ? (first ? "fd00::2" : "fd00::3") : (first ? asked_address : other_address);
}

// `later`: whether the program asks for the time to live when it has answered some already.
void by_messages(int server, const char* client_at, bool ipv6, long room, bool later) {
    std::printf("room for %ld:\n", room);
    Client client(client_at);
    for (int round = 0; round < 2 * rounds; ++round) {
        const char* asked = asked_in(round, ipv6);
        if (later)
            switch_on(server, ipv6 ? IPPROTO_IPV6 : IPPROTO_IP, ipv6 ? IPV6_RECVHOPLIMIT : IP_RECVTTL,
                      round % rounds == rounds - 1);
        client.ask(server, asked);
        Message message(room);
        const long received = recvmsg(server, &message.header, 0);
        message.print(received);
        must(received > 0, "recvmsg");
        msghdr answer{};
        answer.msg_name = &message.name;
        answer.msg_namelen = message.header.msg_namelen;
        answer.msg_iov = &message.part;
        answer.msg_iovlen = 1;
        message.part.iov_len = 6;
        say("sendmsg", sendmsg(server, &answer, 0));
        client.print_answer(asked);
    }
}

// The address and its length lie in one place, and the place that is too short for the address comes in
// between.
void by_addresses(int server, const char* client_at, bool ipv6) {
    Client client(client_at);
    for (int round = 0; round < 2 * rounds; ++round) {
        const char* asked = asked_in(round, ipv6);
        client.ask(server, asked);
        sockaddr_storage storage;
        std::memset(&storage, 0xaa, sizeof storage);
        auto* address = reinterpret_cast<sockaddr*>(&storage);
        char data[64];
        const bool is_short = round % rounds == 2;
        socklen_t length = is_short ? 8 : sizeof storage;
        errno = 4711;
        say("recvfrom", recvfrom(server, data, sizeof data, 0, address, &length));
        std::printf("length %u, family %d, after it %02x, errno %d\n", static_cast<unsigned>(length),
                    storage.ss_family, reinterpret_cast<unsigned char*>(&storage)[is_short ? 8 : length],
                    errno);
        if (is_short) {
            // Nobody can answer that; the next question is answered again.
            client.ask(server, asked);
            length = sizeof storage;
            say("recvfrom", recvfrom(server, data, sizeof data, 0, address, &length));
        }
        say("sendto a null pointer", sendto(server, "answer", 6, 0, nullptr, length));
        say("sendto", sendto(server, "answer", 6, 0, address, length));
        client.print_answer(asked);
        // Once more, to the same client. Where that has asked another address than before only once, what
        // follows its answer after a pause leaves from the address where the client is known.
        if (round == rounds)
            continue;
        say("sendto", sendto(server, "answer", 6, 0, address, length));
        client.print_answer(asked);
    }
}

// A client that has been answered asks an address, and with a message beside it, whose bytes are small
// numbers where those of another datagram tell an interface.
void by_small_numbers(int server) {
    constexpr int small = 1;
    Client client("fd00::4");
    for (const bool marked : {false, true}) {
        if (marked) {
            switch_on(client.fd(), SOL_SOCKET, SO_MARK, small);
            say("SO_RCVMARK", setsockopt(server, SOL_SOCKET, SO_RCVMARK, &small, sizeof small));
        }
        for (const bool with_time : {false, true}) {
            switch_on(server, SOL_SOCKET, SO_TIMESTAMP, with_time ? 1 : 0);
            std::printf("%s mark, %s time\n", marked ? "a" : "no", with_time ? "a" : "no");
            for (const char* asked : {"fd00::2", "fd00::2", "fd00::2", address_with_small_first_half,
                                      "fd00::2", "fd00::2", address_with_small_second_half, "fd00::2"}) {
                client.ask(server, asked);
                const Name peer = say_heard(server);
                std::printf("name of %u bytes\n", static_cast<unsigned>(peer.length));
                say_answered(server, peer);
                client.print_answer(asked);
            }
        }
    }
}

// Each thing in a block of the heap by itself.
void on_the_heap(int server) {
    Client client;
    for (int round = 0; round < rounds; ++round) {
        client.ask(server);
        const auto peer = std::make_unique<Name>();
        const auto data = std::make_unique<std::array<char, 64>>();
        say("recvfrom", recvfrom(server, data->data(), data->size(), 0, peer->get(), &peer->length));
        say("sendto", sendto(server, data->data(), 1, 0, peer->get(), peer->length));
        client.print_answer();
        client.ask(server);
        const auto message = std::make_unique<Message>(64);
        message->print(recvmsg(server, &message->header, 0));
        say("sendmsg", sendmsg(server, &message->header, 0));
        client.print_answer();
    }
}

// The program is told of whoever looks at memory beside the blocks.
void under_valgrind(const char* program) {
#ifdef __SANITIZE_ADDRESS__
    skip("valgrind does not run programs with the address sanitizer");
#endif
    execlp("valgrind", "valgrind", "--quiet", "--log-file=/dev/null", "--error-exitcode=3", program, "heap",
           nullptr);
    skip("valgrind is not installed");
}

} // namespace

int main(int, char** arguments) {
    std::string_view topic = arguments[1];
    if (topic == "valgrind")
        under_valgrind(arguments[0]);
    const bool ipv6 = topic.ends_with("6");
    if (ipv6) {
        own_namespace();
        topic.remove_suffix(1);
    }
    const int server = bound(ipv6 ? "::" : "0.0.0.0");
    const char* client = ipv6 ? "fd00::4" : client_address;
    if (topic == "addresses") {
        by_addresses(server, client, ipv6);
        return 0;
    }
    if (topic == "heap") {
        on_the_heap(server);
        return 0;
    }
    if (topic == "small_numbers") {
        by_small_numbers(server);
        return 0;
    }
    if (topic == "time_to_live" && ipv6)
        switch_on(server, IPPROTO_IPV6, IPV6_RECVHOPLIMIT);
    else if (topic == "time_to_live")
        switch_on(server, IPPROTO_IP, IP_RECVTTL);
    else if (topic == "timestamps")
        switch_on(server, SOL_SOCKET, SO_TIMESTAMPNS);
    else if (topic == "own_information" && ipv6)
        switch_on(server, IPPROTO_IPV6, IPV6_RECVPKTINFO);
    else if (topic == "own_information")
        switch_on(server, IPPROTO_IP, IP_PKTINFO);
    else if (topic != "messages" && topic != "time_to_live_later")
        return 2;
    for (const long room : {-1L, 0L, 24L, 200L})
        by_messages(server, client, ipv6, room, topic == "time_to_live_later");
    return 0;
}
