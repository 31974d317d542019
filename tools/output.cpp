// SPDX-License-Identifier: MIT
#include "tools/output.hpp"

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fmt/core.h>
#include <nlohmann/json.hpp>
#include <utility>

#include "tools/subcommands.hpp"

namespace multihome::tools {
namespace {

/// Columns that a text takes on a terminal: UTF-8 continuation bytes take none.
std::size_t width_of(std::string_view text) {
    return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char byte) {
        return (static_cast<unsigned char>(byte) & 0xc0U) != 0x80U;
    }));
}

std::string_view colour_code(Emphasis emphasis) {
    switch (emphasis) {
    case Emphasis::bad:
        return "\033[1;31m";
    case Emphasis::dim:
        return "\033[2m";
    case Emphasis::none:
        break;
    }
    return {};
}

} // namespace

void add_output_options(CLI::App& command, OutputOptions& options) {
    command.add_flag("-j,--json", options.json, "Print JSON; multihomectl(8) states its fields");
    command.add_flag("-q,--quiet", options.quiet, "Print nothing but errors: the exit status tells");
}

Json json_document() {
    return Json{{"version", json_version}};
}

void print_json(const Json& document) {
    fmt::print("{}\n", document.dump(2, ' ', false, Json::error_handler_t::replace));
}

void open_standard_streams() {
    for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
        if (fcntl(stream, F_GETFD) < 0)
            open("/dev/null", O_RDWR | O_CLOEXEC); // the lowest number that is free
}

int flush_output(int status) {
    if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0)
        return status;
    // NOLINTNEXTLINE(concurrency-mt-unsafe): this program has one thread
    fmt::print(stderr, "multihomectl: its output cannot be written: {}\n", std::strerror(errno));
    return bad_usage;
}

bool wants_colour(std::FILE* stream) {
    // NOLINTBEGIN(concurrency-mt-unsafe): this program has one thread
    const char* refused = std::getenv("NO_COLOR");
    const char* terminal = std::getenv("TERM");
    // NOLINTEND(concurrency-mt-unsafe)
    return (refused == nullptr || *refused == '\0') && terminal != nullptr &&
           std::string_view{terminal} != "dumb" && isatty(fileno(stream)) == 1;
}

std::string harmless(std::string_view text) {
    std::string result{text};
    std::replace(result.begin(), result.end(), '\n', ' '); // what another program has said in several lines
    std::replace_if(
        result.begin(), result.end(),
        [](char byte) { return static_cast<unsigned char>(byte) < 0x20U || byte == 0x7f; }, '?');
    // The C1 controls (U+0080 to U+009F) command a terminal as well; in UTF-8 they are 0xc2 and one byte.
    for (std::size_t at = 0; (at = result.find('\xc2', at)) != std::string::npos && at + 1 < result.size();
         ++at)
        if (static_cast<unsigned char>(result[at + 1]) < 0xa0U)
            result.replace(at, 2, "?");
    return result;
}

std::string prometheus_label(std::string_view text) {
    std::string escaped;
    for (const char byte : harmless(text)) {
        if (byte == '\\' || byte == '"')
            escaped += '\\';
        escaped += byte;
    }
    return escaped;
}

void Table::add(std::vector<std::string> cells, Emphasis emphasis) {
    cells.resize(headings_.size());
    for (std::string& cell : cells)
        cell = harmless(cell);
    rows_.push_back({std::move(cells), emphasis});
}

std::string Table::text(bool colour, bool heading) const {
    std::vector<std::size_t> widths(headings_.size(), 0);
    const auto widen = [&](const std::vector<std::string>& cells) {
        for (std::size_t column = 0; column < widths.size(); ++column)
            widths[column] = std::max(widths[column], width_of(cells[column]));
    };
    if (heading)
        widen(headings_);
    for (const Row& row : rows_)
        widen(row.cells);
    const auto line_of = [&](const std::vector<std::string>& cells) {
        std::string line;
        std::size_t missing = 0; // blanks up to the next column, written only if something follows
        for (std::size_t column = 0; column < cells.size(); ++column) {
            if (!cells[column].empty()) {
                line.append(missing, ' ').append(cells[column]);
                missing = 0;
            }
            missing += widths[column] - width_of(cells[column]) + 2;
        }
        return line;
    };
    std::string result;
    if (heading)
        result = line_of(headings_) + "\n";
    for (const Row& row : rows_) {
        const std::string_view code = colour ? colour_code(row.emphasis) : std::string_view{};
        result.append(code).append(line_of(row.cells)).append(code.empty() ? "\n" : "\033[0m\n");
    }
    return result;
}

void Table::print(std::FILE* stream) const {
    fmt::print(stream, "{}", text(wants_colour(stream)));
}

} // namespace multihome::tools
