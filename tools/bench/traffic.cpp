// SPDX-License-Identifier: MIT
//
// Whole requests and replies over loopback, against servers that run with and without the shim. The subjects
// take turns (A B C A B C ...), so that what else the machine does meets all of them.
#include "tools/bench/client.hpp"
#include "tools/bench/parts.hpp"
#include "tools/bench/process.hpp"
#include "tools/bench/server.hpp"

#include <array>
#include <chrono>
#include <stdexcept>

namespace multihome::bench {

namespace {

using Clock = std::chrono::steady_clock;

struct Subject {
    const char* name;
    bool native;
    bool shim;
};
constexpr std::array<Subject, 3> subjects = {
    {{"bare", false, false}, {"native", true, false}, {"shim", false, true}}};
constexpr size_t native = 1;

struct Case {
    unsigned window; // 1: request and reply, more: as much as the server takes
    size_t size;
    unsigned threads;
    bool batch;

    std::string name() const {
        return std::string(window == 1 ? "request and reply" : "saturated") + ", " + std::to_string(size) +
               " bytes, " + std::to_string(threads) + (threads == 1 ? " thread" : " threads") +
               (batch ? ", batches" : "");
    }
};

struct Outcome {
    double rate = 0;        // answers a second
    double server_time = 0; // the server's processor time for each, in nanoseconds
    double right = 0;       // share of the answers that came from the address that was asked
};

Outcome run_once(const Settings& settings, const Subject& subject, const Case& what) {
    std::vector<std::string> command = {own_path(), "server", "--threads", std::to_string(what.threads)};
    if (subject.native)
        command.push_back("--native");
    if (what.batch)
        command.push_back("--batch");
    std::vector<std::string> environment;
    if (subject.shim)
        environment.push_back("LD_PRELOAD=" + settings.library);
    Child server(command, environment);
    const auto port = static_cast<uint16_t>(std::stoul(server.read_line()));
    const Load load(address_of(asked_address, port), what.threads, what.window, what.size);

    const auto duration = std::chrono::milliseconds(settings.quick ? 40 : 110);
    std::this_thread::sleep_for(duration / 4); // warm-up
    const Load::Answers answers_before = load.answers();
    const double time_before = server.processor_time();
    const auto start = Clock::now();
    std::this_thread::sleep_for(duration);
    const Load::Answers answers = load.answers();
    const double time = server.processor_time();
    const std::chrono::duration<double> elapsed = Clock::now() - start;

    const auto all = static_cast<double>(answers.all - answers_before.all);
    if (all == 0)
        throw std::runtime_error(what.name() + ": no answers");
    return {all / elapsed.count(), (time - time_before) * 1e9 / all,
            static_cast<double>(answers.right - answers_before.right) / all};
}

struct Collected {
    std::vector<double> rates;
    std::vector<double> server_times;
    std::vector<double> rate_ratios;
    std::vector<double> time_ratios;
    std::vector<double> right;
};

std::string percent(double share) {
    char text[16];
    std::snprintf(text, sizeof text, "%.4g %%", share * 100);
    return text;
}

void measure(const Settings& settings, Figures& figures, const Case& what) {
    const unsigned repetitions = settings.quick ? 3 : 5;
    std::array<Collected, subjects.size()> collected;
    for (unsigned repetition = 0; repetition < repetitions; ++repetition) {
        std::array<Outcome, subjects.size()> outcomes;
        for (size_t index = 0; index < subjects.size(); ++index)
            outcomes[index] = run_once(settings, subjects[index], what);
        for (size_t index = 0; index < subjects.size(); ++index) {
            collected[index].rates.push_back(outcomes[index].rate);
            collected[index].server_times.push_back(outcomes[index].server_time);
            collected[index].rate_ratios.push_back(outcomes[index].rate / outcomes[native].rate);
            collected[index].time_ratios.push_back(outcomes[index].server_time /
                                                   outcomes[native].server_time);
            collected[index].right.push_back(outcomes[index].right);
        }
    }
    for (size_t index = 0; index < subjects.size(); ++index) {
        const Collected& mine = collected[index];
        figures.add({what.name(),
                     subjects[index].name,
                     "answers/s",
                     Sample::of(mine.rates),
                     Sample::of(mine.rate_ratios),
                     {},
                     percent(Sample::of(mine.right).low) + " right"});
    }
    for (size_t index = 0; index < subjects.size(); ++index)
        figures.add({what.name() + ", the server's processor time", subjects[index].name, "ns",
                     Sample::of(collected[index].server_times), Sample::of(collected[index].time_ratios)});
}

} // namespace

void measure_traffic(const Settings& settings, Figures& figures) {
    figures.begin("Requests and replies over loopback (x: to native, the median of the repetitions' ratios)");
    for (const unsigned window : {1U, 32U})
        for (const size_t size : {size_t{32}, size_t{512}, size_t{1400}})
            for (const unsigned threads : {1U, 4U})
                for (const bool batch : {false, true})
                    measure(settings, figures, {window, size, threads, batch});
}

} // namespace multihome::bench
