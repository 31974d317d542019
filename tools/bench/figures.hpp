// SPDX-License-Identifier: MIT
//
// What the bench has found out: printed as a table while it comes in, kept for the JSON file and the plot.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace multihome::bench {

// The middle of several repetitions and how far they lay apart.
struct Sample {
    double median = 0;
    double low = 0;
    double high = 0;

    static Sample of(std::vector<double> values);
    static Sample exactly(double value) { return {value, value, value}; }
};

struct Figure {
    std::string group;   // what was measured: "request and reply, 32 bytes, 1 thread"
    std::string subject; // of what: "native", "shim", "oneTBB"
    std::string unit;
    Sample value;
    // To the subject that the others of the group are compared with; the median of the ratios of each
    // repetition.
    std::optional<Sample> ratio = {};
    // The most that the value may be.
    std::optional<double> budget = {};
    std::string note = {};

    bool within_budget() const { return !budget || value.median <= *budget; }
};

class Figures {
public:
    // Starts a part of the table.
    void begin(const std::string& title);
    void add(Figure figure);
    // A line that says why a part is missing.
    void skip(const std::string& what, const std::string& why);

    const std::vector<Figure>& all() const { return figures_; }
    bool within_budgets() const;
    const std::vector<std::string>& skipped() const { return skipped_; }
    const Figure* find(const std::string& group, const std::string& subject) const;

private:
    std::vector<Figure> figures_;
    std::vector<std::string> skipped_;
    std::string last_group_;
};

// 1234567 as "1.23 M", for readers.
std::string readable(double value);

} // namespace multihome::bench
