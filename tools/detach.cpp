// SPDX-License-Identifier: MIT
// multihomectl detach: ends what `attach` has begun.
#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <CLI/Option.hpp>
#include <fmt/core.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tools/kernel_engine/engine.hpp"
#include "tools/kernel_engine/persist.hpp"
#include "tools/kernel_engine/run_group.hpp"
#include "tools/kernel_engine/target.hpp"
#include "tools/output.hpp"
#include "tools/subcommands.hpp"

namespace multihome::tools {
namespace {

struct DetachOptions {
    engine::Target target;
    OutputOptions output;
    bool persist = false;
    std::string systemd_directory = "/etc/systemd/system";
};

bool is_of_host(const engine::Attachment& one) {
    return is_below_slices(one.path);
}

/// What is attached and meant. A unit that has been stopped has no control group any more, or has been given
/// a new one of the same name; what was attached to the one before still has the group's path.
std::vector<engine::Attachment> meant(const engine::Target& target) {
    std::vector<engine::Attachment> found = engine::attachments();
    if (target.all)
        return found;
    if (!target.unit.empty()) {
        const std::string last_part = "/" + unit_name(target.unit);
        std::erase_if(found, [&](const engine::Attachment& one) { return !one.path.ends_with(last_part); });
        // A container may have a unit of that name, too.
        if (std::any_of(found.begin(), found.end(), is_of_host))
            std::erase_if(found, std::not_fn(is_of_host));
        return found;
    }
    root_control_group(); // throws where no tree is mounted: what is meant cannot be known then
    std::uint64_t identity = 0;
    try {
        identity = engine::resolve(target).identity;
    } catch (const Impossible&) {
        if (target.path.empty())
            throw;
    }
    std::erase_if(found, [&](const engine::Attachment& one) {
        return one.identity != identity &&
               (one.alive || target.path.empty() || !target.path.ends_with(one.path));
    });
    return found;
}

int run_detach(const DetachOptions& options) {
    if (const std::string missing = engine::missing_rights(); !missing.empty())
        throw Impossible(fmt::format("detach needs {}, which user {} does not have here: run it as root",
                                     missing, geteuid()));
    std::vector<std::string> files;
    if (options.persist)
        files = engine::end_persistence(options.target, options.systemd_directory);

    std::vector<std::string> detached;
    for (const engine::Attachment& one : meant(options.target))
        if (engine::detach(one.identity))
            detached.push_back(one.path);
    if (detached.empty())
        engine::detach(0); // removes what killed calls have left
    engine::sweep_run_groups();
    if (options.output.json) {
        Json document = json_document();
        document["detached"] = detached;
        document["removed"] = files.empty() ? Json() : Json(files.front());
        document["files"] = files;
        print_json(document);
    } else if (!options.output.quiet) {
        for (const std::string& path : detached)
            fmt::print("detached from {}\n", harmless(path));
        if (!files.empty())
            fmt::print("removed: {}; tell systemd with 'systemctl daemon-reload'\n", fmt::join(files, ", "));
        if (detached.empty())
            fmt::print("nothing was attached there\n");
    }
    // --all means "whatever there is", which may be nothing.
    return detached.empty() && !options.target.all ? failure : success;
}

} // namespace

void add_detach(CLI::App& application, int& exit_status) {
    CLI::App* command = application.add_subcommand(
        "detach", "End what 'attach' has begun, and remove what killed calls left");
    auto options = std::make_shared<DetachOptions>();
    engine::add_target_options(*command, options->target, "From everything");
    command->add_flag("--persist", options->persist, "Also remove the file that 'attach --persist' wrote");
    command->add_option("--systemd-directory", options->systemd_directory, "Where that file is")
        ->type_name("DIRECTORY")
        ->capture_default_str();
    add_output_options(*command, options->output);
    command->callback([options, &exit_status] { exit_status = run_detach(*options); });
}

} // namespace multihome::tools
