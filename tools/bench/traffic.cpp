// SPDX-License-Identifier: MIT
//
// Whole requests and replies over loopback, against servers that run with and without the shim. The subjects
// take turns, so that what else the machine does meets all of them, and each turn has a server of its own:
// where a program's memory happens to lie makes a difference of some percent that would stay with it for as
// long as it runs.
#include "tools/bench/client.hpp"
#include "tools/bench/parts.hpp"
#include "tools/bench/sampler.hpp"

#include <cmath>
#include <fmt/format.h>
#include <functional>

namespace multihome::bench {

namespace {

using std::chrono::milliseconds;

struct Case {
    std::string name;
    ServerSettings server;
    Load::Settings load;
    uint32_t peers = 1;     // that have to be heard first
    Words environment = {}; // of the shim's server
    milliseconds duration{60};
    unsigned repetitions = 21; // each with fresh processes
    bool rates = true;         // answers a second
    bool parts = false;        // where the processor time goes
};

std::string counted(unsigned count, const std::string& what) {
    return readable(count) + ' ' + what + (count == 1 ? "" : "s");
}

std::vector<Case> request_cases(unsigned window) {
    std::vector<Case> cases;
    const bool saturated = window != 1;
    for (const size_t size : {size_t{32}, size_t{512}, size_t{1400}})
        for (const unsigned threads : {1U, 4U})
            for (const bool batch : {false, true}) {
                Case each;
                each.name = std::string(saturated ? "saturated, " : "request and reply, ") +
                            std::to_string(size) + " bytes, " + counted(threads, "thread") +
                            (batch ? ", batches" : "");
                each.server = {.calls = batch ? Calls::batches : Calls::plain, .threads = threads};
                each.load = {.clients = {.size = size}, .threads = threads, .window = window};
                each.server.place = saturated ? Place::server : Place::shared;
                each.load.place = saturated ? Place::client : Place::shared;
                cases.push_back(each);
            }
    return cases;
}

// What a packet costs as clients become more. The native server keeps nothing for one, so what grows in it
// grows in the kernel.
std::vector<Case> growth_cases(bool quick) {
    std::vector<Case> cases;
    constexpr uint32_t configured = 1'000'000;
    for (uint32_t peers = 1; peers <= (quick ? 100'000 : configured); peers *= 10)
        cases.push_back(
            {.name = counted(peers, "client") + (peers == 1 ? "" : " in turn"),
             .server = {.place = Place::server},
             .load = {.clients = {.count = peers, .size = 32}, .window = 32, .place = Place::client},
             .peers = peers,
             .environment = {"MULTIHOME_PEERS=" + std::to_string(configured)},
             .duration = milliseconds(100),
             .repetitions = 9,
             .rates = false});
    return cases;
}

// Where the processor time goes: the program's own part, with the shim's, and the kernel's. Two threads, and
// two forked workers, which must not write to each other's cache lines either.
std::vector<Case> profile_cases() {
    std::vector<Case> cases;
    for (const auto& [name, threads, workers] :
         {std::tuple{"one thread", 1U, 1U}, {"two threads", 2U, 1U}, {"two forked workers", 1U, 2U}})
        cases.push_back({.name = name,
                         .server = {.threads = threads, .workers = workers, .place = Place::server},
                         .load = {.clients = {.size = 512},
                                  .threads = threads * workers,
                                  .window = 32,
                                  .place = Place::client},
                         .duration = milliseconds(400),
                         .repetitions = 11,
                         .rates = false,
                         .parts = true});
    return cases;
}

struct Outcome {
    double rate = 0;  // answers a second
    double right = 0; // percent
    // Of the server's processor time, nanoseconds for an answer.
    double time = 0;
    double user = 0;   // the program's own part
    double memory = 0; // bytes of the table: it lies in shared memory as nothing else of the server does
};
// By repetition, by subject.
using Outcomes = std::vector<std::array<Outcome, subjects.size()>>;

// False where what it needs is not permitted.
bool run_once(const Settings& settings, const Subject& subject, const Case& what, Outcome& outcome) {
    ServerSettings server_settings = what.server;
    server_settings.native = subject.native;
    Words environment = subject.environment(settings);
    append(environment, what.environment);
    Child server(server_settings.command(), environment);
    Load::Settings load_settings = what.load;
    load_settings.clients.port = static_cast<uint16_t>(std::stoul(server.read_line()));
    const std::vector<pid_t> threads =
        wait_for_threads(server.pid(), what.server.threads * what.server.workers);
    Samplers samplers(what.parts ? threads : std::vector<pid_t>{});
    if (!samplers.work())
        return false;
    const double memory_before = shared_memory(server.pid());
    const Load load(load_settings);
    const milliseconds duration = settings.quick ? what.duration / 2 : what.duration;
    load.wait_for(what.peers + what.peers / 50);
    std::this_thread::sleep_for(duration / 4); // warm-up
    samplers.take_user_share();
    const Answers before = load.answers();
    const double time_before = processor_time(threads);
    const auto start = std::chrono::steady_clock::now();
    const Answers answers = load.answers_after(duration, before) - before;
    const auto count = static_cast<double>(answers.all);
    outcome.time = (processor_time(threads) - time_before) / count;
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    outcome.rate = count / elapsed.count();
    outcome.right = 100 * static_cast<double>(answers.right) / count;
    outcome.user = outcome.time * samplers.take_user_share();
    outcome.memory = shared_memory(server.pid()) - memory_before;
    return true;
}

bool run(const Settings& settings, const Case& what, Outcomes& outcomes) {
    // ABC, BCA, CAB: who comes first after another case is not always the same.
    const size_t repetition = outcomes.size();
    outcomes.emplace_back();
    for (size_t turn = 0; turn < subjects.size(); ++turn) {
        const size_t index = (turn + repetition) % subjects.size();
        if (!run_once(settings, subjects[index], what, outcomes.back()[index]))
            return false;
    }
    return true;
}

// Of each subject, beside native.
void add(Figures& figures, const std::string& group, const std::string& unit, const Outcomes& outcomes,
         const std::function<double(const Outcome&)>& value) {
    for (size_t index = 0; index < subjects.size(); ++index) {
        std::vector<double> values;
        std::vector<double> ratios;
        std::vector<double> right;
        for (const auto& each : outcomes) {
            values.push_back(value(each[index]));
            if (const double native = value(each[native_server]); native != 0)
                ratios.push_back(value(each[index]) / native);
            right.push_back(each[index].right);
        }
        figures.add({group,
                     subjects[index].name,
                     unit,
                     Sample::of(values),
                     Sample::sure(ratios),
                     {},
                     fmt::format("{:.4g} % right", Sample::of(right).low)});
    }
}

// One figure for all cases of a kind: the geometric mean of their ratios in each repetition, and the median
// of that. Here the noise of the single cases has averaged out.
void add_mean(Figures& figures, const std::string& group, const std::vector<Outcomes>& all) {
    for (size_t index = 0; index < subjects.size(); ++index) {
        std::vector<double> means;
        for (size_t repetition = 0; repetition < all[0].size(); ++repetition) {
            double sum = 0;
            for (const Outcomes& outcomes : all)
                sum += std::log(outcomes[repetition][index].rate / outcomes[repetition][native_server].rate);
            means.push_back(std::exp(sum / static_cast<double>(all.size())));
        }
        Figure figure{group, subjects[index].name, "of native's rate", Sample::of(means),
                      Sample::sure(means)};
        if (index == shim_server)
            figure.budget = {Budget::Kind::ratio_at_least, 0.98};
        figures.add(figure);
    }
}

std::vector<Outcomes> measure(const Settings& settings, Figures& figures, const std::vector<Case>& cases) {
    std::vector<Outcomes> all(cases.size());
    const unsigned repetitions = settings.quick ? 3 : cases[0].repetitions;
    for (unsigned repetition = 0; repetition < repetitions; ++repetition)
        for (size_t index = 0; index < cases.size(); ++index)
            if (settings.is_wanted(cases[index].name) && !run(settings, cases[index], all[index])) {
                figures.skip(cases[index].name, "perf_event_open is not permitted");
                return {};
            }
    for (size_t index = 0; index < cases.size(); ++index) {
        const Case& each = cases[index];
        if (all[index].empty())
            continue;
        if (each.rates)
            add(figures, each.name, "answers/s", all[index],
                [](const Outcome& outcome) { return outcome.rate; });
        if (!each.parts) {
            add(figures, each.name + ": processor time", "ns", all[index],
                [](const Outcome& outcome) { return outcome.time; });
            continue;
        }
        add(figures, each.name + ": the program's own part", "ns", all[index],
            [](const Outcome& outcome) { return outcome.user; });
        add(figures, each.name + ": the kernel's part", "ns", all[index],
            [](const Outcome& outcome) { return outcome.time - outcome.user; });
    }
    return all;
}

// A server under full load whose counters are read ten times a second, beside the same server unread, by
// turns.
void measure_reading(const Settings& settings, Figures& figures) {
    const std::string row = "saturated, 512 bytes, 1 thread, read by multihomectl stats ten times a second";
    if (!settings.is_wanted(row))
        return;
    const ServerSettings server_settings{.place = Place::server};
    Child server(server_settings.command(), subjects[shim_server].environment(settings));
    Load::Settings load_settings{.clients = {.size = 512}, .window = 32, .place = Place::client};
    load_settings.clients.port = static_cast<uint16_t>(std::stoul(server.read_line()));
    const Load load(load_settings);
    load.wait_for(1000);
    const milliseconds duration(settings.quick ? 300 : 1000);
    const auto rate = [&] {
        const Answers before = load.answers();
        const auto start = std::chrono::steady_clock::now();
        const auto count = static_cast<double>((load.answers_after(duration, before) - before).all);
        return count / std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    };
    const std::string tool = settings.library.substr(0, settings.library.rfind('/') + 1) + "multihomectl";
    std::vector<double> rates;
    std::vector<double> ratios;
    for (unsigned repetition = 0; repetition < (settings.quick ? 3U : 21U); ++repetition) {
        // Unread, read, unread: what else the machine does comes and goes meanwhile.
        const double before = rate();
        {
            Child reader({tool, "stats", "--watch", "0.1", std::to_string(server.pid())});
            while (reader.read_line().find("PID") == std::string::npos) {
            }
            rates.push_back(rate());
        }
        ratios.push_back(rates.back() / ((before + rate()) / 2));
    }
    figures.add({row,
                 "shim",
                 "answers/s",
                 Sample::of(rates),
                 Sample::sure(ratios),
                 {Budget::Kind::ratio_at_least, 0.99},
                 "x: to the same server unread"});
}

} // namespace

void measure_traffic(const Settings& settings, Figures& figures) {
    figures.begin("Requests and replies over loopback (x: to native, the median of the repetitions' ratios)");
    for (const auto& [name, window] :
         {std::pair{"all request and reply cases", 1U}, {"all saturated cases", 32U}}) {
        const std::vector<Outcomes> all = measure(settings, figures, request_cases(window));
        if (settings.only.empty())
            add_mean(figures, name, all);
    }
    measure_reading(settings, figures);
    figures.begin(
        "Where the server's processor time for an answer goes: saturated, 512 bytes (x: to native)");
    measure(settings, figures, profile_cases());
    figures.begin(
        "Growth, with MULTIHOME_PEERS=1000000: the server's processor time for an answer (x: to native)");
    const std::vector<Case> cases = growth_cases(settings.quick);
    const std::vector<Outcomes> all = measure(settings, figures, cases);
    for (size_t index = 0; index < cases.size(); ++index)
        if (!all[index].empty())
            figures.add({cases[index].name + ": the table's resident memory", "shim", "bytes",
                         Sample::exactly(all[index].back()[shim_server].memory)});
}

} // namespace multihome::bench
