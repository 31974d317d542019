// SPDX-License-Identifier: MIT
//
// System calls per request and reply, counted by strace: the difference between a long run and a short one.
#include "tools/bench/parts.hpp"
#include "tools/bench/rows.hpp"

#include <sstream>
#include <stdexcept>

namespace multihome::bench {

namespace {

struct CallCounts {
    double all = 0;
    double waits_at_gate = 0; // where the server has one
};

CallCounts count(const Settings& settings, const Row& row, const Subject& subject, uint64_t requests) {
    const TemporaryFolder folder;
    const std::string output = folder.path() + "/calls";
    Words command = {"strace", "-f", "-qq", "-o", output};
    for (const std::string& variable : subject.environment(settings))
        append(command, {"-E", variable});
    append(command, row.server_for(subject.native, row.warm_up(), requests).command());
    Child child(command);
    row.ask(child, row.warm_up(), requests, subject.native || subject.shim);
    if (child.finish() != 0)
        throw std::runtime_error("strace failed, " + row.name);
    std::istringstream lines(read_file(output));
    CallCounts calls;
    for (std::string line; std::getline(lines, line); calls.all += 1)
        if (line.find(" read(0, ") != std::string::npos)
            calls.waits_at_gate += 1;
    return calls;
}

// A batch that a busy machine delivers in two parts takes the server twice around its loop: what counts is
// what one time around costs.
double for_each_request(const Row& row, const CallCounts& few, const CallCounts& more, uint64_t requests) {
    const double around = row.server.gated
                              ? (more.waits_at_gate - few.waits_at_gate) * static_cast<double>(row.together)
                              : static_cast<double>(requests);
    return (more.all - few.all) / around;
}

} // namespace

void measure_system_calls(const Settings& settings, Figures& figures) {
    figures.begin("System calls per request and reply (strace)");
    if (find_program("strace").empty())
        return figures.skip("system calls", "strace is not installed");
    if (Child({"strace", "-o", "/dev/null", "true"}).finish() != 0)
        return figures.skip("system calls", "strace is not permitted to trace here");
    constexpr uint64_t few = uint64_t{10} * largest_batch;
    const uint64_t more = uint64_t{settings.quick ? 10U : 20U} * largest_batch;
    // A call now and then, once in some hundred packets, is none for each of them.
    constexpr double rounding = 0.005;
    for (const Row& row : all_rows()) {
        if (!row.counts_calls || !settings.is_wanted(row.name))
            continue;
        double native = 0;
        for (const size_t index : {native_server, bare_server, shim_server}) {
            if (settings.quick && index == bare_server)
                continue;
            const Subject& subject = subjects[index];
            const double each = for_each_request(row, count(settings, row, subject, few),
                                                 count(settings, row, subject, few + more), more);
            if (index == native_server)
                native = each;
            figures.add({row.name,
                         subject.name,
                         "calls",
                         Sample::exactly(each),
                         {},
                         index == shim_server ? Budget(native + rounding) : Budget{}});
        }
    }
}

} // namespace multihome::bench
