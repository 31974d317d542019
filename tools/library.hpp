// SPDX-License-Identifier: MIT
// Where the libmultihome.so is that belongs to this program.
#pragma once

#include <string>

namespace multihome::tools {

/// `wanted` as an absolute path; where it is empty, the library in the build tree or where it was installed,
/// both seen from this program. Empty when it is in neither place.
std::string find_library(const std::string& wanted);

} // namespace multihome::tools
