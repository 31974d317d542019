// SPDX-License-Identifier: MIT
#include "tools/library.hpp"

#include <algorithm>
#include <filesystem>
#include <fmt/core.h>
#include <map>
#include <string_view>
#include <system_error>
#include <vector>

#include "tools/output.hpp"
#include "tools/run_command.hpp"

namespace multihome::tools {
namespace {

namespace files = std::filesystem;

/// The file that the dynamic loader maps for `name` in LD_PRELOAD, empty where it maps none. It lists what it
/// has mapped, and ends.
std::string file_mapped_for(const std::string& name) {
    const CommandResult listed =
        run_command({"env", "LD_TRACE_LOADED_OBJECTS=1", "LD_PRELOAD=" + name, "env", "true"});
    const std::string key = "\t" + name + " => ";
    const std::size_t at = listed.output.find(key);
    if (at == std::string::npos)
        return {};
    const std::size_t begin = at + key.size();
    return listed.output.substr(begin, listed.output.find(" (0x", begin) - begin);
}

/// The places below which $LIB may lead to `library`: those of the launcher, that is /usr and where it was
/// installed with this program. $LIB stands for one folder or for two (lib64, lib/x86_64-linux-gnu).
std::vector<std::string> possible_prefixes(const std::string& library) {
    constexpr std::string_view place = "/multihome/libmultihome.so";
    std::error_code error;
    const std::string file = files::canonical(library, error).string();
    if (error || !file.ends_with(place))
        return {};
    std::vector<std::string> prefixes{"/usr"};
    if (!files::equivalent(find_library(""), file, error))
        return prefixes;
    for (const std::string& path : {library, file}) {
        if (!path.ends_with(place))
            continue;
        const files::path folder = files::path{path.substr(0, path.size() - place.size())}.parent_path();
        for (const files::path& above : {folder.parent_path(), folder})
            if (const std::string prefix = above == "/" ? std::string{} : above.string();
                std::find(prefixes.begin(), prefixes.end(), prefix) == prefixes.end())
                prefixes.push_back(prefix);
    }
    return prefixes;
}

} // namespace

std::string find_library(const std::string& wanted) {
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

std::string library_to_preload(const std::string& wanted) {
    std::string library = find_library(wanted);
    if (library.empty())
        throw Impossible(
            "libmultihome.so is neither next to this program nor where it is installed: say where with "
            "--library");
    if (library.find_first_of(" :\n\"") != std::string::npos)
        throw Impossible(
            fmt::format("'{}' holds a character that LD_PRELOAD takes for the end of a name: move the "
                        "library",
                        harmless(library)));
    return library;
}

std::vector<std::string> preloaded_names(const std::string& preload) {
    std::vector<std::string> names;
    for (std::size_t begin = 0; begin < preload.size();) {
        const std::size_t end = std::min(preload.find_first_of(": ", begin), preload.size());
        if (end != begin)
            names.push_back(preload.substr(begin, end - begin));
        begin = end + 1;
    }
    return names;
}

std::string preload_name(const std::string& library) {
    static std::map<std::string, std::string> known; // the loader is asked once
    const auto [entry, is_new] = known.try_emplace(library, library);
    if (!is_new)
        return entry->second;
    for (const std::string& prefix : possible_prefixes(library)) {
        const std::string name = prefix + "/$LIB/multihome/libmultihome.so";
        if (is_name_of(name, library))
            return entry->second = name;
    }
    return library;
}

bool is_name_of(const std::string& name, const std::string& library) {
    if (name == library)
        return true;
    const std::string file = name.find('$') == std::string::npos ? name : file_mapped_for(name);
    std::error_code error;
    return file.starts_with('/') && files::equivalent(file, library, error);
}

} // namespace multihome::tools
