// SPDX-License-Identifier: MIT
//
// Which processors the two ends of a measurement run on. Left to itself, the scheduler moves them about, and
// where they land decides more than what is measured.
#pragma once

#include <string_view>

namespace multihome::bench {

enum class Place {
    anywhere,
    server, // the upper half of the processors that we may use: the lower ones tend to have the interrupts
    client, // the lower half
    shared, // the last one. For both ends of a request/reply loop, where only one of them runs at a time: on
            // two processors, most of the time would go into waking up the other one
};

// For the calling thread and those that it starts from then on.
void move_to(Place place);

const char* name_of(Place place);
Place place_named(std::string_view name);

} // namespace multihome::bench
