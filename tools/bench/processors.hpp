// SPDX-License-Identifier: MIT
//
// Where servers and their clients run, so that it is not decided by chance.
#pragma once

#include "tools/bench/process.hpp"

#include <sched.h>
#include <vector>

namespace multihome::bench {

// The upper half of the processors for the server (the lower ones tend to have the interrupts), the lower
// half for its clients. The last one for both ends of a request/reply loop, where only one of them runs at a
// time: on two processors, most of the time would go into waking up the other one.
enum class Place { anywhere, server, client, shared };

// Moves the calling thread, and those that it starts later.
inline void move_to(Place place) {
    // What this process may use, found out before anything is moved.
    static const std::vector<unsigned> usable = [] {
        cpu_set_t set;
        check(sched_getaffinity(0, sizeof set, &set), "sched_getaffinity");
        std::vector<unsigned> found;
        for (unsigned processor = 0; processor < CPU_SETSIZE; ++processor)
            if (CPU_ISSET(processor, &set))
                found.push_back(processor);
        return found;
    }();
    const size_t count = usable.size();
    cpu_set_t set;
    CPU_ZERO(&set);
    for (size_t index = 0; index < count; ++index)
        if (place == Place::anywhere || (place == Place::shared && index == count - 1) ||
            (place == Place::server && index >= count / 2) ||
            (place == Place::client && (index < count / 2 || index == 0)))
            CPU_SET(usable[index], &set);
    check(sched_setaffinity(0, sizeof set, &set), "sched_setaffinity");
}

} // namespace multihome::bench
