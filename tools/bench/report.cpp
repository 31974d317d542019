// SPDX-License-Identifier: MIT
#include "tools/bench/guard.hpp"
#include "tools/bench/process.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <stdexcept>

namespace multihome::bench {

namespace {

constexpr std::string_view begin_mark = "<!-- bench:begin -->\n";
constexpr std::string_view end_mark = "<!-- bench:end -->";

void add_once(std::vector<std::string>& list, const std::string& word) {
    if (std::find(list.begin(), list.end(), word) == list.end())
        list.push_back(word);
}

std::string cell(const Figure& figure) {
    std::string text = readable(figure.value.median) + ' ' + figure.unit;
    if (figure.ratio && figure.ratio.low != figure.ratio.high)
        text += fmt::format(" (x {:.3f}, {:.3f} to {:.3f})", figure.ratio.median, figure.ratio.low,
                            figure.ratio.high);
    if (figure.budget)
        text +=
            fmt::format(", {}: {}", figure.budget.text(), figure.is_within_budget() ? "met" : "**missed**");
    return text;
}

std::string table(const Figures& figures, const std::string& part) {
    std::vector<std::string> groups;
    std::vector<std::string> subjects;
    for (const Figure& figure : figures.all())
        if (figure.part == part) {
            add_once(groups, figure.group);
            add_once(subjects, figure.subject);
        }
    std::string head = "| |";
    std::string rule = "| --- |";
    for (const std::string& subject : subjects) {
        head += ' ' + subject + " |";
        rule += " --- |";
    }
    std::string text = fmt::format("\n### {}\n\n{}\n{}\n", part, head, rule);
    for (const std::string& group : groups) {
        text += "| " + group + " |";
        for (const std::string& subject : subjects) {
            const Figure* figure = figures.find(group, subject);
            text += ' ' + (figure != nullptr ? cell(*figure) : "") + " |";
        }
        text += '\n';
    }
    return text;
}

std::string tables(const Figures& figures) {
    std::vector<std::string> parts;
    for (const Figure& figure : figures.all())
        add_once(parts, figure.part);
    std::string text = "\nMeasured on " + figures.machine + ".\n";
    for (const std::string& part : parts)
        text += table(figures, part);
    return text + '\n';
}

// A document with other words between the marks.
std::string with_tables(std::string document, const Figures& figures) {
    const size_t begin = document.find(begin_mark);
    const size_t end = document.find(end_mark);
    if (begin == std::string::npos || end == std::string::npos)
        throw std::runtime_error("no marks bench:begin and bench:end in the file for the tables");
    return document.replace(begin + begin_mark.size(), end - begin - begin_mark.size(), tables(figures));
}

// gnuplot writes colours as attributes, which a style sheet overrules. Those for the dark are lighter.
constexpr std::string_view style = R"(<!-- SPDX-License-Identifier: MIT -->
<style>
  svg { background: #ffffff } text { font-family: sans-serif }
  @media (prefers-color-scheme: dark) {
    svg { background: #0d1117 } text { fill: #e6edf3 }
    [stroke='black'], [stroke='rgb( 31,  35,  40)'] { stroke: #9198a1 }
    [stroke='rgb(208, 215, 222)'] { stroke: #30363d }
    [fill='rgb(  0, 114, 178)'] { fill: #56b4e9 }
  }
</style>
)";

} // namespace

void write_tables(const std::string& path, const Figures& figures) {
    write_file(path, with_tables(read_file(path), figures));
}

int check_tables(const std::string& path, const Figures& figures) {
    const std::string document = read_file(path);
    if (document == with_tables(document, figures))
        return 0;
    fmt::print("{} does not have these figures: see --tables\n", path);
    return 1;
}

void write_picture(const std::string& path, const Figures& figures) {
    if (find_program("gnuplot").empty())
        throw std::runtime_error("gnuplot is not installed");
    const TemporaryFolder folder;
    // One figure a line, with tabs between, as picture.gp looks them up.
    std::string data;
    for (const Figure& figure : figures.all())
        data += fmt::format("{}\t{}\t{}\t{}\t{}\n", figure.group, figure.subject, figure.value.median,
                            figure.value.low, figure.value.high);
    write_file(folder.path() + "/figures", data);
    Child gnuplot({"gnuplot", "-c", MULTIHOME_BENCH_SOURCE "/picture.gp", folder.path() + "/figures", path});
    if (gnuplot.finish() != 0)
        throw std::runtime_error("gnuplot failed");
    std::string picture = read_file(path);
    const size_t place = picture.find("<desc>");
    if (place == std::string::npos)
        throw std::runtime_error("gnuplot has drawn nothing");
    write_file(path, picture.insert(place, style));
}

} // namespace multihome::bench
