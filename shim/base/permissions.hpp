// SPDX-License-Identifier: MIT
//
// What the program's system-call filters (seccomp(2)) have left us to do. Everything that we do beside the
// program's own calls is one of these activities, and is not done where one of its system calls is forbidden;
// which calls those are says sockets/system_call_filter.cpp.
#pragma once

#include <atomic>
#include <cstdint>

namespace multihome {

enum class Activity : uint8_t {
    packets,            // the packet path: recvmsg() for recvfrom(), and what it takes beside that
    mapping,            // memory of our own (base/mapping)
    asking_for_locks,   // is memory locked? (base/mapping)
    random_key,         // the key of the peer table from getrandom(2)
    new_sockets,        // looking at a socket, and switching on what we need
    verifying,          // is a descriptor still the socket that it was?
    steering,           // choosing the source of a connection
    yielding,           // while another thread steers
    finding_interfaces, // what the program chose with IP_MULTICAST_IF on a socket that comes from elsewhere
    finding_routes,     // does a local route cover a source that has no address?
    probing,            // was it the source that made a call fail?
    log_to_stderr,      // a line of the log, wherever standard error leads
    log_to_file,        // a line to MULTIHOME_LOG_FILE
    resolving_no_links, // openat2(2), so that no part of its name is a symbolic link
    log_to_syslog,      // a line to /dev/log
    count
};

namespace permissions {

namespace detail {
// One bit for each activity. Relaxed throughout: set by the thread that is about to be filtered.
inline constinit std::atomic<uint32_t> forbidden{0};
constexpr uint32_t bit(Activity activity) {
    return uint32_t{1} << static_cast<unsigned>(activity);
}
} // namespace detail

// Async-signal-safe.
inline bool may(Activity activity) {
    return (detail::forbidden.load(std::memory_order_relaxed) & detail::bit(activity)) == 0;
}

// From now on, for good, as the filters are.
inline void forbid(Activity activity) {
    detail::forbidden.fetch_or(detail::bit(activity), std::memory_order_relaxed);
}

} // namespace permissions
} // namespace multihome
