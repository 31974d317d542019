// SPDX-License-Identifier: MIT
//
// What the bench has found out: printed as a table while it comes in, kept for the JSON file and the plot.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace multihome::bench {

// The middle of several repetitions, and how sure it is.
struct Sample {
    double median = 0;
    double low = 0;
    double high = 0;

    // `low` and `high`: the quartiles, between which half of the repetitions lay. They do not move apart with
    // more repetitions, as the extremes would.
    static Sample of(std::vector<double> values);
    // `low` and `high`: the 95 % confidence interval of the median, by the order of the values alone: it
    // holds whatever their distribution is.
    static Sample sure(std::vector<double> values);
    static Sample exactly(double value) { return {value, value, value}; }
};

// What a figure has to keep to.
struct Budget {
    double limit = 0;
    bool at_least = false; // else: at most
    bool of_ratio = false; // else: of the value

    // NOLINTNEXTLINE(google-explicit-constructor): a plain number is the most that the value may be
    Budget(double most) : limit(most) {}
    Budget(double the_limit, bool is_at_least, bool is_of_ratio)
        : limit(the_limit), at_least(is_at_least), of_ratio(is_of_ratio) {}

    static Budget ratio_at_most(double limit) { return {limit, false, true}; }
    static Budget ratio_at_least(double limit) { return {limit, true, true}; }
};

struct Figure {
    std::string group;   // what was measured: "request and reply, 32 bytes, 1 thread"
    std::string subject; // of what: "native", "shim", "oneTBB"
    std::string unit;
    Sample value;
    // To the subject that the others of the group are compared with: the median of the ratios of each
    // repetition, and its confidence interval.
    std::optional<Sample> ratio = {};
    std::optional<Budget> budget = {};
    std::string note = {};
    std::string part = {}; // of the bench; Figures::add() fills it in

    bool within_budget() const;
};

class Figures {
public:
    // Starts a part of the table.
    void begin(const std::string& title);
    void add(Figure figure);
    // A line that says why a part is missing.
    void skip(const std::string& what, const std::string& why);

    const std::vector<Figure>& all() const { return figures_; }
    // Prints the budgets that were missed, and how many there are. True where none was.
    bool within_budgets() const;
    const std::vector<std::string>& skipped() const { return skipped_; }
    const Figure* find(const std::string& group, const std::string& subject) const;

private:
    std::vector<Figure> figures_;
    std::vector<std::string> skipped_;
    std::string part_;
    std::string last_group_;
};

// 1234567 as "1.23 M", for readers.
std::string readable(double value);

} // namespace multihome::bench
