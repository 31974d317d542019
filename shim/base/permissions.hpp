// SPDX-License-Identifier: MIT
//
// What the program's system-call filters (seccomp(2)) have left us to do. Everything that we do beside the
// program's own calls is one of these activities. We do not do one if a filter forbids any of its system
// calls, which sockets/system_call_filter.cpp lists.
#pragma once

#include <atomic>
#include <cstdint>

namespace multihome {

// One bit each.
struct Activity {
    enum Bit : uint32_t {
        packets = 1U << 0,             // the packet path: recvmsg() for recvfrom(), and what else it needs
        mapping = 1U << 1,             // memory of our own (base/mapping)
        asking_for_locks = 1U << 2,    // is memory locked? (base/mapping)
        random_key = 1U << 3,          // the key of the peer table from getrandom(2)
        new_sockets = 1U << 4,         // looking at a socket, and switching on what we need
        verifying = 1U << 5,           // is a descriptor still the socket that it was?
        steering = 1U << 6,            // choosing the source of a connection
        yielding = 1U << 7,            // while another thread steers
        finding_interfaces = 1U << 8,  // what IP_MULTICAST_IF is on a socket from elsewhere
        finding_routes = 1U << 9,      // does a local route cover a source that has no address?
        probing = 1U << 10,            // was it the source that made a call fail?
        log_to_stderr = 1U << 11,      // a line of the log, wherever standard error leads
        log_to_file = 1U << 12,        // a line to MULTIHOME_LOG_FILE
        resolving_no_links = 1U << 13, // openat2(2), so that no part of its name is a symbolic link
        log_to_syslog = 1U << 14,      // a line to /dev/log
        asking_for_pages = 1U << 15,   // is a pointer of the program's good? (base/user_memory)
        naming_process = 1U << 16,     // is this a vfork child? (sockets/process)
        exact_time = 1U << 17,         // is it still one answer? (peers)
        asking_for_room = 1U << 18,    // does standard error take a line at once?
        closing = 1U << 19,            // descriptors that the program has no room for (base/control)
        resting = 1U << 20,            // while another thread steers for longer
    };
};
// Any number of them.
using Activities = uint32_t;

namespace permissions {

namespace detail {
// Relaxed throughout: the thread that sets it is the one that is about to be filtered.
inline constinit std::atomic<Activities> forbidden{0};
} // namespace detail

// True where no filter forbids any of them. Async-signal-safe.
inline bool may(Activities activities) {
    return (detail::forbidden.load(std::memory_order_relaxed) & activities) == 0;
}

// Forbids activities for good: a filter is never taken back.
inline void forbid(Activities activities) {
    detail::forbidden.fetch_or(activities, std::memory_order_relaxed);
}

} // namespace permissions
} // namespace multihome
