// SPDX-License-Identifier: MIT
// multihomectl disable: takes away what enable has put there.
#include <unistd.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>

#include <algorithm>
#include <fmt/core.h>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tools/apparmor.hpp"
#include "tools/drop_in.hpp"
#include "tools/output.hpp"
#include "tools/run_command.hpp"
#include "tools/subcommands.hpp"
#include "tools/units.hpp"

namespace multihome::tools {
namespace {

struct DisableOptions {
    OutputOptions output;
    std::string unit;
    bool now = false;
    bool dry_run = false;
};

/// The profile in which enable may have put its rule; the unit may be gone by now.
std::string former_profile(const std::string& name) {
    try {
        return profile_of(read_unit(name));
    } catch (const Impossible&) {
        return {};
    }
}

/// Another service whose programs need the rules in this file: it has the same profile, or one of the same
/// file, and preloads a library that the rules are for, whoever has written that down. Empty where there is
/// none.
std::string other_service_with(const std::string& rules, const std::string& name) {
    const std::vector<std::string> libraries = libraries_with_rules(rules);
    for (const Unit& unit : all_services()) {
        const std::string preload = unit.preload();
        const bool preloads =
            std::any_of(libraries.begin(), libraries.end(),
                        [&](const std::string& library) { return has_library(preload, library); });
        if (preloads && unit.name != name && file_with_rules(profile_of(unit)) == rules)
            return unit.name;
    }
    return {};
}

int restart(const std::string& name) {
    const CommandResult restarted = run_command({"systemctl", "try-restart", name});
    if (restarted.status == 0)
        return success;
    fmt::print(stderr, "multihomectl: {}: {}\n", name, harmless(restarted.errors));
    return failure;
}

int disable(const DisableOptions& options) {
    const std::string name = true_unit_name(valid_unit_name(options.unit));
    const std::string path = drop_in_path(name);
    require_own_drop_in(name);
    const bool exists = access(path.c_str(), F_OK) == 0;
    const std::string profile = former_profile(name);
    std::string rules = file_with_rules(profile);
    const std::string other = !rules.empty() ? other_service_with(rules, name) : std::string{};
    const bool speaks = !options.output.quiet && !options.output.json;
    int status = success;
    if (!other.empty()) {
        if (speaks)
            fmt::print("{}: {} stays as it is: {} needs it\n", name, rules, harmless(other));
        rules.clear();
    }
    if (!exists && rules.empty()) {
        if (speaks)
            fmt::print("{}: there is nothing of multihomectl's to take away\n", name);
    } else if (options.dry_run) {
        if (speaks && !rules.empty())
            fmt::print("# take away what multihomectl has added to {}\n", rules);
        if (speaks && exists)
            fmt::print("# rm {}\n# systemctl daemon-reload\n", shell_command({path}));
    } else {
        if (!rules.empty())
            remove_rules(profile);
        remove_drop_in(name);
        reload_systemd();
        if (speaks && !rules.empty())
            fmt::print("{}: removed what multihomectl has added to {}\n", name, rules);
        if (speaks && exists)
            fmt::print("{}: removed {}\n", name, path);
        if (options.now)
            status = restart(name);
        else if (speaks)
            fmt::print("{}: it takes effect when the service starts again: systemctl restart {}\n", name,
                       shell_command({name}));
    }
    if (options.output.json) {
        Json document = json_document();
        document["unit"] = name;
        document["drop_in"] = exists ? Json(path) : Json();
        document["apparmor"] = !rules.empty() ? Json(rules) : Json();
        print_json(document);
    }
    return status;
}

} // namespace

void add_disable(CLI::App& application, int& exit_status) {
    auto options = std::make_shared<DisableOptions>();
    CLI::App* command =
        application.add_subcommand("disable", "Take away what enable has written for a service");
    command->add_option("UNIT", options->unit, "The service")->required();
    command->add_flag("--now", options->now, "Restart the service if it runs");
    command->add_flag("-n,--dry-run", options->dry_run, "Print what would be removed, and change nothing");
    add_output_options(*command, options->output);
    command->footer("Exit status: 0 done, 1 the restart failed, 2 wrong usage or not possible.");
    command->callback([options, &exit_status] { exit_status = disable(*options); });
}

} // namespace multihome::tools
