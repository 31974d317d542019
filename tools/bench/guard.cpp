// SPDX-License-Identifier: MIT
#include "tools/bench/guard.hpp"

#include <fmt/format.h>
#include <gnu/libc-version.h>
#include <map>
#include <sstream>

namespace multihome::bench {

namespace {

constexpr double allowed_growth = 1.10;
// A count of ten or so must not fail for one instruction that another register allocation brings.
constexpr double allowed_anyway = 1.5;

constexpr std::string_view heading =
    "# SPDX-License-Identifier: MIT\n"
    "# Instructions that must not grow by more than a tenth, and what misses its budget, each with its "
    "reason: nothing\n"
    "# else may (test bench.instructions). Where they do for a good reason:\n"
    "#   build/multihome-bench instructions --quick --keep tests/bench/figures.txt\n"
    "# keeps the reasons that are here, and asks for those that are missing. Other compilers, other versions "
    "of libc and\n"
    "# other kinds of build skip the test.\n";
constexpr std::string_view made_by_key = "made by ";
constexpr std::string_view over_budget_key = "over its budget: ";
constexpr std::string_view because = ", because ";
constexpr std::string_view no_reason = "(say why)";

std::string made_by_us() {
    return fmt::format("gcc {}, glibc {}, {}", __VERSION__, gnu_get_libc_version(), MULTIHOME_BENCH_BUILD);
}

bool is_guarded(const Figure& figure) {
    return figure.subject.starts_with("above ") &&
           (figure.unit == "instructions" || figure.unit == "page faults");
}

struct Kept {
    std::string made_by;
    std::map<std::string, double> values;
    std::map<std::string, std::string> excused; // with the reason
};

Kept read_kept(const std::string& path) {
    std::istringstream file(read_file(path));
    Kept kept;
    for (std::string line; std::getline(file, line);) {
        std::istringstream words(line);
        double value = 0;
        std::string name;
        if (line.starts_with(made_by_key)) {
            kept.made_by = line.substr(made_by_key.size());
        } else if (line.starts_with(over_budget_key)) {
            const size_t end = std::min(line.find(because), line.size());
            const size_t reason = std::min(end + because.size(), line.size());
            kept.excused[line.substr(over_budget_key.size(), end - over_budget_key.size())] =
                line.substr(reason);
        } else if (words >> value && std::getline(words >> std::ws, name)) {
            kept.values[name] = value;
        }
    }
    return kept;
}

} // namespace

void keep_figures(const std::string& path, const Figures& figures) {
    const Kept before = read_kept(path);
    std::string values;
    std::string over;
    for (const Figure& figure : figures.all()) {
        if (!is_guarded(figure))
            continue;
        values += fmt::format("{:10.1f}  {}\n", figure.value.median, figure.name());
        if (figure.is_within_budget())
            continue;
        const auto reason = before.excused.find(figure.name());
        over += fmt::format("{}{}{}{}\n", over_budget_key, figure.name(), because,
                            reason != before.excused.end() ? reason->second : no_reason);
    }
    write_file(path, fmt::format("{}{}{}\n{}{}", heading, made_by_key, made_by_us(), values, over));
}

bool are_comparable(const std::string& path) {
    const std::string kept = read_kept(path).made_by;
    if (kept != made_by_us())
        fmt::print("SKIP the figures were made by {}, this is {}\n", kept, made_by_us());
    return kept == made_by_us();
}

int compare_figures(const std::string& path, const Figures& figures,
                    const std::function<bool(const std::string&)>& is_wanted) {
    Kept kept = read_kept(path);
    int result = 0;
    const auto complain = [&](const std::string& name, const std::string& what) {
        fmt::print("  {}: {}\n", name, what);
        result = 1;
    };
    fmt::print("\nAgainst {}\n", path);
    for (const Figure& figure : figures.all()) {
        if (!is_guarded(figure))
            continue;
        const std::string name = figure.name();
        const double value = figure.value.median;
        if (const auto before = kept.values.find(name); before == kept.values.end())
            complain(name, "is not kept there");
        else if (value > before->second * allowed_growth + allowed_anyway)
            complain(name, fmt::format("{:.1f}, GROWN from {:.1f}", value, before->second));
        kept.values.erase(name);
        const auto excuse = kept.excused.find(name);
        if (figure.is_within_budget() == (excuse != kept.excused.end()))
            complain(name, fmt::format("{:.1f}, {}: {}", value, figure.budget.text(),
                                       figure.is_within_budget() ? "it is within its budget now, keep that"
                                                                 : "OVER ITS BUDGET, and no excuse is kept"));
        else if (excuse != kept.excused.end() && (excuse->second.empty() || excuse->second == no_reason))
            complain(name, "is over its budget without a reason");
    }
    for (const auto& [name, value] : kept.values)
        if (is_wanted(name.substr(0, name.rfind(": "))))
            complain(name, "was not measured");
    return result;
}

} // namespace multihome::bench
