// SPDX-License-Identifier: MIT
#include "tools/differential/side.hpp"

#include "tools/differential/runner.hpp"

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <algorithm>
#include <climits>
#include <csignal>
#include <cstdio>
#include <exception>
#include <sched.h>
#include <unistd.h>

namespace multihome::differential {

namespace {

/// On one processor the packets of loopback are delivered in the order in which they were sent.
void stay_on_one_processor(bool second) {
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0)
        return;
    int skip = second && CPU_COUNT(&allowed) > 1 ? 1 : 0;
    for (int processor = 0; processor < CPU_SETSIZE; ++processor) {
        if (!CPU_ISSET(processor, &allowed) || skip-- > 0)
            continue;
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(processor, &one);
        sched_setaffinity(0, sizeof one, &one);
        return;
    }
}

void settle_process(bool second) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGPIPE, SIG_IGN);
    stay_on_one_processor(second);
    // Room for the descriptor numbers that the shim keeps in another place than the common ones.
    rlimit limit{};
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, 70000);
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    // What the parent had open would move the numbers of ours.
    libc().close_range(3, UINT_MAX, 0);
}

} // namespace

int run_side(const std::string& assignment) {
    int descriptor = -1;
    unsigned port = 0;
    const bool shimmed = assignment.starts_with("shimmed:");
    const auto colon = assignment.find(':');
    if (colon == std::string::npos ||
        std::sscanf(assignment.c_str() + colon, ":%d:%u", &descriptor, &port) != 2)
        return 2;
    void* shared = mmap(nullptr, sizeof(Mailbox), PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    if (shared == MAP_FAILED)
        return 2;
    auto& mailbox = *static_cast<Mailbox*>(shared);
    try {
        settle_process(shimmed);
        constexpr in_port_t own_network_port = 5300;
        const bool isolated = port == 0;
        Runner runner{mailbox, shimmed ? Target::shimmed : Target::bare,
                      isolated ? own_network_port : static_cast<in_port_t>(port), isolated};
        give_turn(mailbox, Turn::coordinator);
        runner.run();
    } catch (const std::exception& error) {
        std::snprintf(mailbox.problem.data(), mailbox.problem.size(), "%s", error.what());
        give_turn(mailbox, Turn::coordinator);
    }
    return 2;
}

} // namespace multihome::differential
