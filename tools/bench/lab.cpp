// SPDX-License-Identifier: MIT
//
// The part that needs two network namespaces is a shell script. It prints a line for each figure, with tabs
// between: "figure GROUP SUBJECT UNIT NOTE VALUE VALUE...".
#include "tools/bench/network.hpp"
#include "tools/bench/parts.hpp"

#include <map>
#include <sstream>

namespace multihome::bench {

void measure_lab(const Settings& settings, Figures& figures) {
    figures.begin("Between two hosts (network namespaces), against redirecting and connection tracking");
    leave_own_network();
    Child script({"bash", MULTIHOME_BENCH_SOURCE "/lab.sh"},
                 {"MULTIHOME_LIBRARY=" + settings.library, "MULTIHOME_BENCH=" + own_path(),
                  std::string("MULTIHOME_BENCH_TURNS=") + (settings.quick ? "3" : "9")});
    std::string output;
    const int status = script.finish(&output);
    std::istringstream lines(output);
    std::string last;
    std::vector<std::pair<Figure, std::vector<double>>>
        all;                                           // with its values in the order of the repetitions
    std::map<std::string, std::vector<double>> native; // by group
    for (std::string line; std::getline(lines, line); last = line) {
        std::istringstream words(line);
        std::string keyword;
        Figure figure;
        for (std::string* word : {&keyword, &figure.group, &figure.subject, &figure.unit, &figure.note})
            std::getline(words, *word, '\t');
        if (keyword != "figure")
            continue;
        std::vector<double> values;
        for (double value = 0; words >> value;)
            values.push_back(value);
        figure.value = Sample::of(values);
        if (figure.subject == "native")
            native[figure.group] = values;
        all.emplace_back(figure, values);
    }
    // Each beside the native program of its group, repetition by repetition.
    for (auto& [figure, values] : all) {
        std::vector<double> ratios;
        for (size_t index = 0; index < std::min(values.size(), native[figure.group].size()); ++index)
            ratios.push_back(values[index] / native[figure.group][index]);
        figure.ratio = Sample::sure(ratios);
        figures.add(figure);
    }
    if (status != 0)
        figures.skip("lab", last.starts_with("SKIP: ") ? last.substr(6) : "tools/bench/lab.sh failed");
}

} // namespace multihome::bench
