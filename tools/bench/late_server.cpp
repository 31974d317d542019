// SPDX-License-Identifier: MIT
#include "tools/bench/programs.hpp"
#include "tools/bench/sockets.hpp"

#include <chrono>
#include <deque>
#include <sys/time.h>

namespace multihome::bench {

int run(const LateServer& settings) {
    using Clock = std::chrono::steady_clock;
    struct Waiting {
        Clock::time_point due;
        sockaddr_in peer;
        uint32_t data;
    };
    const Descriptor fd = make_socket(AF_INET, SOCK_DGRAM);
    const timeval timeout{0, 1000};
    set_option(fd.get(), SOL_SOCKET, SO_RCVTIMEO, timeout, "SO_RCVTIMEO");
    bind_to(fd.get(), ipv4_address(INADDR_ANY));
    announce(fd.get());
    std::deque<Waiting> waiting;
    for (uint64_t heard = 0; heard < settings.ignored;) {
        Waiting request{};
        socklen_t length = sizeof request.peer;
        const ssize_t got = recvfrom(fd.get(), &request.data, sizeof request.data, 0,
                                     reinterpret_cast<sockaddr*>(&request.peer), &length);
        if (got == sizeof request.data) {
            request.due = Clock::now() + std::chrono::milliseconds(settings.delay);
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

} // namespace multihome::bench
