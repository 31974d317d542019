// SPDX-License-Identifier: MIT
// Numbers for people.
#pragma once

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <fmt/core.h>
#include <string>
#include <system_error>

namespace multihome::tools {

/// Numbers of ten digits are hard to read, and the last ones do not matter.
inline std::string in_short(double value) {
    constexpr std::array units = {"", "k", "M", "G", "T", "P"};
    std::size_t unit = 0;
    while (value >= 10000 && unit + 1 < units.size()) {
        value /= 1000;
        ++unit;
    }
    return fmt::format("{:.{}f}{}", value, unit != 0 && value < 100 ? 1 : 0, units[unit]);
}

/// The rate of a counter since `before`, or the counter where no time has gone by.
inline std::string rate_or_count(std::uint64_t now, std::uint64_t before, double seconds) {
    const double more = static_cast<double>(now) - static_cast<double>(before);
    return seconds > 0 ? in_short(std::max(more, 0.0) / seconds) : std::to_string(now);
}

/// What is wrong with `text` as a number of seconds, for the command line; empty where nothing is. "nan" is
/// no number.
inline std::string problem_with_seconds(const std::string& text, double lowest, double highest) {
    double seconds = 0;
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, seconds);
    return error == std::errc{} && stop == end && seconds >= lowest && seconds <= highest
               ? ""
               : fmt::format("'{}' is no number of seconds from {} to {}", text, lowest, highest);
}

} // namespace multihome::tools
