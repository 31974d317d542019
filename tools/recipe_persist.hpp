// SPDX-License-Identifier: MIT
// A recipe for the next boot: files for nftables, sysctl.d and systemd-networkd.
#pragma once

#include <string>
#include <vector>

#include "tools/output.hpp"
#include "tools/recipe_plan.hpp"

namespace multihome::tools::recipes {

struct Persistence {
    struct File {
        std::string path;
        std::string content;
    };
    std::vector<File> files;
    std::string loader;               ///< the service that loads the rules, if there are any
    std::vector<std::string> by_hand; ///< what no file does, in lines
};

/// What persist() is to write. Throws Impossible where there is no file for it, or it is somebody else's.
Persistence plan_persistence(const Plan& plan);

/// Writes the files, and says what is left to do by hand; then the answer is `failure`. Throws Impossible.
int persist(const Persistence& persistence, const OutputOptions& output);

struct Removal {
    std::vector<std::string> removed; ///< files
    std::vector<std::string> left;    ///< what could not be removed, and why
};

/// Removes what persist() wrote, and nothing else.
Removal remove_persistent();

} // namespace multihome::tools::recipes
