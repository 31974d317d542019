// SPDX-License-Identifier: MIT
#include "client.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <poll.h>
#include <random>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace multihome::stress {

namespace {

// No answer for so long: something is lost for good. Long, because a busy machine is slow.
constexpr int patience = 60'000;

// What a request carries and its answer brings back.
struct Token {
    uint64_t number;
    uint32_t port; // which of our sockets
    uint32_t address;
};

void ask(int fd, const Token& token, in_port_t port) {
    const sockaddr_in name = server_name(token.address, port);
    if (sendto(fd, &token, sizeof token, 0, reinterpret_cast<const sockaddr*>(&name), sizeof name) !=
        static_cast<ssize_t>(sizeof token))
        fail("a request");
}

// One answer, judged; false where there is none.
bool take_answer(int fd, in_port_t port, Token& token, Result& result) {
    sockaddr_in source{};
    socklen_t length = sizeof source;
    const ssize_t received =
        recvfrom(fd, &token, sizeof token, 0, reinterpret_cast<sockaddr*>(&source), &length);
    if (received < 0)
        return false;
    errno = 0;
    if (received != static_cast<ssize_t>(sizeof token) || token.address >= address_count)
        fail("an answer that is not the request");
    ++result.answers;
    const sockaddr_in expected = server_name(token.address, port);
    if (source.sin_addr.s_addr != expected.sin_addr.s_addr || source.sin_port != expected.sin_port)
        ++result.wrong;
    return true;
}

// The sockets of one wave; closed by the destructor.
class Ports {
public:
    explicit Ports(unsigned count) : epoll_(epoll_create1(EPOLL_CLOEXEC)) {
        if (epoll_ < 0)
            fail("epoll_create1");
        for (uint32_t number = 0; number < count; ++number) {
            sockets_.push_back(client_socket());
            epoll_event event{};
            event.events = EPOLLIN;
            event.data.u32 = number;
            if (epoll_ctl(epoll_, EPOLL_CTL_ADD, sockets_.back(), &event) != 0)
                fail("epoll_ctl");
        }
    }
    ~Ports() {
        for (const int fd : sockets_)
            close(fd);
        close(epoll_);
    }
    Ports(const Ports&) = delete;
    Ports& operator=(const Ports&) = delete;

    int socket(uint32_t number) const { return sockets_[number]; }

    std::vector<uint32_t> wait() const {
        epoll_event events[64];
        const int count = epoll_wait(epoll_, events, 64, patience);
        std::vector<uint32_t> ready;
        ready.reserve(64);
        for (int index = 0; index < count; ++index)
            ready.push_back(events[index].data.u32);
        return ready;
    }

private:
    int epoll_;
    std::vector<int> sockets_;
};

} // namespace

Result ask_from_many_ports(const Server& server, unsigned ports, uint64_t requests, unsigned window) {
    Result result;
    std::minstd_rand random{1};
    const unsigned at_once = raise_descriptor_limit(ports);
    uint64_t asked = 0;
    for (unsigned done = 0; done < ports; done += at_once) {
        const unsigned count = std::min(at_once, ports - done);
        const Ports wave{count};
        const uint64_t end = done + count == ports ? requests : requests / ports * (done + count);
        // Every port asks once before any of them twice. Then one of those that wait for no answer asks next,
        // at random, so that the time until it asks again varies.
        uint32_t new_ports = count;
        std::vector<uint32_t> idle;
        uint64_t out = 0;
        while (asked < end || out > 0) {
            for (; out < window && asked < end && (new_ports > 0 || !idle.empty()); ++out, ++asked) {
                if (new_ports > 0)
                    idle.push_back(--new_ports);
                else
                    std::swap(idle[random() % idle.size()], idle.back());
                const uint32_t number = idle.back();
                idle.pop_back();
                ask(wave.socket(number), {asked, number, static_cast<uint32_t>(random() % address_count)},
                    server.port());
            }
            const std::vector<uint32_t> ready = wave.wait();
            if (ready.empty())
                fail(std::to_string(out) + " requests were not answered");
            for (const uint32_t number : ready) {
                Token token{};
                while (take_answer(wave.socket(number), server.port(), token, result)) {
                    if (token.port != number)
                        fail("an answer at another port than asked from");
                    idle.push_back(number);
                    --out;
                }
            }
        }
    }
    return result;
}

Result ask_from_one_port(const Server& server, uint64_t requests, unsigned window) {
    Result result;
    const int fd = client_socket();
    std::vector<bool> answered(requests);
    for (uint64_t asked = 0; result.answers < requests;) {
        for (; asked < requests && asked - result.answers < window; ++asked)
            ask(fd, {asked, 0, static_cast<uint32_t>(asked % 2)}, server.port());
        pollfd readable{fd, POLLIN, 0};
        if (poll(&readable, 1, patience) != 1)
            fail(std::to_string(asked - result.answers) + " requests were not answered");
        Token token{};
        while (take_answer(fd, server.port(), token, result)) {
            if (token.number >= requests || answered[token.number])
                fail("a request was answered twice");
            answered[token.number] = true;
        }
    }
    close(fd);
    return result;
}

} // namespace multihome::stress
