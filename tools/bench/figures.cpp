// SPDX-License-Identifier: MIT
#include "tools/bench/figures.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace multihome::bench {

Sample Sample::of(std::vector<double> values) {
    if (values.empty())
        return {};
    std::sort(values.begin(), values.end());
    const size_t middle = values.size() / 2;
    const double median = values.size() % 2 != 0 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
    return {median, values.front(), values.back()};
}

std::string readable(double value) {
    const double size = std::fabs(value);
    char text[32];
    if (size >= 1e9)
        std::snprintf(text, sizeof text, "%.2f G", value / 1e9);
    else if (size >= 1e6)
        std::snprintf(text, sizeof text, "%.2f M", value / 1e6);
    else if (size >= 1e4)
        std::snprintf(text, sizeof text, "%.1f k", value / 1e3);
    else if (size >= 100 || value == std::floor(value))
        std::snprintf(text, sizeof text, "%.0f", value);
    else
        std::snprintf(text, sizeof text, "%.2f", value);
    return text;
}

void Figures::begin(const std::string& title) {
    std::printf("\n%s\n", title.c_str());
    last_group_.clear();
}

void Figures::add(Figure figure) {
    if (figure.group != last_group_) {
        std::printf("  %s\n", figure.group.c_str());
        last_group_ = figure.group;
    }
    const Sample& value = figure.value;
    std::string line = readable(value.median) + ' ' + figure.unit;
    if (value.low != value.high)
        line += " (" + readable(value.low) + " to " + readable(value.high) + ')';
    std::printf("    %-22s %-40s", figure.subject.c_str(), line.c_str());
    if (figure.ratio)
        std::printf(" x %.3f", figure.ratio->median);
    if (figure.budget)
        std::printf(" budget %s: %s", readable(*figure.budget).c_str(),
                    figure.within_budget() ? "kept" : "EXCEEDED");
    if (!figure.note.empty())
        std::printf("  %s", figure.note.c_str());
    std::printf("\n");
    std::fflush(stdout);
    figures_.push_back(std::move(figure));
}

void Figures::skip(const std::string& what, const std::string& why) {
    std::printf("  SKIP %s: %s\n", what.c_str(), why.c_str());
    std::fflush(stdout);
    skipped_.push_back(what + ": " + why);
}

bool Figures::within_budgets() const {
    return std::all_of(figures_.begin(), figures_.end(),
                       [](const Figure& figure) { return figure.within_budget(); });
}

const Figure* Figures::find(const std::string& group, const std::string& subject) const {
    for (const Figure& figure : figures_)
        if (figure.group == group && figure.subject == subject)
            return &figure;
    return nullptr;
}

} // namespace multihome::bench
