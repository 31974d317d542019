// SPDX-License-Identifier: MIT
//
// What an operator reads. Off the packet path unless the operator asks for `debug`. A line takes no memory
// but the stack and no lock, and is written by one write(2), so that it may come from a signal handler or a
// forked child.
//
// It goes to the first of these that can be written:
//
//  1. MULTIHOME_LOG_FILE, a regular file, opened for each line: no descriptor is kept, because the program
//     may close it, or be surprised by it. What a later chroot() or setuid() makes of the name holds for the
//     next line.
//  2. Standard error, while that still is the file that it was when the program started, and no network
//     connection. In the journal (JOURNAL_STREAM) a line carries its priority instead of the time.
//  3. Syslog (/dev/log).
//
// The first line that cannot be written where it should says so, and why, where it goes instead.
//
// A line never kills: SIGPIPE and SIGXFSZ, which a write may raise, are taken back.
#pragma once

#include "shim/base/address.hpp"
#include "shim/base/settings.hpp"

#include <fmt/compile.h>
#include <string_view>

namespace multihome::log {

// True where lines of this level are wanted. Async-signal-safe.
inline bool wanted(LogLevel level) {
    return level >= settings::get().log_level && level != LogLevel::off;
}

// Remembers what standard error is. A daemon that closes it may get its number for a data file, and a line of
// ours must not land there.
void remember_standard_error();

constexpr size_t longest_text = 400; // what is beyond is cut

// Puts `text` together in `room`, cut where that is full. `pattern`: an FMT_COMPILE(), which takes no memory
// and brings nothing of fmt along but what this text needs.
template <size_t Size, typename Pattern, typename... Arguments>
std::string_view put_together(char (&room)[Size], const Pattern& pattern, const Arguments&... arguments) {
    return {room, fmt::format_to_n(room, Size, pattern, arguments...).out};
}

// Writes a line, whether it is wanted or not. Leaves errno alone.
[[gnu::cold]] void write_line(LogLevel level, std::string_view text);

// Writes a line if it is wanted, see put_together(). Leaves errno alone.
template <typename Pattern, typename... Arguments>
[[gnu::cold]] void write(LogLevel level, const Pattern& pattern, const Arguments&... arguments) {
    if (!wanted(level))
        return;
    char room[longest_text];
    write_line(level, put_together(room, pattern, arguments...));
}

// An address as an operator writes it.
struct AddressText {
    explicit AddressText(const Address& address);
    explicit AddressText(const Peer& peer); // with its port
    char text[80]{};
};

} // namespace multihome::log
