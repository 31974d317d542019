// SPDX-License-Identifier: MIT
#include "tools/recipe_journal.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <nlohmann/json.hpp>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <set>
#include <string_view>

#include "tools/output.hpp"
#include "tools/processes.hpp"

namespace multihome::tools::recipes {
namespace {

using nlohmann::json;

constexpr const char* journal_folder = "/run/multihome";

/// A number that no other network namespace has until the next boot, unlike its inode's.
uint64_t namespace_cookie() {
    const Descriptor probe{socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    uint64_t cookie = 0;
    socklen_t length = sizeof cookie;
#ifndef SO_NETNS_COOKIE
    constexpr int SO_NETNS_COOKIE = 71; // Linux 5.14
#endif
    if (probe.valid() && getsockopt(probe.number(), SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &length) == 0)
        return cookie;
    struct stat status {};
    return stat("/proc/self/ns/net", &status) == 0 ? status.st_ino : 0;
}

json to_json(const Step& step) {
    return {{"undo", step.undo},     {"probe", step.probe},         {"expected", step.expected},
            {"unless", step.unless}, {"by_status", step.by_status}, {"shared", step.shared},
            {"why", step.why}};
}

Step to_step(const json& line) {
    Step step;
    step.undo = line.at("undo").get<Command>();
    step.probe = line.at("probe").get<Command>();
    step.expected = line.at("expected").get<std::string>();
    step.unless = line.at("unless").get<std::string>();
    step.by_status = line.at("by_status").get<bool>();
    step.shared = line.at("shared").get<bool>();
    step.why = line.at("why").get<std::string>();
    return step;
}

/// What comes from a terminal or a service manager meanwhile waits until the host is in one state or the
/// other.
class SignalsWait {
public:
    SignalsWait() {
        sigset_t wait;
        sigemptyset(&wait);
        for (const int signal : {SIGHUP, SIGINT, SIGTERM})
            sigaddset(&wait, signal);
        sigprocmask(SIG_BLOCK, &wait, &before_);
    }
    SignalsWait(const SignalsWait&) = delete;
    SignalsWait& operator=(const SignalsWait&) = delete;
    SignalsWait(SignalsWait&&) = delete;
    SignalsWait& operator=(SignalsWait&&) = delete;
    ~SignalsWait() { sigprocmask(SIG_SETMASK, &before_, nullptr); }

private:
    sigset_t before_{};
};

std::string first_line(const std::string& text) {
    return text.substr(0, text.find('\n'));
}

void forget_flows(const std::vector<Command>& commands) {
    if (!has_command("conntrack"))
        return;
    for (const Command& command : commands)
        run_command(command); // fails where there are none
}

std::string journal_path() {
    return fmt::format("{}/recipe-{}.journal", journal_folder, namespace_cookie());
}

int open_locked(const std::string& path) {
    for (;;) {
        if (mkdir(journal_folder, 0755) != 0 && errno != EEXIST)
            throw Impossible(
                fmt::format("{}: {}", journal_folder, std::strerror(errno))); // NOLINT(concurrency-*)
        const int descriptor = open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if (descriptor < 0 && errno == ENOENT) // the folder went with somebody else's journal
            continue;
        if (descriptor < 0)
            throw Impossible(fmt::format("{}: {}", path, std::strerror(errno))); // NOLINT(concurrency-*)
        const bool is_locked = flock(descriptor, LOCK_EX | LOCK_NB) == 0;
        struct stat held {
        }, named{};
        // Whoever held the lock may have removed the file.
        if (is_locked && fstat(descriptor, &held) == 0 && stat(path.c_str(), &named) == 0 &&
            held.st_ino == named.st_ino)
            return descriptor;
        close(descriptor);
        if (!is_locked)
            throw Impossible("another multihomectl is at work on the recipe of this host: wait for its end");
    }
}

/// Throws Impossible where it cannot be taken, or not be written down.
void take(const Step& step, Journal& journal) {
    std::string problem = "it is there already, and not from here";
    if (step.command.empty() || !is_in_place(step)) {
        journal.write_down(step);
        if (step.command.empty())
            return;
        const CommandResult result = run_command(step.command, step.input);
        if (result.ok())
            return;
        problem = first_line(result.errors);
    }
    throw Impossible(fmt::format("`{}`: {}", shell_command(step.command), problem));
}

} // namespace

Journal::Journal() : path_(journal_path()), file_(open_locked(path_)) {}

Journal::Content Journal::read() const {
    std::string text;
    std::array<char, 65536> piece;
    ssize_t size = 0;
    while ((size = pread(file_.number(), piece.data(), piece.size(), static_cast<off_t>(text.size()))) > 0)
        text.append(piece.data(), static_cast<size_t>(size));
    Content content;
    size_t begin = 0;
    // A last line without an end belongs to a step that was never taken.
    for (size_t end = 0; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1) {
        const json line = json::parse(text.substr(begin, end - begin), nullptr, false);
        try {
            if (content.recipe.empty()) {
                content.recipe = line.at("recipe").get<std::string>();
                content.forget = line.at("forget").get<std::vector<Command>>();
            } else {
                content.steps.push_back(to_step(line));
            }
        } catch (const json::exception&) {
            const size_t header = content.recipe.empty() ? 0 : 1;
            throw Impossible(fmt::format("{}: line {} is damaged; see there what was done, take it back by "
                                         "hand and remove the file",
                                         path_, header + content.steps.size() + 1));
        }
    }
    return content;
}

void Journal::append(const std::string& line) {
    const std::string whole = line + '\n';
    if (write(file_.number(), whole.data(), whole.size()) != static_cast<ssize_t>(whole.size()))
        throw Impossible(fmt::format("{}: cannot be written", path_));
}

void Journal::begin(const Plan& plan) {
    append(json{{"version", 1}, {"recipe", name_of(plan.kind)}, {"forget", plan.forget}}.dump());
}

void Journal::write_down(const Step& step) {
    append(to_json(step).dump());
}

void Journal::remove() {
    unlink(path_.c_str());
    rmdir(journal_folder); // stays where something else of ours is in it
}

Journal::Content read_applied() {
    Journal journal;
    Journal::Content content = journal.read();
    if (content.recipe.empty())
        journal.remove();
    return content;
}

Host without(Host host, const Journal::Content& applied) {
    // The tables of a recipe are its own (see FreeNumbers), and so is what leads to them.
    std::set<std::string> tables;
    std::set<Command> rules; // those to main, in words
    for (const Step& step : applied.steps) {
        if (step.undo.empty() || step.undo.front() != "ip")
            continue;
        const auto from = std::find(step.undo.begin(), step.undo.end(), "from");
        if (step.undo.back() == "main") {
            rules.emplace(from, step.undo.end());
            continue;
        }
        tables.insert(step.undo.back());
        // The kernel goes by them now, whatever this Host says.
        if (from != step.undo.end())
            host.ruled.insert(*std::next(from));
    }
    std::erase_if(host.routes, [&](const HostRoute& route) { return tables.contains(route.table); });
    std::erase_if(host.rules, [&](const HostRule& rule) {
        return tables.contains(rule.table) || rules.contains(rule.words);
    });
    for (auto& [interface, filter] : host.reverse_path_filters) {
        const Command probe = reverse_path_probe(interface);
        if (std::any_of(applied.steps.begin(), applied.steps.end(),
                        [&](const Step& step) { return step.probe == probe; }))
            filter = 1; // a recipe leaves any other as it is
    }
    return host;
}

bool came_by_itself(const Step& step) {
    return step.shared || !step.unless.empty();
}

bool is_in_place(const Step& step) {
    const CommandResult result = run_command(step.probe);
    if (!result.ok() || step.by_status)
        return result.ok();
    if (!step.unless.empty() && result.output.find(step.unless) != std::string::npos)
        return false;
    return step.expected.empty() ? !result.output.empty() : first_line(result.output) == step.expected;
}

void apply(const Plan& plan, Journal& journal) {
    const SignalsWait wait;
    if (const std::string before = journal.read().recipe; !before.empty())
        throw Impossible(
            fmt::format("the recipe {} is applied already, or was interrupted: take it back with "
                        "`multihomectl recipe {} --undo` first",
                        before, before));
    try {
        journal.begin(plan);
        for (const Step& step : plan.steps)
            take(step, journal);
    } catch (const std::exception& problem) {
        std::string message = problem.what();
        const std::vector<std::string> left = undo(journal);
        message +=
            left.empty() ? "; what was done before it is taken back" : "; and not all could be taken back:";
        for (const std::string& one : left)
            message += "\n  " + one;
        throw Impossible(message);
    }
    forget_flows(plan.forget);
}

std::vector<std::string> undo(Journal& journal) {
    const SignalsWait wait;
    const Journal::Content content = journal.read();
    std::vector<std::string> left;
    for (auto step = content.steps.rbegin(); step != content.steps.rend(); ++step) {
        // Without the tool that can tell, what it has made is not gone. What came by itself may stay.
        const std::string& tool = step->probe.front();
        if (!came_by_itself(*step) && !has_command(tool)) {
            left.push_back(fmt::format("`{}`: {} is not installed", shell_command(step->undo), tool));
            continue;
        }
        if (!is_in_place(*step))
            continue;
        const CommandResult result = run_command(step->undo);
        if (!step->shared && is_in_place(*step))
            left.push_back(fmt::format("`{}`: {}", shell_command(step->undo), first_line(result.errors)));
    }
    forget_flows(content.forget);
    if (left.empty())
        journal.remove();
    return left;
}

} // namespace multihome::tools::recipes
