// SPDX-License-Identifier: MIT
#include "tools/bench/table.hpp"

#include "tools/bench/parts.hpp"
#include "tools/bench/process.hpp"

#include <cstdio>
#include <memory>
#include <optional>
#include <sstream>
#include <unistd.h>

namespace multihome::bench {

namespace {

#ifdef MULTIHOME_BENCH_TBB
constexpr bool with_tbb = true;
#else
constexpr bool with_tbb = false;
#endif
#ifdef MULTIHOME_BENCH_CUCKOO
constexpr bool with_cuckoo = true;
#else
constexpr bool with_cuckoo = false;
#endif
#ifdef MULTIHOME_BENCH_URCU
constexpr bool with_urcu = true;
#else
constexpr bool with_urcu = false;
#endif

} // namespace

const std::vector<TableKind>& table_kinds() {
    static const std::vector<TableKind> kinds = {{"shim", nullptr, true},
                                                 {"oneTBB", "libtbb-dev", with_tbb},
                                                 {"libcuckoo", "libcuckoo-dev", with_cuckoo},
                                                 {"liburcu", "liburcu-dev", with_urcu},
                                                 {"mutex and map", nullptr, true}};
    return kinds;
}

namespace {

struct Running {
    const TableKind* kind;
    std::unique_ptr<Child> child;
};

double ask(Child& child, const std::string& question) {
    const std::string line = question + '\n';
    if (write(child.input(), line.data(), line.size()) != static_cast<ssize_t>(line.size()))
        fail("write");
    return std::stod(child.read_line());
}

std::string size_name(size_t peers) {
    return readable(static_cast<double>(peers)) + " peers";
}

std::vector<Running> start(Figures& figures, size_t peers) {
    std::vector<Running> running;
    std::vector<double> shares;
    for (const TableKind& kind : table_kinds()) {
        if (!kind.built_in)
            continue;
        const std::vector<std::string> command = {own_path(), "table",   "--kind",
                                                  kind.name,  "--peers", std::to_string(peers)};
        running.push_back({&kind, std::make_unique<Child>(command, std::vector<std::string>{})});
        std::istringstream answer(running.back().child->read_line());
        double bytes = 0;
        double insertions = 0;
        double found = 0;
        answer >> bytes >> insertions >> found;
        shares.push_back(found * 100);
        std::optional<Budget> budget;
        if (running.size() == 1)
            budget = 32; // two words a peer, and the number of buckets is a power of two
        figures.add(
            {size_name(peers) + ", memory", kind.name, "bytes/peer", Sample::exactly(bytes), {}, budget});
    }
    for (size_t index = 0; index < running.size(); ++index)
        figures.add({size_name(peers) + ", peers found", running[index].kind->name, "%",
                     Sample::exactly(shares[index])});
    return running;
}

void measure_rates(const Settings& settings, Figures& figures, size_t peers,
                   const std::vector<Running>& running) {
    const unsigned repetitions = settings.quick ? 3 : 7;
    const char* milliseconds = settings.quick ? " 15" : " 30";
    for (const std::string what : {"find", "update"}) {
        for (unsigned threads = 1; threads <= 4; ++threads) {
            std::vector<std::vector<double>> rates(running.size());
            std::vector<std::vector<double>> ratios(running.size());
            for (unsigned repetition = 0; repetition < repetitions; ++repetition) {
                for (size_t index = 0; index < running.size(); ++index)
                    rates[index].push_back(
                        ask(*running[index].child, what + ' ' + std::to_string(threads) + milliseconds));
                for (size_t index = 0; index < running.size(); ++index)
                    ratios[index].push_back(rates[index].back() / rates[0].back());
            }
            const std::string group = size_name(peers) + (what == "find" ? ", look-ups, " : ", updates, ") +
                                      std::to_string(threads) + (threads == 1 ? " thread" : " threads");
            for (size_t index = 0; index < running.size(); ++index) {
                Figure figure{group, running[index].kind->name, "/s", Sample::of(rates[index]),
                              Sample::sure(ratios[index])};
                if (peers == 1'000'000 && threads == 4 && index != 0)
                    figure.budget = Budget::ratio_at_most(1); // ours is ahead
                figures.add(figure);
            }
        }
    }
}

void measure_lines(Figures& figures, size_t peers) {
    if (find_program("valgrind").empty())
        return figures.skip("cache lines", "valgrind is not installed");
    std::vector<std::pair<const char*, TableLines>> lines;
    for (const TableKind& kind : table_kinds())
        if (kind.built_in)
            lines.emplace_back(kind.name, table_lines(kind.name, peers));
    for (const auto& [name, each] : lines)
        figures.add({size_name(peers) + ", look-ups, cache lines touched", name, "lines",
                     Sample::exactly(each.find)});
    for (const auto& [name, each] : lines)
        figures.add({size_name(peers) + ", updates, cache lines touched", name, "lines",
                     Sample::exactly(each.update)});
}

void measure_size(const Settings& settings, Figures& figures, size_t peers) {
    {
        const std::vector<Running> running = start(figures, peers);
        measure_rates(settings, figures, peers, running);
    }
    measure_lines(figures, peers);
}

} // namespace

void measure_table(const Settings& settings, Figures& figures) {
    figures.begin("The peer table alone (x: to the shim's)");
    for (const TableKind& kind : table_kinds())
        if (!kind.built_in)
            figures.skip(kind.name, std::string("the bench was built without ") + kind.package);
    measure_size(settings, figures, 1'000);
    measure_size(settings, figures, 100'000);
    measure_size(settings, figures, 1'000'000);
    // More than the largest table is made for (8,388,608 peers, 128 MiB): what it does when it is over-full.
    if (settings.full)
        measure_size(settings, figures, 10'000'000);
}

} // namespace multihome::bench
