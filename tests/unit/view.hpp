// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace multihome::test {

// What a thread knows of: for each location, by its number from 1, the oldest message that it may still read.
class View {
public:
    uint32_t oldest(uint32_t location) const {
        return location <= oldest_.size() ? oldest_[location - 1] : 0;
    }
    void raise(uint32_t location, uint32_t message) {
        if (oldest_.size() < location)
            oldest_.resize(location);
        oldest_[location - 1] = std::max(oldest_[location - 1], message);
    }
    void join(const View& other) {
        for (size_t place = 0; place < other.oldest_.size(); ++place)
            raise(static_cast<uint32_t>(place + 1), other.oldest_[place]);
    }

private:
    std::vector<uint32_t> oldest_;
};

// A value that was written.
struct Message {
    uint64_t value;
    View view; // what a thread that acquires it gets to know
};

// One without messages but its initial value has no number.
struct Location {
    uint64_t initial = 0;
    mutable uint32_t number = 0; // from 1
};

constexpr bool acquires(std::memory_order order) {
    return order != std::memory_order_relaxed && order != std::memory_order_release;
}
constexpr bool releases(std::memory_order order) {
    return order == std::memory_order_release || order == std::memory_order_acq_rel ||
           order == std::memory_order_seq_cst;
}

} // namespace multihome::test
