// SPDX-License-Identifier: MIT
// systemd's units, as systemctl(1) shows them.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace multihome::tools {

/// The full name: "unbound" is "unbound.service". Throws Impossible where it is none that systemd would take.
std::string valid_unit_name(const std::string& text);

/// One ExecStart= of a unit.
struct UnitCommand {
    std::string program;
    std::vector<std::string> words; ///< with the program; systemd tells them with blanks between, unquoted
    bool may_fail = false;          ///< "-" in front of it
};

struct Unit {
    std::string name;
    std::map<std::string, std::string> properties;
    std::string manager_environment; ///< what systemd gives to each service, below its Environment=

    /// Empty where systemd has no such property.
    [[nodiscard]] std::string get(const std::string& property) const;
    /// All ExecStart=, in their order.
    [[nodiscard]] std::vector<UnitCommand> commands() const;
    /// The program of the first ExecStart=, empty where there is none.
    [[nodiscard]] std::string program() const;
    /// True where the program has another root directory than we have.
    [[nodiscard]] bool has_own_root() const;
    /// Of the user and the group whom it runs as: names or numbers, empty for root. Stand-ins where systemd
    /// makes up the user as the unit starts.
    [[nodiscard]] std::string user() const;
    [[nodiscard]] std::string group() const;
    /// The value of LD_PRELOAD that its programs get: that of Environment=, else systemd's own.
    [[nodiscard]] std::string preload() const;

private:
    [[nodiscard]] bool has_made_up_user() const;
};

/// Throws Impossible where systemd cannot be asked, or has no such unit. Of an alias, the unit itself.
Unit read_unit(const std::string& name);

/// Those that systemd has loaded, and those that have a file or a drop-in where it looks for units; some
/// twice. With what profile_of() and preload() need. Throws Impossible where systemd cannot be asked.
std::vector<Unit> all_services();

/// What an alias stands for; `name` where systemd does not know better.
std::string true_unit_name(const std::string& name);

/// The words of a property in which systemd separates by blanks and quotes as a shell does ("A=1" "B=two
/// words").
std::vector<std::string> split_words(const std::string& text);

/// `text` as a unit's file has it: with systemd's specifiers ("%i") taken literally.
std::string without_specifiers(const std::string& text);

/// The processes of a unit.
std::vector<int> processes_of(const std::string& unit);

} // namespace multihome::tools
