// SPDX-License-Identifier: MIT
//
// A socket for each client, at the port of the server (the way of DTLS servers), while other clients send to
// that port. Between bind() and the first connect() such a socket swallows their datagrams: strays.
//
//   under_load right|steered COUNT                 compares the shim with what stands for it here, in turn
//   under_load right|steered COUNT METHOD          that method alone, without load: strace counts its calls
//   under_load networks COUNT METHOD               steered, and each client is in a network of its own
//   under_load right|steered COUNT METHOD figures  that method alone, for the bench: prints the median of the
//                                                  nanoseconds, and the strays of a socket
//
// The methods: `plain`, a program without the shim; `reference`, the least that it takes to steer, by system
// calls; `shim`, the program's own calls. Time, and the strays that come with it, are told and not judged:
// what is judged is the sockets' names, and the number of system calls (connect.calls).
#include "names.hpp"
#include "nanoseconds.hpp"
#include "tests/kernel_calls.hpp"

#include <atomic>
#include <cmath>
#include <random>
#include <string_view>
#include <thread>
#include <vector>

namespace {

// The routing table's choice for a peer at 127.0.0.1 is 127.0.0.1.
constexpr unsigned client_last = 1;
// Of the load, in nanoseconds: several times what it takes to send a datagram.
constexpr double mean_pause = 5000;

struct Result {
    std::vector<long> nanoseconds;
    unsigned strays = 0;
    unsigned wrong = 0;
};

void connect_reference(int fd, const sockaddr_in& peer, const sockaddr_in& asked) {
    ip_mreqn choice{};
    choice.imr_address = asked.sin_addr;
    kernel::set(fd, IPPROTO_IP, IP_MULTICAST_IF, &choice, sizeof choice);
    sockaddr_in group = name_at(0, htons(9));
    group.sin_addr.s_addr = htonl(INADDR_ALLHOSTS_GROUP);
    must(kernel::connect(fd, group) == 0, "connect to a group");
    must(kernel::connect(fd, peer) == 0, "connect");
}

class Server {
public:
    Server(unsigned asked_last, bool many_networks) : many_networks_(many_networks) {
        const int on = 1;
        fd_ = socket(AF_INET, SOCK_DGRAM, 0);
        must(setsockopt(fd_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0, "SO_REUSEADDR");
        const sockaddr_in any_name = name_at(0);
        must(bind(fd_, any(any_name), sizeof any_name) == 0, "bind");
        own_ = name_at(0, name_of(fd_).sin_port);
        asked_ = name_at(asked_last, own_.sin_port);
        make_client(client_last);
    }

    const sockaddr_in& asked() const { return asked_; }

    // One client: its question, and a socket for it.
    void serve(std::string_view method, Result& result) {
        char data[64];
        if (many_networks_) {
            close(client_);
            make_client(client_last + 256 * ++networks_);
        }
        const sockaddr_in own_client = name_of(client_);
        sockaddr_in peer{};
        // Among the datagrams of the load, which may have left no room for it.
        do {
            socklen_t length = sizeof peer;
            if (recvfrom(fd_, data, sizeof data, MSG_DONTWAIT, any(peer), &length) < 0)
                must(sendto(client_, "question", 8, 0, any(asked_), sizeof asked_) == 8, "sendto");
        } while (!equal(peer, own_client));
        const bool shim = method == "shim";
        const int fd = shim ? socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0) : kernel::socket();
        const int on = 1;
        if (shim) {
            setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        } else {
            kernel::set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
            if (method == "reference")
                kernel::set(fd, IPPROTO_IP, IP_PKTINFO, 1);
        }
        must((shim ? bind(fd, any(own_), sizeof own_) : kernel::bind(fd, own_)) == 0, "bind");
        const long start = now();
        if (shim)
            must(connect(fd, any(peer), sizeof peer) == 0, "connect");
        else if (method == "reference")
            connect_reference(fd, peer, asked_);
        else
            must(kernel::connect(fd, peer) == 0, "connect");
        result.nanoseconds.push_back(now() - start);
        if (method == "reference") {
            const ip_mreqn none{};
            kernel::set(fd, IPPROTO_IP, IP_MULTICAST_IF, &none, sizeof none);
        }
        result.wrong += !equal(name_of(fd), method == "plain" ? name_at(client_last, own_.sin_port) : asked_);
        // Nobody has asked this socket anything yet.
        while (kernel::call(SYS_recvfrom, fd, reinterpret_cast<long>(data), sizeof data, MSG_DONTWAIT) >= 0)
            ++result.strays;
        shim ? static_cast<void>(close(fd)) : kernel::close(fd);
    }

private:
    void make_client(unsigned last) {
        client_ = socket(AF_INET, SOCK_DGRAM, 0);
        const sockaddr_in client = name_at(last);
        must(bind(client_, any(client), sizeof client) == 0, "bind");
    }

    bool many_networks_;
    unsigned networks_ = 0;
    int fd_;
    int client_ = -1;
    sockaddr_in own_;
    sockaddr_in asked_;
};

void report(const char* name, Result& result) {
    std::printf("%s: median %ld ns from bind() to connect(), %u strays, %u wrong\n", name,
                median(result.nanoseconds), result.strays, result.wrong);
}

// Strays are counted, and chance has its part in them: three standard deviations of both counts.
bool are_few(const Result& shim, const Result& standard, double ratio) {
    const double limit =
        ratio * standard.strays + 3 * std::sqrt(shim.strays + ratio * ratio * standard.strays);
    return shim.strays <= limit + 3;
}

} // namespace

int main(int count, char** arguments) {
    if (count < 3)
        return 2;
    const bool many_networks = std::string_view{arguments[1]} == "networks";
    const bool steered = many_networks || std::string_view{arguments[1]} == "steered";
    const int times = std::atoi(arguments[2]);
    Server server(steered ? 2 : client_last, many_networks);
    Result standard;
    Result shim;
    if (count == 4) {
        for (int time = 0; time < times; ++time)
            server.serve(arguments[3], standard);
        return standard.wrong == 0 ? 0 : 1;
    }
    std::atomic<bool> ended{false};
    std::thread load([&] {
        const int fd = kernel::socket();
        must(kernel::connect(fd, server.asked()) == 0, "connect");
        char data[16] = "load";
        // In its own time: with pauses of random length, so that it does not matter how long the server takes
        // for what it does before. Without any, it would send more where the server has no room left.
        std::minstd_rand random;
        std::exponential_distribution<double> pause(1.0 / mean_pause);
        while (!ended.load(std::memory_order_relaxed)) {
            const long next = now() + static_cast<long>(pause(random));
            kernel::call(SYS_write, fd, reinterpret_cast<long>(data), sizeof data);
            while (now() < next) {
            }
        }
        kernel::close(fd);
    });
    const char* standard_name = steered ? "reference" : "plain";
    for (int time = 0; time < times; ++time) {
        server.serve(count > 3 ? arguments[3] : standard_name, standard);
        if (count == 3)
            server.serve("shim", shim);
    }
    ended = true;
    load.join();
    if (count > 3) {
        std::printf("%ld %f\n", median(standard.nanoseconds), static_cast<double>(standard.strays) / times);
        return 0;
    }
    report(standard_name, standard);
    report("shim", shim);
    const double ratio = steered ? 1.5 : 1.2;
    // A line that scripts/test.sh shows at its end, where it is missed.
    std::printf("%u strays, budget %.1f times the %u of %s: %s\n%s: names\n", shim.strays, ratio,
                standard.strays, standard_name, are_few(shim, standard, ratio) ? "met" : "MISSED",
                shim.wrong == 0 ? "ok" : "FAIL");
    return shim.wrong == 0 && standard.wrong == 0 ? 0 : 1;
}
