// SPDX-License-Identifier: MIT
#include "tools/bench/figures.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fmt/format.h>
#include <fstream>
#include <gnu/libc-version.h>
#include <iterator>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <sys/utsname.h>
#include <thread>

namespace multihome::bench {

using Json = nlohmann::json;
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Sample, median, low, high)
NLOHMANN_JSON_SERIALIZE_ENUM(Budget::Kind, {{Budget::Kind::none, ""},
                                            {Budget::Kind::at_most, "at most"},
                                            {Budget::Kind::at_least, "at least"},
                                            {Budget::Kind::ratio_at_most, "ratio at most"},
                                            {Budget::Kind::ratio_at_least, "ratio at least"}})
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Budget, kind, limit)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(Figure, part, group, subject, unit, value, ratio, budget,
                                                note)

namespace {

// The value at `share` of the way through the sorted `values`, between two of them where it falls there.
double quantile(const std::vector<double>& values, double share) {
    const double place = share * static_cast<double>(values.size() - 1);
    const auto below = static_cast<size_t>(place);
    const size_t above = std::min(below + 1, values.size() - 1);
    return values[below] + (values[above] - values[below]) * (place - static_cast<double>(below));
}

// Six digits are more than any of the figures are worth.
Json rounded(const Json& json) {
    if (json.is_number_float())
        return std::stod(fmt::format("{:.6g}", json.get<double>()));
    if (!json.is_object())
        return json;
    Json result;
    for (const auto& [key, value] : json.items())
        result[key] = rounded(value);
    return result;
}

std::string processor_name() {
    std::ifstream file("/proc/cpuinfo");
    for (std::string line; std::getline(file, line);)
        if (line.starts_with("model name"))
            return line.substr(line.find(": ") + 2);
    return "unknown processor";
}

} // namespace

Sample Sample::of(std::vector<double> values) {
    if (values.empty())
        return {};
    std::sort(values.begin(), values.end());
    return {quantile(values, 0.5), quantile(values, 0.25), quantile(values, 0.75)};
}

Sample Sample::sure(std::vector<double> values) {
    if (values.empty())
        return {};
    std::sort(values.begin(), values.end());
    // How many values lie below the true median is binomial; 1.96 standard deviations of that on either side.
    const auto count = static_cast<double>(values.size());
    const double reach = 1.96 * std::sqrt(count) / 2;
    const double low = std::max(0.0, std::floor(count / 2 - reach) - 1);
    const double high = std::min(count - 1, std::ceil(count / 2 + reach));
    return {quantile(values, 0.5), values[static_cast<size_t>(low)], values[static_cast<size_t>(high)]};
}

std::string Budget::text() const {
    return fmt::format("{} {:g}", Json(kind).get<std::string>(), limit);
}

bool Figure::is_within_budget() const {
    switch (budget.kind) {
    case Budget::Kind::none:
        return true;
    case Budget::Kind::at_most:
        return value.median <= budget.limit;
    case Budget::Kind::at_least:
        return value.median >= budget.limit;
    case Budget::Kind::ratio_at_most:
        return ratio.median <= budget.limit;
    case Budget::Kind::ratio_at_least:
        return ratio.median >= budget.limit;
    }
    return false;
}

std::string readable(double value) {
    const double size = std::fabs(value);
    for (const auto& [from, unit, name] : {std::tuple{1e9, 1e9, " G"}, {1e6, 1e6, " M"}, {1e4, 1e3, " k"}})
        if (size >= from)
            return fmt::format("{:.{}f}{}", value / unit, unit == 1e3 ? 1 : 2, name);
    return fmt::format("{:.{}f}", value,
                       size >= 1000 || value == std::floor(value) ? 0
                       : size >= 100                              ? 1
                                                                  : 2);
}

void Figures::begin(const std::string& title) {
    fmt::print("\n{}\n", title);
    part_ = title;
    last_group_.clear();
}

void Figures::add(Figure figure) {
    if (figure.group != last_group_)
        fmt::print("  {}\n", figure.group);
    last_group_ = figure.group;
    const Sample& value = figure.value;
    std::string line = readable(value.median) + ' ' + figure.unit;
    if (value.low != value.high)
        line += " (" + readable(value.low) + " to " + readable(value.high) + ')';
    fmt::print("    {:<22} {:<40}", figure.subject, line);
    if (figure.ratio)
        fmt::print(" x {:.3f} ({:.3f} to {:.3f})", figure.ratio.median, figure.ratio.low, figure.ratio.high);
    if (figure.budget)
        fmt::print(" {}: {}", figure.budget.text(), figure.is_within_budget() ? "met" : "MISSED");
    fmt::print("{}{}\n", figure.note.empty() ? "" : "  ", figure.note);
    std::fflush(stdout);
    figure.part = part_;
    figures_.push_back(std::move(figure));
}

void Figures::skip(const std::string& what, const std::string& why) {
    fmt::print("  SKIP {}: {}\n", what, why);
    skipped_.push_back(what + ": " + why);
}

const Figure* Figures::find(const std::string& group, const std::string& subject) const {
    for (const Figure& figure : figures_)
        if (figure.group == group && figure.subject == subject)
            return &figure;
    return nullptr;
}

bool Figures::are_within_budgets() const {
    size_t all = 0;
    size_t missed = 0;
    for (const Figure& figure : figures_) {
        all += figure.budget ? 1 : 0;
        if (figure.is_within_budget())
            continue;
        fmt::print("{}  {}: {}, {}\n", missed == 0 ? "\nMissed budgets\n" : "", figure.name(),
                   readable((figure.ratio ? figure.ratio : figure.value).median), figure.budget.text());
        ++missed;
    }
    if (all != 0)
        fmt::print("{} of {} budgets met\n", all - missed, all);
    return missed == 0;
}

std::string Figures::here() {
    utsname name{};
    uname(&name);
#ifdef __clang__
    const std::string compiler = "clang " __clang_version__;
#else
    const std::string compiler = "gcc " __VERSION__;
#endif
    return fmt::format("{}, {} processors; {} {} {}; {}; glibc {}", processor_name(),
                       std::thread::hardware_concurrency(), name.sysname, name.release, name.machine,
                       compiler, gnu_get_libc_version());
}

void Figures::write(const std::string& path) const {
    std::string text = fmt::format(
        "{{\n  \"license\": \"SPDX-License-Identifier: MIT\",\n"
        "  \"low and high\": \"of a value: the quartiles of its repetitions; of a ratio: the 95 % confidence "
        "interval of the median of the repetitions' ratios\",\n  \"machine\": {},\n  \"figures\": [",
        Json(machine).dump());
    const char* separator = "\n";
    for (const Figure& figure : figures_) {
        Json json = rounded(Json(figure));
        if (!figure.ratio)
            json.erase("ratio");
        if (!figure.budget)
            json.erase("budget");
        if (figure.note.empty())
            json.erase("note");
        text += separator + ("    " + json.dump());
        separator = ",\n";
    }
    write_file(path, text + "\n  ],\n  \"skipped\": " + Json(skipped_).dump() + "\n}\n");
}

void Figures::read(const std::string& path) {
    const Json json = Json::parse(read_file(path));
    machine = json.at("machine");
    figures_ = json.at("figures").get<std::vector<Figure>>();
    skipped_ = json.at("skipped").get<std::vector<std::string>>();
}

void write_file(const std::string& path, const std::string& text) {
    std::ofstream file(path);
    file << text;
    file.close();
    if (!file)
        throw std::runtime_error("cannot write " + path);
}

std::string read_file(const std::string& path) {
    std::ifstream file(path);
    if (!file)
        throw std::runtime_error("cannot read " + path);
    return {std::istreambuf_iterator<char>(file), {}};
}

} // namespace multihome::bench
