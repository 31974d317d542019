// SPDX-License-Identifier: MIT
//
// A server under a flood: it answers some peers, each after a delay, and never the others.
#include "tools/bench/client.hpp"
#include "tools/bench/process.hpp"
#include "tools/bench/server.hpp"

#include <chrono>
#include <cstdio>
#include <deque>
#include <sys/socket.h>
#include <sys/time.h>

namespace multihome::bench {

int run_late_server(const LateSettings& settings) {
    using Clock = std::chrono::steady_clock;
    struct Waiting {
        Clock::time_point due;
        sockaddr_in peer;
        in_addr_t asked; // as the client wrote it into its request
    };
    const Descriptor fd{check(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket")};
    const timeval timeout{0, 1000};
    check(setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout), "SO_RCVTIMEO");
    sockaddr_in own = address_of(INADDR_ANY, 0);
    socklen_t own_length = sizeof own;
    auto* own_address = reinterpret_cast<sockaddr*>(&own);
    check(bind(fd.get(), own_address, own_length), "bind");
    check(getsockname(fd.get(), own_address, &own_length), "getsockname");
    std::printf("%u\n", ntohs(own.sin_port));
    std::fflush(stdout);

    std::deque<Waiting> waiting;
    for (uint64_t ignored = 0; ignored < settings.ignored;) {
        Waiting request{};
        socklen_t length = sizeof request.peer;
        const ssize_t got = recvfrom(fd.get(), &request.asked, sizeof request.asked, 0,
                                     reinterpret_cast<sockaddr*>(&request.peer), &length);
        if (got == sizeof request.asked) {
            request.due = Clock::now() + std::chrono::milliseconds(settings.delay_ms);
            waiting.push_back(request);
        } else if (got >= 0) {
            ++ignored;
        }
        // The clock is asked only where an answer may be due, and now and then.
        if (waiting.empty() || (got >= 0 && ignored % 16 != 0))
            continue;
        for (const Clock::time_point now = Clock::now(); !waiting.empty() && waiting.front().due <= now;
             waiting.pop_front()) {
            const Waiting& answer = waiting.front();
            sendto(fd.get(), &answer.asked, sizeof answer.asked, 0,
                   reinterpret_cast<const sockaddr*>(&answer.peer), sizeof answer.peer);
        }
    }
    return 0;
}

} // namespace multihome::bench
