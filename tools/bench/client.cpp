// SPDX-License-Identifier: MIT
//
// The clients of the servers that are measured. One socket plays `count` clients, from addresses of its own,
// who ask in turn. It is an IPv6 one, which reaches both families. The program prints "ASKED ANSWERS RIGHT
// SECONDS PROCESSOR-SECONDS WATCHED-NANOSECONDS", a line for each of its threads.
#include "tools/bench/programs.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <chrono>
#include <csignal>
#include <cstring>
#include <ctime>
#include <sys/time.h>
#include <thread>
#include <vector>

using namespace multihome::bench;

namespace {

struct Client {
    std::string address = "127.0.0.2"; // the first that is asked
    uint16_t port = 0;                 // the server's
    uint32_t addresses = 1;            // client i always asks address i mod `addresses`,
    bool alternating = false;          // or the next one each time
    std::string first = "127.16.0.0";  // the first client's address
    uint32_t count = 1;
    uint16_t own_port = 0;  // 0: any. The same addresses with another port are other clients
    size_t size = 4;        // of a datagram
    unsigned patience = 50; // milliseconds: what has not come by then was lost
    unsigned window = 1;    // requests under way at a time
    unsigned pause = 0;     // milliseconds before all clients ask once more
    uint64_t warm_up = 0;   // answers before anything is measured

    // Either so many requests, a window after the other,
    uint64_t requests = 0;
    bool gate = false;  // prints a byte after each window, and nothing else
    bool bytes = false; // the server answers by a byte on standard input
    bool exact = false; // fails where an answer is missing,
    bool right = false; // or not from the address that was asked
    // or for so long, or until SIGTERM:
    unsigned milliseconds = 0;
    unsigned rate = 0;        // requests a second, whether answers come or not; 0: as fast as answers come,
    unsigned threads = 1;     // from so many sockets,
    unsigned settle = 0;      // so many milliseconds after the warm-up.
    std::vector<pid_t> watch; // threads whose processor time is told
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(Client, address, port, addresses, alternating, first, count,
                                                own_port, size, patience, window, pause, warm_up, requests,
                                                gate, bytes, exact, right, milliseconds, rate, threads,
                                                settle, watch)

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr unsigned largest_window = 64;

volatile std::sig_atomic_t ended = 0;

double processor_time(const std::vector<pid_t>& threads) {
    double sum = 0;
    for (double time = 0; const pid_t thread : threads) {
        std::ifstream("/proc/" + std::to_string(thread) + "/schedstat") >> time;
        sum += time;
    }
    return sum;
}

// IPv4 addresses as an IPv6 socket has them.
sockaddr_in6 address_of(const std::string& text, uint16_t port = 0) {
    sockaddr_in6 address{AF_INET6, htons(port), 0, {}, 0};
    const std::string name = text.find(':') == std::string::npos ? "::ffff:" + text : text;
    if (inet_pton(AF_INET6, name.c_str(), &address.sin6_addr) != 1)
        throw std::invalid_argument(text + " is not an address");
    return address;
}

sockaddr_in6 operator+(sockaddr_in6 address, uint32_t offset) {
    uint32_t& last = address.sin6_addr.s6_addr32[3];
    last = htonl(ntohl(last) + offset);
    return address;
}

// A request or an answer.
struct Message {
    sockaddr_in6 peer{};
    std::array<char, largest_datagram> data{};
    iovec part{};
    struct { // a control message: the request's sender
        size_t length = CMSG_LEN(sizeof(in6_pktinfo));
        int level = IPPROTO_IPV6;
        int type = IPV6_PKTINFO;
        in6_pktinfo information{};
    } source;

    mmsghdr header(size_t size, size_t control_size) {
        part = {data.data(), size};
        return {{&peer, sizeof peer, &part, 1, &source, control_size, 0}, 0};
    }
};

class Asker {
public:
    explicit Asker(const Client& settings) : settings_(settings) {
        set_option(fd_, IPPROTO_IPV6, IPV6_V6ONLY, 0);
        // A route makes the clients' prefix ours; its addresses are on no interface.
        set_option(fd_, IPPROTO_IPV6, IPV6_FREEBIND, 1);
        const timeval timeout{settings.patience / 1000, suseconds_t{settings.patience % 1000} * 1000};
        set_option(fd_, SOL_SOCKET, SO_RCVTIMEO, timeout);
        bind_with_room(fd_, address_of("::", settings.own_port));
        for (Message& request : requests_)
            request_headers_.push_back(request.header(settings.size, sizeof request.source));
        for (Message& answer : answers_)
            answer_headers_.push_back(answer.header(largest_datagram, 0));
    }

    uint64_t asked = 0;
    uint64_t answers = 0;
    uint64_t right = 0; // from the address that was asked

    // Sends the next `count` requests, at most largest_window. Returns how many were sent.
    unsigned send(unsigned count) {
        if (settings_.pause != 0 && asked % settings_.count == 0)
            std::this_thread::sleep_for(milliseconds(settings_.pause));
        for (unsigned index = 0; index < count; ++index)
            address_request(requests_[index], asked + index);
        const int sent = sendmmsg(fd_, request_headers_.data(), count, 0);
        if (sent < 0 && settings_.requests != 0)
            fail("sendmmsg");
        asked += static_cast<unsigned>(std::max(sent, 0));
        return static_cast<unsigned>(std::max(sent, 0));
    }
    // Takes what has come: how many; 0 where nothing did in time.
    unsigned receive(int flags = MSG_WAITFORONE) {
        if (settings_.bytes) {
            std::array<char, largest_window> bytes;
            return static_cast<unsigned>(
                std::max<ssize_t>(read(STDIN_FILENO, bytes.data(), bytes.size()), 0));
        }
        const int got = recvmmsg(fd_, answer_headers_.data(), largest_window, flags, nullptr);
        const auto count = static_cast<unsigned>(std::max(got, 0));
        for (unsigned index = 0; index < count; ++index)
            right += is_right(answers_[index]);
        answers += count;
        return count;
    }
    // Fills the window, with no request beyond the first `most`, and takes what has come.
    void exchange(unsigned window, uint64_t most = UINT64_MAX) {
        if (!settings_.gate || under_way_ == 0) {
            under_way_ += send(static_cast<unsigned>(std::min<uint64_t>(window - under_way_, most - asked)));
            const char byte = 'x';
            if (settings_.gate && write(STDOUT_FILENO, &byte, 1) != 1)
                fail("write");
        }
        const unsigned got = receive();
        if (got == 0 && settings_.exact)
            fail("no answer");
        under_way_ = got != 0 && got < under_way_ ? under_way_ - got : 0;
    }
    bool has_asked(uint64_t count) const { return asked >= count && under_way_ == 0; }

    // Prints what comes of `work`.
    template <typename Work>
    void measure(const Work& work) {
        const uint64_t before[] = {asked, answers, right};
        const double time_before = processor_time(settings_.watch);
        const auto start = Clock::now();
        work();
        const std::chrono::duration<double> seconds = Clock::now() - start;
        const double watched = processor_time(settings_.watch) - time_before;
        if (!settings_.gate)
            std::printf("%ju %ju %ju %.6f %.6f %.0f\n", uintmax_t{asked - before[0]},
                        uintmax_t{answers - before[1]}, uintmax_t{right - before[2]}, seconds.count(),
                        static_cast<double>(std::clock()) / CLOCKS_PER_SEC, watched);
    }

private:
    // The request's sender, its receiver, and in its data which address that is: it comes back.
    void address_request(Message& message, uint64_t number) const {
        const uint64_t client = number % settings_.count;
        const uint64_t turn = settings_.alternating ? number / settings_.count : 0;
        const auto server = static_cast<uint32_t>((client + turn) % settings_.addresses);
        message.peer = server_ + server;
        message.source.information.ipi6_addr = (first_ + static_cast<uint32_t>(client)).sin6_addr;
        std::memcpy(message.data.data(), &server, std::min(sizeof server, settings_.size));
    }
    bool is_right(const Message& answer) const {
        uint32_t server = 0;
        std::memcpy(&server, answer.data.data(), sizeof server);
        const sockaddr_in6 asked_one = server_ + server;
        return std::memcmp(&answer.peer, &asked_one, sizeof asked_one) == 0;
    }

    Client settings_;
    sockaddr_in6 server_ = address_of(settings_.address, settings_.port);
    sockaddr_in6 first_ = address_of(settings_.first);
    int fd_ = check(socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket");
    std::vector<Message> requests_{largest_window};
    std::vector<Message> answers_{largest_window};
    std::vector<mmsghdr> request_headers_;
    std::vector<mmsghdr> answer_headers_;
    unsigned under_way_ = 0;
};

void ask_all(const Client& settings) {
    Asker asker(settings);
    // Where many have to be heard, in less time.
    const unsigned hurry = settings.warm_up > 10'000 ? largest_batch : 1;
    while (!asker.has_asked(settings.warm_up))
        asker.exchange(std::max(settings.window, hurry), settings.warm_up);
    const uint64_t all = settings.warm_up + settings.requests;
    asker.measure([&] {
        while (!asker.has_asked(all))
            asker.exchange(settings.window, all);
    });
    if (settings.right && asker.right != all)
        throw std::runtime_error("only " + std::to_string(asker.right) + " of " + std::to_string(all) +
                                 " answers came from the address that was asked");
}

void ask_at_rate(const Client& settings) {
    constexpr unsigned together = 16; // so few that nobody's queue runs over
    const auto interval = std::chrono::nanoseconds(std::chrono::seconds(together)) / settings.rate;
    Asker asker(settings);
    asker.measure([&] {
        const auto end = Clock::now() + milliseconds(settings.milliseconds);
        for (auto next = Clock::now(); next < end && ended == 0;) {
            std::this_thread::sleep_until(next);
            asker.send(together);
            while (asker.receive(MSG_DONTWAIT) != 0) {
            }
            // What a busy machine has kept us from sending is not made up for: it would come all at once.
            next = std::max(next + interval, Clock::now() - milliseconds(1));
        }
        while (asker.receive() != 0) {
        }
    });
}

// As fast as the server answers. Then as long again as it took to settle: other threads may still measure.
void ask_by_load(const Client& settings) {
    Asker asker(settings);
    const auto ask_for = [&](unsigned time, uint64_t answers) {
        const auto start = Clock::now();
        while (Clock::now() < start + milliseconds(time) || asker.answers < answers) {
            asker.exchange(settings.window);
            if (Clock::now() > start + std::chrono::minutes(2))
                throw std::runtime_error("hardly any answers");
        }
    };
    ask_for(0, settings.warm_up);
    ask_for(settings.settle, 0);
    // On a busy machine it may take longer until they are more than could have been under way all the time,
    // so that the server has had to run for them.
    const uint64_t least = asker.answers + uint64_t{4} * settings.window + 1;
    asker.measure([&] { ask_for(settings.milliseconds, least); });
    ask_for(settings.settle, 0);
}

void run(const Client& settings) {
    if (settings.size > largest_datagram || settings.count == 0 || settings.window > largest_window)
        throw std::invalid_argument("datagram or window too large, or no clients");
    std::signal(SIGTERM, [](int) { ended = 1; });
    if (settings.requests != 0) {
        ask_all(settings);
    } else if (settings.rate != 0) {
        ask_at_rate(settings);
    } else {
        std::vector<std::jthread> threads;
        for (unsigned index = 0; index < settings.threads; ++index)
            threads.emplace_back(ask_by_load, settings);
    }
}

} // namespace

int main(int argc, char** argv) {
    return run_with_settings(argc, argv, run);
}
