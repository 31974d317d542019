// SPDX-License-Identifier: MIT
#include "tools/bench/processors.hpp"

#include "tools/bench/process.hpp"

#include <algorithm>
#include <array>
#include <sched.h>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace multihome::bench {

namespace {

// What this process may use, found out before anything is moved.
const std::vector<unsigned>& usable() {
    static const std::vector<unsigned> processors = [] {
        cpu_set_t set;
        check(sched_getaffinity(0, sizeof set, &set), "sched_getaffinity");
        std::vector<unsigned> found;
        for (unsigned processor = 0; processor < CPU_SETSIZE; ++processor)
            if (CPU_ISSET(processor, &set))
                found.push_back(processor);
        return found;
    }();
    return processors;
}

constexpr std::array<std::pair<Place, const char*>, 4> names = {{{Place::anywhere, "anywhere"},
                                                                 {Place::server, "server"},
                                                                 {Place::client, "client"},
                                                                 {Place::shared, "shared"}}};

} // namespace

void move_to(Place place) {
    const std::vector<unsigned>& processors = usable();
    const size_t half = processors.size() / 2;
    size_t from = 0;
    size_t to = processors.size();
    if (place == Place::shared)
        from = to - 1;
    else if (place == Place::server)
        from = half;
    else if (place == Place::client)
        to = std::max<size_t>(half, 1);
    cpu_set_t set;
    CPU_ZERO(&set);
    for (size_t index = from; index < to; ++index)
        CPU_SET(processors[index], &set);
    check(sched_setaffinity(0, sizeof set, &set), "sched_setaffinity");
}

const char* name_of(Place place) {
    for (const auto& [known, name] : names)
        if (known == place)
            return name;
    return "";
}

Place place_named(std::string_view name) {
    for (const auto& [place, known] : names)
        if (name == known)
            return place;
    throw std::invalid_argument("no place " + std::string(name));
}

} // namespace multihome::bench
