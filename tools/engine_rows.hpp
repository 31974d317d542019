// SPDX-License-Identifier: MIT
// What the kernel engine has counted and holds, as `stats` and `peers` show it beside the library's.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "tools/kernel_engine/engine.hpp"
#include "tools/output.hpp"
#include "tools/running_library.hpp"

namespace multihome::tools {

/// Those that hold the process or are the unit's. A port has no counters of its own: `target` ":PORT" means
/// none here, but for conversations, where it means all. Empty is all.
std::vector<engine::Attachment> attachments_meant(const std::string& target, bool for_conversations = false);

Json engine_json(const std::vector<engine::Attachment>& attached);
/// Of those that are alive.
void print_engine_prometheus(std::vector<engine::Attachment> attached);

/// The counters at the last look, by the control group's identity.
using EngineBefore = std::map<std::uint64_t, engine::Counters>;
void print_engine_table(const std::vector<engine::Attachment>& attached, EngineBefore& before,
                        double seconds);

/// Which conversations are shown. Nothing set: all.
struct Wanted {
    const Address* peer = nullptr;
    std::uint16_t peer_port = 0;
    std::uint16_t local_port = 0;
};
/// As the library's: the peer only as a hash, unless it was asked for.
std::vector<RunningState::Held> engine_conversations(const engine::Attachment& attached,
                                                     const Wanted& wanted);

/// ":PORT", or a number that is no process which the library or the engine serves: the port; else 0.
std::uint16_t port_meant(const std::string& target);

} // namespace multihome::tools
