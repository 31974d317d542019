// SPDX-License-Identifier: MIT
#include "tools/bench/client.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <cstring>
#include <stdexcept>
#include <sys/time.h>
#include <unistd.h>

namespace multihome::bench {

namespace {

// An address of either family.
union AnyAddress {
    sockaddr_in ipv4;
    sockaddr_in6 ipv6;

    sockaddr* get() { return reinterpret_cast<sockaddr*>(this); }
};

AnyAddress ipv4_address(in_addr_t host_order, uint16_t port) {
    AnyAddress address{};
    address.ipv4.sin_family = AF_INET;
    address.ipv4.sin_addr.s_addr = htonl(host_order);
    address.ipv4.sin_port = htons(port);
    return address;
}

AnyAddress ipv6_address(const char* prefix, uint32_t number, uint16_t port) {
    AnyAddress address{};
    address.ipv6.sin6_family = AF_INET6;
    address.ipv6.sin6_port = htons(port);
    inet_pton(AF_INET6, prefix, &address.ipv6.sin6_addr);
    number = htonl(number);
    std::memcpy(&address.ipv6.sin6_addr.s6_addr[12], &number, sizeof number);
    return address;
}

} // namespace

// One for each request or answer of a window, prepared once.
struct Client::Messages {
    struct Message {
        AnyAddress peer;
        std::array<char, largest_datagram> data;
        iovec part;
        alignas(cmsghdr) char control[CMSG_SPACE(sizeof(in6_pktinfo))];
    };

    std::vector<AnyAddress> servers;
    socklen_t address_length = 0;
    std::array<Message, largest_window> outgoing{};
    std::array<Message, largest_window> incoming{};
    std::array<mmsghdr, largest_window> requests{};
    std::array<mmsghdr, largest_window> answers{};

    explicit Messages(const Clients& clients)
        : address_length(clients.ipv6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in)) {
        for (uint32_t index = 0; index < clients.addresses; ++index)
            servers.push_back(clients.ipv6
                                  ? ipv6_address(server_prefix, index + first_server_number, clients.port)
                                  : ipv4_address(clients.server + index, clients.port));
        for (unsigned index = 0; index < largest_window; ++index) {
            prepare(requests[index].msg_hdr, outgoing[index], clients.size);
            prepare(answers[index].msg_hdr, incoming[index], largest_datagram);
            prepare_source(requests[index].msg_hdr, outgoing[index], clients.ipv6);
        }
    }

    // The request's sender, its receiver, and in its data which address that is: it comes back.
    void address_request(unsigned index, const Clients& clients, uint64_t number) {
        Message& message = outgoing[index];
        const uint64_t client = number % clients.count;
        const uint64_t turn = clients.alternating ? number / clients.count : 0;
        const auto asked = static_cast<uint32_t>((client + turn) % servers.size());
        message.peer = servers[asked];
        std::memcpy(message.data.data(), &asked, std::min(sizeof asked, clients.size));
        const auto offset = static_cast<uint32_t>(client);
        if (clients.ipv6) {
            const AnyAddress own = ipv6_address(client_prefix, offset + 1, 0);
            in6_pktinfo information{};
            information.ipi6_addr = own.ipv6.sin6_addr;
            std::memcpy(message.control + CMSG_LEN(0), &information, sizeof information);
        } else {
            in_pktinfo information{};
            information.ipi_spec_dst.s_addr = htonl(clients.first + offset);
            std::memcpy(message.control + CMSG_LEN(0), &information, sizeof information);
        }
    }

    bool is_right(unsigned index) const {
        const Message& message = incoming[index];
        uint32_t asked = 0;
        std::memcpy(&asked, message.data.data(), sizeof asked);
        return asked < servers.size() && std::memcmp(&message.peer, &servers[asked], address_length) == 0;
    }

private:
    void prepare(msghdr& header, Message& message, size_t size) const {
        message.part = {message.data.data(), size};
        header.msg_name = &message.peer;
        header.msg_namelen = address_length;
        header.msg_iov = &message.part;
        header.msg_iovlen = 1;
    }

    static void prepare_source(msghdr& header, Message& message, bool ipv6) {
        const size_t size = ipv6 ? sizeof(in6_pktinfo) : sizeof(in_pktinfo);
        header.msg_control = message.control;
        header.msg_controllen = CMSG_SPACE(size);
        *CMSG_FIRSTHDR(&header) = {CMSG_LEN(size), ipv6 ? IPPROTO_IPV6 : IPPROTO_IP,
                                   ipv6 ? IPV6_PKTINFO : IP_PKTINFO};
    }
};

Client::Client(const Clients& clients) : clients_(clients) {
    if (clients.size > largest_datagram || clients.count == 0 || clients.count > most_clients)
        throw std::invalid_argument("client: datagram too large, or too many clients");
    const int family = clients.ipv6 ? AF_INET6 : AF_INET;
    fd_ = Descriptor{check(socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket")};
    const timeval timeout{clients.patience_ms / 1000, suseconds_t{clients.patience_ms % 1000} * 1000};
    check(setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout), "SO_RCVTIMEO");
    enlarge_buffers(fd_.get());
    // A route makes the prefix ours; its addresses are on no interface.
    const int on = 1;
    if (clients.ipv6)
        check(setsockopt(fd_.get(), IPPROTO_IPV6, IPV6_FREEBIND, &on, sizeof on), "IPV6_FREEBIND");
    messages_ = std::make_unique<Messages>(clients);
    AnyAddress own =
        clients.ipv6 ? ipv6_address("::", 0, clients.own_port) : ipv4_address(INADDR_ANY, clients.own_port);
    check(bind(fd_.get(), own.get(), messages_->address_length), "bind");
}

Client::~Client() = default;

unsigned Client::send(unsigned count) {
    for (unsigned index = 0; index < count; ++index)
        messages_->address_request(index, clients_, next_ + index);
    const int sent = sendmmsg(fd_.get(), messages_->requests.data(), count, 0);
    next_ += sent > 0 ? static_cast<unsigned>(sent) : 0;
    return sent > 0 ? static_cast<unsigned>(sent) : 0;
}

unsigned Client::receive(int flags) {
    for (mmsghdr& answer : messages_->answers)
        answer.msg_hdr.msg_namelen = sizeof(AnyAddress);
    const int got = recvmmsg(fd_.get(), messages_->answers.data(), largest_window, flags, nullptr);
    const unsigned count = got > 0 ? static_cast<unsigned>(got) : 0;
    for (unsigned index = 0; index < count; ++index)
        answers_.right += messages_->is_right(index);
    answers_.all += count;
    return count;
}

void Client::ask(uint64_t requests, unsigned together, int gate) {
    for (uint64_t done = 0; done < requests;) {
        const auto count = static_cast<unsigned>(std::min<uint64_t>(together, requests - done));
        if (send(count) != count)
            fail("sendmmsg");
        const char byte = 'x';
        if (gate >= 0 && write(gate, &byte, 1) != 1)
            fail("write");
        for (unsigned taken = 0; taken < count;) {
            const unsigned got = receive();
            if (got == 0)
                fail("no answer");
            taken += got;
        }
        done += count;
    }
}

Load::Load(const Settings& settings) : settings_(settings), counts_(settings.threads) {
    for (Count& count : counts_)
        threads_.emplace_back([this, &count](const std::stop_token& stop) {
            if (settings_.place != Place::anywhere)
                move_to(settings_.place);
            Client client(settings_.clients);
            for (unsigned under_way = 0; !stop.stop_requested();) {
                under_way += client.send(settings_.window - under_way);
                const unsigned got = client.receive();
                count.all.store(client.answers().all, std::memory_order_relaxed);
                count.right.store(client.answers().right, std::memory_order_relaxed);
                under_way = got != 0 && got < under_way ? under_way - got : 0;
            }
        });
}

Answers Load::answers() const {
    Answers sum;
    for (const Count& count : counts_) {
        sum.all += count.all.load(std::memory_order_relaxed);
        sum.right += count.right.load(std::memory_order_relaxed);
    }
    return sum;
}

void Load::wait_for(uint64_t count) const {
    const auto patience = std::chrono::steady_clock::now() + std::chrono::minutes(2);
    while (answers().all < count && std::chrono::steady_clock::now() < patience)
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
}

Answers Load::answers_after(std::chrono::milliseconds duration, const Answers& before) const {
    constexpr unsigned patience = 100;
    // More than could have been under way all the time, so that the server has had to run for them.
    const uint64_t enough = before.all + uint64_t{4} * settings_.threads * settings_.window;
    for (unsigned tries = 0; tries < patience; ++tries) {
        std::this_thread::sleep_for(duration);
        const Answers now = answers();
        if (now.all > enough)
            return now;
    }
    throw std::runtime_error("load: hardly any answers");
}

Answers sweep(const Clients& clients, unsigned passes) {
    constexpr unsigned together = 32;
    Client client(clients);
    Answers before;
    for (unsigned pass = 0; pass < passes; ++pass) {
        // A flow that goes on for two seconds is one that connection tracking does not give up for another.
        if (pass > 0)
            std::this_thread::sleep_for(std::chrono::milliseconds(2100));
        before = client.answers();
        for (uint32_t asked = 0; asked < clients.count;) {
            const unsigned sent = client.send(std::min(together, clients.count - asked));
            if (sent == 0)
                fail("sendmmsg");
            asked += sent;
            for (unsigned taken = 0; taken < sent;) {
                const unsigned got = client.receive();
                if (got == 0)
                    break;
                taken += got;
            }
        }
    }
    return client.answers() - before;
}

Paced ask_at_rate(const Clients& clients, unsigned rate, std::chrono::milliseconds duration) {
    using Clock = std::chrono::steady_clock;
    constexpr unsigned together = 16; // so few that nobody's queue runs over
    const auto interval = std::chrono::nanoseconds(std::chrono::seconds(together)) / rate;
    Client client(clients);
    Paced paced;
    const auto end = Clock::now() + duration;
    for (auto next = Clock::now(); next < end;) {
        std::this_thread::sleep_until(next);
        paced.asked += client.send(together);
        while (client.receive(MSG_DONTWAIT) != 0) {
        }
        // What a busy machine has kept us from sending is not made up for: it would come all at once.
        next = std::max(next + interval, Clock::now() - std::chrono::milliseconds(1));
    }
    while (client.receive() != 0) {
    }
    paced.answers = client.answers();
    return paced;
}

} // namespace multihome::bench
