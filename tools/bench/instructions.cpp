// SPDX-License-Identifier: MIT
//
// User-space instructions for a request and its reply: callgrind counts from when the server has warmed up.
#include "tools/bench/callgrind.hpp"
#include "tools/bench/parts.hpp"
#include "tools/bench/process.hpp"
#include "tools/bench/rows.hpp"

#include <algorithm>
#include <array>
#include <filesystem>
#include <limits>
#include <stdexcept>
#include <sys/resource.h>

namespace multihome::bench {

namespace {

class Measurement {
public:
    Measurement(const Settings& settings, Figures& figures)
        : settings_(settings), figures_(figures), callgrind_(settings.profiles) {}

    void request_and_reply(const Row& row) {
        std::array<double, subjects.size()> values{};
        for (size_t index = 0; index < subjects.size(); ++index) {
            if (settings_.quick && index == bare_server)
                continue;
            values[index] = count(row, subjects[index]);
            figures_.add({row.name, subjects[index].name, "instructions", Sample::exactly(values[index])});
        }
        figures_.add({row.name,
                      "above native",
                      "instructions",
                      Sample::exactly(values[shim_server] - values[native_server]),
                      {},
                      row.budget});
    }

    void pass_on(const std::string& kind) {
        constexpr unsigned count = 1000;
        constexpr unsigned calls = 2; // for each of the count
        const Words command = {own_path(), "pass-on", "--kind", kind, "--count", std::to_string(count)};
        above_bare("not ours: " + kind, "instructions", 12, [&](const Words& environment) {
            return instructions(command, environment, true) / (count * calls);
        });
    }

    void process_start() {
        const Words command = {find_program("true")};
        above_bare("process start, true", "instructions", 60'000,
                   [&](const Words& environment) { return instructions(command, environment, false); });
        // The least of several: what a busy machine takes away and brings back is not the library's.
        above_bare("process start, true", "page faults", 10, [&](const Words& environment) {
            long least = std::numeric_limits<long>::max();
            for (int repetition = 0; repetition < 20; ++repetition)
                least = std::min(least, page_faults(command, environment));
            return static_cast<double>(least);
        });
    }

    // A build keeps its debugging information; what is installed and loaded does not have it.
    void library_size() {
        const std::string strip = find_program("strip");
        if (strip.empty())
            return figures_.skip("the library's size", "strip (binutils) is not installed");
        const TemporaryFolder folder;
        const std::string stripped = folder.path() + "/stripped";
        if (Child({strip, "-o", stripped, settings_.library}).finish() != 0)
            throw std::runtime_error("strip failed on " + settings_.library);
        const auto size = static_cast<double>(std::filesystem::file_size(stripped)) / 1024;
        figures_.add({"the library, stripped", "shim", "KiB", Sample::exactly(size), {}, 800});
    }

private:
    double count(const Row& row, const Subject& subject) {
        const uint64_t warm_up = row.warm_up();
        const uint64_t counted = row.clients.count > 1 ? 3200 : 960; // multiples of 32
        const ServerSettings server = row.server_for(subject.native, warm_up, counted);
        // Who asks makes no difference to a program that looks no peer up: once for each way of calling.
        ServerSettings style = server;
        style.warm_up = style.requests = 0;
        std::string key;
        for (const std::string& word : style.command())
            key += word + ' ';
        if (const auto known = counted_.find(key); !subject.shim && known != counted_.end())
            return known->second;
        const double all =
            instructions(server.command(), subject.environment(settings_), true, [&](Child& child) {
                row.ask(child, warm_up, counted, subject.native || subject.shim);
            });
        const double each = all / static_cast<double>(counted);
        if (!subject.shim)
            counted_[key] = each;
        return each;
    }

    double instructions(const Words& command, const Words& environment, bool part,
                        const std::function<void(Child&)>& meanwhile = {}) {
        return static_cast<double>(callgrind_.count(command, environment, part, meanwhile).at("Ir"));
    }

    static long page_faults(const Words& command, const Words& environment) {
        const auto so_far = [] {
            rusage usage{};
            getrusage(RUSAGE_CHILDREN, &usage);
            return usage.ru_minflt + usage.ru_majflt;
        };
        const long before = so_far();
        Child(command, environment).finish();
        return so_far() - before;
    }

    template <typename Measure>
    void above_bare(const std::string& group, const std::string& unit, Budget budget,
                    const Measure& measure) {
        // A variable as long, because setting it, between fork() and exec(), touches pages of the bench's
        // own.
        const double bare = measure({"LD_NOTHING=" + settings_.library});
        const double shim = measure({"LD_PRELOAD=" + settings_.library});
        const std::string name = unit == "instructions" ? group : group + ", " + unit;
        figures_.add({name, "bare", unit, Sample::exactly(bare)});
        figures_.add({name, "shim", unit, Sample::exactly(shim)});
        figures_.add({name, "above bare", unit, Sample::exactly(shim - bare), {}, budget});
    }

    const Settings& settings_;
    Figures& figures_;
    Callgrind callgrind_;
    std::map<std::string, double> counted_;
};

} // namespace

void measure_instructions(const Settings& settings, Figures& figures) {
    figures.begin("User-space instructions (callgrind)");
    if (find_program("valgrind").empty())
        return figures.skip("instructions", "valgrind is not installed");
    Measurement measurement(settings, figures);
    for (const Row& row : all_rows())
        if (settings.is_wanted(row.name))
            measurement.request_and_reply(row);
    for (const auto& [kind, run] : pass_on_kinds())
        if (settings.is_wanted("not ours: " + kind))
            measurement.pass_on(kind);
    if (settings.is_wanted("process start"))
        measurement.process_start();
    if (settings.is_wanted("the library, stripped"))
        measurement.library_size();
}

} // namespace multihome::bench
