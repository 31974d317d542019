// SPDX-License-Identifier: MIT
#include "tools/library.hpp"

#include <filesystem>
#include <system_error>

namespace multihome::tools {

std::string find_library(const std::string& wanted) {
    namespace files = std::filesystem;
    if (!wanted.empty())
        return files::absolute(wanted).string();
    std::error_code error;
    const files::path here = files::read_symlink("/proc/self/exe", error).parent_path();
    for (const files::path& place : {here, here / MULTIHOME_LIBDIR_FROM_BINDIR}) {
        const files::path candidate = (place / "libmultihome.so").lexically_normal();
        if (files::exists(candidate, error))
            return candidate.string();
    }
    return {};
}

} // namespace multihome::tools
