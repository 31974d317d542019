// SPDX-License-Identifier: MIT
//
// What the bench has found out: printed as a table while it comes in, kept as JSON for the tables and the
// picture.
#pragma once

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

    explicit operator bool() const { return high != 0; }
};

// What a figure has to keep to.
struct Budget {
    enum class Kind { none, at_most, at_least, ratio_at_most, ratio_at_least };
    Kind kind = Kind::none;
    double limit = 0;

    Budget() = default;
    // NOLINTNEXTLINE(google-explicit-constructor): a plain number is the most that the value may be
    Budget(double most) : kind(Kind::at_most), limit(most) {}
    Budget(Kind the_kind, double the_limit) : kind(the_kind), limit(the_limit) {}

    explicit operator bool() const { return kind != Kind::none; }
    // "at most 100"
    std::string text() const;
};

struct Figure {
    std::string group;   // what was measured: "one client, recvfrom, IPv4"
    std::string subject; // of what: "native", "shim", "oneTBB"
    std::string unit;
    Sample value;
    // To the subject that the others of the group are compared with: the median of the ratios of each
    // repetition, and its confidence interval.
    Sample ratio = {};
    Budget budget = {};
    std::string note = {};
    std::string part = {}; // of the bench; Figures::add() fills it in

    bool is_within_budget() const;
    std::string name() const { return group + ": " + subject; }
};

class Figures {
public:
    // Starts a part of the table.
    void begin(const std::string& title);
    void add(Figure figure);
    // A line that says why a part is missing.
    void skip(const std::string& what, const std::string& why);

    // "This processor, 2 processors; this kernel; this compiler; this libc".
    std::string machine = here();
    const std::vector<Figure>& all() const { return figures_; }
    const Figure* find(const std::string& group, const std::string& subject) const;
    // Prints the budgets that were missed, and how many there are. True where none was.
    bool are_within_budgets() const;

    // As a file, a figure a line, so that a difference between two runs can be read.
    void write(const std::string& path) const;
    void read(const std::string& path);

private:
    static std::string here();

    std::vector<Figure> figures_;
    std::vector<std::string> skipped_;
    std::string part_;
    std::string last_group_;
};

// 1234567 as "1.23 M", for readers.
std::string readable(double value);
// Of a whole file. They fail where it cannot be.
void write_file(const std::string& path, const std::string& text);
std::string read_file(const std::string& path);

} // namespace multihome::bench
