// SPDX-License-Identifier: MIT
// Random programs: sockets of all kinds, then calls with arguments that are good, at a boundary, or bad.
#pragma once

#include "tools/differential/step.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace multihome::differential {

/// splitmix64: a few lines, the same numbers everywhere.
class Random {
public:
    explicit Random(std::uint64_t seed) : state_(seed) {}
    std::uint64_t next();
    std::int64_t below(std::int64_t limit) {
        return static_cast<std::int64_t>(next() % static_cast<std::uint64_t>(limit));
    }
    bool chance(int percent) { return below(100) < percent; }
    std::int64_t pick(std::span<const std::int64_t> values) {
        return values[static_cast<std::size_t>(below(static_cast<std::int64_t>(values.size())))];
    }

private:
    std::uint64_t state_;
};

/// A sequence of about `length` steps, its sockets' making included. It ends with a reset.
std::vector<Step> generate(std::uint64_t seed, std::size_t length);

} // namespace multihome::differential
