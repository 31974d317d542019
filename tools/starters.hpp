// SPDX-License-Identifier: MIT
// Programs that start another one, and do not hand LD_PRELOAD on: sudo, env -i, docker and the like.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "tools/obstacles.hpp"

namespace multihome::tools {

/// What a command line starts in the end, as far as it is certain.
struct Started {
    std::string program;              ///< the first word, or what env(1), timeout(1) and others start
    std::optional<Obstacle> obstacle; ///< LD_PRELOAD does not get there
    bool elsewhere = false;           ///< another process starts it: it is in another control group
};

/// `words`: a command line of a systemd unit. The launcher (scripts/multihome) knows the same programs;
/// tests/launcher/starters.txt holds both to one list.
Started look_at_starters(const std::vector<std::string>& words);

} // namespace multihome::tools
