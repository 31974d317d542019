// SPDX-License-Identifier: MIT
#include "tools/bench/guard.hpp"

#include "tools/bench/output.hpp"

#include <cstdio>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <stdexcept>

namespace multihome::bench {

namespace {

constexpr double allowed_growth = 1.10;
// A count of ten or so must not fail for one instruction that another register allocation brings.
constexpr double allowed_anyway = 1.5;

std::string made_by(const Machine& machine) {
    return machine.compiler + ", " + machine.libc + ", " + MULTIHOME_BENCH_BUILD;
}

bool is_guarded(const Figure& figure) {
    return figure.unit == "instructions" &&
           (figure.subject == "above bare" ||
            (figure.subject == "shim" && figure.group.starts_with("request")));
}

std::string name_of(const Figure& figure) {
    return figure.group + ": " + figure.subject;
}

constexpr const char* made_by_key = "made by ";
constexpr const char* over_budget_key = "over its budget: ";

struct Kept {
    std::string made_by;
    std::map<std::string, double> values;
    std::set<std::string> over_budget;
};

Kept read_kept(const std::string& path) {
    std::ifstream file(path);
    if (!file)
        throw std::runtime_error("cannot read " + path);
    Kept kept;
    for (std::string line; std::getline(file, line);) {
        if (line.empty() || line[0] == '#')
            continue;
        if (line.starts_with(made_by_key)) {
            kept.made_by = line.substr(std::string(made_by_key).size());
            continue;
        }
        if (line.starts_with(over_budget_key)) {
            kept.over_budget.insert(line.substr(std::string(over_budget_key).size()));
            continue;
        }
        std::istringstream words(line);
        double value = 0;
        std::string name;
        if (words >> value && std::getline(words >> std::ws, name))
            kept.values[name] = value;
    }
    return kept;
}

bool is_over_budget(const Figure& figure) {
    return figure.budget && !figure.within_budget();
}

} // namespace

void keep_figures(const std::string& path, const Machine& machine, const Figures& figures) {
    std::string text =
        "# SPDX-License-Identifier: MIT\n"
        "# User-space instructions that must not grow by more than a tenth, and what misses its budget: "
        "nothing\n"
        "# else may (test bench.instructions). Where they do for a good reason:\n"
        "#   build/multihome-bench --quick --only instructions --keep tests/bench/figures.txt\n"
        "# Other compilers, other versions of libc and other kinds of build skip the test.\n";
    text += made_by_key + made_by(machine) + '\n';
    for (const Figure& figure : figures.all()) {
        if (!is_guarded(figure))
            continue;
        char value[32];
        std::snprintf(value, sizeof value, "%10.1f  ", figure.value.median);
        text += value + name_of(figure) + '\n';
    }
    for (const Figure& figure : figures.all())
        if (is_over_budget(figure))
            text += over_budget_key + name_of(figure) + '\n';
    write_file(path, text);
}

bool are_comparable(const std::string& path, const Machine& machine) {
    const std::string kept = read_kept(path).made_by;
    const std::string here = made_by(machine);
    if (kept != here)
        std::printf("SKIP the figures were made by %s, this is %s\n", kept.c_str(), here.c_str());
    return kept == here;
}

int compare_figures(const std::string& path, const Figures& figures) {
    const Kept kept = read_kept(path);
    int result = 0;
    size_t compared = 0;
    std::printf("\nAgainst the figures kept\n");
    for (const Figure& figure : figures.all()) {
        const auto before = kept.values.find(name_of(figure));
        if (!is_guarded(figure) || before == kept.values.end())
            continue;
        ++compared;
        const double limit = before->second * allowed_growth + allowed_anyway;
        const bool grown = figure.value.median > limit;
        std::printf("  %-70s %10.1f, kept %10.1f%s\n", name_of(figure).c_str(), figure.value.median,
                    before->second, grown ? "  GROWN" : "");
        if (grown)
            result = 1;
    }
    std::set<std::string> expected = kept.over_budget;
    for (const Figure& figure : figures.all()) {
        const std::string name = name_of(figure);
        const bool was_over = expected.erase(name) != 0;
        if (was_over == is_over_budget(figure))
            continue;
        std::printf("  %-70s %10.1f  %s\n", name.c_str(), figure.value.median,
                    was_over ? "WITHIN ITS BUDGET NOW: keep that" : "OVER ITS BUDGET, which it kept before");
        result = 1;
    }
    for (const std::string& name : expected) {
        std::printf("  %s: was not measured\n", name.c_str());
        result = 1;
    }
    if (compared != kept.values.size()) {
        std::printf("  %zu of the %zu figures kept were not measured\n", kept.values.size() - compared,
                    kept.values.size());
        result = 1;
    }
    return result;
}

} // namespace multihome::bench
