// SPDX-License-Identifier: MIT
//
// What an operator reads. Off the packet path unless the operator asks for `debug`; a line is formatted in
// memory on the stack and written by one write(2), without a lock, so that a line from a signal handler or a
// forked child cannot deadlock. No descriptor is kept: a log file is opened for each line.
#pragma once

#include "shim/base/address.hpp"
#include "shim/base/settings.hpp"

#include <spdlog/fmt/fmt.h>
#include <string_view>

namespace multihome::log {

// True where lines of this level are wanted. Async-signal-safe.
inline bool wanted(LogLevel level) {
    return level >= settings::get().log_level && level != LogLevel::off;
}

// Remembers what standard error is. A daemon that closes it may get its number for a data file, and a line of
// ours must not land there: lines go to standard error only while it is still the same file.
void remember_standard_error();

// No line is written any more: a system-call filter forbids it.
void silence();

// Writes a finished line. Leaves errno alone.
void write_line(LogLevel level, std::string_view line);

// Formats and writes a line if it is wanted. Lines beyond 400 bytes are cut. Leaves errno alone.
template <typename... Arguments>
[[gnu::cold]] void write(LogLevel level, fmt::format_string<Arguments...> format, Arguments&&... arguments) {
    if (!wanted(level))
        return;
    char line[400];
    const auto result = fmt::format_to_n(line, sizeof line, format, static_cast<Arguments&&>(arguments)...);
    write_line(level, {line, result.size < sizeof line ? result.size : sizeof line});
}

// An address as an operator writes it.
struct AddressText {
    explicit AddressText(const Address& address);
    explicit AddressText(const Peer& peer); // with its port
    char text[80];
};

} // namespace multihome::log
