// SPDX-License-Identifier: MIT
#include "tools/bench/figures.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace multihome::bench {

namespace {

// The value at `share` of the way through the sorted `values`, between two of them where it falls there.
double quantile(const std::vector<double>& values, double share) {
    const double place = share * static_cast<double>(values.size() - 1);
    const auto below = static_cast<size_t>(place);
    const size_t above = std::min(below + 1, values.size() - 1);
    return values[below] + (values[above] - values[below]) * (place - static_cast<double>(below));
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

bool Figure::within_budget() const {
    if (!budget)
        return true;
    const double held = budget->of_ratio ? ratio.value_or(Sample{}).median : value.median;
    return budget->at_least ? held >= budget->limit : held <= budget->limit;
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

namespace {

// "budget 100: met"
std::string verdict(const Figure& figure) {
    const Budget& budget = *figure.budget;
    return std::string("budget ") + (budget.at_least ? "at least " : "") + (budget.of_ratio ? "x " : "") +
           readable(budget.limit) + (figure.within_budget() ? ": met" : ": MISSED");
}

} // namespace

void Figures::begin(const std::string& title) {
    std::printf("\n%s\n", title.c_str());
    part_ = title;
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
        std::printf(" x %.3f (%.3f to %.3f)", figure.ratio->median, figure.ratio->low, figure.ratio->high);
    if (figure.budget)
        std::printf(" %s", verdict(figure).c_str());
    if (!figure.note.empty())
        std::printf("  %s", figure.note.c_str());
    std::printf("\n");
    std::fflush(stdout);
    figure.part = part_;
    figures_.push_back(std::move(figure));
}

void Figures::skip(const std::string& what, const std::string& why) {
    std::printf("  SKIP %s: %s\n", what.c_str(), why.c_str());
    std::fflush(stdout);
    skipped_.push_back(what + ": " + why);
}

bool Figures::within_budgets() const {
    size_t all = 0;
    size_t missed = 0;
    for (const Figure& figure : figures_) {
        if (!figure.budget)
            continue;
        if (++all == 1)
            std::printf("\nBudgets\n");
        if (figure.within_budget())
            continue;
        ++missed;
        const double value =
            figure.budget->of_ratio ? figure.ratio.value_or(Sample{}).median : figure.value.median;
        std::printf("  %s, %s: %.4g, %s\n", figure.group.c_str(), figure.subject.c_str(), value,
                    verdict(figure).c_str());
    }
    if (all != 0)
        std::printf("  %zu of %zu met\n", all - missed, all);
    return missed == 0;
}

const Figure* Figures::find(const std::string& group, const std::string& subject) const {
    for (const Figure& figure : figures_)
        if (figure.group == group && figure.subject == subject)
            return &figure;
    return nullptr;
}

} // namespace multihome::bench
