// SPDX-License-Identifier: MIT
// How every subcommand speaks: a terse table for people, JSON for programs, nothing but the exit status with
// -q. Much of what is printed comes from other processes (their names, their units), so all of it is made
// harmless here.
#pragma once

#include <cstdio>
#include <nlohmann/json_fwd.hpp>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace CLI {
class App;
}

namespace multihome::tools {

/// Keeps the order in which the manual lists the fields. Who builds a document includes nlohmann/json.hpp.
using Json = nlohmann::ordered_json;

/// The `version` field of all JSON. It changes when a field goes or changes its meaning, not when one is
/// added.
constexpr int json_version = 1;

struct OutputOptions {
    bool json = false;  ///< -j
    bool quiet = false; ///< -q: only errors, and the exit status
};

/// Adds -j/--json and -q/--quiet. `options` must live as long as `command`.
void add_output_options(CLI::App& command, OutputOptions& options);

/// A JSON document that holds nothing but its version.
Json json_document();

/// Prints one document to stdout. Bytes that are no UTF-8 become U+FFFD.
void print_json(const Json& document);

/// Gives a closed stdin, stdout or stderr /dev/null: else the next file that is opened would be taken for it.
void open_standard_streams();

/// Writes out what has been printed. `status`, or bad_usage where not all of it could be written, which is
/// said.
int flush_output(int status);

enum class Emphasis { none, bad, dim };

/// Whether `stream` may be sent colours: a terminal, not a dumb one, and NO_COLOR is not set (no-color.org).
bool wants_colour(std::FILE* stream);

/// `text` without what could command a terminal or break a line: control characters become "?".
std::string harmless(std::string_view text);

/// `text` harmless, and as the text format of Prometheus has it between quotes.
std::string prometheus_label(std::string_view text);

/// Columns aligned by blanks, two between them, no lines, as ss(8) and systemctl(1) print them.
class Table {
public:
    explicit Table(std::vector<std::string> headings) : headings_(std::move(headings)) {}

    /// `cells` is filled up with empty ones; what exceeds the headings is not printed. The emphasis is that
    /// of the whole row.
    void add(std::vector<std::string> cells, Emphasis emphasis = Emphasis::none);
    [[nodiscard]] bool empty() const { return rows_.empty(); }
    /// The text with a newline after each row, `colour` or not. `heading`: with the headings.
    [[nodiscard]] std::string text(bool colour, bool heading = true) const;
    /// Prints it, with colours where `stream` wants them.
    void print(std::FILE* stream = stdout) const;

private:
    struct Row {
        std::vector<std::string> cells;
        Emphasis emphasis;
    };
    std::vector<std::string> headings_;
    std::vector<Row> rows_;
};

/// What could not be done, and what to do about it. main() prints it and exits with bad_usage.
class Impossible : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

} // namespace multihome::tools
