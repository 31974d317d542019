// SPDX-License-Identifier: MIT
// multihome_fuzz: random programs, with the library and without, compared step by step.
#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fmt/core.h>
#include <fstream>
#include <random>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/differential/generate.hpp"
#include "tests/differential/shrink.hpp"
#include "tools/differential/pair.hpp"
#include "tools/differential/side.hpp"

namespace {

using namespace multihome::differential;

struct Options {
    std::string library;
    std::string side;
    std::string replay;
    std::string save = "multihome_fuzz_case.txt";
    std::uint64_t seed = 0;
    std::uint64_t steps = 200'000;
    std::size_t sequence_length = 40;
    int shrink_attempts = 3000;
    bool keep_going = false;
};

constexpr std::size_t longest_report = 2000;
constexpr int skipped = 77; // what ctest takes for "could not run here"

std::string text_of(const std::vector<Step>& steps) {
    std::string text;
    for (const Step& step : steps)
        text += to_text(step) + "\n";
    return text;
}

void report(Pair& pair, const std::vector<Step>& steps, const Difference& difference) {
    const std::string where = difference.step < steps.size() ? to_text(steps[difference.step])
                                                             : std::string{"the end of the sequence"};
    fmt::print("step {}: {}\n{}{}", difference.step + 1, where, difference.text,
               pair.explain(steps, difference.step));
    std::fflush(stdout);
}

/// Which call differs, and in what.
std::string kind_of(const std::vector<Step>& steps, const Difference& difference) {
    const std::string call = difference.step < steps.size() ? to_text(steps[difference.step]) : std::string{};
    return call.substr(0, call.find(' ')) + difference.text.substr(0, difference.text.find(':'));
}

void save(const std::vector<Step>& steps, const std::string& path) {
    std::ofstream file{path};
    file << "# SPDX-License-Identifier: MIT\n" << text_of(steps);
    if (!file.flush())
        throw std::runtime_error(path + ": cannot be written");
}

/// While a program of cgroup/connect is attached anywhere on the host, as the kernel engine's tests attach
/// them, the kernel checks the arguments of connect() before it gives the socket a port
/// (BPF_CGROUP_PRE_CONNECT_ENABLED). Where that begins or ends between the calls of the two sides, they
/// differ, and never again.
bool may_be_the_host(const std::string& kind) {
    return kind.starts_with("connect ") || kind.starts_with("syscall:connect ");
}

/// One sequence that differs, cut down, shown, and saved for --replay. `before`: what ran before it, to be
/// looked at where the sequence alone does not differ. False where it was not seen again, and the host may be
/// the reason.
bool pin_down(Pair& pair, std::vector<Step> steps, const std::vector<Step>& before, const std::string& kind,
              const Options& options) {
    Difference difference;
    // Only the same kind of difference counts: on the way to a shorter form others turn up, which are easier
    // to show and perhaps another matter.
    bool afresh = false;
    const auto fails = [&](const std::vector<Step>& candidate) {
        if (afresh)
            pair.restart();
        return !pair.run(candidate, difference) && kind_of(candidate, difference) == kind;
    };
    const auto is_kept = [&] {
        if (may_be_the_host(kind)) {
            fmt::print("something else on this host was the reason, and it is not counted\n");
            return false;
        }
        fmt::print("saved as {}\n", options.save);
        save(steps, options.save);
        return true;
    };
    if (!fails(steps)) {
        afresh = true;
        fmt::print("it takes processes that have not run it before\n");
    }
    if (!fails(steps)) {
        fmt::print("the sequence does not show it on its own");
        steps.insert(steps.begin(), before.begin(), before.end());
        if (!fails(steps)) {
            fmt::print(", and not with what ran before it either: ");
            return is_kept();
        }
        fmt::print("; together with what ran before it:\n");
    }
    steps = shrink(std::move(steps), fails, options.shrink_attempts);
    if (!fails(steps)) {
        fmt::print("the short form shows it only sometimes: ");
        return is_kept();
    }
    fmt::print("shortest form:\n{}", text_of(steps));
    if (afresh)
        pair.restart();
    report(pair, steps, difference);
    save(steps, options.save);
    fmt::print("saved as {}: move it to tests/differential/cases\n", options.save);
    return true;
}

int replay(Pair& pair, const std::string& path) {
    std::ifstream file{path};
    if (!file)
        throw std::runtime_error(path + ": cannot be read");
    std::stringstream text;
    text << file.rdbuf();
    const std::vector<Step> steps = parse_steps(text.str());
    if (steps.empty())
        throw std::runtime_error(path + ": there are no steps in it");
    Difference difference;
    if (pair.run(steps, difference)) {
        fmt::print("{}: {} steps, no difference\n", path, steps.size());
        return 0;
    }
    report(pair, steps, difference);
    return 1;
}

/// As many whole sequences as a mailbox takes: the fewer turns, the fewer process switches.
int fuzz(Pair& pair, const Options& options) {
    const std::size_t sequences_at_once = std::max<std::size_t>(
        std::min<std::size_t>(Mailbox::maximum_steps, 2000) / options.sequence_length, 1);
    const auto start = std::chrono::steady_clock::now();
    auto last_word = start;
    std::uint64_t done = 0;
    int differences = 0;
    for (std::uint64_t sequence = 0; done < options.steps;) {
        std::vector<Step> batch;
        std::vector<std::size_t> begins;
        for (std::size_t index = 0; index < sequences_at_once && done + batch.size() < options.steps;
             ++index) {
            const std::vector<Step> steps = generate(options.seed + sequence++, options.sequence_length);
            begins.push_back(batch.size());
            batch.insert(batch.end(), steps.begin(), steps.end());
        }
        Difference difference;
        if (!pair.run(batch, difference)) {
            const auto next = std::upper_bound(begins.begin(), begins.end(), difference.step);
            const std::size_t begin = *(next - 1);
            const std::size_t end = next == begins.end() ? batch.size() : *next;
            const std::vector<Step> failing(batch.begin() + static_cast<std::ptrdiff_t>(begin),
                                            batch.begin() + static_cast<std::ptrdiff_t>(end));
            const auto own = static_cast<std::uint64_t>(begins.end() - next + 1);
            fmt::print("difference in the sequence of --seed {}, after {} steps: {}\n{}\n",
                       options.seed + sequence - own, done + begin,
                       difference.step < batch.size() ? to_text(batch[difference.step]) : "at the end",
                       difference.text.substr(0, longest_report));
            const std::string kind = kind_of(batch, difference);
            const std::vector<Step> before(batch.begin(), batch.begin() + static_cast<std::ptrdiff_t>(begin));
            if (pin_down(pair, failing, before, kind, options)) {
                ++differences;
                if (!options.keep_going)
                    return 1;
            }
        }
        done += batch.size();
        const auto now = std::chrono::steady_clock::now();
        if (now - last_word > std::chrono::minutes{1}) {
            fmt::print("{} steps\n", done);
            std::fflush(stdout);
            last_word = now;
        }
    }
    const auto seconds =
        std::chrono::duration_cast<std::chrono::seconds>(std::chrono::steady_clock::now() - start).count();
    fmt::print("{} steps in {} s, {} differences\n", done, seconds, differences);
    return differences == 0 ? 0 : 1;
}

int run(int count, char** arguments) {
    Options options;
    CLI::App application{"Compares random programs with libmultihome.so and without it."};
    application.add_option("--library", options.library, "The library to preload");
    CLI::Option* seed =
        application.add_option("--seed", options.seed, "Of the first sequence (default: drawn)");
    application.add_option("--steps", options.steps)->capture_default_str();
    application.add_option("--sequence-length", options.sequence_length)
        ->capture_default_str()
        ->check(CLI::Range(std::size_t{5}, Mailbox::maximum_steps - 20));
    application.add_option("--replay", options.replay, "Run this file's steps instead");
    application.add_option("--save", options.save, "Where to put a failing sequence")->capture_default_str();
    application.add_option("--shrink-attempts", options.shrink_attempts)->capture_default_str();
    application.add_flag("--keep-going", options.keep_going, "Do not stop at the first difference");
    application.add_option("--side", options.side)->group(""); // how this program starts itself
    CLI11_PARSE(application, count, arguments);
    if (!options.side.empty())
        return run_side(options.side);
    if (seed->empty())
        options.seed = std::random_device{}() & 0xffffffffU;

    // That one peer speaks to hundreds of sockets, and the like, is nothing to be told here.
    setenv("MULTIHOME_LOG", "off", 0); // NOLINT(concurrency-mt-unsafe): this program has one thread
    Launch launch;
    launch.arguments = {"multihome_fuzz", "--side"};
    launch.library = options.library;
    Pair pair{launch};
    if (!pair.isolated()) {
        fmt::print("SKIP: no network of our own, and random packets do not belong on the host's\n");
        return skipped;
    }
    if (!pair.shim_answers_from_where_it_was_asked())
        throw std::runtime_error("the library is not at work: there would be nothing to compare");
    if (!options.replay.empty())
        return replay(pair, options.replay);
    fmt::print("--seed {} --steps {} --sequence-length {}\n", options.seed, options.steps,
               options.sequence_length);
    std::fflush(stdout);
    return fuzz(pair, options);
}

} // namespace

int main(int count, char** arguments) {
    try {
        return run(count, arguments);
    } catch (const std::exception& error) {
        std::fputs(error.what(), stderr);
        std::fputs("\n", stderr);
        return 2;
    }
}
