// SPDX-License-Identifier: MIT
#include "tools/apparmor.hpp"

#include <glob.h>
#include <unistd.h>

#include <algorithm>
#include <exception>
#include <filesystem>
#include <fmt/core.h>
#include <sstream>
#include <system_error>
#include <vector>

#include "tools/drop_in.hpp"
#include "tools/output.hpp"
#include "tools/processes.hpp"
#include "tools/run_command.hpp"
#include "tools/unit_obstacles.hpp"
#include "tools/units.hpp"

namespace multihome::tools {
namespace {

const std::string profiles = "/etc/apparmor.d/";
constexpr const char* may_map = " mr,";
constexpr const char* mark = " # multihomectl";
/// The first line of a file that we have made: such a file goes with its last rule.
constexpr const char* made_by = "# This file was made by multihomectl.\n";

/// The head of a profile: "/PATH {", "profile NAME {" or "profile NAME /PATH {", with or without flags.
struct ProfileHead {
    std::string file; ///< its name in /etc/apparmor.d
    std::string name;
    std::string programs; ///< the pattern that their paths match; empty: it is attached to none by itself
};

/// Those of all files, but for what dpkg and editors leave beside them. Names in quotes and with variables
/// are not read.
std::vector<ProfileHead> read_profile_heads() {
    std::vector<ProfileHead> heads;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(profiles, error)) {
        const std::string file = entry.path().filename().string();
        if (file.find(".dpkg-") != std::string::npos || file.ends_with('~'))
            continue;
        std::istringstream lines{read_whole(profiles + file)};
        for (std::string line; std::getline(lines, line);) {
            const std::vector<std::string> words = split_words(line);
            if (words.empty() || words.back() != "{" || line.find_first_not_of(" \t") != 0)
                continue;
            const bool is_named = words.front() == "profile" && words.size() > 2;
            if (!is_named && !words.front().starts_with('/'))
                continue;
            const std::string& name = words[is_named ? 1 : 0];
            const std::string& programs = is_named && words[2].starts_with('/') ? words[2] : name;
            heads.push_back({file, name, programs.starts_with('/') ? programs : ""});
        }
    }
    return heads;
}

/// Read once: no subcommand changes them.
const std::vector<ProfileHead>& profile_heads() {
    static const std::vector<ProfileHead> heads = read_profile_heads();
    return heads;
}

/// AppArmor's patterns are a shell's, with braces; but for `**`, which is not followed through directories
/// here.
bool matches(const std::string& pattern, const std::string& path) {
    glob_t found{};
    bool is_among = false;
    if (glob(pattern.c_str(), GLOB_BRACE, nullptr, &found) == 0)
        is_among = std::find(found.gl_pathv, found.gl_pathv + found.gl_pathc, path) !=
                   found.gl_pathv + found.gl_pathc;
    globfree(&found);
    return is_among;
}

/// Most profiles are in files that are named like the program's path, with dots for slashes.
std::string file_of(const std::string& profile) {
    std::string name = profile;
    name.erase(0, name.find_first_not_of('/'));
    std::replace(name.begin(), name.end(), '/', '.');
    const bool is_safe = !name.empty() && name.find("..") == std::string::npos;
    if (is_safe && access((profiles + name).c_str(), R_OK) == 0)
        return name;
    for (const ProfileHead& head : profile_heads())
        if (head.name == profile)
            return head.file;
    return {};
}

std::string local_file_of(const std::string& profile) {
    const std::string name = file_of(profile);
    return name.empty() ? std::string{} : profiles + "local/" + name;
}

/// With their ends.
std::vector<std::string> lines_in(const std::string& text) {
    std::vector<std::string> lines;
    for (std::size_t begin = 0; begin < text.size();) {
        const std::size_t end = std::min(text.find('\n', begin), text.size() - 1) + 1;
        lines.push_back(text.substr(begin, end - begin));
        begin = end;
    }
    return lines;
}

bool is_rule(const std::string& line) {
    return line.ends_with(std::string{mark} + "\n");
}

/// What is left of a file when these lines are taken away.
template <typename IsMeant>
std::string without(const std::string& text, const IsMeant& is_meant) {
    std::string kept;
    for (const std::string& line : lines_in(text))
        kept += is_meant(line) ? "" : line;
    return kept;
}
std::string without_rules(const std::string& text) {
    return without(text, is_rule);
}

/// A file of which nothing is left but what we have begun it with goes.
void keep(const std::string& local_file, const std::string& text) {
    if (text == made_by)
        unlink(local_file.c_str());
    else
        write_file(local_file, text);
}

void reload(const std::string& file) {
    if (access("/sys/kernel/security/apparmor/profiles", F_OK) != 0)
        return; // AppArmor is off: there is nothing to load it into
    const CommandResult result = run_command({"apparmor_parser", "-r", file});
    if (result.status != 0)
        throw Impossible(fmt::format("apparmor_parser -r {} failed: {}", file, harmless(result.errors)));
}

} // namespace

std::optional<LocalRule> rule_for(const std::string& profile, const std::string& library) {
    for (const char* system : {"/usr/lib", "/lib", "/usr/lib64", "/lib64", "/usr/lib32", "/lib32"})
        if (is_below(library, system))
            return std::nullopt;
    const std::string name = file_of(profile);
    if (name.empty())
        return std::nullopt;
    return LocalRule{profiles + name, profiles + "local/" + name, library + may_map + mark};
}

std::string profile_of(const Unit& unit) {
    std::string profile = unit.get("AppArmorProfile");
    profile.resize(std::min(profile.find(' '), profile.size())); // what may follow are flags
    profile.erase(0, profile.starts_with('-') ? 1 : 0);          // "if it exists"
    if (!profile.empty())
        return profile;
    // Of several, AppArmor attaches the one that says most.
    std::string program = unit.program();
    std::string name = program;
    std::size_t longest = 0;
    for (const ProfileHead& head : profile_heads()) {
        if (head.programs == program)
            return head.name;
        if (head.programs.size() > longest && matches(head.programs, program)) {
            longest = head.programs.size();
            name = head.name;
        }
    }
    return name;
}

bool is_confined(const Unit& unit) {
    const std::string loaded = "\n" + read_whole("/sys/kernel/security/apparmor/profiles");
    return !unit.get("AppArmorProfile").empty() ||
           loaded.find("\n" + profile_of(unit) + " (") != std::string::npos;
}

bool add_rule(const LocalRule& rule) {
    const bool exists = access(rule.local_file.c_str(), F_OK) == 0;
    const std::string before = exists ? read_whole(rule.local_file) : made_by;
    if (("\n" + before).find("\n" + rule.line + "\n") != std::string::npos)
        return false;
    const bool ends_inside_line = !before.empty() && before.back() != '\n';
    write_file(rule.local_file, before + (ends_inside_line ? "\n" : "") + rule.line + "\n");
    try {
        reload(rule.profile_file);
    } catch (const std::exception&) {
        keep(rule.local_file, before); // the kernel still has the profile as it was
        throw;
    }
    return true;
}

void remove_rule(const LocalRule& rule) {
    const std::string text = read_whole(rule.local_file);
    const std::string kept = without(text, [&](const std::string& line) { return line == rule.line + "\n"; });
    if (kept == text)
        throw Impossible(fmt::format("{}: it cannot be read, or lacks '{}'", rule.local_file, rule.line));
    keep(rule.local_file, kept);
    reload(rule.profile_file);
}

std::string file_with_rules(const std::string& profile) {
    const std::string local = local_file_of(profile);
    const std::string text = local.empty() ? std::string{} : read_whole(local);
    return without_rules(text) != text ? local : std::string{};
}

std::vector<std::string> libraries_with_rules(const std::string& local_file) {
    std::vector<std::string> libraries;
    for (const std::string& line : lines_in(read_whole(local_file)))
        if (is_rule(line))
            libraries.push_back(line.substr(0, line.rfind(may_map)));
    return libraries;
}

bool remove_rules(const std::string& profile) {
    const std::string local = file_with_rules(profile);
    if (local.empty())
        return false;
    keep(local, without_rules(read_whole(local)));
    reload(profiles + file_of(profile));
    return true;
}

} // namespace multihome::tools
