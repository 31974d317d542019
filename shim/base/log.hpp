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
#include "shim/base/text.hpp"

#include <array>
#include <span>
#include <string_view>

namespace multihome::log {

// True where lines of this level are wanted. Async-signal-safe.
inline bool wanted(LogLevel level) {
    return level >= settings::get().log_level && level != LogLevel::off;
}

// Remembers what standard error is. A daemon that closes it may get its number for a data file, and a line of
// ours must not land there.
void remember_standard_error();

// Writes a line put together from `pattern` and the arguments for its places, whether it is wanted or not.
// Beyond 400 bytes it is cut. Leaves errno alone.
[[gnu::cold]] void write_line(LogLevel level, std::string_view pattern,
                              std::span<const TextArgument> arguments);

// Writes a line if it is wanted. Leaves errno alone.
template <typename... Arguments>
[[gnu::cold]] void write(LogLevel level, TextPattern<Arguments...> pattern, const Arguments&... arguments) {
    if (wanted(level))
        write_line(level, pattern.text(),
                   std::array<TextArgument, sizeof...(Arguments)>{TextArgument{arguments}...});
}

// An address as an operator writes it.
struct AddressText {
    explicit AddressText(const Address& address);
    explicit AddressText(const Peer& peer); // with its port
    char text[80]{};
};

} // namespace multihome::log
