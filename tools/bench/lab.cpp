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

struct Measured {
    Figure figure;
    std::vector<double> values; // in the order of the repetitions
};

// Nothing where the line is none of those.
std::optional<Measured> measured(const std::string& line) {
    std::istringstream words(line);
    std::string keyword;
    Measured result;
    Figure& figure = result.figure;
    const auto word = [&words](std::string& target) {
        return static_cast<bool>(std::getline(words, target, '\t'));
    };
    if (!word(keyword) || keyword != "figure" || !word(figure.group) || !word(figure.subject) ||
        !word(figure.unit) || !word(figure.note))
        return {};
    for (std::string value; word(value);)
        result.values.push_back(std::stod(value));
    figure.value = Sample::of(result.values);
    return result;
}

// Each beside the native program of its group, repetition by repetition.
void compare_with_native(std::vector<Measured>& all) {
    for (Measured& one : all)
        for (const Measured& native : all) {
            if (native.figure.group != one.figure.group || native.figure.subject != "native" ||
                native.values.size() != one.values.size())
                continue;
            std::vector<double> ratios;
            for (size_t index = 0; index < one.values.size(); ++index)
                ratios.push_back(one.values[index] / native.values[index]);
            one.figure.ratio = Sample::sure(ratios);
        }
}

} // namespace

void measure_lab(const Settings& settings, Figures& figures) {
    figures.begin("Between two hosts (network namespaces), against redirecting and connection tracking");
    if (!std::filesystem::exists(MULTIHOME_BENCH_LAB))
        return figures.skip("lab", "the source tree is not here");
    const std::vector<std::string> environment = {
        "MULTIHOME_LIBRARY=" + settings.library, "MULTIHOME_BENCH=" + own_path(),
        std::string("MULTIHOME_BENCH_TURNS=") + (settings.quick ? "3" : "9")};
    Child script({"bash", MULTIHOME_BENCH_LAB}, environment);
    int status = 0;
    const std::string output = script.finish(status);
    std::istringstream lines(output);
    std::string last;
    std::vector<Measured> all;
    for (std::string line; std::getline(lines, line); last = line)
        if (std::optional<Measured> one = measured(line))
            all.push_back(std::move(*one));
    compare_with_native(all);
    for (const Measured& one : all)
        figures.add(one.figure);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        return figures.skip("lab", last.starts_with("SKIP: ") ? last.substr(6) : last);
    if (status != 0)
        figures.skip("lab", "tools/bench/lab.sh failed");
}

} // namespace multihome::bench
