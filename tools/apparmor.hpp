// SPDX-License-Identifier: MIT
// AppArmor: the rule that lets a confined program map the library.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "tools/units.hpp"

namespace multihome::tools {

/// The local addition to a profile (/etc/apparmor.d/local/NAME), which the distribution's updates leave
/// alone.
struct LocalRule {
    std::string profile_file; ///< /etc/apparmor.d/NAME
    std::string local_file;
    std::string line;
};

/// The rule that `library` needs in the profile; nothing where the profile lets libraries of the system's own
/// directories be mapped, as abstractions/base does, or where the profile's file is not found. `profile`: its
/// name, as a path or as a word.
std::optional<LocalRule> rule_for(const std::string& profile, const std::string& library);

/// The profile of the program that a unit starts: the one that the unit names, else the one that is attached
/// to the program's path, and by default is named like it.
std::string profile_of(const Unit& unit);
/// True where the kernel enforces a profile of this name, or the unit names one.
bool is_confined(const Unit& unit);

/// Adds the line, and lets AppArmor read the profile again. True where it was not there yet. Where it throws,
/// the line is not there.
bool add_rule(const LocalRule& rule);
/// Takes away this line alone: others may be another service's. Throws Impossible.
void remove_rule(const LocalRule& rule);
/// The file in which add_rule() has put something; empty where there is none.
std::string file_with_rules(const std::string& profile);
/// The libraries that the rules in such a file are for.
std::vector<std::string> libraries_with_rules(const std::string& local_file);
/// Takes away all that add_rule() has put into the file. True where there was something. Throws Impossible.
bool remove_rules(const std::string& profile);

} // namespace multihome::tools
