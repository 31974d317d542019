// SPDX-License-Identifier: MIT
// multihomectl run: one command, served by the kernel engine in a control group of its own. `multihome
// --engine kernel` is this.
#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <CLI/Option.hpp>
#include <CLI/Validators.hpp>
#include <fmt/core.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <exception>
#include <memory>
#include <string>
#include <vector>

#include "tools/kernel_engine/engine.hpp"
#include "tools/kernel_engine/request.hpp"
#include "tools/kernel_engine/run_group.hpp"
#include "tools/output.hpp"
#include "tools/run_command.hpp"
#include "tools/subcommands.hpp"

namespace multihome::tools {
namespace {

struct RunOptions {
    std::string ports;
    std::uint32_t peers = 262144;
    std::string timeouts;
    bool dry_run = false;
    bool verbose = false;
    std::vector<std::string> command;
};

/// What is sent to this process and meant for the command: all but what comes of this process's own doing,
/// and job control, which stops and continues this process, too.
sigset_t signals_handed_on() {
    sigset_t set;
    sigfillset(&set);
    for (const int number : {SIGCHLD, SIGPIPE, SIGTSTP, SIGTTIN, SIGTTOU, SIGCONT})
        sigdelset(&set, number);
    return set;
}

[[noreturn]] void become(const ControlGroup& group, const std::vector<std::string>& command,
                         const sigset_t& mask) {
    const auto fail = [&](const char* what, int status) {
        fmt::print(stderr, "multihome: {}: {}\n", what, std::strerror(errno));
        _exit(status);
    };
    if (!engine::enter(group))
        fail(group.directory.c_str(), not_reachable);
    give_back_child_signal();
    sigprocmask(SIG_SETMASK, &mask, nullptr);
    std::vector<char*> arguments;
    arguments.reserve(command.size() + 1);
    for (const std::string& word : command)
        arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    execvp(arguments[0], arguments.data());
    fail(arguments[0], errno == ENOENT ? not_found : not_executable);
    __builtin_unreachable();
}

/// Waits for the command, and hands on what this process is sent. Returns the status of waitpid(2).
int wait_for(pid_t child, sigset_t signals) {
    sigaddset(&signals, SIGCHLD);
    for (;;) {
        int status = 0;
        if (waitpid(child, &status, WNOHANG) == child)
            return status;
        siginfo_t what{};
        const int number = sigwaitinfo(&signals, &what);
        // What a terminal sends (si_code > 0), it sends to the command as well. An alarm comes from the
        // kernel, too: the caller has set it before this program was started in its place (alarm(2)).
        const bool is_for_command = what.si_code <= 0 || number == SIGALRM;
        if (number > 0 && number != SIGCHLD && is_for_command)
            kill(child, number);
    }
}

/// Ends as the command has ended, for who waits for this process.
int end_as(int status) {
    if (WIFEXITED(status))
        return WEXITSTATUS(status);
    const int number = WTERMSIG(status);
    const rlimit no_core{0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    sigset_t only;
    sigemptyset(&only);
    sigaddset(&only, number);
    signal(number, SIG_DFL);
    raise(number);
    sigprocmask(SIG_UNBLOCK, &only, nullptr);
    return 128 + number;
}

/// The command has run: the status is its own, whatever fails here.
void end_group_of(const RunOptions& options, const ControlGroup& group) {
    const std::string removal =
        fmt::format("'multihomectl detach --cgroup {}' removes it", harmless(group.path));
    try {
        if (!engine::end_run_group(group))
            fmt::print(
                stderr,
                "multihome: processes of {} go on running, and the kernel engine goes on serving them; "
                "when they have ended, {}\n",
                harmless(options.command.front()), removal);
        else if (options.verbose)
            fmt::print(stderr, "multihome: the control group {} is removed\n", harmless(group.path));
    } catch (const std::exception& problem) {
        fmt::print(stderr, "multihome: {}; the kernel engine is left, and {}\n", problem.what(), removal);
    }
}

int run_in_group(const RunOptions& options) {
    if (const std::string missing = engine::missing_rights_to_attach(); !missing.empty())
        throw Impossible(
            fmt::format("the kernel engine needs {}, which user {} does not have here: run it as root",
                        missing, geteuid()));
    if (!engine::built_in())
        throw Impossible("this multihomectl was built without the kernel engine");
    engine::Request request;
    if (!options.ports.empty())
        request.ports = engine::parse_ports(options.ports);
    if (!options.timeouts.empty())
        engine::parse_timeouts(options.timeouts, request);
    request.peers = options.peers;
    if (options.dry_run) {
        fmt::print("group     {}\n", harmless(engine::run_group_directory()));
        return success;
    }

    // Blocked from here on, so that a signal finds a command to hand it to, or is dealt with at the end.
    const sigset_t signals = signals_handed_on();
    sigset_t blocked = signals;
    sigset_t before;
    sigaddset(&blocked, SIGCHLD);
    sigprocmask(SIG_BLOCK, &blocked, &before);

    engine::sweep_run_groups();
    const ControlGroup group = engine::make_run_group();
    request.group = group;
    try {
        engine::attach(request);
    } catch (...) {
        engine::end_run_group(group);
        throw;
    }
    if (options.verbose)
        fmt::print(stderr, "multihome: engine kernel, attached to the control group {}\n",
                   harmless(group.path));
    const pid_t child = fork();
    if (child < 0) {
        const int error = errno;
        engine::end_run_group(group);
        throw Impossible(fmt::format("cannot start a process: {}", std::strerror(error)));
    }
    if (child == 0)
        become(group, options.command, before);
    const int status = wait_for(child, signals);
    end_group_of(options, group);
    return end_as(status);
}

int run(const RunOptions& options) {
    try {
        return run_in_group(options);
    } catch (const std::exception& problem) {
        // As env(1) and the launcher: what is below 125 is the command's own.
        fmt::print(stderr, "multihome: {}; {} was not started\n", problem.what(),
                   harmless(options.command.front()));
        return not_reachable;
    }
}

} // namespace

void add_run(CLI::App& application, int& exit_status, const std::vector<std::string>& behind_dashes) {
    auto options = std::make_shared<RunOptions>();
    CLI::App* command = application.add_subcommand(
        "run", "Run one command, served by the kernel engine in a control group of its own");
    command->add_option("--ports", options->ports, "Only these local ports, as in 53,5000-5100")
        ->type_name("LIST");
    command->add_option("--peers", options->peers, "Clients to remember")
        ->type_name("N")
        ->check(CLI::Range(64U, 8388608U));
    command->add_option("--timeouts", options->timeouts, "As for 'attach'")
        ->type_name("QUESTION,SPOKE_FIRST");
    command->add_flag("-n,--dry-run", options->dry_run, "Start nothing: say which control group it would be");
    command->add_flag("-v,--verbose", options->verbose, "Say what is done");
    // Its words are the command's own: none of them is looked at.
    command->prefix_command();
    command->footer(
        "COMMAND [ARG...] comes behind the options, best with -- in front. Exit status: that of COMMAND; "
        "125 if it was not started, 126 if it cannot be executed, 127 if it is not found.");
    command->callback([options, command, behind_dashes, &exit_status] {
        options->command = command->remaining();
        options->command.insert(options->command.end(), behind_dashes.begin(), behind_dashes.end());
        if (options->command.empty() || options->command.front().empty())
            throw CLI::RequiredError("COMMAND");
        exit_status = run(*options);
    });
}

} // namespace multihome::tools
