// SPDX-License-Identifier: MIT
//
// A flood from spoofed addresses, ten times what the table holds, while a thousand honest clients are
// answered with a delay, each now at one address and now at another. inside.cpp does the same to the table
// alone, where the delay is exact.
#include "tools/bench/client.hpp"
#include "tools/bench/parts.hpp"
#include "tools/bench/shim_table.hpp"

#include <cstdio>
#include <deque>
#include <fmt/format.h>
#include <sys/time.h>

namespace multihome::bench {

namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr in_addr_t honest_base = 0x7f010000;  // 127.1.0.0
constexpr in_addr_t spoofed_base = 0x7f800000; // 127.128.0.0

void flood(const std::stop_token& stop, uint16_t port) {
    Client client({.count = most_clients, .port = port, .first = spoofed_base, .size = 1});
    while (!stop.stop_requested())
        client.send(32);
}

// Each about five times a second.
void ask_honestly(const std::stop_token& stop, uint16_t port, Answers& answers) {
    Client client({.count = 1000, .addresses = 2, .alternating = true, .port = port, .first = honest_base});
    while (!stop.stop_requested()) {
        client.send(1);
        while (client.receive(MSG_DONTWAIT) != 0) {
        }
        std::this_thread::sleep_for(std::chrono::microseconds(150));
    }
    while (client.receive() != 0) {
    }
    answers = client.answers();
}

} // namespace

// A server that answers requests of four bytes `delay_ms` later, and ends when it has had `ignored` others,
// which it does not answer.
int run_late_server(unsigned delay_ms, uint64_t ignored) {
    struct Waiting {
        Clock::time_point due;
        sockaddr_in peer;
        uint32_t data;
    };
    const Descriptor fd{check(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket")};
    const timeval timeout{0, 1000};
    check(setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout), "SO_RCVTIMEO");
    sockaddr_in own{};
    own.sin_family = AF_INET;
    socklen_t own_length = sizeof own;
    check(bind(fd.get(), reinterpret_cast<const sockaddr*>(&own), own_length), "bind");
    check(getsockname(fd.get(), reinterpret_cast<sockaddr*>(&own), &own_length), "getsockname");
    std::printf("%u\n", ntohs(own.sin_port));
    std::fflush(stdout);

    std::deque<Waiting> waiting;
    for (uint64_t heard = 0; heard < ignored;) {
        Waiting request{};
        socklen_t length = sizeof request.peer;
        const ssize_t got = recvfrom(fd.get(), &request.data, sizeof request.data, 0,
                                     reinterpret_cast<sockaddr*>(&request.peer), &length);
        if (got == sizeof request.data) {
            request.due = Clock::now() + milliseconds(delay_ms);
            waiting.push_back(request);
        } else if (got >= 0) {
            ++heard;
        }
        // The clock is asked only where an answer may be due, and now and then.
        if (waiting.empty() || (got >= 0 && heard % 16 != 0))
            continue;
        for (const Clock::time_point now = Clock::now(); !waiting.empty() && waiting.front().due <= now;
             waiting.pop_front()) {
            const Waiting& answer = waiting.front();
            sendto(fd.get(), &answer.data, sizeof answer.data, 0,
                   reinterpret_cast<const sockaddr*>(&answer.peer), sizeof answer.peer);
        }
    }
    return 0;
}

void measure_flood(const Settings& settings, Figures& figures) {
    figures.begin("A spoofed flood of ten times the table's size");
    // In a hurry, a table for a sixteenth of the peers and a delay that is as much shorter.
    const unsigned delay_ms = settings.quick ? 3 : 50;
    const size_t peers = default_peers / (settings.quick ? 16 : 1);
    const uint64_t datagrams = 10 * ShimTable(peers).entries();
    Child server({own_path(), "late-server", "--delay", std::to_string(delay_ms), "--count",
                  std::to_string(datagrams)},
                 {"LD_PRELOAD=" + settings.library, "MULTIHOME_PEERS=" + std::to_string(peers),
                  "MULTIHOME_LOG=error"});
    const auto port = static_cast<uint16_t>(std::stoul(server.read_line()));
    Answers answers;
    const auto start = Clock::now();
    {
        const std::jthread asking([&](const std::stop_token& stop) { ask_honestly(stop, port, answers); });
        const std::jthread flooding([&](const std::stop_token& stop) { flood(stop, port); });
        server.finish(); // it ends by itself when it has had its flood
    }
    const std::chrono::duration<double> elapsed = Clock::now() - start;
    figures.add(
        {fmt::format("end to end, a table for {} peers{}", readable(static_cast<double>(peers)),
                     settings.quick ? "" : " (the default)"),
         "1000 honest clients",
         "% right",
         Sample::exactly(100.0 * static_cast<double>(answers.right) / static_cast<double>(answers.all)),
         {},
         {Budget::Kind::at_least, 99.9},
         fmt::format("{} answers, each {} ms late, while {} spoofed datagrams came at {}/s", answers.all,
                     delay_ms, readable(static_cast<double>(datagrams)),
                     readable(static_cast<double>(datagrams) / elapsed.count()))});
}

} // namespace multihome::bench
