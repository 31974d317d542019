// SPDX-License-Identifier: MIT
//
// The pages of code and of data that the program touches for a request and its reply, libc's and the shim's
// among them. What costs time is not the instructions but the pages and lines that are cold after each system
// call. valgrind's lackey lists every access; the server stores to a word of its own between two requests.
#include "tools/bench/parts.hpp"
#include "tools/bench/process.hpp"
#include "tools/bench/rows.hpp"

#include <array>
#include <deque>
#include <fmt/format.h>
#include <fstream>
#include <set>
#include <stdexcept>

namespace multihome::bench {

namespace {

constexpr unsigned page_bits = 12;
constexpr unsigned counted_requests = 4; // requests, or batches

struct Pages {
    double code = 0;
    double data = 0;
};

// Of a trace with lines as "I  0403f0a0,3" and " S 1ffefff0,8": the last requests alone, on average.
Pages count_pages(std::istream& trace) {
    std::deque<std::array<std::set<uint64_t>, 2>> requests;
    const std::string mark = fmt::format("{:08x},", mark_address);
    for (std::string line; std::getline(trace, line);) {
        if (line.size() > 3 && line.compare(3, mark.size(), mark) == 0)
            requests.emplace_back();
        else if (!requests.empty() && line[0] != '=') // the program's start, before the first, is long
            requests.back()[line[0] == 'I' ? 0 : 1].insert(std::stoull(line.substr(3), nullptr, 16) >>
                                                           page_bits);
        if (requests.size() > counted_requests + 1) // the last has the program's end
            requests.pop_front();
    }
    if (requests.size() < counted_requests + 1)
        throw std::runtime_error("lackey has traced no requests");
    Pages pages;
    for (size_t index = 0; index < counted_requests; ++index) {
        pages.code += static_cast<double>(requests[index][0].size()) / counted_requests;
        pages.data += static_cast<double>(requests[index][1].size()) / counted_requests;
    }
    return pages;
}

Pages measure(const Settings& settings, const Row& row, const Subject& subject) {
    const TemporaryFolder folder;
    const uint64_t warm_up = row.clients.count > 100 ? row.warm_up() : 64;
    const uint64_t requests = uint64_t{counted_requests + 2} * row.together;
    ServerSettings server = row.server_for(subject.native, warm_up, requests);
    server.marks = true;
    std::vector<std::string> command = {"valgrind", "--tool=lackey", "--trace-mem=yes",
                                        "--log-file=" + folder.path() + "/trace"};
    append(command, server.command());
    Child child(command, subject.environment(settings));
    row.ask(child, warm_up, requests, false);
    if (child.finish() != 0)
        throw std::runtime_error("valgrind failed, " + row.name);
    std::ifstream trace(folder.path() + "/trace");
    return count_pages(trace);
}

} // namespace

void measure_pages(const Settings& settings, Figures& figures) {
    figures.begin("Pages touched for a request and its reply (lackey)");
    if (find_program("valgrind").empty())
        return figures.skip("pages", "valgrind is not installed");
    for (const Row& row : all_rows()) {
        if (!row.counts_pages || !settings.is_wanted(row.name))
            continue;
        const std::string of = row.together > 1 ? "a batch" : "a request";
        std::array<Pages, subjects.size()> pages;
        for (size_t index = 0; index < subjects.size(); ++index)
            pages[index] = measure(settings, row, subjects[index]);
        for (size_t index = 0; index < subjects.size(); ++index)
            figures.add({row.name + ", code for " + of, subjects[index].name, "pages",
                         Sample::exactly(pages[index].code)});
        for (size_t index = 0; index < subjects.size(); ++index)
            figures.add({row.name + ", data for " + of, subjects[index].name, "pages",
                         Sample::exactly(pages[index].data)});
    }
}

} // namespace multihome::bench
