// SPDX-License-Identifier: MIT
//
// What an operator reads. It stays off the packet path unless the operator asks for `debug`. A line takes no
// lock, and no memory but the stack, and one write(2) writes it. So a signal handler or a forked child may
// write one.
//
// A line goes to the first of these that can be written:
//
//  1. MULTIHOME_LOG_FILE, a regular file, opened for each line. No descriptor is kept, because the program
//     may close it, or be surprised by it. If a chroot() or setuid() later changes what the name means, that
//     holds for the next line.
//  2. Standard error, while it still is the file that it was when the program started, is no network
//     connection, and takes a line at once. In the journal (JOURNAL_STREAM) a line carries its priority
//     instead of the time.
//  3. Syslog (/dev/log).
//
// The first line that cannot go where it should says why, and where lines go instead.
//
// A line never kills: we take back SIGPIPE and SIGXFSZ, which a write may raise. Nor does it wait for a
// reader, but for a terminal that its user has stopped.
#pragma once

#include "shim/base/address.hpp"
#include "shim/base/settings.hpp"

#include <atomic>
#include <fmt/compile.h>
#include <string_view>

namespace multihome::log {

// True where the operator wants lines of this level. Async-signal-safe.
inline bool wanted(LogLevel level) {
    return level >= settings::get().log_level && level != LogLevel::off;
}

// True the first time, for a line that is written once. Relaxed: nothing but the flag itself depends on it.
inline bool is_first(std::atomic<bool>& told) {
    return !told.exchange(true, std::memory_order_relaxed);
}

// Remembers which file standard error is. A daemon may close it and get its number for a data file, which
// must get no line of ours.
void remember_standard_error();

constexpr size_t longest_text = 400; // a longer text is cut

// Formats a text into `room`, and cuts it where that is full. `pattern`: an FMT_COMPILE(), which takes no
// memory and brings along only what this text needs of fmt.
template <size_t Size, typename Pattern, typename... Arguments>
std::string_view put_together(char (&room)[Size], const Pattern& pattern, const Arguments&... arguments) {
    return {room, fmt::format_to_n(room, Size, pattern, arguments...).out};
}

// Writes a line, wanted or not. Leaves errno alone.
[[gnu::cold]] void write_line(LogLevel level, std::string_view text);

// Writes a line if it is wanted (see put_together()). Leaves errno alone. A function of its own: its text
// takes room on the stack that only a call that logs is to pay.
template <typename Pattern, typename... Arguments>
[[gnu::cold, gnu::noinline]] void write(LogLevel level, const Pattern& pattern,
                                        const Arguments&... arguments) {
    if (!wanted(level))
        return;
    char room[longest_text];
    write_line(level, put_together(room, pattern, arguments...));
}

// Writes a warning the first time. Each FMT_COMPILE() has a type of its own, so each line has its own flag.
template <typename Pattern, typename... Arguments>
void warn_once(const Pattern& pattern, const Arguments&... arguments) {
    constinit static std::atomic<bool> told{false};
    if (is_first(told))
        write(LogLevel::warn, pattern, arguments...);
}

// An address as an operator writes it.
struct AddressText {
    explicit AddressText(const Address& address);
    explicit AddressText(const Peer& peer); // with its port
    char text[80]{};
};

} // namespace multihome::log
