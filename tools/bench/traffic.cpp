// SPDX-License-Identifier: MIT
//
// Whole requests and replies over loopback, against servers that run with and without the shim. The subjects
// take turns, so that what else the machine does meets all of them, and each turn has a server of its own:
// where a program's memory happens to lie makes a difference of a percent that would stay with it for as long
// as it runs.
#include "tools/bench/client.hpp"
#include "tools/bench/parts.hpp"
#include "tools/bench/process.hpp"
#include "tools/bench/server.hpp"
#include "tools/bench/subjects.hpp"

#include <array>
#include <chrono>
#include <cmath>

namespace multihome::bench {

namespace {

using Clock = std::chrono::steady_clock;

struct Case {
    unsigned window; // 1: request and reply, more: as much as the server takes
    size_t size;
    unsigned threads;
    bool batch;

    bool is_saturated() const { return window != 1; }
    std::string name() const {
        return std::string(is_saturated() ? "saturated" : "request and reply") + ", " + std::to_string(size) +
               " bytes, " + std::to_string(threads) + (threads == 1 ? " thread" : " threads") +
               (batch ? ", batches" : "");
    }
};

std::vector<Case> all_cases() {
    std::vector<Case> cases;
    for (const unsigned window : {1U, 32U})
        for (const size_t size : {size_t{32}, size_t{512}, size_t{1400}})
            for (const unsigned threads : {1U, 4U})
                for (const bool batch : {false, true})
                    cases.push_back({window, size, threads, batch});
    return cases;
}

struct Outcome {
    double rate = 0;        // answers a second
    double server_time = 0; // the server's processor time for each, in nanoseconds
    double right = 0;       // share of the answers that came from the address that was asked
};

Outcome run_once(const Settings& settings, const Subject& subject, const Case& what) {
    const Place server_place = what.is_saturated() ? Place::server : Place::shared;
    const Place client_place = what.is_saturated() ? Place::client : Place::shared;
    std::vector<std::string> command = {
        own_path(), "server", "--threads", std::to_string(what.threads), "--place", name_of(server_place)};
    if (subject.native)
        command.emplace_back("--native");
    if (what.batch)
        command.emplace_back("--batch");
    Child server(command, subject.environment(settings));
    const auto port = static_cast<uint16_t>(std::stoul(server.read_line()));
    const Load load({.server = address_of(asked_address, port),
                     .threads = what.threads,
                     .window = what.window,
                     .size = what.size,
                     .place = client_place});

    const auto duration = std::chrono::milliseconds(settings.quick ? 40 : 60);
    std::this_thread::sleep_for(duration / 4); // warm-up
    const Load::Answers answers_before = load.answers();
    const double time_before = server.processor_time();
    const auto start = Clock::now();
    const Load::Answers answers = load.answers_after(duration, answers_before);
    const double time = server.processor_time();
    const std::chrono::duration<double> elapsed = Clock::now() - start;

    const auto all = static_cast<double>(answers.all - answers_before.all);
    return {all / elapsed.count(), (time - time_before) * 1e9 / all,
            static_cast<double>(answers.right - answers_before.right) / all};
}

// What the repetitions of one subject in one case have brought.
struct Collected {
    std::vector<double> rates;
    std::vector<double> server_times;
    std::vector<double> rate_ratios; // to native, of the same repetition
    std::vector<double> time_ratios;
    std::vector<double> right;
};
using CaseCollected = std::array<Collected, subjects.size()>;

void repeat(const Settings& settings, const Case& what, unsigned repetition, CaseCollected& collected) {
    std::array<Outcome, subjects.size()> outcomes;
    // ABC, BCA, CAB: who comes first after another case is not always the same.
    for (size_t turn = 0; turn < subjects.size(); ++turn) {
        const size_t index = (turn + repetition) % subjects.size();
        outcomes[index] = run_once(settings, subjects[index], what);
    }
    for (size_t index = 0; index < subjects.size(); ++index) {
        const Outcome& mine = outcomes[index];
        collected[index].rates.push_back(mine.rate);
        collected[index].server_times.push_back(mine.server_time);
        collected[index].rate_ratios.push_back(mine.rate / outcomes[native_server].rate);
        collected[index].time_ratios.push_back(mine.server_time / outcomes[native_server].server_time);
        collected[index].right.push_back(mine.right);
    }
}

std::string percent(double share) {
    char text[16];
    std::snprintf(text, sizeof text, "%.4g %%", share * 100);
    return text;
}

void report(Figures& figures, const Case& what, const CaseCollected& collected) {
    for (size_t index = 0; index < subjects.size(); ++index) {
        const Collected& mine = collected[index];
        figures.add({what.name(),
                     subjects[index].name,
                     "answers/s",
                     Sample::of(mine.rates),
                     Sample::sure(mine.rate_ratios),
                     {},
                     percent(Sample::of(mine.right).low) + " right"});
    }
    for (size_t index = 0; index < subjects.size(); ++index)
        figures.add({what.name() + ", the server's processor time", subjects[index].name, "ns",
                     Sample::of(collected[index].server_times), Sample::sure(collected[index].time_ratios)});
}

// One figure for all cases of a kind: the geometric mean of their ratios in each repetition, and the median
// of that. Here the noise of the single cases has averaged out.
void report_all(Figures& figures, const std::string& name, bool saturated, const std::vector<Case>& cases,
                const std::vector<CaseCollected>& collected) {
    constexpr double required = 0.98;
    for (const size_t subject : {bare_server, native_server, shim_server}) {
        std::vector<double> means(collected[0][subject].rate_ratios.size());
        for (size_t repetition = 0; repetition < means.size(); ++repetition) {
            double sum = 0;
            unsigned count = 0;
            for (size_t index = 0; index < cases.size(); ++index)
                if (cases[index].is_saturated() == saturated) {
                    sum += std::log(collected[index][subject].rate_ratios[repetition]);
                    ++count;
                }
            means[repetition] = std::exp(sum / count);
        }
        Figure figure{name, subjects[subject].name, "of native's rate", Sample::of(means),
                      Sample::sure(means)};
        if (subject == shim_server)
            figure.budget = Budget::ratio_at_least(required);
        figures.add(figure);
    }
}

} // namespace

void measure_traffic(const Settings& settings, Figures& figures) {
    figures.begin("Requests and replies over loopback (x: to native, the median of the repetitions' ratios)");
    const std::vector<Case> cases = all_cases();
    std::vector<CaseCollected> collected(cases.size());
    const unsigned repetitions = settings.quick ? 3 : 21;
    for (unsigned repetition = 0; repetition < repetitions; ++repetition)
        for (size_t index = 0; index < cases.size(); ++index)
            repeat(settings, cases[index], repetition, collected[index]);
    for (size_t index = 0; index < cases.size(); ++index)
        report(figures, cases[index], collected[index]);
    report_all(figures, "all request and reply cases", false, cases, collected);
    report_all(figures, "all saturated cases", true, cases, collected);
}

} // namespace multihome::bench
