// SPDX-License-Identifier: MIT
#include "tools/bench/output.hpp"

#include <fstream>
#include <stdexcept>

namespace multihome::bench {

namespace {

std::string quoted(const std::string& text) {
    std::string result = "\"";
    for (const char next : text) {
        if (next == '"' || next == '\\')
            result += '\\';
        // Nothing that we print holds control characters; a processor's name might.
        result += static_cast<unsigned char>(next) < ' ' ? ' ' : next;
    }
    return result + '"';
}

std::string number(double value) {
    char text[32];
    std::snprintf(text, sizeof text, "%.6g", value);
    return text;
}

std::string sample(const Sample& value) {
    return "{\"median\": " + number(value.median) + ", \"low\": " + number(value.low) +
           ", \"high\": " + number(value.high) + '}';
}

} // namespace

void write_file(const std::string& path, const std::string& text) {
    std::ofstream file(path);
    file << text;
    file.close();
    if (!file)
        throw std::runtime_error("cannot write " + path);
}

void write_json(const std::string& path, const Machine& machine, const Figures& figures) {
    std::string text = "{\n  \"license\": \"SPDX-License-Identifier: MIT\",\n  \"machine\": {\n";
    text += "    \"processor\": " + quoted(machine.processor) + ",\n";
    text += "    \"processors\": " + std::to_string(machine.processors) + ",\n";
    text += "    \"kernel\": " + quoted(machine.kernel) + ",\n";
    text += "    \"compiler\": " + quoted(machine.compiler) + ",\n";
    text += "    \"libc\": " + quoted(machine.libc) + "\n  },\n  \"figures\": [";
    const char* separator = "\n";
    for (const Figure& figure : figures.all()) {
        text += separator;
        separator = ",\n";
        text += "    {\"group\": " + quoted(figure.group) + ", \"subject\": " + quoted(figure.subject) +
                ", \"unit\": " + quoted(figure.unit) + ", \"value\": " + sample(figure.value);
        if (figure.ratio)
            text += ", \"ratio\": " + sample(*figure.ratio);
        if (figure.budget)
            text += ", \"budget\": " + number(*figure.budget);
        if (!figure.note.empty())
            text += ", \"note\": " + quoted(figure.note);
        text += '}';
    }
    text += "\n  ],\n  \"skipped\": [";
    separator = "";
    for (const std::string& skipped : figures.skipped()) {
        text += separator + quoted(skipped);
        separator = ", ";
    }
    text += "]\n}\n";
    write_file(path, text);
}

} // namespace multihome::bench
