// SPDX-License-Identifier: MIT
// `attach --persist`: the files that make systemd attach the engine at each start.
#pragma once

#include <string>
#include <vector>

#include "tools/kernel_engine/target.hpp"

namespace multihome::tools::engine {

/// What `attach` was told, where it does so again at each start.
struct Repeated {
    std::string options;             ///< as they stand in a line of a unit
    std::vector<std::string> except; ///< units, in full
};

/// Throws Impossible where no file can do it: nothing starts other control groups again (--cgroup and --pid),
/// only a service runs something as it starts, and somebody else may have written a file of the name.
void require_persistable(const Target& target, const Repeated& repeated,
                         const std::string& systemd_directory);

/// Whether a line of a unit may name it as it stands, without quotes.
bool is_plain(const std::string& word);

/// Writes the file for the unit or the whole host, and a drop-in for each service that is excepted: it then
/// has another control group than before. Returns their paths, the file first.
std::vector<std::string> make_persistent(const Target& target, const Repeated& repeated,
                                         const std::string& systemd_directory);

/// Removes them, and what `systemctl enable` has made of the file. Returns the paths of those that were
/// there, the file first.
std::vector<std::string> end_persistence(const Target& target, const std::string& systemd_directory);

} // namespace multihome::tools::engine
