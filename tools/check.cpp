// SPDX-License-Identifier: MIT
// multihomectl check: can LD_PRELOAD reach this program? If not: why, and what to do instead.
#include <pwd.h>
#include <unistd.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>

#include <cstdio>
#include <filesystem>
#include <fmt/core.h>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "tools/elf_file.hpp"
#include "tools/privileges.hpp"
#include "tools/program.hpp"
#include "tools/subcommands.hpp"

namespace multihome::tools {
namespace {

struct Options {
    std::string program;
    std::string library;
    bool quiet = false;
};

/// One reason why the program cannot be reached, and what an operator can do about it.
struct Obstacle {
    std::string reason;
    std::string advice;
};

constexpr std::string_view without_the_library =
    "start one instance for each address, bound to that address; or use the program's own option for hosts "
    "with "
    "several addresses, if it has one; or let the kernel translate the addresses (nftables redirect or dnat)";

/// The machine that the library is made for. Without a library it is this program's own: both come from one
/// build.
ElfMachine library_machine(const Options& options) {
    const std::string path = options.library.empty() ? "/proc/self/exe" : options.library;
    const Descriptor file = open_for_reading(path);
    if (!file.valid())
        throw std::runtime_error(fmt::format("{}: cannot be read", path));
    try {
        return read_elf_machine(file.number());
    } catch (const ElfError& error) {
        throw std::runtime_error(fmt::format("{}: {}: it is no library", path, error.what()));
    }
}

std::string name_of_user(uid_t user) {
    const passwd* entry = getpwuid(user); // NOLINT(concurrency-mt-unsafe): this program has one thread
    return entry != nullptr ? std::string{entry->pw_name} : fmt::format("number {}", user);
}

/// glibc's own loader, called by name (ld.so ./program), has no PT_INTERP and yet preloads.
bool is_glibc_loader(const std::string& path) {
    std::error_code error;
    const std::string name = std::filesystem::canonical(path, error).filename().string();
    return name.starts_with("ld-linux") || name.starts_with("ld64.so") || name.starts_with("ld.so") ||
           (name.starts_with("ld-2.") && name.ends_with(".so"));
}

void look_at_file(const std::string& path, int descriptor, const ElfMachine& library,
                  std::vector<Obstacle>& obstacles) {
    const ElfMachine machine = read_elf_machine(descriptor);
    if (machine != library) {
        obstacles.push_back({fmt::format("it is a {} program, and the library is made for {}",
                                         describe(machine), describe(library)),
                             fmt::format("install the program for {}, or build libmultihome.so for {}",
                                         describe(library), describe(machine))});
        return;
    }
    const ElfFacts facts = read_elf(descriptor);
    if (facts.is_go)
        obstacles.push_back(
            {"it is a Go program: Go makes its system calls itself and never calls the C functions "
             "that LD_PRELOAD replaces, not even when it is linked dynamically",
             std::string{without_the_library}});
    if (facts.loader.empty() && !is_glibc_loader(path)) {
        if (!facts.is_go)
            obstacles.push_back(
                {fmt::format("it is statically linked{}: no dynamic loader runs that could preload a library",
                             facts.position_independent ? " (static-pie)" : ""),
                 fmt::format("install a dynamically linked build of it; or {}", without_the_library)});
        return;
    }
    const std::string loader = std::filesystem::path{facts.loader}.filename().string();
    const bool other_libc =
        loader.starts_with("ld-musl") || loader.starts_with("ld-uClibc") || loader.starts_with("linker");
    if (other_libc && !facts.is_go)
        obstacles.push_back(
            {fmt::format("it does not use glibc (its loader is {}), and libmultihome.so does", facts.loader),
             fmt::format("use a build of the program for glibc (another package or container "
                         "image); or {}",
                         without_the_library)});
    if (!facts.loader.empty() && !other_libc && access(facts.loader.c_str(), F_OK) != 0)
        throw ElfError(fmt::format("its dynamic loader {} is not on this host", facts.loader));
}

void look_at_privileges(const Lookup& program, std::vector<Obstacle>& obstacles) {
    const std::string user = name_of_user(getuid());
    const std::string owner = name_of_user(program.status.st_uid);
    switch (secure_execution(program.path, program.status)) {
    case SecureReason::none:
        return;
    case SecureReason::set_user_id:
        obstacles.push_back(
            {fmt::format(
                 "it is set-user-ID {}: started by user {} it changes its user, and the dynamic loader then "
                 "ignores LD_PRELOAD",
                 owner, user),
             fmt::format(
                 "start it as user {}, for whom the bit changes nothing; or remove the bit (chmod u-s) and "
                 "start it from a systemd unit with User= and AmbientCapabilities=",
                 owner)});
        return;
    case SecureReason::set_group_id:
        obstacles.push_back(
            {"it is set-group-ID: it would change its group, and the dynamic loader then ignores LD_PRELOAD",
             fmt::format(
                 "start it with group number {} as the real group (Group= in its systemd unit); or remove "
                 "the bit (chmod g-s)",
                 program.status.st_gid)});
        return;
    case SecureReason::file_capabilities:
        obstacles.push_back(
            {fmt::format("it has file capabilities: for user {} the dynamic loader then ignores LD_PRELOAD",
                         user),
             fmt::format("remove them (setcap -r {}) and give the same ones in its systemd unit with "
                         "AmbientCapabilities=, which does not switch preloading off; or start it as root",
                         program.path)});
        return;
    case SecureReason::already_changed:
        obstacles.push_back(
            {"this process runs with an effective user or group that is not its real one, and the "
             "dynamic loader ignores LD_PRELOAD for everything that it starts",
             "start it from a shell or a systemd unit, not from a set-user-ID program"});
        return;
    }
}

int report_unusable(const Options& options, const Resolution& resolution) {
    const Lookup& program = resolution.program;
    const std::string& subject = program.path.empty() ? options.program : program.path;
    if (!resolution.scripts.empty()) {
        // The script exists, so this is never "not found", whatever its interpreter is.
        fmt::print(stderr, "multihomectl: {}: cannot be started: it is a script for {}: {}\n",
                   resolution.scripts.front(), subject, program.problem);
        return not_executable;
    }
    const bool absent = program.result == Lookup::Result::not_found;
    fmt::print(stderr, "multihomectl: {}: {}{}\n", subject.empty() ? "''" : subject,
               absent ? "" : "cannot be started: ", program.problem);
    return absent ? not_found : not_executable;
}

int check(const Options& options) {
    const ElfMachine library = library_machine(options);
    const Resolution resolution = follow_scripts(find_program(options.program));
    const Lookup& program = resolution.program;
    if (program.result != Lookup::Result::found)
        return report_unusable(options, resolution);

    std::string subject = program.path;
    if (!resolution.scripts.empty())
        subject = fmt::format("{} (a script, run by {})", resolution.scripts.front(), program.path);
    std::vector<Obstacle> obstacles;
    const Descriptor file = open_for_reading(program.path);
    if (file.valid()) {
        try {
            look_at_file(program.path, file.number(), library, obstacles);
        } catch (const ElfError& error) {
            fmt::print(stderr, "multihomectl: {}: cannot be started: {}\n", subject, error.what());
            return not_executable;
        }
    }
    look_at_privileges(program, obstacles);
    if (resolution.clears_environment)
        obstacles.push_back({"its #! line makes env(1) clear the environment, and LD_PRELOAD with it",
                             "start the interpreter with the script as its argument instead"});

    if (!obstacles.empty()) {
        fmt::print(stderr, "multihomectl: {}: LD_PRELOAD cannot reach this program\n", subject);
        for (const Obstacle& obstacle : obstacles)
            fmt::print(stderr, "  why:     {}\n  instead: {}\n", obstacle.reason, obstacle.advice);
        return not_reachable;
    }
    if (!file.valid() && !options.quiet)
        fmt::print(stderr, "multihomectl: {}: may not be read, so whether it is static or Go is not known\n",
                   subject);
    else if (!options.quiet)
        fmt::print("{}: LD_PRELOAD reaches this program\n", subject);
    return success;
}

} // namespace

void add_check(CLI::App& application, int& exit_status) {
    auto options = std::make_shared<Options>();
    CLI::App* command = application.add_subcommand(
        "check", "Say whether LD_PRELOAD reaches a program, and if not, why and what to do instead");
    command->add_option("PROGRAM", options->program, "A path, or a name that is looked up in PATH")
        ->required();
    command->add_option("--library", options->library,
                        "The libmultihome.so that would be preloaded (default: one of the same build)");
    command->add_flag("-q,--quiet", options->quiet, "Say nothing when the program is reachable");
    command->footer(
        "Exit status: 0 reachable, 125 not reachable, 126 cannot be executed, 127 not found, 2 wrong usage.");
    command->callback([options, &exit_status] { exit_status = check(*options); });
}

} // namespace multihome::tools
