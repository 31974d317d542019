// SPDX-License-Identifier: MIT
//
// The main figures as the tables that the README shows.
#include "tools/bench/output.hpp"

#include <fmt/format.h>
#include <fstream>
#include <iterator>
#include <stdexcept>

namespace multihome::bench {

namespace {

constexpr std::string_view begin_mark = "<!-- bench:begin -->\n";
constexpr std::string_view end_mark = "<!-- bench:end -->";

class Table {
public:
    Table(const Figures& figures, const std::string& heads) : figures_(figures) {
        text_ = "| " + heads + " |\n|";
        for (const char next : " | " + heads)
            if (next == '|')
                text_ += " --- |";
        text_ += '\n';
    }

    // A row of the group's subjects; none where nothing of it was measured. A subject may be "group: subject"
    // of another group.
    void row(const std::string& label, const std::string& group, const std::vector<std::string>& subjects) {
        std::string line = "| " + label + " |";
        bool any = false;
        for (const std::string& subject : subjects) {
            const Figure* figure = find(group, subject);
            any = any || figure != nullptr;
            line += ' ' + (figure != nullptr ? cell(*figure) : "") + " |";
        }
        if (any)
            text_ += line + '\n';
    }

    std::string finish() const { return text_; }

private:
    const Figure* find(const std::string& group, const std::string& subject) const {
        const size_t colon = subject.find(": ");
        return colon != std::string::npos ? figures_.find(subject.substr(0, colon), subject.substr(colon + 2))
                                          : figures_.find(group, subject);
    }

    static std::string unit_of(const Figure& figure) {
        if (figure.unit == "instructions" || figure.unit == "calls" || figure.unit == "lines")
            return ""; // the row's label says it
        if (figure.unit == "bytes/peer")
            return " B";
        if (figure.unit == "ns/answer")
            return " ns";
        return ' ' + figure.unit;
    }

    // Where a ratio is all that there is to say, the ratio; where there is a budget, whether it was met.
    static std::string cell(const Figure& figure) {
        std::string text;
        if (figure.unit == "of native's rate") {
            text = fmt::format("x {:.3f} ({:.3f} to {:.3f})", figure.ratio->median, figure.ratio->low,
                               figure.ratio->high);
        } else {
            text = readable(figure.value.median) + unit_of(figure);
            if (figure.ratio && figure.ratio->median != 1)
                text += fmt::format(" (x {:.3f})", figure.ratio->median);
        }
        // Where the budget is another column of the same row, the verdict is to be seen.
        const bool is_beside = figure.unit == "calls" || figure.unit == "/s";
        if (figure.budget && (!is_beside || !figure.within_budget()))
            text += fmt::format(", {} {:g}: {}", figure.budget->at_least ? "at least" : "at most",
                                figure.budget->limit, figure.within_budget() ? "met" : "**missed**");
        return text;
    }

    const Figures& figures_;
    std::string text_;
};

std::string servers_table(const Figures& figures) {
    Table table(figures, "For a request and its reply | bare | native | multihome | above native");
    const std::vector<std::string> subjects = {"bare", "native", "shim", "shim above native"};
    table.row("user-space instructions, one client", "request and reply, one peer", subjects);
    table.row("the same, 1000 clients in turn", "request and reply, 1000 peers in turn", subjects);
    table.row("the same, batches of 32", "request and reply, batches of 32", subjects);
    table.row("the same, recvmsg and sendmsg, one client", "request and reply, one peer, recvmsg and sendmsg",
              subjects);
    table.row("the same, IPv6, one client", "request and reply, one peer, IPv6", subjects);
    table.row("the same, IPv4 on an IPv6 socket, one client",
              "request and reply, one peer, IPv4 on an IPv6 socket", subjects);
    table.row("system calls", "recvfrom and sendto, IPv4, 100 peers in turn", subjects);
    table.row("saturated, 512 bytes, 1 thread", "saturated, 512 bytes, 1 thread", subjects);
    table.row("its processor time in the program", "the program's own part", subjects);
    table.row("its processor time in the kernel", "the kernel's part", subjects);
    table.row("rate, all 12 saturated cases (95 % confidence)", "all saturated cases",
              {"bare", "", "shim", ""});
    table.row("rate, all 12 request/reply cases", "all request and reply cases", {"bare", "", "shim", ""});
    table.row("processor time, 1 client", "1 peer", subjects);
    table.row("processor time, 1,000,000 clients in turn", "1.00 M peers in turn", subjects);
    return table.finish();
}

std::string others_table(const Figures& figures) {
    Table table(figures, "Once, or for what is none of ours | bare | multihome | above bare");
    const std::vector<std::string> subjects = {"bare", "shim", "above bare"};
    const std::string prefix = "a call on what is not ours, ";
    for (const char* call :
         {"tcp, sendto and recvfrom", "tcp, sendmsg and recvmsg", "unix stream, sendmsg and recvmsg",
          "file, read and write", "file, fcntl twice", "file, dup and close"})
        table.row(std::string("instructions of a call: ") + call, prefix + call, subjects);
    table.row("instructions at process start", "process start, true", subjects);
    table.row("the library, stripped", "the library, stripped", {"", "shim", ""});
    table.row("1000 honest clients answered late under a spoofed flood of ten times the table's size", "",
              {"", "end to end, a table for 262.1 k peers (the default): 1000 honest peers", ""});
    return table.finish();
}

std::string tables_table(const Figures& figures) {
    Table table(figures,
                "The table alone | multihome | oneTBB | libcuckoo | liburcu | mutex and unordered_map");
    const std::vector<std::string> subjects = {"shim", "oneTBB", "libcuckoo", "liburcu", "mutex and map"};
    for (const char* size : {"1.00 M peers", "10.00 M peers"}) {
        const std::string name = size;
        table.row("look-ups, " + name + ", 4 threads", name + ", look-ups, 4 threads", subjects);
        table.row("updates, " + name + ", 4 threads", name + ", updates, 4 threads", subjects);
        table.row("cache lines touched by a look-up", name + ", look-ups, cache lines touched", subjects);
        table.row("bytes for each of " + name, name + ", memory", subjects);
        table.row("of " + name + " still known", name + ", peers found", subjects);
    }
    return table.finish();
}

std::string lab_table(const Figures& figures) {
    Table table(figures, "Between two hosts | native | multihome | nftables and connection tracking");
    for (const auto& [title, other] : {std::pair{"addresses on one interface", "redirect"},
                                       std::pair{"addresses on two interfaces", "DNAT and marks"}}) {
        const std::string name = title;
        table.row(name + ", saturated", name + ", saturated", {"native", "shim", other});
        table.row("processor time of both ends",
                  name + ", the processor time of both ends at 40000 requests a second",
                  {"native", "shim", other});
    }
    table.row("memory for each of 200,000 clients", "memory for each of 200000 peers",
              {"", "shim", "redirect"});
    for (const Figure& figure : figures.all())
        if (figure.subject == "redirect" && figure.unit == "% served")
            table.row(figure.group, figure.group, {"", "shim", "redirect"});
    return table.finish();
}

std::string report(const Machine& machine, const Figures& figures) {
    return servers_table(figures) + '\n' + others_table(figures) + '\n' + tables_table(figures) + '\n' +
           lab_table(figures) + "\nMeasured on " + machine.line() + ".\n";
}

struct Document {
    std::string text;
    size_t begin;
    size_t end;
};

Document read_document(const std::string& path) {
    std::ifstream file(path);
    Document document{{std::istreambuf_iterator<char>(file), {}}, 0, 0};
    document.begin = document.text.find(begin_mark);
    document.end = document.text.find(end_mark);
    if (document.begin == std::string::npos || document.end == std::string::npos)
        throw std::runtime_error("no marks bench:begin and bench:end in " + path);
    document.begin += begin_mark.size();
    return document;
}

} // namespace

void write_report(const std::string& path, const Machine& machine, const Figures& figures) {
    Document document = read_document(path);
    document.text.replace(document.begin, document.end - document.begin, report(machine, figures));
    write_file(path, document.text);
}

int check_report(const std::string& path, const Machine& machine, const Figures& figures) {
    const Document document = read_document(path);
    if (document.text.substr(document.begin, document.end - document.begin) == report(machine, figures))
        return 0;
    std::printf("%s does not have these figures: see --report\n", path.c_str());
    return 1;
}

} // namespace multihome::bench
