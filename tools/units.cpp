// SPDX-License-Identifier: MIT
#include "tools/units.hpp"

#include <pwd.h>

#include <algorithm>
#include <filesystem>
#include <fmt/core.h>
#include <iterator>
#include <set>
#include <sstream>
#include <string_view>
#include <system_error>
#include <utility>

#include "tools/output.hpp"
#include "tools/processes.hpp"
#include "tools/run_command.hpp"

namespace multihome::tools {
namespace {

constexpr std::size_t longest_unit_name = 255; // systemd.unit(5)

/// What `systemctl show` has printed. A property may be there several times.
std::map<std::string, std::string> parse_properties(const std::string& text) {
    std::map<std::string, std::string> properties;
    for (std::size_t begin = 0; begin < text.size();) {
        const std::size_t end = std::min(text.find('\n', begin), text.size());
        const std::string line = text.substr(begin, end - begin);
        begin = end + 1;
        if (const std::size_t equals = line.find('='); equals != std::string::npos) {
            std::string& value = properties[line.substr(0, equals)];
            value += (value.empty() ? "" : "\n") + line.substr(equals + 1);
        }
    }
    return properties;
}

/// What stands in these directories, and what only has a drop-in there.
std::set<std::string> services_named_in(const std::vector<std::string>& directories) {
    std::set<std::string> names;
    for (const std::string& directory : directories) {
        std::error_code error;
        for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
            const std::filesystem::path file = entry.path().filename();
            const std::string name = (file.extension() == ".d" ? file.stem() : file).string();
            if (name.ends_with(".service") && name.find("@.") == std::string::npos) // not a template
                names.insert(name);
        }
    }
    return names;
}

} // namespace

std::string valid_unit_name(const std::string& text) {
    constexpr std::string_view allowed =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:-_.\\@";
    std::string name = text;
    if (name.find('.') == std::string::npos)
        name += ".service";
    const bool is_template = name.find("@.") != std::string::npos;
    if (name.size() > longest_unit_name || name.front() == '.' || name.front() == '-' ||
        name.find_first_not_of(allowed) != std::string::npos || is_template)
        throw Impossible(fmt::format("'{}' is no name of a unit{}", harmless(text),
                                     is_template ? ": name an instance of the template" : ""));
    return name;
}

std::vector<std::string> split_words(const std::string& text) {
    std::vector<std::string> words;
    std::string word;
    bool is_inside = false;
    char quote = '\0';
    for (std::size_t at = 0; at < text.size(); ++at) {
        const char byte = text[at];
        if (byte == '\\' && at + 1 < text.size() && quote != '\'') {
            word += text[++at];
            is_inside = true;
        } else if (quote != '\0') {
            if (byte == quote)
                quote = '\0';
            else
                word += byte;
        } else if (byte == '"' || byte == '\'') {
            quote = byte;
            is_inside = true;
        } else if (byte == ' ' || byte == '\t' || byte == '\n') {
            if (is_inside)
                words.push_back(word);
            word.clear();
            is_inside = false;
        } else {
            word += byte;
            is_inside = true;
        }
    }
    if (is_inside)
        words.push_back(word);
    return words;
}

std::string without_specifiers(const std::string& text) {
    std::string literal;
    for (const char byte : text)
        literal += byte == '%' ? "%%" : std::string{byte};
    return literal;
}

std::string Unit::get(const std::string& property) const {
    const auto found = properties.find(property);
    return found != properties.end() ? found->second : std::string{};
}

std::vector<UnitCommand> Unit::commands() const {
    // { path=/usr/sbin/unbound ; argv[]=/usr/sbin/unbound -d ; ignore_errors=no ; ... }, one a line
    std::vector<UnitCommand> commands;
    const std::string text = "\n" + get("ExecStart");
    constexpr std::string_view path = "\n{ path=";
    constexpr std::string_view words = " ; argv[]=";
    constexpr std::string_view rest = " ; ignore_errors=";
    for (std::size_t at = text.find(path); at != std::string::npos; at = text.find(path, at + 1)) {
        const std::string line = text.substr(at + path.size(), text.find(path, at + 1) - at - path.size());
        UnitCommand command;
        command.program = line.substr(0, std::min(line.find(words), line.find(" ; }")));
        if (const std::size_t begin = line.find(words); begin != std::string::npos) {
            const std::string told = line.substr(begin + words.size());
            const std::size_t end = std::min(told.rfind(rest), told.size());
            std::istringstream stream{told.substr(0, end)};
            command.words.assign(std::istream_iterator<std::string>{stream}, {});
            command.may_fail = told.substr(end).starts_with(std::string{rest} + "yes");
        }
        if (command.words.empty())
            command.words.resize(1);
        command.words.front() = command.program; // it may go by another name
        commands.push_back(std::move(command));
    }
    return commands;
}

std::string Unit::program() const {
    const std::vector<UnitCommand> all = commands();
    return all.empty() ? std::string{} : all.front().program;
}

bool Unit::has_own_root() const {
    const std::string directory = get("RootDirectory");
    return (!directory.empty() && directory != "/") || !get("RootImage").empty();
}

bool Unit::has_made_up_user() const {
    // NOLINTNEXTLINE(concurrency-mt-unsafe): this program has one thread
    return get("DynamicUser") == "yes" && getpwnam(get("User").c_str()) == nullptr;
}

std::string Unit::user() const {
    constexpr const char* first_made_up_user = "61184"; // systemd.exec(5), DynamicUser=
    return has_made_up_user() ? first_made_up_user : get("User");
}

std::string Unit::group() const {
    return has_made_up_user() ? std::string{} : get("Group");
}

std::string Unit::preload() const {
    std::string preload;
    constexpr std::string_view key = "LD_PRELOAD=";
    for (const std::string& environment : {manager_environment, get("Environment")})
        for (const std::string& assignment : split_words(environment))
            if (assignment.starts_with(key))
                preload = assignment.substr(key.size()); // the last one counts
    return preload;
}

Unit read_unit(const std::string& name) {
    const CommandResult shown = run_command({"systemctl", "show", "--no-pager", "--", name});
    if (shown.status == 127)
        throw Impossible("systemctl cannot be started: is this a host with systemd?");
    if (shown.status != 0)
        throw Impossible(fmt::format("systemd cannot be asked: {}", harmless(shown.errors)));
    Unit unit;
    unit.name = name;
    unit.properties = parse_properties(shown.output);
    unit.manager_environment =
        parse_properties(run_command({"systemctl", "show", "--property=Environment"}).output)["Environment"];
    if (unit.get("LoadState") != "loaded")
        throw Impossible(fmt::format("there is no unit {} that could be started ({})", name,
                                     unit.get("LoadState").empty() ? "unknown" : unit.get("LoadState")));
    // What its drop-ins and its control group are called.
    if (const std::string true_name = unit.get("Id"); !true_name.empty())
        unit.name = true_name;
    return unit;
}

std::vector<Unit> all_services() {
    const CommandResult manager =
        run_command({"systemctl", "show", "--property=Environment", "--property=UnitPath"});
    std::map<std::string, std::string> of_manager = parse_properties(manager.output);
    Command command{"systemctl",  "show",
                    "--no-pager", "--property=Id,LoadState,Environment,ExecStart,AppArmorProfile",
                    "--",         "*.service"}; // those that are loaded
    const std::set<std::string> named = services_named_in(split_words(of_manager["UnitPath"]));
    command.insert(command.end(), named.begin(), named.end());
    const CommandResult shown = run_command(command);
    if (manager.status != 0 || shown.status != 0)
        throw Impossible(fmt::format("systemd cannot be asked: {}", harmless(manager.errors + shown.errors)));
    std::vector<Unit> services;
    for (std::size_t begin = 0; begin < shown.output.size();) {
        const std::size_t end = std::min(shown.output.find("\n\n", begin), shown.output.size());
        Unit unit;
        unit.properties = parse_properties(shown.output.substr(begin, end - begin));
        unit.name = unit.get("Id");
        unit.manager_environment = of_manager["Environment"];
        if (unit.get("LoadState") == "loaded")
            services.push_back(std::move(unit));
        begin = end + 2;
    }
    return services;
}

std::string true_unit_name(const std::string& name) {
    try {
        return read_unit(name).name;
    } catch (const Impossible&) {
        return name;
    }
}

std::vector<int> processes_of(const std::string& unit) {
    std::vector<int> result;
    for (const pid_t process : list_processes())
        if (unit_of_group(read_whole(fmt::format("/proc/{}/cgroup", process))).unit == unit)
            result.push_back(process);
    return result;
}

} // namespace multihome::tools
