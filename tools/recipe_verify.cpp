// SPDX-License-Identifier: MIT
#include "tools/recipe_verify.hpp"

#include <fmt/core.h>
#include <poll.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "tools/as_user.hpp"
#include "tools/ask_exchange.hpp"
#include "tools/output.hpp"
#include "tools/processes.hpp"
#include "tools/recipe_copy.hpp"
#include "tools/recipe_journal.hpp"
#include "tools/subcommands.hpp"
#include "tools/units.hpp"

namespace multihome::tools::recipes {
namespace {

constexpr uint16_t usual_port = 5300;

/// The simplest of all servers: on the wildcard, and every answer left to the routing table.
void serve_echo(int ready, uint16_t port) {
    std::array<pollfd, 2> sockets{};
    const std::array<int, 2> families{AF_INET, AF_INET6};
    for (size_t i = 0; i < sockets.size(); ++i) {
        const int descriptor = socket(families[i], SOCK_DGRAM, 0);
        const int on = 1;
        Endpoint any;
        any.storage.ss_family = static_cast<sa_family_t>(families[i]);
        if (families[i] == AF_INET) {
            reinterpret_cast<sockaddr_in&>(any.storage).sin_port = htons(port);
        } else {
            reinterpret_cast<sockaddr_in6&>(any.storage).sin6_port = htons(port);
            setsockopt(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
        }
        // A kernel without IPv6 has no such socket; poll(2) passes over -1.
        const bool bound = descriptor >= 0 && bind(descriptor, any.pointer(), any.length) == 0;
        sockets[i] = {bound ? descriptor : -1, POLLIN, 0};
    }
    Child::say_ready(ready);
    while (poll(sockets.data(), sockets.size(), -1) > 0) {
        for (const pollfd& one : sockets) {
            std::array<char, 2048> bytes;
            Endpoint client;
            if ((one.revents & POLLIN) == 0)
                continue;
            const ssize_t size =
                recvfrom(one.fd, bytes.data(), bytes.size(), 0, client.pointer(), &client.length);
            if (size >= 0)
                sendto(one.fd, bytes.data(), static_cast<size_t>(size), 0, client.pointer(), client.length);
        }
    }
}

/// What leaves from `address` to other links takes the way of all that goes there.
bool spares_others(const Uplink& uplink, const std::string& address) {
    return std::all_of(uplink.others.begin(), uplink.others.end(), [&](const std::string& prefix) {
        for (const unsigned number : {0U, 1U, 2U}) { // one of them may be the host's own
            const std::string client = address_in(uplink.family, prefix, number);
            if (contains(uplink.family, prefix, client) &&
                leaves_by(uplink.family, client, {"from", address}) != leaves_by(uplink.family, client))
                return false;
        }
        return true;
    });
}

/// The second uplink carries what leaves from its addresses.
bool leaves_through(const Uplink& uplink, const std::string& client) {
    return std::all_of(uplink.addresses.begin(), uplink.addresses.end(), [&](const std::string& address) {
        return leaves_by(uplink.family, client, {"from", address}) == uplink.interface &&
               spares_others(uplink, address);
    });
}

int try_routing(const Plan& plan, const Host& host, const OutputOptions& output) {
    bool right = true;
    Table table{{"UPLINK", "ADDRESS", "VERDICT"}};
    for (const Uplink& uplink : plan.uplinks) {
        // Not the client of the copy: there is none where main has no default route.
        const bool through = leaves_through(uplink, distant_address(host, uplink.family));
        right = right && through;
        for (const std::string& address : uplink.addresses)
            table.add({uplink.interface, address, through ? "ok" : "WRONG"},
                      through ? Emphasis::none : Emphasis::bad);
    }
    if (!output.quiet && !table.empty())
        table.print();
    return right ? success : failure;
}

std::string answered_from(const Asked& row) {
    const Outcome worst = row.worst();
    if (worst == Outcome::silent || worst == Outcome::refused)
        return "silent";
    for (const Answer* answer : {&row.own_port, &row.one_port, &row.at_once})
        if (answer->outcome == worst)
            return answer->source.address();
    return "-";
}

int print_answers(const std::vector<Asked>& before, const std::vector<Asked>& after,
                  const OutputOptions& output) {
    bool right = true;
    Table table{{"ASKED", "WITHOUT", "WITH", "VERDICT"}};
    for (size_t i = 0; i < after.size(); ++i) {
        const bool good = after[i].worst() == Outcome::right;
        right = right && good;
        table.add({after[i].target.address(), answered_from(before[i]), answered_from(after[i]),
                   good ? "ok" : "WRONG"},
                  good ? Emphasis::none : Emphasis::bad);
    }
    if (!output.quiet)
        table.print();
    return right ? success : failure;
}

void take_steps(const Plan& plan) {
    for (const Step& step : plan.steps) {
        if (step.command.empty())
            continue;
        const CommandResult result = run_command(step.command, step.input);
        if (!result.ok())
            throw Impossible(fmt::format("`{}`: {}", shell_command(step.command), result.errors));
    }
}

/// In a process of its own, which ends with the namespaces.
int try_in_copy(const Plan& plan, const Host& host, const OutputOptions& output) {
    if (unshare(CLONE_NEWNET) != 0)
        throw Impossible("cannot make a network namespace");
    const Copy copy{host, plan};
    if (plan.kind == RecipeKind::routing) {
        take_steps(plan);
        return try_routing(plan, host, output);
    }
    const uint16_t port = plan.ports.empty() ? usual_port : static_cast<uint16_t>(plan.ports.front());
    const Child server{[port](int ready) { serve_echo(ready, port); }};
    using std::chrono::milliseconds;
    // A short time, because some answers are expected to be lost. Twice, because a link that has just come up
    // drops the first datagrams.
    const std::vector<Asked> before = copy.ask(port, {milliseconds{250}, 2});
    take_steps(plan);
    for (const Command& command : plan.forget)
        if (has_command("conntrack"))
            run_command(command);
    return print_answers(before, copy.ask(port, {milliseconds{500}, 3}), output);
}

/// What was applied may have been taken away since, by `nft flush ruleset` for example.
int look_at_applied(const OutputOptions& output) {
    const Journal::Content content = read_applied();
    if (content.recipe.empty())
        return success;
    int status = success;
    for (const Step& step : content.steps) {
        if (came_by_itself(step) || is_in_place(step))
            continue;
        status = failure;
        fmt::print(stderr,
                   "multihomectl: applied, but no longer in place: {}; to mend it: --undo, then --apply\n",
                   step.why);
    }
    if (status == success && !output.quiet)
        fmt::print("applied on this host: {}, all of it in place\n", content.recipe);
    return status;
}

} // namespace

int verify(const Plan& plan, const Host& host, const OutputOptions& output) {
    const int result = in_child([&] { return try_in_copy(plan, host, output); });
    return result != success ? result : look_at_applied(output);
}

} // namespace multihome::tools::recipes
