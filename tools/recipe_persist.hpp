// SPDX-License-Identifier: MIT
// A recipe for the next boot: files for nftables, sysctl.d and systemd-networkd.
#pragma once

#include <string>
#include <vector>

#include "tools/output.hpp"
#include "tools/recipe_plan.hpp"

namespace multihome::tools::recipes {

/// Writes the files, and says what is left to do by hand; then the answer is `failure`. Throws
/// Impossible where nothing can be written.
int persist(const Plan& plan, const OutputOptions& output);

/// Removes what persist() wrote, and nothing else. Returns the files.
std::vector<std::string> remove_persistent();

} // namespace multihome::tools::recipes
