// SPDX-License-Identifier: MIT
// The drop-in that preloads the library into a unit's programs.
#pragma once

#include <string>
#include <vector>

#include "tools/unit_obstacles.hpp"
#include "tools/units.hpp"

namespace multihome::tools {

/// /etc/systemd/system/UNIT.d/zz-multihome.conf
std::string drop_in_path(const std::string& unit);

/// Throws Impossible where somebody else wrote the file, so that no line begins with `words`: it is not ours
/// to overwrite or to remove.
void require_own_file(const std::string& path, const std::string& words);
/// The same of the unit's drop-in.
void require_own_drop_in(const std::string& unit);

/// `preload` with `library` once, as `name`, behind what stands there already: the others see the program's
/// own calls, as they do without us.
std::string merge_preload(const std::string& preload, const std::string& library, const std::string& name);

/// True where one of the names in `preload` is the file `library`.
bool has_library(const std::string& preload, const std::string& library);

/// What the file says. `lines`: more settings of [Service].
std::string drop_in_text(const std::string& unit, const std::string& preload,
                         const std::vector<std::string>& lines);

/// Whole or not at all: a file beside it takes its place. Throws Impossible.
void write_file(const std::string& path, const std::string& text);

/// Removes the drop-in, and its directory where nothing else is in it. False where there was none. Throws
/// Impossible.
bool remove_drop_in(const std::string& unit);

/// Lets systemd read its units again. Throws Impossible.
void reload_systemd();

} // namespace multihome::tools
