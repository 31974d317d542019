// SPDX-License-Identifier: MIT
#include "tools/as_user.hpp"

#include <grp.h>
#include <pwd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <exception>
#include <fmt/core.h>
#include <optional>

#include "tools/output.hpp"
#include "tools/subcommands.hpp"

namespace multihome::tools {
namespace {

// NOLINTBEGIN(concurrency-mt-unsafe): this program has one thread

std::optional<unsigned> number_of(const std::string& name) {
    unsigned number = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
    if (error != std::errc{} || end != name.data() + name.size())
        return std::nullopt;
    return number;
}

struct Identity {
    std::string name;
    uid_t user = 0;
    gid_t group = 0;
};

Identity find_identity(const std::string& name, const std::string& group) {
    Identity identity;
    const auto number = number_of(name);
    const passwd* entry = number ? getpwuid(*number) : getpwnam(name.c_str());
    if (entry == nullptr && !number)
        throw Impossible(fmt::format("there is no user '{}'", harmless(name)));
    identity.name = entry != nullptr ? entry->pw_name : name;
    identity.user = entry != nullptr ? entry->pw_uid : *number;
    identity.group = entry != nullptr ? entry->pw_gid : *number;
    if (group.empty())
        return identity;
    if (const ::group* found = getgrnam(group.c_str()))
        identity.group = found->gr_gid;
    else if (const auto group_number = number_of(group))
        identity.group = *group_number;
    else
        throw Impossible(fmt::format("there is no group '{}'", harmless(group)));
    return identity;
}

void change_user(const Identity& identity) {
    if (initgroups(identity.name.c_str(), identity.group) != 0 || setgid(identity.group) != 0 ||
        setuid(identity.user) != 0)
        throw Impossible(
            fmt::format("cannot become user {}: {}: run this as root", identity.name, std::strerror(errno)));
}

// NOLINTEND(concurrency-mt-unsafe)

} // namespace

int in_child(const std::function<int()>& work) {
    std::fflush(nullptr); // or the child would print it again
    const pid_t child = fork();
    if (child < 0)
        throw Impossible("fork failed");
    if (child == 0) {
        int status = bad_usage;
        try {
            status = flush_output(work());
        } catch (const std::exception& error) {
            fmt::print(stderr, "multihomectl: {}\n", error.what());
        }
        std::fflush(nullptr);
        _exit(status);
    }
    int status = 0;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            throw Impossible(fmt::format("waitpid: {}", std::strerror(errno))); // NOLINT(concurrency-*)
    if (WIFEXITED(status))
        return WEXITSTATUS(status);
    fmt::print(stderr, "multihomectl: its child process was ended by signal {}\n", WTERMSIG(status));
    return bad_usage;
}

int as_user(const std::string& name, const std::string& group, const std::function<int()>& work) {
    if (name.empty())
        return work();
    const Identity identity = find_identity(name, group);
    if (identity.user == getuid() && identity.user == geteuid())
        return work();
    return in_child([&] {
        change_user(identity);
        return work();
    });
}

} // namespace multihome::tools
