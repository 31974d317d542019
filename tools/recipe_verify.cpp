// SPDX-License-Identifier: MIT
#include "tools/recipe_verify.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <nlohmann/json.hpp>
#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <map>
#include <system_error>

#include "tools/as_user.hpp"
#include "tools/ask_exchange.hpp"
#include "tools/output.hpp"
#include "tools/processes.hpp"
#include "tools/program.hpp"
#include "tools/recipe_journal.hpp"
#include "tools/subcommands.hpp"
#include "tools/units.hpp"

namespace multihome::tools::recipes {
namespace {

constexpr uint16_t usual_port = 5300;

[[noreturn]] void fail(const std::string& what) {
    throw std::system_error(errno, std::generic_category(), what);
}

/// A process that ends with this one.
class Child {
public:
    template <typename Work>
    explicit Child(Work work) {
        int ready[2];
        if (pipe2(ready, O_CLOEXEC) != 0)
            fail("pipe");
        const pid_t parent = getpid();
        process_ = fork();
        if (process_ < 0)
            fail("fork");
        if (process_ == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            if (getppid() != parent) // it has ended before that
                _exit(1);
            close(ready[0]);
            work(ready[1]);
            _exit(0);
        }
        close(ready[1]);
        char byte = 0;
        ready_ = read(ready[0], &byte, 1) == 1;
        close(ready[0]);
    }
    Child(const Child&) = delete;
    Child& operator=(const Child&) = delete;
    Child(Child&&) = delete;
    Child& operator=(Child&&) = delete;
    ~Child() {
        kill(process_, SIGKILL);
        waitpid(process_, nullptr, 0);
    }
    [[nodiscard]] pid_t process() const { return process_; }
    /// It has said that it is at work.
    [[nodiscard]] bool ready() const { return ready_; }

private:
    pid_t process_ = -1;
    bool ready_ = false;
};

void say_ready(int descriptor) {
    if (write(descriptor, "r", 1) != 1)
        _exit(1);
}

void hold_namespace(int ready) {
    if (unshare(CLONE_NEWNET) != 0)
        _exit(1);
    say_ready(ready);
    for (;;)
        pause();
}

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
    say_ready(ready);
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

/// This process becomes the server's side: a copy of the host's addresses, routes and rules.
class Copy {
public:
    Copy(const Host& host, const Plan& plan)
        : host_(host), plan_(plan), client_(hold_namespace),
          client_namespace_(
              open(fmt::format("/proc/{}/ns/net", client_.process()).c_str(), O_RDONLY | O_CLOEXEC)),
          server_namespace_(open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC)) {
        if (!client_.ready() || !client_namespace_.valid() || !server_namespace_.valid())
            throw Impossible("cannot make a network namespace");
        run({"ip", "link", "set", "lo", "up"});
        run_client({"ip", "link", "set", "lo", "up"});
        for (const Family family : {Family::ipv4, Family::ipv6})
            if (!client_address(family).empty())
                run_client(client_address_command(family));
        for (const HostAddress& one : host.addresses)
            if (!links_.contains(one.interface))
                add_link(one.interface);
        for (const HostAddress& one : host.addresses)
            if (one.family == Family::ipv4)
                add_address(one);
        // The kernel prefers the first of them, and puts a new one in front of the others.
        for (auto one = host.addresses.rbegin(); one != host.addresses.rend(); ++one)
            if (one->family == Family::ipv6)
                add_address(*one);
        for (const Uplink& uplink : plan.uplinks) // no route of the host's may name its router
            add_router(uplink.family, uplink.gateway, links_.at(uplink.interface));
        // What lies on the links comes first: gateways have to be reachable.
        for (const bool gateways : {false, true})
            for (const HostRoute& route : host.routes)
                if (route.gateway.empty() != gateways)
                    add_route(route);
        for (const HostRule& rule : host.rules)
            add_rule(rule);
    }

    /// An address behind both links, of no network that the host knows; empty where there is no default
    /// route.
    [[nodiscard]] std::string client_address(Family family) const {
        const bool reachable =
            std::any_of(host_.routes.begin(), host_.routes.end(), [&](const HostRoute& route) {
                return route.family == family && route.is_default() && route.table == "main";
            });
        return reachable ? distant_address(host_, family) : "";
    }

    [[nodiscard]] std::vector<Endpoint> targets(uint16_t port) const {
        std::vector<Endpoint> all;
        for (const HostAddress& one : host_.addresses)
            if (!client_address(one.family).empty() && is_concerned(one))
                all.push_back(resolve(one.address, port).front());
        return all;
    }

    [[nodiscard]] std::vector<Asked> ask(uint16_t port, const Patience& patience) const {
        const std::vector<Payload> payloads = named_payloads("");
        if (setns(client_namespace_.number(), CLONE_NEWNET) != 0)
            fail("setns");
        std::vector<Asked> rows = ask_all(targets(port), payloads.back(), patience); // the last one is echo
        if (setns(server_namespace_.number(), CLONE_NEWNET) != 0)
            fail("setns");
        return rows;
    }

private:
    static void check(const Command& command, const CommandResult& result) {
        if (!result.ok())
            throw Impossible(
                fmt::format("the copy cannot be made: `{}`: {}", shell_command(command), result.errors));
    }
    static void run(const Command& command) { check(command, run_command(command)); }
    void run_client(const Command& command) const {
        check(command, run_command(command, "", client_namespace_.number()));
    }

    [[nodiscard]] Command client_address_command(Family family) const {
        Command command{"ip", "address", "add", client_address(family), "dev", "lo"};
        if (family == Family::ipv6)
            command.emplace_back("nodad");
        return command;
    }

    void add_link(const std::string& name) {
        const std::string peer = fmt::format("peer{}", links_.size());
        links_[name] = peer;
        run({"ip", "link", "add", "name", name, "type", "veth", "peer", "name", peer, "netns",
             std::to_string(client_.process())});
        // Link-local addresses of our own, because duplicate detection takes a second for the kernel's.
        // Neighbours are asked for from one where the datagram's own source is on another interface.
        run({"ip", "link", "set", name, "addrgenmode", "none"});
        run_client({"ip", "link", "set", peer, "addrgenmode", "none"});
        run_command({"ip", "address", "add", "fe80::ffff:fffe/64", "dev", name, "nodad"});
        run_command({"ip", "address", "add", "fe80::ffff:ffff/64", "dev", peer, "nodad"}, "",
                    client_namespace_.number());
        run({"sysctl", "-qw", "net/ipv4/conf/all/rp_filter=0"});
        run({"sysctl", "-qw",
             fmt::format("net/ipv4/conf/{}/rp_filter={}", name, host_.reverse_path_filters.at(name))});
        run({"ip", "link", "set", name, "up"});
        run_client({"ip", "link", "set", peer, "up"});
    }

    void add_address(const HostAddress& one) {
        const std::string& peer = links_.at(one.interface);
        Command command{"ip",  "address",    "add", fmt::format("{}/{}", one.address, one.prefix),
                        "dev", one.interface};
        if (one.family == Family::ipv6)
            command.emplace_back("nodad");
        if (one.family == Family::ipv6 && one.deprecated)
            command.insert(command.end(), {"preferred_lft", "0"});
        run(command);
        if (const std::string client = client_address(one.family); !client.empty())
            run_client({"ip", family_option(one.family), "route", "replace", one.address, "dev", peer, "src",
                        client});
    }

    /// A link with no default route, which the recipe leaves alone, is none that such a client comes through.
    [[nodiscard]] bool is_concerned(const HostAddress& one) const {
        return std::any_of(plan_.translations.begin(), plan_.translations.end(),
                           [&](const Translation& other) {
                               return other.family == one.family && other.interface == one.interface;
                           }) ||
               std::any_of(host_.routes.begin(), host_.routes.end(), [&](const HostRoute& route) {
                   return route.family == one.family && route.is_default() &&
                          route.interface == one.interface;
               });
    }

    /// The client's side is every router.
    void add_router(Family family, const std::string& address, const std::string& peer) const {
        Command router{"ip", "address", "add", address, "dev", peer};
        if (family == Family::ipv6)
            router.emplace_back("nodad");
        run_command(router, "", client_namespace_.number()); // one router may be in several routes
    }

    void add_route(const HostRoute& route) {
        const auto link = links_.find(route.interface);
        if (link == links_.end())
            return;
        Command command{"ip", family_option(route.family), "route", "add", route.destination};
        if (!route.gateway.empty()) {
            add_router(route.family, route.gateway, link->second);
            command.insert(command.end(), {"via", route.gateway});
        }
        command.insert(command.end(), {"dev", route.interface, "table", route.table});
        if (!route.gateway.empty())
            command.emplace_back("onlink");
        if (!route.source.empty())
            command.insert(command.end(), {"src", route.source});
        if (!route.metric.empty())
            command.insert(command.end(), {"metric", route.metric});
        run_command(command); // those of the links are there already
    }

    static void add_rule(const HostRule& rule) {
        if (rule.preference == 0 || rule.preference >= 32766) // the kernel's own
            return;
        Command command{"ip",   family_option(rule.family),     "rule", "add",
                        "pref", std::to_string(rule.preference)};
        command.insert(command.end(), rule.words.begin(), rule.words.end());
        run_command(command);
    }

    const Host& host_;
    const Plan& plan_;
    Child client_;
    Descriptor client_namespace_;
    Descriptor server_namespace_;
    std::map<std::string, std::string> links_; ///< the interface here, and its other end
};

/// The interface through which what goes to `destination` leaves, `from` an address, if words say so.
std::string leaves_by(Family family, const std::string& destination, const Command& from = {}) {
    Command command{"ip", "-o", family_option(family), "route", "get", destination};
    command.insert(command.end(), from.begin(), from.end());
    const Command words = split_words(run_command(command).output);
    const auto device = std::find(words.begin(), words.end(), "dev");
    return device == words.end() || std::next(device) == words.end() ? "" : *std::next(device);
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

int try_routing(const Plan& plan, const Copy& copy, const OutputOptions& output) {
    bool right = true;
    Table table{{"UPLINK", "ADDRESS", "VERDICT"}};
    for (const Uplink& uplink : plan.uplinks) {
        const bool through = leaves_through(uplink, copy.client_address(uplink.family));
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
        fail("cannot make a network namespace");
    const Copy copy{host, plan};
    if (plan.kind == RecipeKind::routing) {
        take_steps(plan);
        return try_routing(plan, copy, output);
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
        // What iptables made for us, and others may use by now, is no part of the recipe itself.
        if (step.shared || !step.unless.empty() || is_in_place(step))
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
