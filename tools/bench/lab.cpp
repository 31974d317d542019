// SPDX-License-Identifier: MIT
//
// The part that needs two network namespaces is a shell script. It prints a line for each figure, with tabs
// between: "figure GROUP SUBJECT UNIT NOTE VALUE VALUE...".
#include "tools/bench/parts.hpp"
#include "tools/bench/process.hpp"

#include <filesystem>
#include <sstream>
#include <sys/wait.h>

namespace multihome::bench {

namespace {

void add_line(const std::string& line, Figures& figures) {
    std::istringstream words(line);
    std::string keyword;
    Figure figure;
    std::vector<double> values;
    const auto word = [&words](std::string& target) {
        return static_cast<bool>(std::getline(words, target, '\t'));
    };
    if (!word(keyword) || keyword != "figure" || !word(figure.group) || !word(figure.subject) ||
        !word(figure.unit) || !word(figure.note))
        return;
    for (std::string value; word(value);)
        values.push_back(std::stod(value));
    figure.value = Sample::of(values);
    figures.add(figure);
}

} // namespace

void measure_lab(const Settings& settings, Figures& figures) {
    figures.begin("Between two hosts (network namespaces), against redirecting and connection tracking");
    if (!std::filesystem::exists(MULTIHOME_BENCH_LAB))
        return figures.skip("lab", "the source tree is not here");
    std::vector<std::string> environment = {"MULTIHOME_LIBRARY=" + settings.library,
                                            "MULTIHOME_BENCH=" + own_path()};
    if (settings.quick)
        environment.insert(environment.end(), {"MULTIHOME_BENCH_TURNS=3", "MULTIHOME_BENCH_QUICK=1"});
    else
        environment.emplace_back("MULTIHOME_BENCH_TURNS=7");
    Child script({"bash", MULTIHOME_BENCH_LAB}, environment);
    int status = 0;
    const std::string output = script.finish(status);
    std::istringstream lines(output);
    std::string last;
    for (std::string line; std::getline(lines, line); last = line)
        add_line(line, figures);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        return figures.skip("lab", last.starts_with("SKIP: ") ? last.substr(6) : last);
    if (status != 0)
        figures.skip("lab", "tools/bench/lab.sh failed");
}

} // namespace multihome::bench
