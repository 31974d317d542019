// SPDX-License-Identifier: MIT
// multihomectl enable: preloads the library into a systemd unit, and sees whether it works there.
#include <unistd.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>
#include <fmt/core.h>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>

#include "tools/apparmor.hpp"
#include "tools/as_user.hpp"
#include "tools/drop_in.hpp"
#include "tools/io_uring.hpp"
#include "tools/library.hpp"
#include "tools/output.hpp"
#include "tools/processes.hpp"
#include "tools/run_command.hpp"
#include "tools/running_library.hpp"
#include "tools/subcommands.hpp"
#include "tools/unit_obstacles.hpp"
#include "tools/unit_programs.hpp"
#include "tools/units.hpp"

namespace multihome::tools {
namespace {

struct EnableOptions {
    OutputOptions output;
    std::string unit;
    std::string library;
    bool now = false;
    bool dry_run = false;
};

/// All that is to be done, before anything is done.
struct EnablePlan {
    Unit unit;
    std::string library;
    std::string path;
    std::string text;
    std::optional<LocalRule> rule;
    std::vector<UnitObstacle> mended;
    // What there was before, for undo().
    std::string text_before; // of the drop-in; empty: there was none
    bool is_rule_new = false;
};

std::string usable_library(const EnableOptions& options) {
    std::string library = library_to_preload(options.library);
    if (access(library.c_str(), R_OK) != 0)
        throw Impossible(
            fmt::format("{}: there is no such library, or it may not be read", harmless(library)));
    look_at_library(library);
    return library;
}

/// Prints what nobody but the operator can mend. True where it keeps the library from all programs of the
/// unit; one that is not reached may be a helper's.
bool has_obstacle(const Unit& unit, const std::vector<UnitObstacle>& of_unit, const std::string& library) {
    bool has_any = false;
    for (const UnitObstacle& obstacle : of_unit) {
        if (!obstacle.lines.empty())
            continue;
        fmt::print(stderr, "multihomectl: {}: {}\n  instead: {}\n", unit.name, harmless(obstacle.reason),
                   harmless(obstacle.advice));
        has_any = true;
    }
    const int status = as_user(unit.user(), unit.group(), [&] {
        int best = not_found;
        for (const auto& [check, elsewhere] : check_unit_programs(unit, library)) {
            best = std::min<int>(best, check.status);
            if (check.status == success)
                continue;
            fmt::print(stderr, "multihomectl: {}: {}: {}\n", unit.name, harmless(check.subject),
                       check.problem.empty() ? "LD_PRELOAD cannot reach this program"
                                             : harmless(check.problem));
            print_obstacles(check.obstacles);
            if (check.status == not_reachable && !elsewhere)
                fmt::print(stderr, "  or:      multihomectl attach {}\n", shell_command({unit.name}));
        }
        return best;
    });
    return has_any || status != success;
}

EnablePlan make_plan(const EnableOptions& options, bool& is_possible) {
    EnablePlan plan;
    plan.unit = read_unit(valid_unit_name(options.unit));
    if (!plan.unit.name.ends_with(".service"))
        throw Impossible(fmt::format("{} starts no program: name the service", plan.unit.name));
    if (plan.unit.program().empty())
        throw Impossible(fmt::format("{} has no ExecStart=, and starts no program", plan.unit.name));
    plan.library = usable_library(options);
    const std::vector<UnitObstacle> obstacles = obstacles_of_unit(plan.unit, plan.library);
    is_possible = !has_obstacle(plan.unit, obstacles, plan.library);
    std::vector<std::string> lines;
    for (const UnitObstacle& obstacle : obstacles) {
        if (obstacle.lines.empty())
            continue;
        plan.mended.push_back(obstacle);
        for (const std::string& line : obstacle.lines)
            if (std::find(lines.begin(), lines.end(), line) == lines.end())
                lines.push_back(line);
    }
    plan.path = drop_in_path(plan.unit.name);
    require_own_drop_in(plan.unit.name);
    // In a tree of its own, the unit has another loader, which may have another place for $LIB.
    const std::string name = plan.unit.has_own_root() ? plan.library : preload_name(plan.library);
    plan.text = drop_in_text(plan.unit.name, merge_preload(plan.unit.preload(), plan.library, name), lines);
    if (is_confined(plan.unit))
        plan.rule = rule_for(profile_of(plan.unit), plan.library);
    return plan;
}

void print_plan(const EnablePlan& plan, const EnableOptions& options) {
    fmt::print("# {}\n{}", plan.path, plan.text);
    if (plan.rule)
        fmt::print("\n# {}\n{}\n# apparmor_parser -r {}\n", plan.rule->local_file, plan.rule->line,
                   plan.rule->profile_file);
    fmt::print("\n# systemctl daemon-reload\n");
    if (options.now)
        fmt::print("# systemctl restart {}\n", shell_command({plan.unit.name}));
}

/// Takes back what it can and says what it cannot: why it is called is for the caller to tell.
void undo(const EnablePlan& plan) {
    const auto attempt = [&](const auto& step) {
        try {
            step();
        } catch (const std::exception& problem) {
            fmt::print(stderr, "multihomectl: {}: could not be taken back: {}\n", plan.unit.name,
                       harmless(problem.what()));
        }
    };
    attempt([&] {
        if (plan.text_before.empty())
            remove_drop_in(plan.unit.name);
        else
            write_file(plan.path, plan.text_before);
    });
    attempt(reload_systemd);
    if (plan.is_rule_new)
        attempt([&] { remove_rule(*plan.rule); });
}

/// What the step returns. Where it throws, all is taken back.
template <typename Step>
auto all_or_nothing(const EnablePlan& plan, const Step& step) {
    try {
        return step();
    } catch (const std::exception&) {
        undo(plan);
        throw;
    }
}

/// Another drop-in may come later and set LD_PRELOAD again.
bool is_effective(const EnablePlan& plan) {
    if (has_library(read_unit(plan.unit.name).preload(), plan.library))
        return true;
    fmt::print(stderr,
               "multihomectl: {}: a later drop-in sets LD_PRELOAD again, so this one was taken back: add the "
               "library "
               "there. The unit's files: {}\n",
               plan.unit.name, harmless(plan.unit.get("DropInPaths")));
    return false;
}

/// All of it, or nothing of what was not there before. False where it would be of no use.
bool carry_out(EnablePlan& plan) {
    plan.text_before = read_whole(plan.path);
    write_file(plan.path, plan.text);
    const bool is_done = all_or_nothing(plan, [&] {
        if (plan.rule)
            plan.is_rule_new = add_rule(*plan.rule);
        reload_systemd();
        return is_effective(plan);
    });
    if (!is_done)
        undo(plan);
    return is_done;
}

/// What the library does in the unit's processes.
enum class Presence { absent, loaded, alive };

Presence presence_in(const std::string& unit) {
    Presence best = Presence::absent;
    for (const int process : processes_of(unit)) {
        const LibraryPresence found = find_library_in(process);
        if (found.alive)
            return Presence::alive;
        if (found.mapped)
            best = Presence::loaded;
    }
    return best;
}

/// A service may take a while to bind its sockets; one that binds none is never more than loaded.
Presence await_presence(const std::string& unit) {
    using namespace std::chrono_literals;
    constexpr auto patience = 3s;
    const auto end = std::chrono::steady_clock::now() + patience;
    for (;;) {
        const Presence presence = presence_in(unit);
        if (presence == Presence::alive || std::chrono::steady_clock::now() > end)
            return presence;
        std::this_thread::sleep_for(50ms);
    }
}

/// The library may be in it, and yet not see what it hears.
std::string note_on_rings(const std::string& unit) {
    for (const int process : processes_of(unit))
        if (std::string note = note_on_io_uring(process, find_library_in(process), any_port); !note.empty())
            return note;
    return {};
}

int restart_and_verify(const EnablePlan& plan, const EnableOptions& options) {
    const std::string& name = plan.unit.name;
    std::fflush(stdout); // before what stderr says
    const CommandResult restarted = all_or_nothing(plan, [&] {
        return run_command({"systemctl", "restart", name});
    });
    const Presence presence = restarted.status == 0 ? await_presence(name) : Presence::absent;
    if (presence == Presence::absent) {
        undo(plan);
        const std::string state = plan.unit.get("ActiveState");
        const bool was_running = state != "inactive" && state != "failed";
        run_command({"systemctl", was_running ? "restart" : "stop", name});
        fmt::print(
            stderr, "multihomectl: {}: {}, so the drop-in was taken back{}. See: journalctl -u {}\n", name,
            restarted.status != 0 ? "it does not start with the library"
                                  : "the library is not in its processes",
            was_running ? " and the service restarted" : " and the service stopped", shell_command({name}));
        return failure;
    }
    if (options.output.quiet || options.output.json)
        return success;
    const std::string note = presence == Presence::alive ? note_on_rings(name) : std::string{};
    fmt::print("{}: restarted; {}\n", name,
               presence != Presence::alive ? "multihome is in it, and has taken over no socket yet"
               : note.empty()              ? "multihome works in it"
                                           : "multihome is in it, and has taken over sockets");
    if (!note.empty())
        fmt::print("{}: {}\n", name, note);
    return success;
}

int enable(const EnableOptions& options) {
    bool is_possible = false;
    EnablePlan plan = make_plan(options, is_possible);
    if (options.output.json) {
        Json document = json_document();
        document["unit"] = plan.unit.name;
        document["possible"] = is_possible;
        document["drop_in"] = {{"path", plan.path}, {"text", plan.text}};
        document["apparmor"] =
            plan.rule ? Json{{"path", plan.rule->local_file}, {"line", plan.rule->line}} : Json();
        print_json(document);
    }
    if (!is_possible)
        return failure;
    if (options.dry_run) {
        if (!options.output.quiet && !options.output.json)
            print_plan(plan, options);
        return success;
    }
    if (!carry_out(plan))
        return failure;
    if (!options.output.quiet && !options.output.json) {
        fmt::print("{}: wrote {}\n", plan.unit.name, plan.path);
        for (const UnitObstacle& obstacle : plan.mended)
            fmt::print("{}: mended: {}\n", plan.unit.name, harmless(obstacle.reason));
        if (plan.rule)
            fmt::print("{}: added to {}: {}\n", plan.unit.name, plan.rule->local_file, plan.rule->line);
        if (!options.now)
            fmt::print("{}: it takes effect when the service starts again: systemctl restart {}\n",
                       plan.unit.name, shell_command({plan.unit.name}));
    }
    return options.now ? restart_and_verify(plan, options) : success;
}

} // namespace

void add_enable(CLI::App& application, int& exit_status) {
    auto options = std::make_shared<EnableOptions>();
    CLI::App* command = application.add_subcommand("enable", "Preload the library into a systemd service");
    command->add_option("UNIT", options->unit, "The service")->required();
    command->add_flag("--now", options->now, "Restart the service, and see whether the library works in it");
    command->add_flag("-n,--dry-run", options->dry_run, "Print what would be written, and change nothing");
    command->add_option("--library", options->library, "The libmultihome.so (default: one of the same build)")
        ->type_name("FILE");
    add_output_options(*command, options->output);
    command->footer("Exit status: 0 done, 1 something stands in the way, 2 wrong usage or not possible.");
    command->callback([options, &exit_status] { exit_status = enable(*options); });
}

} // namespace multihome::tools
