// SPDX-License-Identifier: MIT
// Where the libmultihome.so is that belongs to this program, and by what name it is preloaded.
#pragma once

#include <string>
#include <vector>

namespace multihome::tools {

/// `wanted` as an absolute path; where it is empty, the library in the build tree or where it was installed,
/// both seen from this program. Empty when it is in neither place.
std::string find_library(const std::string& wanted);

/// The same for LD_PRELOAD. Throws Impossible where there is none, or its name cannot be written there.
std::string library_to_preload(const std::string& wanted);

/// The names in a value of LD_PRELOAD.
std::vector<std::string> preloaded_names(const std::string& preload);

/// How LD_PRELOAD is to name `library`: with $LIB where the dynamic loader finds the same file by that, as in
/// /usr/$LIB/multihome/libmultihome.so; else as it is. glibc puts the directory for each program's word size
/// in; musl, which a library of glibc's would end, does not know $LIB and passes over the name.
std::string preload_name(const std::string& library);

/// True where `name`, as LD_PRELOAD has it, is the file `library`.
bool is_name_of(const std::string& name, const std::string& library);

} // namespace multihome::tools
