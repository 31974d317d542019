// SPDX-License-Identifier: MIT
//
// What the picture shows.
#include "tools/bench/output.hpp"
#include "tools/bench/picture.hpp"

#include <fmt/format.h>

namespace multihome::bench {

namespace {

constexpr std::initializer_list<const char*> servers = {"bare", "native", "shim"};
constexpr std::initializer_list<const char*> tables = {"shim", "oneTBB", "libcuckoo", "liburcu",
                                                       "mutex and map"};

std::vector<Row> rows_of(const Figures& figures, const std::string& group, const std::string& label,
                         std::initializer_list<const char*> subjects) {
    std::vector<Row> rows;
    for (const char* subject : subjects) {
        const Figure* figure = figures.find(group, subject);
        if (figure == nullptr)
            continue;
        std::string text = readable(figure->value.median);
        if (figure->ratio && figure->ratio->median != 1)
            text += fmt::format(" (x {:.3f})", figure->ratio->median);
        rows.push_back({label + subject, subject, figure->value, text});
    }
    return rows;
}

void append(std::vector<Row>& rows, const std::vector<Row>& more) {
    rows.insert(rows.end(), more.begin(), more.end());
}

void draw_instructions(Picture& picture, const Figures& figures) {
    std::vector<Row> rows;
    append(rows, rows_of(figures, "request and reply, one peer", "one peer, ", servers));
    append(rows, rows_of(figures, "request and reply, 1000 peers in turn", "1000 peers in turn, ", servers));
    append(rows, rows_of(figures, "request and reply, batches of 32", "batches of 32, ", servers));
    picture.bars("User-space instructions for a request and its reply", rows);
}

void draw_ratios(Picture& picture, const Figures& figures) {
    std::vector<Row> rows;
    const auto add = [&](const std::string& group, const std::string& label) {
        for (const char* subject : {"bare", "shim"}) {
            const Figure* figure = figures.find(group, subject);
            if (figure != nullptr && figure->ratio)
                rows.push_back({label + ", " + subject, subject, *figure->ratio,
                                fmt::format("{:.3f}", figure->ratio->median)});
        }
    };
    for (const char* size : {"32", "512", "1400"})
        add(std::string("saturated, ") + size + " bytes, 1 thread",
            std::string("saturated, ") + size + " bytes");
    add("saturated, 512 bytes, 1 thread, batches", "saturated, batches");
    add("saturated, 512 bytes, 4 threads", "saturated, 4 threads");
    add("all saturated cases", "all 12 saturated cases");
    add("all request and reply cases", "all 12 request/reply cases");
    picture.ratios("Answers a second over loopback, as a ratio to native (95 % confidence; band: 2 %)", 0.9,
                   1.2, rows);
}

// "1 peer", "10 peers in turn", ... as measure_growth() names them.
void draw_growth(Picture& picture, const Figures& figures) {
    Curve native{"native", {}};
    Curve shim{"shim", {}};
    Curve memory{"shim", {}};
    for (const double peers : {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6}) {
        const std::string count = readable(peers) + (peers == 1 ? " peer" : " peers");
        const std::string group = count + (peers == 1 ? "" : " in turn");
        if (const Figure* figure = figures.find(group, "native"))
            native.points.push_back({peers, figure->value});
        if (const Figure* figure = figures.find(group, "shim"))
            shim.points.push_back({peers, figure->value});
        if (const Figure* figure = figures.find(count + ", the table's resident memory", "shim"))
            memory.points.push_back({peers, figure->value});
    }
    if (shim.points.size() < 2)
        return;
    picture.curves("Growth: the server's processor time for a request and its reply",
                   {.title = "peers in turn", .logarithmic = true}, {.title = "nanoseconds"}, {native, shim});
    picture.curves("Growth: the table's resident memory, configured for 1,000,000 peers",
                   {.title = "peers", .logarithmic = true}, {.title = "bytes", .logarithmic = true},
                   {memory});
}

void draw_table(Picture& picture, const Figures& figures) {
    std::vector<Row> rows;
    for (const char* what : {"look-ups", "updates"})
        append(rows, rows_of(figures, std::string("1.00 M peers, ") + what + ", 4 threads",
                             std::string(what) + ", ", tables));
    picture.bars("The peer table alone: operations a second, 1,000,000 peers, 4 threads (x: to ours)", rows);
    picture.bars("Cache lines touched by a look-up, 1,000,000 peers",
                 rows_of(figures, "1.00 M peers, look-ups, cache lines touched", "", tables));
    picture.bars("Bytes for each of 1,000,000 peers", rows_of(figures, "1.00 M peers, memory", "", tables));
}

void draw_lab(Picture& picture, const Figures& figures) {
    std::vector<Row> rows;
    for (const auto& [title, label] : {std::pair{"addresses on one interface", "one interface, "},
                                       std::pair{"addresses on two interfaces", "two interfaces, "}})
        append(rows,
               rows_of(figures,
                       std::string(title) + ", the processor time of both ends at 40000 requests a second",
                       label, {"bare", "native", "shim", "redirect", "DNAT and marks"}));
    picture.bars("Between two hosts: nanoseconds of both ends' processor time for an answer (x: to native)",
                 rows);
    rows.clear();
    for (const Figure& figure : figures.all())
        if (figure.group.ends_with(", new ones")) {
            const bool once = figure.group.find("asked once") != std::string::npos;
            rows.push_back({(once ? "by peers that asked once, " : "by peers that go on, ") + figure.subject,
                            figure.subject, figure.value, readable(figure.value.median) + " %"});
        }
    picture.bars("New peers served, 100,000 a second, when nf_conntrack_max has been reached", rows);
}

} // namespace

void write_svg(const std::string& path, const Machine& machine, const Figures& figures) {
    Picture picture("What multihome costs");
    picture.legend({{"bare", "bare: a program that does nothing about it, and answers from wrong addresses"},
                    {"native", "native: a program that uses IP_PKTINFO itself"},
                    {"shim", "shim: the bare program with multihome"},
                    {"other", "other ways"}});
    draw_instructions(picture, figures);
    draw_ratios(picture, figures);
    draw_growth(picture, figures);
    draw_table(picture, figures);
    draw_lab(picture, figures);
    write_file(path,
               picture.finish({"Lines over bars and through points: the middle half of the repetitions, "
                               "for ratios the 95 % confidence interval of the median.",
                               machine.line()}));
}

} // namespace multihome::bench
