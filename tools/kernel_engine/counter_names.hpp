// SPDX-License-Identifier: MIT
// The engine's counters as JSON, for `list` and `stats`.
#pragma once

#include <nlohmann/json.hpp>

#include "tools/kernel_engine/engine.hpp"
#include "tools/output.hpp"

namespace multihome::tools::engine {

inline Json counters_json(const Counters& counters) {
    return Json{{"peers", counters[ENGINE_PEERS]},
                {"moves", counters[ENGINE_MOVES]},
                {"sources_named", counters[ENGINE_CHOSEN]},
                {"spoke_first", counters[ENGINE_SPOKE_FIRST]},
                {"handed_over", counters[ENGINE_HANDED_OVER]},
                {"bound_before_connect", counters[ENGINE_CONNECTED]},
                {"connected_not_served", counters[ENGINE_CONNECTED_NOT_SERVED]},
                {"order_lost", counters[ENGINE_ORDER_LOST]}};
}

} // namespace multihome::tools::engine
