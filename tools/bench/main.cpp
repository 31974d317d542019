// SPDX-License-Identifier: MIT
//
// multihome-bench: what the shim costs, against what one would otherwise do.
#include "tools/bench/ask.hpp"
#include "tools/bench/guard.hpp"
#include "tools/bench/output.hpp"
#include "tools/bench/parts.hpp"
#include "tools/bench/pass_on.hpp"
#include "tools/bench/process.hpp"
#include "tools/bench/server.hpp"
#include "tools/bench/table.hpp"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <map>

using namespace multihome::bench; // NOLINT(google-build-using-namespace): its own namespace

namespace {

using Part = void (*)(const Settings&, Figures&);

// What the caller's shell has set must not decide what is measured.
void forget_environment() {
    for (const char* name : {"LD_PRELOAD", "MULTIHOME_LOG", "MULTIHOME_LOG_FILE", "MULTIHOME_PORTS",
                             "MULTIHOME_PEERS", "MULTIHOME_SAME_INTERFACE", "MULTIHOME_DISABLE"})
        unsetenv(name);
}

int run(int argc, char** argv) {
    CLI::App app("Measures what libmultihome.so costs.", "multihome-bench");
    Settings settings;
    settings.library = std::filesystem::path(own_path()).parent_path() / "libmultihome.so";
    app.add_option("--library", settings.library, "The shim")
        ->check(CLI::ExistingFile)
        ->capture_default_str();
    app.add_flag("--quick", settings.quick, "Fewer and shorter repetitions");

    app.add_flag("--full", settings.full, "Also what takes minutes: 10 million peers in the tables");
    const std::map<std::string, Part> parts = {{"traffic", measure_traffic},
                                               {"instructions", measure_instructions},
                                               {"system-calls", measure_system_calls},
                                               {"table", measure_table},
                                               {"profile", measure_profile},
                                               {"growth", measure_growth},
                                               {"flood", measure_flood},
                                               {"lab", measure_lab}};
    std::vector<std::string> wanted = {"instructions", "system-calls", "traffic", "profile",
                                       "table",        "growth",       "flood",   "lab"};
    app.add_option("--only", wanted, "Only these parts")->delimiter(',')->check(CLI::IsMember(parts));

    std::string json;
    app.add_option("--json", json, "Write the figures to this file");
    std::string svg;
    app.add_option("--svg", svg, "Draw them into this file");

    std::string report;
    app.add_option("--report", report,
                   "Put the main ones into this file, between its marks bench:begin and bench:end")
        ->check(CLI::ExistingFile);
    std::string checked;
    app.add_option("--check-report", checked, "Fail where others are between the marks of this file")
        ->check(CLI::ExistingFile);
    std::string from;
    app.add_option("--from", from, "Take the figures from this file, of --json, and measure nothing")
        ->check(CLI::ExistingFile);

    std::string kept;
    app.add_option("--keep", kept, "Write the instruction counts to this file, for --guard");
    std::string guard;
    app.add_option(
           "--guard", guard,
           "Fail where the instruction counts have grown by more than a tenth over this file, or other "
           "budgets are exceeded than then")
        ->check(CLI::ExistingFile);
    bool enforce = false;
    app.add_flag("--enforce", enforce, "Fail where a budget is exceeded");

    // What the bench starts itself as; of no use to anybody else.
    CLI::App* server = app.add_subcommand("server")->group("");
    ServerSettings server_settings;
    server->add_flag("--native", server_settings.native);
    server->add_flag("--ipv6", server_settings.ipv6);
    server->add_flag("--messages", server_settings.messages);
    server->add_flag("--batch", server_settings.batch);
    server->add_flag("--gated", server_settings.gated);
    server->add_option("--threads", server_settings.threads)->check(CLI::Range(1, 64));
    server->add_option("--requests", server_settings.requests);
    server->add_option("--port", server_settings.port);
    server->add_option_function<std::string>(
        "--place", [&](const std::string& name) { server_settings.place = place_named(name); });
    CLI::App* pass_on = app.add_subcommand("pass-on")->group("");
    std::string pass_on_kind;
    uint64_t pass_on_count = 0;
    pass_on->add_option("--kind", pass_on_kind);
    pass_on->add_option("--count", pass_on_count);

    CLI::App* late = app.add_subcommand("late-server")->group("");
    LateSettings late_settings;
    late->add_option("--delay", late_settings.delay_ms);
    late->add_option("--ignored", late_settings.ignored);
    CLI::App* ask = app.add_subcommand("ask")->group("");
    AskSettings ask_settings;
    ask->add_option("--address", ask_settings.address);
    ask->add_option("--port", ask_settings.port);
    ask->add_option("--first", ask_settings.first)->take_last();
    ask->add_option("--count", ask_settings.count)->take_last();
    ask->add_option("--milliseconds", ask_settings.milliseconds);
    ask->add_option("--rate", ask_settings.rate);
    ask->add_option("--passes", ask_settings.passes);
    ask->add_option("--own-port", ask_settings.own_port);
    CLI::App* table = app.add_subcommand("table")->group("");
    std::string table_kind;
    size_t table_peers = 0;
    table->add_option("--kind", table_kind);
    table->add_option("--peers", table_peers);

    CLI11_PARSE(app, argc, argv);
    if (server->parsed())
        return run_server(server_settings);
    if (pass_on->parsed())
        return run_pass_on(pass_on_kind, pass_on_count);
    if (late->parsed())
        return run_late_server(late_settings);
    if (ask->parsed())
        return run_ask(ask_settings);
    if (table->parsed())
        return run_table(table_kind, table_peers);

    forget_environment();
    Machine machine = Machine::here();
    if (!guard.empty() && !are_comparable(guard, machine))
        return exit_skipped;
    Figures figures;
    if (from.empty()) {
        settings.library = std::filesystem::canonical(settings.library);
        std::printf("%s\n", machine.line().c_str());
        for (const std::string& part : wanted)
            parts.at(part)(settings, figures);
    } else {
        read_json(from, machine, figures);
    }
    if (!json.empty())
        write_json(json, machine, figures);
    if (!svg.empty())
        write_svg(svg, machine, figures);
    if (!report.empty())
        write_report(report, machine, figures);
    if (!checked.empty())
        return check_report(checked, machine, figures);
    if (figures.all().empty())
        return exit_skipped;
    if (!kept.empty())
        keep_figures(kept, machine, figures);
    const bool met = figures.within_budgets();
    if (enforce && !met)
        return 1;
    return guard.empty() ? 0 : compare_figures(guard, figures);
}

} // namespace

int main(int argc, char** argv) {
    try {
        return run(argc, argv);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "multihome-bench: %s\n", error.what());
        return 1;
    }
}
