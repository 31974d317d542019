// SPDX-License-Identifier: MIT
#include "tools/bench/output.hpp"

#include <algorithm>
#include <cstdio>

namespace multihome::bench {

namespace {

constexpr double width = 860;
constexpr double label_width = 300;
constexpr double bar_width = 380;
constexpr double row_height = 20;
constexpr double margin = 24;

// Colours that can be told apart by the colour-blind (Okabe and Ito), on light and on dark ground.
constexpr const char* style = R"(<style>
  .ground { fill: #ffffff } text { fill: #1f2328; font: 13px sans-serif }
  .title { font-weight: bold; font-size: 15px } .small { font-size: 11px }
  .bare { fill: #999999 } .native { fill: #0072b2 } .shim { fill: #009e73 } .other { fill: #cc79a7 }
  .spread { stroke: #1f2328; stroke-width: 1.5 }
  @media (prefers-color-scheme: dark) {
    .ground { fill: #0d1117 } text { fill: #e6edf3 } .spread { stroke: #e6edf3 } .native { fill: #56b4e9 }
  }
</style>
)";

std::string escaped(const std::string& text) {
    std::string result;
    for (const char next : text) {
        if (next == '<')
            result += "&lt;";
        else if (next == '&')
            result += "&amp;";
        else
            result += next;
    }
    return result;
}

const char* class_of(const std::string& subject) {
    for (const char* known : {"bare", "native", "shim"})
        if (subject == known)
            return known;
    return "other";
}

struct Row {
    std::string label;
    std::string subject;
    Sample value;
    std::string text;
};

class Picture {
public:
    void panel(const std::string& title, const std::vector<Row>& rows) {
        if (rows.empty())
            return;
        y_ += 30;
        text(margin, y_, title, "title");
        y_ += 8;
        double most = 0;
        for (const Row& row : rows)
            most = std::max(most, row.value.high);
        for (const Row& row : rows)
            bar(row, most > 0 ? bar_width / most : 0);
    }

    void text(double x, double y, const std::string& words, const char* class_name = "") {
        char start[96];
        std::snprintf(start, sizeof start, "<text x=\"%.1f\" y=\"%.1f\" class=\"%s\">", x, y, class_name);
        body_ += start + escaped(words) + "</text>\n";
    }

    std::string finish(const std::string& foot) {
        y_ += 34;
        text(margin, y_, foot, "small");
        y_ += 16;
        char start[256];
        std::snprintf(start, sizeof start,
                      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %.0f\" width=\"%.0f\" "
                      "height=\"%.0f\" role=\"img\" aria-label=\"What multihome costs\">\n"
                      "<!-- SPDX-License-Identifier: MIT -->\n",
                      width, y_, width, y_);
        return start + std::string(style) + "<rect class=\"ground\" width=\"100%\" height=\"100%\"/>\n" +
               body_ + "</svg>\n";
    }

private:
    void bar(const Row& row, double scale) {
        text(margin, y_ + 14, row.label);
        const double left = margin + label_width;
        char line[256];
        std::snprintf(line, sizeof line,
                      "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" class=\"%s\"/>\n", left,
                      y_ + 3, std::max(1.0, row.value.median * scale), row_height - 6, class_of(row.subject));
        body_ += line;
        if (row.value.low != row.value.high) {
            std::snprintf(line, sizeof line,
                          "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\" class=\"spread\"/>\n",
                          left + row.value.low * scale, left + row.value.high * scale, y_ + row_height / 2,
                          y_ + row_height / 2);
            body_ += line;
        }
        text(left + row.value.high * scale + 8, y_ + 14, row.text);
        y_ += row_height;
    }

    std::string body_;
    double y_ = 6;
};

std::vector<Row> rows_of(const Figures& figures, const std::string& group, const std::string& label,
                         std::initializer_list<const char*> subjects) {
    std::vector<Row> rows;
    for (const char* subject : subjects) {
        const Figure* figure = figures.find(group, subject);
        if (figure == nullptr)
            continue;
        std::string text = readable(figure->value.median);
        if (figure->ratio) {
            char ratio[32];
            std::snprintf(ratio, sizeof ratio, " (x %.3f)", figure->ratio->median);
            text += ratio;
        }
        rows.push_back({label + subject, subject, figure->value, text});
    }
    return rows;
}

void append(std::vector<Row>& rows, std::vector<Row> more) {
    rows.insert(rows.end(), more.begin(), more.end());
}

} // namespace

void write_svg(const std::string& path, const Machine& machine, const Figures& figures) {
    Picture picture;
    const auto servers = {"bare", "native", "shim"};

    std::vector<Row> instructions;
    append(instructions, rows_of(figures, "request and reply, one peer", "one peer, ", servers));
    append(instructions,
           rows_of(figures, "request and reply, 1000 peers in turn", "1000 peers in turn, ", servers));
    append(instructions, rows_of(figures, "request and reply, batches of 32", "batches of 32, ", servers));
    picture.panel("User-space instructions for a request and its reply", instructions);

    std::vector<Row> times;
    for (const char* size : {"32", "512", "1400"})
        append(times,
               rows_of(figures,
                       std::string("saturated, ") + size + " bytes, 1 thread, the server's processor time",
                       std::string(size) + " bytes, ", servers));
    picture.panel("Nanoseconds of the server's processor time for a request and its reply, loopback", times);

    std::vector<Row> tables;
    for (const char* what : {"look-ups", "updates"})
        append(tables, rows_of(figures, std::string("1.00 M peers, ") + what + ", 4 threads",
                               std::string(what) + ", ",
                               {"shim", "oneTBB", "libcuckoo", "liburcu", "mutex and map"}));
    picture.panel("The peer table alone: operations a second at 1,000,000 peers, 4 threads", tables);
    picture.panel("Bytes for each of 1,000,000 peers",
                  rows_of(figures, "1.00 M peers, memory", "",
                          {"shim", "oneTBB", "libcuckoo", "liburcu", "mutex and map"}));
    write_file(path, picture.finish(machine.line()));
}

} // namespace multihome::bench
