// SPDX-License-Identifier: MIT
// `attach --persist`: the files that make systemd attach the engine at each start.
#pragma once

#include <string>

#include "tools/kernel_engine/target.hpp"

namespace multihome::tools::engine {

/// Throws Impossible where no file can do it: nothing starts other control groups again (--cgroup and --pid),
/// and only a service runs something as it starts.
void require_persistable(const Target& target);

/// The file for a unit or for the whole host. Throws Impossible where there is none, and where somebody else
/// wrote a file of this name.
std::string persistent_file(const Target& target, const std::string& systemd_directory);

/// Whether a line of a unit may name it as it stands, without quotes.
bool is_plain(const std::string& word);

/// Writes it. `options` are those of `attach` that are to be repeated. Returns the file's path.
std::string make_persistent(const Target& target, const std::string& systemd_directory,
                            const std::string& options);

/// Removes it, and what `systemctl enable` has made of it. False: there is none.
bool end_persistence(const Target& target, const std::string& systemd_directory);

} // namespace multihome::tools::engine
