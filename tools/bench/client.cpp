// SPDX-License-Identifier: MIT
//
// The clients of the servers that are measured. Their socket is an IPv6 one, which reaches both families.
#include "tools/bench/programs.hpp"
#include "tools/bench/sockets.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <fstream>
#include <future>
#include <memory>
#include <stdexcept>
#include <sys/time.h>
#include <thread>
#include <unistd.h>

namespace multihome::bench {

namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr unsigned largest_window = 64;

volatile std::sig_atomic_t ended = 0;

// IPv4 addresses as an IPv6 socket has them.
sockaddr_in6 parse(const std::string& text, uint16_t port) {
    sockaddr_in6 address{};
    address.sin6_family = AF_INET6;
    address.sin6_port = htons(port);
    const std::string name = text.find(':') == std::string::npos ? "::ffff:" + text : text;
    if (inet_pton(AF_INET6, name.c_str(), &address.sin6_addr) != 1)
        throw std::invalid_argument(text + " is not an address");
    return address;
}

void add(in6_addr& address, uint32_t offset) {
    uint32_t& last = address.s6_addr32[3];
    last = htonl(ntohl(last) + offset);
}

struct Answers {
    uint64_t all = 0;
    uint64_t right = 0; // from the address that was asked

    Answers operator-(const Answers& before) const { return {all - before.all, right - before.right}; }
};

class Asker {
public:
    explicit Asker(const Client& settings);

    // Sends the next `count` requests, at most largest_window. Returns how many were sent.
    unsigned send(unsigned count);
    // Takes what has come: how many; 0 where nothing did in time.
    unsigned receive(int flags = MSG_WAITFORONE);
    const Answers& answers() const { return answers_; }

private:
    struct Message {
        sockaddr_in6 peer;
        std::array<char, largest_datagram> data;
        iovec part;
        alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(in6_pktinfo))> control;
    };
    // One for each request or answer of a window, prepared once.
    struct Window {
        std::array<Message, largest_window> messages{};
        std::array<mmsghdr, largest_window> headers{};

        void prepare(size_t size);
    };

    void address_request(Message& message, uint64_t number) const;
    bool is_right(const Message& answer) const;

    Client settings_;
    std::vector<sockaddr_in6> servers_;
    in6_addr first_;
    int fd_ = make_socket(AF_INET6, SOCK_DGRAM);
    std::unique_ptr<Window> requests_ = std::make_unique<Window>();
    std::unique_ptr<Window> replies_ = std::make_unique<Window>();
    uint64_t next_ = 0;
    Answers answers_;
};

void Asker::Window::prepare(size_t size) {
    for (unsigned index = 0; index < largest_window; ++index) {
        Message& message = messages[index];
        message.part = {message.data.data(), size};
        msghdr& header = headers[index].msg_hdr;
        header.msg_name = &message.peer;
        header.msg_namelen = sizeof message.peer;
        header.msg_iov = &message.part;
        header.msg_iovlen = 1;
    }
}

Asker::Asker(const Client& settings) : settings_(settings), first_(parse(settings.first, 0).sin6_addr) {
    set_option(fd_, IPPROTO_IPV6, IPV6_V6ONLY, 0, "IPV6_V6ONLY");
    // A route makes the clients' prefix ours; its addresses are on no interface.
    set_option(fd_, IPPROTO_IPV6, IPV6_FREEBIND, 1, "IPV6_FREEBIND");
    const timeval timeout{settings.patience / 1000, suseconds_t{settings.patience % 1000} * 1000};
    set_option(fd_, SOL_SOCKET, SO_RCVTIMEO, timeout, "SO_RCVTIMEO");
    enlarge_buffers(fd_);
    bind_to(fd_, parse("::", settings.own_port));
    servers_.resize(settings.addresses, parse(settings.address, settings.port));
    for (uint32_t index = 0; index < settings.addresses; ++index)
        add(servers_[index].sin6_addr, index);
    requests_->prepare(settings.size);
    replies_->prepare(largest_datagram);
    for (unsigned index = 0; index < largest_window; ++index) {
        auto& control = requests_->messages[index].control;
        msghdr& header = requests_->headers[index].msg_hdr;
        header.msg_control = control.data();
        header.msg_controllen = control.size();
        *CMSG_FIRSTHDR(&header) = {CMSG_LEN(sizeof(in6_pktinfo)), IPPROTO_IPV6, IPV6_PKTINFO};
    }
}

// The request's sender, its receiver, and in its data which address that is: it comes back.
void Asker::address_request(Message& message, uint64_t number) const {
    const uint64_t client = number % settings_.count;
    const uint64_t turn = settings_.alternating ? number / settings_.count : 0;
    const auto asked = static_cast<uint32_t>((client + turn) % servers_.size());
    message.peer = servers_[asked];
    std::memcpy(message.data.data(), &asked, std::min(sizeof asked, settings_.size));
    in6_pktinfo source{first_, 0};
    add(source.ipi6_addr, static_cast<uint32_t>(client));
    std::memcpy(&message.control[CMSG_LEN(0)], &source, sizeof source);
}

bool Asker::is_right(const Message& answer) const {
    uint32_t asked = 0;
    std::memcpy(&asked, answer.data.data(), sizeof asked);
    return asked < servers_.size() && std::memcmp(&answer.peer, &servers_[asked], sizeof answer.peer) == 0;
}

unsigned Asker::send(unsigned count) {
    for (unsigned index = 0; index < count; ++index)
        address_request(requests_->messages[index], next_ + index);
    const int sent = sendmmsg(fd_, requests_->headers.data(), count, 0);
    next_ += sent > 0 ? static_cast<unsigned>(sent) : 0;
    return sent > 0 ? static_cast<unsigned>(sent) : 0;
}

unsigned Asker::receive(int flags) {
    const int got = recvmmsg(fd_, replies_->headers.data(), largest_window, flags, nullptr);
    const unsigned count = got > 0 ? static_cast<unsigned>(got) : 0;
    for (unsigned index = 0; index < count; ++index)
        answers_.right += is_right(replies_->messages[index]);
    answers_.all += count;
    return count;
}

struct Outcome {
    uint64_t asked = 0;
    Answers answers = {};
    double seconds = 0;
    double watched = 0; // nanoseconds
};

double processor_time(const std::vector<pid_t>& threads) {
    double sum = 0;
    for (const pid_t thread : threads) {
        double time = 0;
        std::ifstream("/proc/" + std::to_string(thread) + "/schedstat") >> time;
        sum += time;
    }
    return sum;
}

double seconds_since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
}

void ask(Asker& asker, const Client& settings, uint64_t requests, unsigned window) {
    for (uint64_t done = 0; done < requests;) {
        const unsigned sent = asker.send(static_cast<unsigned>(std::min<uint64_t>(window, requests - done)));
        if (sent == 0)
            fail("sendmmsg");
        const char byte = 'x';
        if (settings.gate && write(STDOUT_FILENO, &byte, 1) != 1)
            fail("write");
        for (unsigned taken = 0, got = 1; taken < sent && got != 0; taken += got) {
            got = asker.receive();
            if (got == 0 && settings.exact)
                fail("no answer");
        }
        done += sent;
    }
}

Outcome ask_all(const Client& settings) {
    Asker asker(settings);
    // Where many have to be heard, in less time.
    const unsigned hurry = settings.warm_up > 10'000 ? largest_batch : 1;
    ask(asker, settings, settings.warm_up, std::max(settings.window, hurry));
    ask(asker, settings, settings.requests, settings.window);
    const uint64_t asked = settings.warm_up + settings.requests;
    if (settings.right && asker.answers().right != asked)
        throw std::runtime_error("only " + std::to_string(asker.answers().right) + " of " +
                                 std::to_string(asked) + " answers came from the address that was asked");
    return {.asked = asked, .answers = asker.answers()};
}

Outcome ask_at_rate(const Client& settings) {
    constexpr unsigned together = 16; // so few that nobody's queue runs over
    const auto interval = std::chrono::nanoseconds(std::chrono::seconds(together)) / settings.rate;
    Asker asker(settings);
    const double time_before = processor_time(settings.watch);
    Outcome outcome;
    const auto start = Clock::now();
    const auto end = start + milliseconds(settings.milliseconds);
    for (auto next = start; next < end && ended == 0;) {
        std::this_thread::sleep_until(next);
        outcome.asked += asker.send(together);
        while (asker.receive(MSG_DONTWAIT) != 0) {
        }
        // What a busy machine has kept us from sending is not made up for: it would come all at once.
        next = std::max(next + interval, Clock::now() - milliseconds(1));
    }
    while (asker.receive() != 0) {
    }
    outcome.seconds = seconds_since(start);
    outcome.watched = processor_time(settings.watch) - time_before;
    outcome.answers = asker.answers();
    return outcome;
}

// As fast as the server answers. Goes on until the other threads have measured, too: `others`.
Outcome ask_by_load(const Client& settings, std::atomic<unsigned>& others) {
    Asker asker(settings);
    unsigned under_way = 0;
    auto start = Clock::now();
    const auto ask_until = [&](const auto& is_enough) {
        while (!is_enough()) {
            under_way += asker.send(settings.window - under_way);
            const unsigned got = asker.receive();
            under_way = got != 0 && got < under_way ? under_way - got : 0;
            if (seconds_since(start) > 120)
                throw std::runtime_error("hardly any answers");
        }
    };
    ask_until([&] { return asker.answers().all >= settings.heard; });
    start = Clock::now();
    ask_until([&] { return Clock::now() >= start + milliseconds(settings.settle); });
    const Answers before = asker.answers();
    const double time_before = processor_time(settings.watch);
    start = Clock::now();
    // On a busy machine it may take longer until they are more than could have been under way all the time,
    // so that the server has had to run for them.
    const uint64_t enough = before.all + uint64_t{4} * settings.window;
    ask_until([&] {
        return Clock::now() >= start + milliseconds(settings.milliseconds) && asker.answers().all > enough;
    });
    const Outcome outcome{.answers = asker.answers() - before,
                          .seconds = seconds_since(start),
                          .watched = processor_time(settings.watch) - time_before};
    --others;
    ask_until([&] { return others == 0; });
    return outcome;
}

Outcome ask_in_threads(const Client& settings) {
    std::atomic<unsigned> measuring = settings.threads;
    std::vector<std::future<Outcome>> threads;
    for (unsigned index = 0; index < settings.threads; ++index)
        threads.push_back(std::async(std::launch::async, [&] { return ask_by_load(settings, measuring); }));
    Outcome sum;
    for (auto& thread : threads) {
        const Outcome outcome = thread.get();
        sum.answers.all += outcome.answers.all;
        sum.answers.right += outcome.answers.right;
        sum.seconds += outcome.seconds / settings.threads;
        sum.watched += outcome.watched / settings.threads;
    }
    return sum;
}

} // namespace

int run(const Client& settings) {
    if (settings.size > largest_datagram || settings.count == 0 || settings.window > largest_window)
        throw std::invalid_argument("datagram or window too large, or no clients");
    std::signal(SIGTERM, [](int) { ended = 1; });
    const Outcome outcome = settings.requests != 0 ? ask_all(settings)
                            : settings.rate != 0   ? ask_at_rate(settings)
                                                   : ask_in_threads(settings);
    const double used = static_cast<double>(std::clock()) / CLOCKS_PER_SEC;
    if (!settings.gate)
        std::printf("%ju %ju %ju %.6f %.6f %.0f\n", uintmax_t{outcome.asked}, uintmax_t{outcome.answers.all},
                    uintmax_t{outcome.answers.right}, outcome.seconds, used, outcome.watched);
    return 0;
}

} // namespace multihome::bench
