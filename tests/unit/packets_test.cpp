// SPDX-License-Identifier: MIT
//
// The receive and send calls on real sockets, over loopback. What programs see of them is tested in
// transparency; here is what only the counters show.
#include "shim/packets/receive.hpp"
#include "shim/packets/send.hpp"

#include "turns.hpp"
#include "udp_sockets.hpp"

#include <array>
#include <doctest/doctest.h>
#include <initializer_list>
#include <optional>
#include <string>

namespace multihome::packets_test {

using namespace test; // NOLINT(google-build-using-namespace)

namespace {

constexpr in_addr_t asked = INADDR_LOOPBACK + 1;

// As many datagrams as a call takes or brings, with room for the peers' names.
struct Messages {
    std::array<sockaddr_in, 3> names{};
    std::array<iovec, 3> parts{};
    std::array<std::array<char, 16>, 3> data{};
    std::array<mmsghdr, 3> headers{};

    Messages() {
        for (size_t number = 0; number < headers.size(); ++number) {
            parts[number] = {data[number].data(), data[number].size()};
            msghdr& header = headers[number].msg_hdr;
            header.msg_name = &names[number];
            header.msg_namelen = sizeof names[number];
            header.msg_iov = &parts[number];
            header.msg_iovlen = 1;
        }
    }
    Messages(const Messages&) = delete;
    Messages& operator=(const Messages&) = delete;
};

// By each of the calls. `count`: how many datagrams there are.
enum class Call : uint8_t { datagram, message, messages, messages_with_room };

long receive_by(Call call, int fd, Messages& messages, unsigned count, int flags = 0) {
    const Socket socket = sockets::get(fd);
    REQUIRE(socket.is(Kind::ours));
    msghdr& first = messages.headers[0].msg_hdr;
    if (call == Call::datagram)
        return receive::datagram(socket, fd, messages.data[0].data(), messages.data[0].size(), flags,
                                 static_cast<sockaddr*>(first.msg_name), &first.msg_namelen);
    if (call == Call::message)
        return receive::message(fd, &first, flags, socket);
    return receive::messages(fd, messages.headers.data(), call == Call::messages ? count : 3,
                             flags | MSG_DONTWAIT, nullptr, socket);
}

long send_by(Call call, int fd, Messages& messages, unsigned count) {
    const Socket socket = sockets::get(fd);
    msghdr& first = messages.headers[0].msg_hdr;
    if (call == Call::datagram)
        return send::datagram(socket, fd, messages.data[0].data(), messages.data[0].size(), 0,
                              static_cast<const sockaddr*>(first.msg_name), first.msg_namelen);
    if (call == Call::message)
        return send::message(fd, &first, 0, socket);
    return send::messages(fd, messages.headers.data(), count, 0, socket);
}

// A client, which is bound so that it is none of ours.
class Client {
public:
    Client() { bind_to(fd_, INADDR_LOOPBACK); }

    void ask(int server, in_addr_t at = asked) const {
        const sockaddr_in to = name_at(at, ntohs(port_of(server)));
        REQUIRE(sendto(fd_, "?", 1, 0, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 1);
    }
    bool hears() const { return hear().has_value(); }
    // From the address that it asked.
    bool is_answered(in_addr_t at = asked) const { return hear() == htonl(at); }

    sockaddr_in name() const { return name_at(INADDR_LOOPBACK, ntohs(port_of(fd_))); }

private:
    // Where a datagram came from. Over loopback it is there when the call that sends it returns.
    std::optional<in_addr_t> hear() const {
        char data[16];
        sockaddr_in from{};
        socklen_t length = sizeof from;
        return recvfrom(fd_, data, sizeof data, MSG_DONTWAIT, reinterpret_cast<sockaddr*>(&from), &length) >=
                       0
                   ? std::optional{from.sin_addr.s_addr}
                   : std::nullopt;
    }

    Descriptor fd_{udp()};
};

// Calls `test` with a state and a server of its own, in a thread that has not received anything yet.
template <typename Test>
void with_server(Test test) {
    const State state;
    Worker worker;
    worker.tell([&] {
        const Descriptor server{udp()};
        bind_to(server, INADDR_ANY);
        REQUIRE(sockets::get(server).is(Kind::ours)); // from the first datagram on
        test(state, server);
    });
}

// The client has asked an address that is gone since.
void hear_at_lost_address(int server, const Client& client) {
    sockaddr_in name = client.name();
    msghdr message{};
    message.msg_name = &name;
    message.msg_namelen = sizeof name;
    peers::Turn turn;
    turn.begin_receiving(sockets::get(server), server);
    REQUIRE(turn.hear(sockets::get(server), message, local(1)));
}

} // namespace

TEST_SUITE_BEGIN("packets");

TEST_CASE("each datagram is counted once, whichever call brings and takes it") {
    for (const Call received_by : {Call::datagram, Call::message, Call::messages, Call::messages_with_room})
        for (const Call sent_by : {Call::datagram, Call::message, Call::messages}) {
            CAPTURE(received_by);
            CAPTURE(sent_by);
            with_server([&](const State& state, int server) {
                const Client client;
                // One that is new, one that becomes known, and those of which there is nothing to learn.
                for (unsigned round = 1; round <= 4; ++round) {
                    client.ask(server);
                    Messages messages;
                    CHECK(receive_by(received_by, server, messages, 1) == 1);
                    CHECK(state.count(Counter::requests) == round);
                    CHECK(send_by(sent_by, server, messages, 1) > 0);
                    CHECK(state.count(Counter::answered) == round);
                    CHECK(client.is_answered());
                }
            });
        }
}

TEST_CASE("what one call takes in several of ours is answered in its order") {
    with_server([](const State& /*state*/, int server) {
        // Two of these fill the memory that one call of ours has.
        static std::array<std::array<char, 250'000>, 3> control;
        const std::array<in_addr_t, 3> addresses{asked, asked + 1, asked + 2};
        const Client client;
        // The second time the client is known, so that each part may be heard as one datagram alone is.
        for (const unsigned times : {1U, 2U}) {
            CAPTURE(times);
            Messages messages;
            for (size_t number = 0; number < addresses.size(); ++number) {
                messages.headers[number].msg_hdr.msg_control = control[number].data();
                messages.headers[number].msg_hdr.msg_controllen = control[number].size();
                client.ask(server, addresses[number]);
            }
            REQUIRE(receive_by(Call::messages_with_room, server, messages, 3) == 3);
            for (mmsghdr& header : messages.headers)
                header.msg_hdr.msg_controllen = 0;
            REQUIRE(send_by(Call::messages, server, messages, 3) == 3);
            for (const in_addr_t address : addresses)
                CHECK(client.is_answered(address));
        }
    });
}

TEST_CASE("whichever call looks at datagrams, what it sees after an answer is another one") {
    for (const Call seen_by : {Call::datagram, Call::message, Call::messages, Call::messages_with_room}) {
        CAPTURE(seen_by);
        with_server([&](const State&, int server) {
            const Client client;
            const Client other;
            Messages messages;
            for (unsigned time = 0; time < 3; ++time) {
                client.ask(server);
                CHECK(receive_by(seen_by, server, messages, 1, MSG_PEEK) > 0);
                CHECK(send_by(Call::datagram, server, messages, 1) > 0);
                CHECK(client.is_answered());
                char data[16];
                CHECK(recv(server, data, sizeof data, MSG_DONTWAIT) == 1); // nobody sees it
            }
            const auto serve = [&](const Client& who, in_addr_t at) {
                who.ask(server, at);
                CHECK(receive_by(Call::datagram, server, messages, 1) == 1);
                CHECK(send_by(Call::datagram, server, messages, 1) > 0);
                CHECK(who.hears());
            };
            serve(client, asked + 1); // it may be a stranger
            serve(other, asked);
            messages.names[0] = client.name();
            CHECK(send_by(Call::datagram, server, messages, 1) > 0); // the program's own
            CHECK(client.is_answered());
        });
    }
}

TEST_CASE("of several that one call takes those are counted that are answers") {
    for (const unsigned answers : {0U, 1U, 2U}) {
        CAPTURE(answers);
        with_server([&](const State& state, int server) {
            const std::array<Client, 2> clients;
            for (unsigned number = 0; number < answers; ++number)
                clients[number].ask(server);
            Messages messages;
            if (answers != 0)
                CHECK(receive_by(Call::messages_with_room, server, messages, answers) == answers);
            CHECK(state.count(Counter::requests) == answers);
            for (unsigned number = answers; number < 3; ++number) // nobody has asked from there
                messages.names[number] = name_at(INADDR_LOOPBACK + 2, 9);
            CHECK(send_by(Call::messages, server, messages, 3) == 3);
            CHECK(state.count(Counter::answered) == answers);
            CHECK(state.count(Counter::not_heard) == 3 - answers);
            for (unsigned number = 0; number < answers; ++number)
                CHECK(clients[number].is_answered());
        });
    }
}

TEST_CASE("a source that the kernel refuses is forgotten, and the datagram is sent without it") {
    for (const Call sent_by : {Call::datagram, Call::message, Call::messages}) {
        CAPTURE(sent_by);
        with_server([&](const State& state, int server) {
            const Client client;
            hear_at_lost_address(server, client);
            Messages messages;
            messages.names[0] = client.name();
            // The second time there is none to be refused.
            for (unsigned round = 1; round <= 2; ++round) {
                errno = 4711;
                CHECK(send_by(sent_by, server, messages, 1) > 0);
                CHECK(errno == 4711);
                CHECK(client.hears());
                CHECK(state.count(Counter::answered) == 1);
                CHECK(state.count(Counter::refused) == 1);
            }
        });
    }
}

TEST_CASE("of several that one call takes those are sent without their source whose source is refused") {
    for (unsigned refused = 0; refused < 8; ++refused) {
        CAPTURE(refused); // one bit for each of three
        with_server([&](const State& state, int server) {
            const std::array<Client, 3> clients;
            Messages messages;
            unsigned count = 0;
            for (unsigned number = 0; number < 3; ++number) {
                messages.names[number] = clients[number].name();
                if ((refused & 1U << number) == 0)
                    continue;
                ++count;
                hear_at_lost_address(server, clients[number]);
            }
            for (unsigned round = 1; round <= 2; ++round) {
                errno = 4711;
                CHECK(send_by(Call::messages, server, messages, 3) == 3);
                CHECK(errno == 4711);
                for (unsigned number = 0; number < 3; ++number) {
                    CHECK(messages.headers[number].msg_len == messages.data[number].size());
                    CHECK(clients[number].hears());
                }
                CHECK(state.count(Counter::answered) == count);
                CHECK(state.count(Counter::refused) == count);
            }
        });
    }
}

TEST_CASE("what the kernel refuses for another reason has lost nothing of its source") {
    for (const Call sent_by : {Call::datagram, Call::message, Call::messages}) {
        CAPTURE(sent_by);
        with_server([&](const State& state, int server) {
            const Client client;
            client.ask(server);
            Messages messages;
            CHECK(receive_by(Call::datagram, server, messages, 1) == 1);
            // Too long for a datagram.
            static char much[70'000];
            messages.parts[0] = {much, sizeof much};
            const msghdr& header = messages.headers[0].msg_hdr;
            errno = 0;
            CHECK((sent_by == Call::datagram
                       ? send::datagram(sockets::get(server), server, much, sizeof much, 0,
                                        static_cast<const sockaddr*>(header.msg_name), header.msg_namelen)
                       : send_by(sent_by, server, messages, 1)) == -1);
            CHECK(errno == EMSGSIZE);
            CHECK(state.count(Counter::refused) == 0);
            messages.parts[0] = {much, 1};
            CHECK(send_by(sent_by, server, messages, 1) > 0);
            CHECK(client.is_answered());
        });
    }
}

TEST_SUITE_END();

} // namespace multihome::packets_test
