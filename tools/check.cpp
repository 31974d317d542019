// SPDX-License-Identifier: MIT
// multihomectl check: can LD_PRELOAD reach this program, unit or process? If not: why, and what to do
// instead.
#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <fmt/core.h>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "tools/as_user.hpp"
#include "tools/check_program.hpp"
#include "tools/io_uring.hpp"
#include "tools/library.hpp"
#include "tools/musl.hpp"
#include "tools/output.hpp"
#include "tools/processes.hpp"
#include "tools/running_library.hpp"
#include "tools/subcommands.hpp"
#include "tools/unit_obstacles.hpp"
#include "tools/unit_programs.hpp"
#include "tools/units.hpp"

namespace multihome::tools {
namespace {

struct CheckOptions {
    OutputOptions output;
    std::string program;
    std::string library;
    std::string unit;
    std::string user;
    unsigned process = 0;
};

void print_check_notes(const ProgramCheck& check, std::FILE* stream) {
    for (const std::string& note : check.notes)
        fmt::print(stream, "  note:    {}\n", harmless(note));
}

void add_note(const std::string& note, ProgramCheck& check) {
    if (!note.empty())
        check.notes.push_back(note);
}

void print_as_json(const ProgramCheck& check) {
    Json document = json_document();
    document["program"] = check.subject;
    document["result"] = check.status == success          ? "reachable"
                         : check.status == not_reachable  ? "not-reachable"
                         : check.status == not_executable ? "not-executable"
                                                          : "not-found";
    document["problem"] = check.problem.empty() ? Json() : Json(check.problem);
    document["obstacles"] = Json::array();
    for (const Obstacle& obstacle : check.obstacles)
        document["obstacles"].push_back({{"reason", obstacle.reason}, {"instead", obstacle.advice}});
    document["notes"] = check.notes;
    print_json(document);
}

int report(const ProgramCheck& check, const CheckOptions& options) {
    if (options.output.json) {
        print_as_json(check);
        return check.status;
    }
    // A script's #! line is as untrusted as a name.
    const std::string subject = check.subject.empty() ? "''" : harmless(check.subject);
    const std::string problem = harmless(check.problem);
    switch (check.status) {
    case not_found:
        fmt::print(stderr, "multihomectl: {}: {}\n", subject, problem);
        print_obstacles(check.obstacles); // those of a unit's other programs
        break;
    case not_executable:
        fmt::print(stderr, "multihomectl: {}: cannot be started: {}\n", subject, problem);
        print_obstacles(check.obstacles);
        break;
    case not_reachable:
        fmt::print(stderr, "multihomectl: {}: LD_PRELOAD cannot reach this program\n", subject);
        print_obstacles(check.obstacles);
        if (!options.output.quiet)
            print_check_notes(check, stderr);
        break;
    default:
        if (options.output.quiet)
            break;
        if (check.may_be_read)
            fmt::print("{}: LD_PRELOAD reaches this program\n", subject);
        else
            fmt::print(stderr,
                       "multihomectl: {}: may not be read, so whether it is static or Go is not known\n",
                       subject);
        print_check_notes(check, stdout);
    }
    return check.status;
}

/// The programs that the unit starts, as its user, under what the unit says of them.
int check_unit(const CheckOptions& options) {
    const Unit unit = read_unit(valid_unit_name(options.unit));
    if (unit.program().empty())
        throw Impossible(fmt::format("{} has no ExecStart=, and starts no program", unit.name));
    const std::string note = note_on_musl(unit.preload(), unit.get("RootDirectory"), processes_of(unit.name));
    const std::string user = options.user.empty() ? unit.user() : options.user;
    return as_user(user, options.user.empty() ? unit.group() : "", [&] {
        ProgramCheck check = in_one(check_unit_programs(unit, options.library));
        for (const UnitObstacle& obstacle : obstacles_of_unit(unit, find_library(options.library)))
            if (obstacle.lines.empty()) // what a drop-in can mend is none
                check.obstacles.push_back({obstacle.reason, obstacle.advice, obstacle.reason});
        if (check.status == success && !check.obstacles.empty())
            check.status = not_reachable;
        check.subject = fmt::format("{}: {}", unit.name, check.subject);
        add_note(note, check);
        return report(check, options);
    });
}

/// A process that runs already: is the library in it, and if not, could it be?
int check_process(const CheckOptions& options) {
    const auto number = static_cast<pid_t>(options.process);
    const LibraryPresence library = find_library_in(number);
    const Process process = describe_process(number);
    if (process.name.empty())
        throw Impossible(fmt::format("there is no process {}", number));
    ProgramCheck check;
    check.subject = fmt::format("process {} ({})", number, harmless(process.name));
    add_note(note_on_musl(process), check);
    add_note(note_on_io_uring(number, library, any_port), check);
    const Descriptor file = open_for_reading(fmt::format("/proc/{}/exe", number));
    if (!library.readable && !file.valid())
        throw Impossible(fmt::format("{}: {}", check.subject,
                                     errno == ENOENT  ? "it has no program: it is the kernel's, or has ended"
                                     : geteuid() != 0 ? "may not be looked at: run this as root"
                                                      : "may not be looked at"));
    if (file.valid() && !library.mapped) {
        try {
            look_at_file(process.executable, file.number(), look_at_library(options.library),
                         check.obstacles);
        } catch (const ElfError& error) {
            check.obstacles.push_back(
                {error.what(), "let the kernel engine serve it: multihomectl attach", "an unusual program"});
        }
        if (process.secure_execution)
            check.obstacles.push_back(reason_of_secure_execution(process));
        if (check.obstacles.empty() && process.preload.find("libmultihome.so") != std::string::npos)
            check.obstacles.push_back(
                {"LD_PRELOAD names the library, and it was not loaded: the dynamic loader has said "
                 "why on the standard error of the program",
                 "look for \"ld.so\" in its log", "preloading failed"});
    }
    if (!check.obstacles.empty())
        check.status = not_reachable;
    if (check.status == success && !options.output.json && !options.output.quiet) {
        fmt::print("{}: {}\n", check.subject,
                   library.alive    ? "multihome is in it and has taken over sockets"
                   : library.mapped ? "multihome is in it and has taken over no socket yet"
                                    : "multihome is not in it; LD_PRELOAD reaches its program");
        print_check_notes(check, stdout);
        return success;
    }
    return report(check, options);
}

int check(const CheckOptions& options) {
    if (!options.unit.empty())
        return check_unit(options);
    if (options.process != 0)
        return check_process(options);
    return as_user(options.user, "", [&] {
        ProgramCheck check = check_program(options.program, options.library);
        // NOLINTNEXTLINE(concurrency-mt-unsafe): this program has one thread
        if (const char* preload = std::getenv("LD_PRELOAD"))
            add_note(note_on_musl(preload, "", {}), check);
        return report(check, options);
    });
}

} // namespace

void add_check(CLI::App& application, int& exit_status) {
    auto options = std::make_shared<CheckOptions>();
    CLI::App* command = application.add_subcommand(
        "check", "Say whether LD_PRELOAD reaches a program, and if not, why and what to do instead");
    CLI::Option* program =
        command->add_option("PROGRAM", options->program, "A path, or a name that is looked up in PATH");
    CLI::Option* unit = command->add_option("--unit", options->unit,
                                            "The programs that this systemd unit starts, as its user");
    CLI::Option* process = command->add_option("--pid", options->process, "A process that runs")
                               ->check(CLI::Range(1U, 4194304U));
    command->add_option("--user", options->user, "Judge for this user (as root)")
        ->type_name("USER")
        ->excludes(process);
    unit->type_name("UNIT")->excludes(program)->excludes(process);
    process->type_name("PID")->excludes(program);
    command
        ->add_option("--library", options->library,
                     "The libmultihome.so that would be preloaded (default: one of the same build)")
        ->type_name("FILE");
    add_output_options(*command, options->output);
    command->footer(
        "Exit status: 0 reachable, 125 not reachable, 126 cannot be executed, 127 not found, 2 wrong usage.");
    command->callback([=, &exit_status] {
        if (program->count() + unit->count() + process->count() == 0)
            throw CLI::RequiredError("PROGRAM, --unit or --pid");
        exit_status = check(*options);
    });
}

} // namespace multihome::tools
