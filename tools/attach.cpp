// SPDX-License-Identifier: MIT
// multihomectl attach: the kernel engine for a control group.
#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <CLI/Option.hpp>
#include <CLI/Validators.hpp>
#include <fmt/core.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include <memory>
#include <string>
#include <vector>

#include "tools/elf_file.hpp"
#include "tools/kernel_engine/engine.hpp"
#include "tools/kernel_engine/persist.hpp"
#include "tools/kernel_engine/request.hpp"
#include "tools/kernel_engine/target.hpp"
#include "tools/output.hpp"
#include "tools/program.hpp"
#include "tools/running_library.hpp"
#include "tools/subcommands.hpp"
#include "tools/units.hpp"

namespace multihome::tools {
namespace {

struct AttachOptions {
    engine::Target target;
    OutputOptions output;
    std::vector<std::string> except;
    std::string ports;
    std::uint32_t peers = 262144;
    std::string timeouts;
    bool renew = false;
    bool persist = false;
    std::string systemd_directory = "/etc/systemd/system";
};

bool preloading_reaches(pid_t process) {
    const Descriptor program = open_for_reading(fmt::format("/proc/{}/exe", process));
    if (!program.valid())
        return false;
    try {
        const ElfFacts facts = read_elf(program.number());
        return !facts.loader.empty() && !facts.is_go && facts.loader.find("musl") == std::string::npos;
    } catch (const ElfError&) {
        return false;
    }
}

/// What an operator should know of the processes that are there now.
std::vector<std::string> notes_on(const ControlGroup& group) {
    std::size_t shimmed = 0, reached = 0;
    const std::vector<pid_t> processes = processes_in(group);
    for (const pid_t process : processes) {
        if (find_library_in(process).mapped)
            ++shimmed;
        else if (preloading_reaches(process))
            ++reached;
    }
    std::vector<std::string> notes;
    if (shimmed > 0)
        notes.push_back(fmt::format(
            "{} of {} processes have libmultihome.so preloaded: for those it goes on choosing the "
            "source, and the engine adds nothing",
            shimmed, processes.size()));
    if (reached > 0)
        notes.push_back(fmt::format(
            "{} of {} processes could be preloaded instead, which needs no rights and also serves "
            "connected sockets: 'multihomectl enable UNIT'",
            reached, processes.size()));
    return notes;
}

bool is_unit(const std::string& except) {
    return except.front() != '/';
}

/// What --except names. A unit that does not run has no control group yet.
ControlGroup excepted(const std::string& name) {
    if (!is_unit(name))
        return control_group_at(name);
    const std::string unit = valid_unit_name(name);
    const auto group = find_control_group_of_unit(unit);
    return group ? *group : ControlGroup{{}, unit_name(unit), 0};
}

/// What an operator should know of the exceptions.
std::vector<std::string> notes_on(const std::vector<ControlGroup>& except, bool persist) {
    std::vector<std::string> notes;
    for (const ControlGroup& one : except)
        if (one.identity == 0)
            notes.push_back(fmt::format("{} does not run: {}", one.path,
                                        persist && one.path.ends_with(".service")
                                            ? "it is excepted when it starts"
                                            : "it is served when it starts, until --renew"));
        else if (!persist && one.path.ends_with(".service"))
            notes.push_back(fmt::format("{} is served when it starts again, until --renew", one.path));
    return notes;
}

engine::Request request_for(const AttachOptions& options) {
    engine::Request request;
    request.group = engine::resolve(options.target);
    for (const std::string& name : options.except)
        request.except.push_back(excepted(name));
    if (!options.ports.empty())
        request.ports = engine::parse_ports(options.ports);
    if (!options.timeouts.empty())
        engine::parse_timeouts(options.timeouts, request);
    request.peers = options.peers;
    return request;
}

/// What a unit's file has to repeat. All of it has been checked; what --except names may be any directory.
engine::Repeated repeated(const AttachOptions& options) {
    engine::Repeated repeated;
    for (const std::string& name : options.except) {
        repeated.except.push_back(is_unit(name) ? unit_name(name) : name);
        if (!engine::is_plain(name))
            throw Impossible(fmt::format("--persist: a unit cannot name '{}': leave that --except out, or "
                                         "write the unit by hand",
                                         harmless(name)));
        repeated.options += " --except " + repeated.except.back();
    }
    if (!options.ports.empty())
        repeated.options += " --ports " + options.ports;
    if (!options.timeouts.empty())
        repeated.options += " --timeouts " + options.timeouts;
    repeated.options += fmt::format(" --peers {}", options.peers);
    return repeated;
}

int renew(const AttachOptions& options) {
    for (const std::string& name : options.except) {
        const ControlGroup group = is_unit(name) ? control_group_of_unit(name) : control_group_at(name);
        engine::renew_exception(group);
        if (!options.output.quiet)
            fmt::print("not served: {}\n", harmless(group.path));
    }
    return success;
}

int run_attach(const AttachOptions& options) {
    if (const std::string missing = engine::missing_rights_to_attach(); !missing.empty())
        throw Impossible(fmt::format("attach needs {}, which user {} does not have here: run it as root",
                                     missing, geteuid()));
    if (!options.except.empty() && !options.target.all)
        throw Impossible("--except goes with --all");
    if (options.renew)
        return renew(options);
    const engine::Request request = request_for(options);
    engine::Repeated again;
    if (options.persist) { // before anything is done
        again = repeated(options);
        engine::require_persistable(options.target, again, options.systemd_directory);
    }
    const std::vector<std::string> not_served = engine::attach(request);
    const std::vector<std::string> notes =
        options.target.all ? notes_on(request.except, options.persist) : notes_on(request.group);
    std::vector<std::string> files;
    if (options.persist) {
        try {
            files = engine::make_persistent(options.target, again, options.systemd_directory);
        } catch (const Impossible&) {
            engine::detach(request.group.identity); // all of it was asked for
            throw;
        }
    }

    if (options.output.json) {
        Json document = json_document();
        document["control_group"] = request.group.path;
        document["identity"] = request.group.identity;
        document["not_served"] = not_served;
        document["notes"] = notes;
        document["persistent"] = files.empty() ? Json() : Json(files.front());
        document["files"] = files;
        print_json(document);
        return success;
    }
    if (options.output.quiet)
        return success;
    fmt::print("attached to {}\n", harmless(request.group.path));
    for (const std::string& line : not_served)
        fmt::print("not served: {}\n", line);
    for (const std::string& line : notes)
        fmt::print("note: {}\n", line);
    if (!files.empty())
        fmt::print("written: {}; tell systemd with 'systemctl daemon-reload'{}\n", fmt::join(files, ", "),
                   options.target.all ? " and 'systemctl enable multihome-engine'" : "");
    return success;
}

} // namespace

void add_attach(CLI::App& application, int& exit_status) {
    CLI::App* command =
        application.add_subcommand("attach", "Serve what preloading cannot reach (Go, static and set-user-ID "
                                             "programs, io_uring, containers, what may "
                                             "not be restarted) from inside the kernel");
    auto options = std::make_shared<AttachOptions>();
    engine::add_target_options(*command, options->target, "The whole host");
    CLI::Option* except = command
                              ->add_option("--except", options->except,
                                           "With --all: but not this unit, or this control group (/PATH)")
                              ->type_name("UNIT")
                              ->expected(1)
                              ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    CLI::Option* renew =
        command
            ->add_flag(
                "--renew", options->renew,
                "The engine is attached but for these: they have started again, and are not to be served")
            ->needs(except);
    command->add_option("--ports", options->ports, "Only these local ports, as in 53,5000-5100")
        ->type_name("LIST");
    command->add_option("--peers", options->peers, "Clients to remember")
        ->type_name("N")
        ->check(CLI::Range(64U, 8388608U));
    command
        ->add_option(
            "--timeouts", options->timeouts,
            "Seconds that a question counts, and of silence until 'we spoke first' is forgotten (30,120)")
        ->type_name("QUESTION,SPOKE_FIRST");
    command->add_flag("--persist", options->persist, "Also at each start, by a drop-in or unit of systemd");
    command->add_option("--systemd-directory", options->systemd_directory, "Where --persist writes")
        ->type_name("DIRECTORY")
        ->capture_default_str();
    add_output_options(*command, options->output);
    for (const char* other : {"--ports", "--peers", "--timeouts", "--persist", "--json"})
        command->get_option(other)->excludes(renew);
    command->callback([options, &exit_status] { exit_status = run_attach(*options); });
}

} // namespace multihome::tools
