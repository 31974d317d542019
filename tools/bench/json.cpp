// SPDX-License-Identifier: MIT
#include "tools/bench/output.hpp"

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>

namespace multihome::bench {

namespace {

using Json = nlohmann::ordered_json; // for readers: as it is written here

// Six digits are more than any of the figures are worth.
double rounded(double value) {
    char text[32];
    std::snprintf(text, sizeof text, "%.6g", value);
    return std::strtod(text, nullptr);
}

Json to_json(const Sample& sample) {
    return {{"median", rounded(sample.median)}, {"low", rounded(sample.low)}, {"high", rounded(sample.high)}};
}

Sample to_sample(const Json& json) {
    return {json.at("median"), json.at("low"), json.at("high")};
}

Json to_json(const Budget& budget) {
    return {{"limit", rounded(budget.limit)}, {"at_least", budget.at_least}, {"of_ratio", budget.of_ratio}};
}

Json to_json(const Figure& figure) {
    Json json = {{"part", figure.part},
                 {"group", figure.group},
                 {"subject", figure.subject},
                 {"unit", figure.unit},
                 {"value", to_json(figure.value)}};
    if (figure.ratio)
        json["ratio"] = to_json(*figure.ratio);
    if (figure.budget) {
        json["budget"] = to_json(*figure.budget);
        json["met"] = figure.within_budget();
    }
    if (!figure.note.empty())
        json["note"] = figure.note;
    return json;
}

Figure to_figure(const Json& json) {
    Figure figure{json.at("group"), json.at("subject"), json.at("unit"), to_sample(json.at("value"))};
    if (json.contains("ratio"))
        figure.ratio = to_sample(json.at("ratio"));
    if (json.contains("budget")) {
        const Json& budget = json.at("budget");
        figure.budget = Budget(budget.at("limit"), budget.at("at_least"), budget.at("of_ratio"));
    }
    figure.note = json.value("note", "");
    return figure;
}

Json to_json(const Machine& machine) {
    return {{"processor", machine.processor},
            {"processors", machine.processors},
            {"kernel", machine.kernel},
            {"compiler", machine.compiler},
            {"libc", machine.libc}};
}

} // namespace

void write_file(const std::string& path, const std::string& text) {
    std::ofstream file(path);
    file << text;
    file.close();
    if (!file)
        throw std::runtime_error("cannot write " + path);
}

// One line a figure, so that a difference between two runs can be read.
void write_json(const std::string& path, const Machine& machine, const Figures& figures) {
    std::string text = "{\n  \"license\": \"SPDX-License-Identifier: MIT\",\n";
    text += "  \"low and high\": \"of a value: the quartiles of its repetitions; of a ratio: the 95 % "
            "confidence interval of the median of the repetitions' ratios\",\n";
    text += "  \"machine\": " + to_json(machine).dump() + ",\n  \"figures\": [";
    const char* separator = "\n";
    for (const Figure& figure : figures.all()) {
        text += separator + ("    " + to_json(figure).dump());
        separator = ",\n";
    }
    text += "\n  ],\n  \"skipped\": " + Json(figures.skipped()).dump() + "\n}\n";
    write_file(path, text);
}

void read_json(const std::string& path, Machine& machine, Figures& figures) {
    std::ifstream file(path);
    if (!file)
        throw std::runtime_error("cannot read " + path);
    const Json json = Json::parse(file);
    const Json& where = json.at("machine");
    machine = {where.at("processor"), where.at("processors"), where.at("kernel"), where.at("compiler"),
               where.at("libc")};
    std::string part;
    for (const Json& entry : json.at("figures")) {
        if (entry.at("part") != part)
            figures.begin(part = entry.at("part"));
        figures.add(to_figure(entry));
    }
    for (const Json& entry : json.at("skipped")) {
        const std::string line = entry;
        const size_t colon = line.find(": ");
        figures.skip(line.substr(0, colon), colon != std::string::npos ? line.substr(colon + 2) : "");
    }
}

} // namespace multihome::bench
