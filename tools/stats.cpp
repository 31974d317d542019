// SPDX-License-Identifier: MIT
// multihomectl stats: what the running libraries have counted, read out of their memory while they work.
#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fmt/core.h>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <thread>

#include "tools/engine_rows.hpp"
#include "tools/numbers.hpp"
#include "tools/output.hpp"
#include "tools/running_processes.hpp"
#include "tools/subcommands.hpp"

namespace multihome::tools {
namespace {

struct StatsOptions {
    OutputOptions output;
    std::string target;
    double watch = 0;
    unsigned count = 0;
    bool prometheus = false;
};

using Counts = std::array<std::uint64_t, counter_count>;

std::uint64_t of(const Counts& counts, Counter counter) {
    return counts[static_cast<std::size_t>(counter)];
}

Counts totals(const RunningState& state) {
    Counts counts{};
    for (std::size_t index = 0; index < counter_count; ++index)
        counts[index] = state.total(static_cast<Counter>(index));
    return counts;
}

Json json_of(const Counts& counts) {
    Json json = Json::object();
    for (std::size_t index = 0; index < counter_count; ++index)
        json[counter_names[index]] = counts[index];
    return json;
}

Json json_of(const Running& running) {
    const Process& process = running.process;
    Json json{{"pid", process.number}, {"program", process.name}};
    json["unit"] = !process.unit.empty() ? Json(process.unit) : Json();
    json["shared_with"] = running.others;
    json["library"] = running.library.path;
    json["problem"] = !running.problem.empty() ? Json(running.problem) : Json();
    json["counters"] = nullptr;
    json["held"] = nullptr;
    json["room"] = nullptr;
    json["ports"] = Json::array();
    for (const RunningState& state : running.state) {
        json["counters"] = json_of(totals(state));
        json["held"] = state.held();
        json["room"] = state.room();
        for (const PortCounts& port : state.by_port()) {
            Json entry = json_of(port.counts);
            entry["port"] = port.port != 0 ? Json(port.port) : Json();
            json["ports"].push_back(entry);
        }
    }
    return json;
}

/// Rates, where there is a time since `before`.
struct Since {
    Counts before{};
    double seconds = 0;
};

std::vector<std::string> cells_of(const Counts& counts, const Since& since) {
    std::vector<std::string> cells;
    for (const Counter counter : {Counter::requests, Counter::answered, Counter::not_heard,
                                  Counter::spoke_first, Counter::refused, Counter::clients})
        cells.push_back(rate_or_count(of(counts, counter), of(since.before, counter), since.seconds));
    return cells;
}

/// The counts of one row at the last look: by state and port.
using Before = std::map<std::pair<std::uint64_t, int>, Counts>;

constexpr int all_ports = -1;

void add_rows(Table& table, const Running& running, const Before& before, double seconds, Before& now) {
    const std::string name = running.process.unit.empty() ? running.process.name : running.process.unit;
    if (running.state.empty()) {
        table.add({std::to_string(running.process.number), name, "-", "-", "-", "-", "-", "-", "-", "-"},
                  Emphasis::dim);
        if (!running.problem.empty())
            fmt::print(stderr, "multihomectl: process {}: {}\n", running.process.number, running.problem);
        return;
    }
    const RunningState& state = running.state.front();
    const auto add = [&](int port, const std::string& shown, const Counts& counts, bool is_first,
                         const std::string& held) {
        const auto key = std::pair{state.identity(), port};
        now[key] = counts;
        const auto last = before.find(key);
        const Since since = last != before.end() ? Since{last->second, seconds} : Since{};
        std::vector<std::string> cells{is_first ? std::to_string(running.process.number) : "",
                                       is_first ? name : "", shown};
        for (std::string& cell : cells_of(counts, since))
            cells.push_back(std::move(cell));
        cells.push_back(held);
        table.add(std::move(cells));
    };
    const std::vector<PortCounts> ports = state.by_port();
    const std::string held = std::to_string(state.held());
    if (ports.size() != 1)
        add(all_ports, "all", totals(state), true, held);
    for (const PortCounts& port : ports)
        add(port.port, port.port != 0 ? std::to_string(port.port) : "other", port.counts, ports.size() == 1,
            ports.size() == 1 ? held : "");
}

/// In the text format of Prometheus, for the node exporter's textfile collector.
void print_prometheus(const std::vector<Running>& all) {
    static const std::array<const char*, counter_count> help = {
        "UDP sockets taken over",
        "Datagrams whose destination was noted",
        "Datagrams sent, or to be sent, from the address that their peer had asked; the refused ones are "
        "among them",
        "Datagrams left to the routing table: nothing was known of the peer",
        "Datagrams left to the routing table: the program spoke first, or the peer asked a group",
        "Datagrams sent as the program made them: the kernel refused the source",
        "Conversations that were new to the table",
        "New conversations that pushed out a question that had hardly been asked"};
    const auto labels = [&](const Running& running) {
        return fmt::format("pid=\"{}\",program=\"{}\",unit=\"{}\"", running.process.number,
                           prometheus_label(running.process.name), prometheus_label(running.process.unit));
    };
    for (std::size_t index = 0; index < counter_count; ++index) {
        fmt::print("# HELP multihome_{0}_total {1}.\n# TYPE multihome_{0}_total counter\n",
                   counter_names[index], help[index]);
        for (const Running& running : all)
            for (const RunningState& state : running.state)
                for (const PortCounts& port : state.by_port())
                    fmt::print("multihome_{}_total{{{},port=\"{}\"}} {}\n", counter_names[index],
                               labels(running), port.port != 0 ? std::to_string(port.port) : "other",
                               port.counts[index]);
    }
    fmt::print("# HELP multihome_conversations Conversations held in the table.\n"
               "# TYPE multihome_conversations gauge\n");
    for (const Running& running : all)
        for (const RunningState& state : running.state)
            fmt::print("multihome_conversations{{{}}} {}\n", labels(running), state.held());
}

void print_json_of(const std::vector<Running>& all, const std::vector<engine::Attachment>& attached,
                   bool watching) {
    Json document = json_document();
    document["processes"] = Json::array();
    for (const Running& running : all)
        document["processes"].push_back(json_of(running));
    document["engine"] = engine_json(attached);
    if (watching) // one line for each look, for programs that read line by line
        fmt::print("{}\n", document.dump(-1, ' ', false, Json::error_handler_t::replace));
    else
        print_json(document);
}

void print_table(const std::vector<Running>& all, const std::vector<engine::Attachment>& attached,
                 Before& before, double seconds) {
    Table table({"PID", "UNIT", "PORT", "REQUESTS", "ANSWERED", "NOT-HEARD", "SPOKE-FIRST", "REFUSED",
                 "CLIENTS", "HELD"});
    Before now;
    for (const Running& running : all)
        add_rows(table, running, before, seconds, now);
    before = std::move(now);
    if (table.empty() && attached.empty())
        fmt::print("No process has multihome in it{}.\n", root_sees_more());
    else if (!table.empty())
        table.print();
}

int stats(const StatsOptions& options) {
    if (options.prometheus && options.output.json)
        throw Impossible("--prometheus and --json are two formats: choose one");
    using Steady = std::chrono::steady_clock;
    const std::string target = true_target(options.target);
    Watched watched{target};
    Before before;
    EngineBefore engine_before;
    Steady::time_point last = Steady::now();
    bool has_found = false;
    // A unit and a port may be served again later, a process that has ended does not come back.
    const bool may_come_back = target.find_first_not_of("0123456789") != std::string::npos;
    for (unsigned look = 0;; ++look) {
        const std::vector<engine::Attachment> attached = attachments_meant(target);
        const std::vector<Running> all = watched.look(!attached.empty() || (look > 0 && may_come_back));
        const Steady::time_point now = Steady::now();
        has_found = std::any_of(all.begin(), all.end(),
                                [](const Running& running) { return !running.problem.empty(); });
        const double seconds = std::chrono::duration<double>(now - last).count();
        if (options.prometheus) {
            print_prometheus(all);
            print_engine_prometheus(attached);
        } else if (options.output.json) {
            print_json_of(all, attached, options.watch > 0);
        } else if (!options.output.quiet) {
            print_table(all, attached, before, seconds);
            print_engine_table(attached, engine_before, seconds);
        }
        last = now;
        if (options.watch <= 0 || (options.count != 0 && look + 1 >= options.count))
            break;
        if (std::fflush(stdout) != 0)
            break; // nobody reads any more
        std::this_thread::sleep_until(now + std::chrono::duration<double>(options.watch));
    }
    return has_found ? failure : success;
}

/// A target behind --watch is taken for its value. Rates of more than an hour nobody watches; most PIDs are
/// higher.
std::string problem_with_watch(const std::string& text) {
    std::string problem = problem_with_seconds(text, 0.05, 3600);
    return problem.empty() ? problem : problem + ": write --watch SECONDS TARGET";
}

} // namespace

void add_stats(CLI::App& application, int& exit_status) {
    auto options = std::make_shared<StatsOptions>();
    CLI::App* command =
        application.add_subcommand("stats", "Show what the library and the kernel engine have counted");
    command->add_option("TARGET", options->target, "A PID, a unit or a port (default: all processes)");
    add_output_options(*command, options->output);
    command->add_option("-w,--watch", options->watch, "Go on, and show the rates a second")
        ->type_name("SECONDS")
        ->check(problem_with_watch);
    command->add_option("-n,--count", options->count, "With --watch: end after so many looks")
        ->type_name("N");
    command->add_flag("--prometheus", options->prometheus, "Print the text format of Prometheus");
    command->footer("Exit status: 0 all could be read, 1 some could not, 2 there is none or not possible.");
    command->callback([options, &exit_status] { exit_status = stats(*options); });
}

} // namespace multihome::tools
