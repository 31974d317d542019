// SPDX-License-Identifier: MIT
//
// Instructions per request and reply: the difference between a long run and a short one, so that what the
// program does once does not count.
#include "tools/bench/callgrind.hpp"
#include "tools/bench/client.hpp"
#include "tools/bench/parts.hpp"
#include "tools/bench/process.hpp"
#include "tools/bench/server.hpp"

#include <array>
#include <filesystem>
#include <sys/wait.h>
#include <unistd.h>

namespace multihome::bench {

namespace {

struct Subject {
    const char* name;
    bool native;
    bool shim;
};
constexpr std::array<Subject, 3> subjects = {
    {{"bare", false, false}, {"native", true, false}, {"shim", false, true}}};

class Measurement {
public:
    Measurement(const Settings& settings, Figures& figures) : settings_(settings), figures_(figures) {}

    // `peers`: as ask_in_turn() has it.
    void request_and_reply(const std::string& group, unsigned peers, std::optional<double> budget) {
        // Every peer is heard several times before it counts.
        const uint64_t few = std::max<uint64_t>(500, 2 * uint64_t{peers});
        const uint64_t more = settings_.quick ? 2000 : 8000;
        compare(group, budget, [&](const Subject& subject) {
            return (serve(subject, peers, few + more) - serve(subject, peers, few)) /
                   static_cast<double>(more);
        });
    }

    void batches(const std::string& group, std::optional<double> budget) {
        const uint64_t few = 10;
        const uint64_t more = settings_.quick ? 50 : 200;
        compare(group, budget, [&](const Subject& subject) {
            return (serve_batches(subject, few + more) - serve_batches(subject, few)) /
                   static_cast<double>(more * batch_size);
        });
    }

    void pass_on(const std::string& family, bool messages) {
        constexpr double calls = 2; // one out, one in
        const auto run = [&](bool shim, uint64_t count) {
            std::vector<std::string> command = {own_path(), "pass-on", "--family",
                                                family,     "--count", std::to_string(count)};
            if (messages)
                command.push_back("--messages");
            return static_cast<double>(callgrind_.count(command, shim ? settings_.library : ""));
        };
        const auto per_call = [&](bool shim) { return (run(shim, 3000) - run(shim, 1000)) / (2000 * calls); };
        const double bare = per_call(false);
        const double shim = per_call(true);
        const std::string group = std::string("a call on a socket that is not ours, ") + family +
                                  (messages ? ", sendmsg" : ", sendto");
        figures_.add({group, "bare", "instructions", Sample::exactly(bare)});
        figures_.add({group, "shim", "instructions", Sample::exactly(shim)});
        figures_.add({group, "above bare", "instructions", Sample::exactly(shim - bare), {}, 12});
    }

    void process_start() {
        const std::vector<std::string> command = {find_program("true")};
        const auto bare = static_cast<double>(callgrind_.count(command, ""));
        const auto shim = static_cast<double>(callgrind_.count(command, settings_.library));
        const std::string group = "process start, true";
        figures_.add({group, "bare", "instructions", Sample::exactly(bare)});
        figures_.add({group, "shim", "instructions", Sample::exactly(shim)});
        figures_.add({group, "above bare", "instructions", Sample::exactly(shim - bare), {}, 120'000});
    }

    // A build keeps its debugging information; what is installed and loaded does not have it.
    void library_size() {
        const std::string strip = find_program("strip");
        if (strip.empty())
            return figures_.skip("the library's size", "strip (binutils) is not installed");
        const std::string stripped =
            std::filesystem::temp_directory_path() / ("multihome-bench-stripped-" + std::to_string(getpid()));
        Child child({strip, "-o", stripped, settings_.library}, {});
        int status = 0;
        child.finish(status);
        if (status != 0)
            throw std::runtime_error("strip failed on " + settings_.library);
        const auto size = static_cast<double>(std::filesystem::file_size(stripped)) / 1024;
        std::filesystem::remove(stripped);
        figures_.add({"the library, stripped", "shim", "KiB", Sample::exactly(size), {}, 800});
    }

private:
    static std::vector<std::string> server(const Subject& subject, uint64_t requests) {
        std::vector<std::string> command = {own_path(), "server", "--requests", std::to_string(requests)};
        if (subject.native)
            command.push_back("--native");
        return command;
    }

    double serve(const Subject& subject, unsigned peers, uint64_t requests) const {
        return static_cast<double>(callgrind_.count(
            server(subject, requests), subject.shim ? settings_.library : "", [&](Child& child) {
                const auto port = static_cast<uint16_t>(std::stoul(child.read_line()));
                expect_right(subject, ask_in_turn(port, peers, requests), requests);
            }));
    }

    // The server waits at a gate, so that each receive call finds a whole batch.
    double serve_batches(const Subject& subject, uint64_t batches) const {
        const uint64_t requests = batches * batch_size;
        std::vector<std::string> command = server(subject, requests);
        command.insert(command.end(), {"--batch", "--gated"});
        return static_cast<double>(
            callgrind_.count(command, subject.shim ? settings_.library : "", [&](Child& child) {
                const auto port = static_cast<uint16_t>(std::stoul(child.read_line()));
                expect_right(subject, ask_in_batches(port, child.input(), batches), requests);
            }));
    }

    // Figures of a server that answers from the wrong address would be figures of something else.
    static void expect_right(const Subject& subject, uint64_t right, uint64_t requests) {
        const uint64_t wanted = subject.native || subject.shim ? requests : 0;
        if (right != wanted)
            throw std::runtime_error(
                std::string(subject.name) + ": " + std::to_string(right) + " of " + std::to_string(requests) +
                " answers came from the address that was asked, not " + std::to_string(wanted));
    }

    template <typename Run>
    void compare(const std::string& group, std::optional<double> budget, const Run& run) {
        std::array<double, subjects.size()> values{};
        for (size_t index = 0; index < subjects.size(); ++index) {
            values[index] = run(subjects[index]);
            figures_.add({group, subjects[index].name, "instructions", Sample::exactly(values[index])});
        }
        figures_.add(
            {group, "shim above native", "instructions", Sample::exactly(values[2] - values[1]), {}, budget});
    }

    const Settings& settings_;
    Figures& figures_;
    Callgrind callgrind_;
};

} // namespace

void measure_instructions(const Settings& settings, Figures& figures) {
    figures.begin("User-space instructions (callgrind)");
    if (find_program("valgrind").empty())
        return figures.skip("instructions", "valgrind is not installed");
    Measurement measurement(settings, figures);
    measurement.request_and_reply("request and reply, one peer", 1, 100);
    measurement.request_and_reply("request and reply, 1000 peers in turn", 1000, 100);
    measurement.request_and_reply("request and reply, new peers", 0, {});
    measurement.batches("request and reply, batches of 32", 100);
    for (const char* family : {"unix", "tcp", "udp"}) {
        measurement.pass_on(family, false);
        measurement.pass_on(family, true);
    }
    measurement.process_start();
    measurement.library_size();
}

} // namespace multihome::bench
