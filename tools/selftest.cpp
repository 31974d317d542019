// SPDX-License-Identifier: MIT
// multihomectl selftest: each interposed function through the library and through libc, on twin sockets.
#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>

#include <dlfcn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <fmt/format.h>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "tools/differential/pair.hpp"
#include "tools/differential/side.hpp"
#include "tools/library.hpp"
#include "tools/output.hpp"
#include "tools/selftest_scripts.hpp"
#include "tools/subcommands.hpp"

namespace multihome::tools {
namespace {

struct SelftestOptions {
    std::string library;
    std::string side;
    bool host_network = false;
};

/// Why the library cannot be loaded; empty if it can. Tried in a child: there is no way back from loading it.
std::string loading_problem(const std::string& library) {
    std::array<int, 2> report{};
    if (pipe(report.data()) != 0)
        throw std::runtime_error("pipe failed");
    const pid_t child = fork();
    if (child == 0) {
        const char* problem = nullptr;
        void* const loaded = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
        if (loaded == nullptr)
            problem = dlerror(); // NOLINT(concurrency-mt-unsafe): this program has one thread
        else if (dlsym(loaded, "sendmmsg") == differential::find_in_libc("sendmmsg"))
            problem = "it is not libmultihome.so";
        if (problem != nullptr)
            dprintf(report[1], "%s", problem);
        _exit(0);
    }
    close(report[1]);
    std::string problem;
    std::array<char, 256> piece{};
    for (ssize_t size = 0; (size = read(report[0], piece.data(), piece.size())) > 0;)
        problem.append(piece.data(), static_cast<std::size_t>(size));
    close(report[0]);
    int status = 0;
    waitpid(child, &status, 0);
    if (problem.empty() && (!WIFEXITED(status) || WEXITSTATUS(status) != 0))
        problem = "loading it ends the process";
    return problem;
}

int cannot_test(const std::string& reason) {
    fmt::print(stderr, "multihomectl: selftest: {}\n", reason);
    return not_reachable;
}

/// One function; true where both sides agree.
bool test(differential::Pair& pair, const SelftestScript& script) {
    const std::vector<differential::Step> steps = differential::parse_steps(script.steps);
    differential::Difference difference;
    if (pair.run(steps, difference)) {
        fmt::print("ok   {}\n", script.symbol);
        return true;
    }
    const std::string where = difference.step < steps.size() ? differential::to_text(steps[difference.step])
                                                             : std::string{"at the end"};
    fmt::print("FAIL {}: {}\n{}\n", script.symbol, where, difference.text);
    fmt::print("{}", pair.explain(steps, difference.step));
    return false;
}

int selftest(const SelftestOptions& options) {
    if (!options.side.empty())
        return differential::run_side(options.side);
    std::string library;
    try {
        library = library_to_preload(options.library);
    } catch (const Impossible& problem) {
        return cannot_test(problem.what());
    }
    if (const std::string problem = loading_problem(library); !problem.empty())
        return cannot_test(fmt::format("{}: {}", library, problem));
    fmt::print("library {}\n", library);
    std::fflush(stdout);

    // What the library has to say of the traffic that is made here is news to nobody.
    setenv("MULTIHOME_LOG", "error", 0); // NOLINT(concurrency-mt-unsafe): this program has one thread

    differential::Launch launch;
    launch.arguments = {"multihomectl", "selftest", "--side"};
    launch.library = library;
    launch.own_network = !options.host_network;
    std::unique_ptr<differential::Pair> pair;
    try {
        pair = std::make_unique<differential::Pair>(launch);
    } catch (const std::runtime_error& error) {
        return cannot_test(error.what());
    }
    // What the verdict names.
    std::vector<std::string_view> failures;
    if (!pair->shim_answers_from_where_it_was_asked())
        failures.emplace_back("the source of an answer");
    fmt::print("{} a request to 127.0.0.2 is answered from 127.0.0.2\n", failures.empty() ? "ok  " : "FAIL");
    std::set<std::string_view> tested;
    for (const auto& scripts : {descriptor_scripts(), packet_scripts()})
        for (const SelftestScript& script : scripts) {
            if (!test(*pair, script))
                failures.push_back(script.symbol);
            tested.insert(script.symbol);
        }
    // A function that is interposed and not tested would be a hole that nobody sees.
    for (std::size_t index = 0; index < differential::symbol_count; ++index) {
        const std::string_view name = differential::name_of(static_cast<differential::Symbol>(index));
        if (tested.find(name) == tested.end()) {
            fmt::print("FAIL {}: not tested\n", name);
            failures.push_back(name);
        }
    }
    if (failures.empty())
        fmt::print("all is right: {} functions do what libc's do\n", tested.size());
    else
        fmt::print("NOT right: {}\n", fmt::join(failures, ", "));
    return failures.empty() ? success : failure;
}

} // namespace

void add_selftest(CLI::App& application, int& exit_status) {
    auto options = std::make_shared<SelftestOptions>();
    CLI::App* command = application.add_subcommand(
        "selftest", "Compare each function of the library with libc's, on this kernel and this libc");
    command
        ->add_option("--library", options->library,
                     "The library to test (default: the one next to this program)")
        ->type_name("FILE");
    command->add_flag("--host-network", options->host_network,
                      "Use the host's loopback even where a network of its own could be had");
    command->add_option("--side", options->side)->group(""); // how this program starts itself
    command->callback([options, &exit_status] { exit_status = selftest(*options); });
}

} // namespace multihome::tools
