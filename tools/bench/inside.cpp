// SPDX-License-Identifier: MIT
//
// Runs multihome-bench-inside and makes figures of its JSON.
#include "tools/bench/callgrind.hpp"
#include "tools/bench/parts.hpp"

#include <filesystem>
#include <fmt/format.h>
#include <map>
#include <nlohmann/json.hpp>
#include <stdexcept>

namespace multihome::bench {

namespace {

using Json = nlohmann::json;

const Words all_tables = {"shim", "oneTBB", "libcuckoo", "liburcu", "mutex and map"};

Words command(const std::string& filter, const std::string& seconds) {
    return {std::filesystem::path(own_path()).parent_path() / "multihome-bench-inside",
            "--benchmark_format=json", "--benchmark_filter=^" + filter, "--benchmark_min_time=" + seconds};
}

// The benchmarks of a run, by their names; none where the filter finds none.
std::map<std::string, Json> run(const std::string& filter, const std::string& seconds) {
    std::string output;
    if (Child(command(filter, seconds)).finish(&output) != 0)
        throw std::runtime_error("multihome-bench-inside failed on " + filter);
    std::map<std::string, Json> found;
    if (output.find('{') == std::string::npos)
        return found;
    const Json document = Json::parse(output); // a temporary one would end before the loop
    for (const Json& each : document.at("benchmarks"))
        found[each.at("name")] = each;
    return found;
}

// Operations a second, from fresh processes that take turns.
void measure_rates(const Settings& settings, Figures& figures, const Words& built, size_t peers) {
    std::map<std::string, std::vector<double>> rates; // by the benchmark's name
    std::map<std::string, Json> last;
    const unsigned repetitions = settings.quick ? 3 : 8;
    for (unsigned repetition = 0; repetition < repetitions; ++repetition)
        for (const std::string& table : built)
            for (const auto& [name, each] : run(fmt::format("(look-ups|updates)/{}/{}/", table, peers),
                                                settings.quick ? "0.01" : "0.03")) {
                rates[name].push_back(each.at("items_per_second"));
                last[name] = each;
            }
    const auto name_of = [&](const std::string& what, const std::string& table, int threads) {
        return fmt::format("{}/{}/{}/real_time/threads:{}", what, table, peers, threads);
    };
    const std::string size = readable(static_cast<double>(peers)) + " peers, ";
    for (const std::string& table : built)
        figures.add({size + "memory",
                     table,
                     "bytes/peer",
                     Sample::exactly(last.at(name_of("updates", table, 1)).at("bytes/peer")),
                     {},
                     table == "shim" ? Budget(32) : Budget{}});
    for (const std::string& table : built)
        figures.add({size + "peers found", table, "%",
                     Sample::exactly(last.at(name_of("updates", table, 1)).at("% found"))});
    for (const std::string what : {"look-ups", "updates"})
        for (int threads = 1; threads <= 4; ++threads)
            for (const std::string& table : built) {
                const std::vector<double>& mine = rates.at(name_of(what, table, threads));
                std::vector<double> ratios;
                for (size_t index = 0; index < mine.size(); ++index)
                    ratios.push_back(mine[index] / rates.at(name_of(what, "shim", threads))[index]);
                Figure figure{fmt::format("{}{}, {} thread{}", size, what, threads, threads == 1 ? "" : "s"),
                              table, "/s", Sample::of(mine), Sample::sure(ratios)};
                if (peers == 1'000'000 && threads == 4 && table != "shim")
                    figure.budget = {Budget::Kind::ratio_at_most, 1}; // ours is ahead
                figures.add(figure);
            }
}

void measure_lines(Figures& figures, const Words& built, size_t peers) {
    if (find_program("valgrind").empty())
        return figures.skip("cache lines", "valgrind is not installed");
    Callgrind callgrind;
    for (const std::string what : {"look-ups", "updates"})
        for (const std::string& table : built) {
            const auto counts = callgrind.count(
                command(fmt::format("cache lines of {}/{}/{}/", what, table, peers), "0.01"), {}, true, {},
                {"--cache-sim=yes", "--D1=2048,32,64", "--I1=32768,8,64", "--LL=16777216,16,64"});
            figures.add(
                {fmt::format("{} peers, cache lines of {}", readable(static_cast<double>(peers)), what),
                 table, "lines",
                 Sample::exactly(static_cast<double>(counts.at("D1mr") + counts.at("D1mw")) / 20'000)});
        }
}

// What has but counters or a time.
void measure_rest(const Settings& settings, Figures& figures) {
    figures.begin("Inside the shim, and its table alone under a flood");
    for (const auto& [name, each] : run("(hash|reading|flood)", settings.quick ? "0.01" : "0.2")) {
        const size_t slash = name.find('/');
        Figure figure{name.substr(0, slash), name.substr(slash + 1, name.find('/', slash + 1) - slash - 1),
                      "ns", Sample::exactly(each.at("cpu_time"))};
        for (const char* counter : {"% right", "datagrams late"})
            if (each.contains(counter)) {
                figure.unit = counter;
                figure.value = Sample::exactly(each.at(counter));
            }
        figures.add(figure);
    }
}

} // namespace

void measure_inside(const Settings& settings, Figures& figures) {
    figures.begin("The table alone (x: to the shim's)");
    if (!std::filesystem::exists(command("", "")[0]))
        return figures.skip("table", "the bench was built without libbenchmark-dev");
    Words built;
    for (const std::string& table : all_tables)
        if (!run("look-ups/" + table + "/1000/real_time/threads:1", "0.001").empty())
            built.push_back(table);
        else
            figures.skip(table, "the bench was built without its library");
    std::vector<size_t> sizes = {1'000, 100'000, 1'000'000};
    // More than the largest table is made for (8,388,608 peers, 128 MiB): what it does when it is over-full.
    if (settings.full)
        sizes.push_back(10'000'000);
    for (const size_t peers : sizes) {
        measure_rates(settings, figures, built, peers);
        measure_lines(figures, built, peers);
    }
    measure_rest(settings, figures);
}

} // namespace multihome::bench
