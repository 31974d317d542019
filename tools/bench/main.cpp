// SPDX-License-Identifier: MIT
//
// multihome-bench: what the shim costs, against what one would otherwise do. See README.md.
#include "tools/bench/client.hpp"
#include "tools/bench/guard.hpp"
#include "tools/bench/network.hpp"
#include "tools/bench/parts.hpp"
#include "tools/bench/process.hpp"
#include "tools/bench/server.hpp"

#include <CLI/CLI.hpp>
#include <arpa/inet.h>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <exception>
#include <filesystem>
#include <map>
#include <regex>

namespace multihome::bench {

bool Settings::is_wanted(const std::string& row) const {
    return only.empty() || std::regex_search(row, std::regex(only, std::regex::icase));
}

namespace {

const std::map<std::string, Part*> all_parts = {{"instructions", measure_instructions},
                                                {"pages", measure_pages},
                                                {"system-calls", measure_system_calls},
                                                {"traffic", measure_traffic},
                                                {"connect", measure_connect},
                                                {"table", measure_inside},
                                                {"flood", measure_flood},
                                                {"lab", measure_lab}};

// What the caller's shell has set must not decide what is measured.
void forget_environment() {
    for (const char* name :
         {"LD_PRELOAD", "MULTIHOME_LOG", "MULTIHOME_LOG_FILE", "MULTIHOME_PORTS", "MULTIHOME_PEERS",
          "MULTIHOME_TIMEOUTS", "MULTIHOME_SAME_INTERFACE", "MULTIHOME_DISABLE"})
        unsetenv(name);
}

// A client for servers in another network namespace, started by lab.sh: as many requests as the server takes,
// or so many a second, or from each client once in each pass.
struct AskSettings {
    Clients clients{.size = 512};
    unsigned milliseconds = 0;
    unsigned rate = 0;
    unsigned passes = 0;
};

// Prints "ASKED ANSWERS RIGHT SECONDS PROCESSOR-SECONDS".
int run_ask(const AskSettings& settings) {
    const auto start = std::chrono::steady_clock::now();
    const std::chrono::milliseconds duration(settings.milliseconds);
    Paced outcome;
    if (settings.rate != 0) {
        outcome = ask_at_rate(settings.clients, settings.rate, duration);
    } else if (settings.passes != 0) {
        outcome = {settings.clients.count, sweep(settings.clients, settings.passes)};
    } else {
        const Load load({.clients = settings.clients, .window = 32});
        std::this_thread::sleep_for(duration);
        outcome.answers = load.answers();
    }
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    const double used = static_cast<double>(std::clock()) / CLOCKS_PER_SEC;
    std::printf("%ju %ju %ju %.6f %.6f\n", uintmax_t{outcome.asked}, uintmax_t{outcome.answers.all},
                uintmax_t{outcome.answers.right}, elapsed.count(), used);
    return 0;
}

// What the bench starts itself as; of no use to anybody else.
void add_roles(CLI::App& app, std::function<int()>& role) {
    static ServerSettings server;
    CLI::App* command = app.add_subcommand("server")->group("");
    command->add_flag("--native", server.native);
    command->add_flag("--ipv6", server.ipv6);
    command->add_flag("--gated", server.gated);
    command->add_flag("--marks", server.marks);
    command->add_option("--calls", server.calls);
    command->add_option("--memory", server.memory);
    command->add_option("--room", server.room)->check(CLI::IsMember({1, 8, 32}));
    command->add_option("--threads", server.threads)->check(CLI::Range(1, 64));
    command->add_option("--workers", server.workers)->check(CLI::Range(1, 64));
    command->add_option("--warm-up", server.warm_up);
    command->add_option("--requests", server.requests);
    command->add_option("--port", server.port);
    command->add_option("--place", server.place);
    command->callback([&role] { role = [] { return run_server(server); }; });

    static AskSettings ask;
    const auto add_address = [&command](const std::string& name, in_addr_t& target) {
        command
            ->add_option_function<std::string>(
                name, [&target](const std::string& text) { target = ntohl(inet_addr(text.c_str())); })
            ->take_last();
    };
    command = app.add_subcommand("ask")->group("");
    add_address("--address", ask.clients.server);
    add_address("--first", ask.clients.first);
    command->add_option("--port", ask.clients.port);
    command->add_option("--count", ask.clients.count)->take_last();
    command->add_option("--own-port", ask.clients.own_port);
    command->add_option("--milliseconds", ask.milliseconds);
    command->add_option("--rate", ask.rate);
    command->add_option("--passes", ask.passes);
    command->callback([&role] { role = [] { return run_ask(ask); }; });

    static std::string kind;
    static uint64_t count = 0;
    static unsigned delay = 0;
    for (const auto& [name, run] : std::map<std::string, int (*)()>{
             {"pass-on", [] { return run_pass_on(kind, count); }},
             {"late-server", [] { return run_late_server(delay, count); }},
             {"connector", [] { return run_connector(kind, static_cast<unsigned>(count)); }}}) {
        command = app.add_subcommand(name)->group("");
        command->add_option("--kind", kind);
        command->add_option("--count", count);
        command->add_option("--delay", delay);
        command->callback([&role, run = run] { role = run; });
    }
}

int run(int argc, char** argv) {
    CLI::App app("Measures what libmultihome.so costs.", "multihome-bench");
    Settings settings;
    settings.library = std::filesystem::path(own_path()).parent_path() / "libmultihome.so";
    std::vector<std::string> wanted = {"instructions", "pages", "system-calls", "traffic",
                                       "connect",      "table", "flood",        "lab"};
    app.add_option("PARTS", wanted, "What to measure")->check(CLI::IsMember(all_parts));
    app.add_option("--only", settings.only,
                   "Only rows whose names this regular expression matches, whatever their case");
    app.add_option("--library", settings.library, "The shim")
        ->check(CLI::ExistingFile)
        ->capture_default_str();
    app.add_flag("--quick", settings.quick,
                 "Fewer and shorter repetitions; no instructions and calls of bare servers");
    app.add_flag("--full", settings.full, "Also what takes minutes: 10 million peers in the tables");
    app.add_option("--profiles", settings.profiles, "Keep callgrind's files in this folder");
    std::map<std::string, std::string> files;
    const auto add_file = [&](const std::string& name, const std::string& description) {
        return app.add_option("--" + name, files[name], description);
    };
    add_file("json", "Write the figures to this file");
    add_file("from", "Take the figures from this file, of --json, and measure nothing")
        ->check(CLI::ExistingFile);
    add_file("tables", "Put them into this file, between its marks bench:begin and bench:end")
        ->check(CLI::ExistingFile);
    add_file("check-tables", "Fail where others are between the marks of this file")
        ->check(CLI::ExistingFile);
    add_file("picture", "Draw the main ones into this file, as SVG");
    add_file("keep", "Write the instruction counts to this file, for --guard")->check(CLI::ExistingFile);
    add_file(
        "guard",
        "Fail where the instruction counts have grown by more than a tenth over this file, or a budget is "
        "exceeded that is not excused there")
        ->check(CLI::ExistingFile);
    bool enforce = false;
    app.add_flag("--enforce", enforce, "Fail where a budget is exceeded");
    std::function<int()> role;
    add_roles(app, role);
    CLI11_PARSE(app, argc, argv);
    if (role)
        return role();

    forget_environment();
    if (!files["guard"].empty() && !are_comparable(files["guard"]))
        return exit_skipped;
    Figures figures;
    if (!files["from"].empty()) {
        figures.read(files["from"]);
    } else {
        settings.library = std::filesystem::canonical(settings.library);
        std::printf("%s\n", figures.machine.c_str());
        if (const std::string why = enter_own_network(); !why.empty()) {
            std::printf("SKIP %s\n", why.c_str());
            return exit_skipped;
        }
        for (const std::string& part : wanted)
            all_parts.at(part)(settings, figures);
    }
    for (const auto& [option, write] : std::map<std::string, void (*)(const std::string&, const Figures&)>{
             {"json", [](const std::string&file, const Figures&all) { all.write(file); }},
             {"tables", write_tables},
             {"picture", write_picture},
             {"keep", keep_figures}})
        if (!files[option].empty())
            write(files[option], figures);
    if (!files["check-tables"].empty())
        return check_tables(files["check-tables"], figures);
    if (figures.all().empty())
        return exit_skipped;
    if (!figures.are_within_budgets() && enforce)
        return 1;
    if (files["guard"].empty())
        return 0;
    return compare_figures(files["guard"], figures,
                           [&](const std::string& row) { return settings.is_wanted(row); });
}

} // namespace

} // namespace multihome::bench

int main(int argc, char** argv) {
    try {
        return multihome::bench::run(argc, argv);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "multihome-bench: %s\n", error.what());
        return 1;
    }
}
