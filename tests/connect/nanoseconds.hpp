// SPDX-License-Identifier: MIT
//
// Times, in nanoseconds.
#pragma once

#include <algorithm>
#include <ctime>
#include <vector>

inline long now() {
    timespec time{};
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1'000'000'000L + time.tv_nsec;
}

// Of at least one. Changes their order.
inline long median(std::vector<long>& times) {
    const auto middle = times.begin() + static_cast<long>(times.size() / 2);
    std::nth_element(times.begin(), middle, times.end());
    return *middle;
}
