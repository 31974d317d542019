// SPDX-License-Identifier: MIT
#include "tools/recipe_copy.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <system_error>

#include "tools/output.hpp"

namespace multihome::tools::recipes {
namespace {

[[noreturn]] void fail(const std::string& what) {
    throw std::system_error(errno, std::generic_category(), what);
}

constexpr const char* own_namespace = "/proc/self/ns/net";

/// Another one than this process's, which nobody is in. (Not one of a child's: a child's number is another
/// one in the /proc of another namespace of processes, and there that of somebody else, whose network this
/// would be.)
int make_namespace() {
    const Descriptor before{open(own_namespace, O_RDONLY | O_CLOEXEC)};
    if (!before.valid() || unshare(CLONE_NEWNET) != 0)
        return -1;
    const int made = open(own_namespace, O_RDONLY); // `ip` is told of it by this number
    if (setns(before.number(), CLONE_NEWNET) != 0)
        fail("setns");
    return made;
}

void check(const Command& command, const CommandResult& result) {
    if (!result.ok())
        throw Impossible(
            fmt::format("the copy cannot be made: `{}`: {}", shell_command(command), result.errors));
}

void run(const Command& command) {
    check(command, run_command(command));
}

void add_rule(const HostRule& rule) {
    if (rule.preference == 0 || rule.preference >= 32766) // the kernel's own
        return;
    Command command{"ip", family_option(rule.family), "rule", "add", "pref", std::to_string(rule.preference)};
    command.insert(command.end(), rule.words.begin(), rule.words.end());
    run_command(command);
}

} // namespace

Child::Child(const std::function<void(int)>& work) {
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
    [[maybe_unused]] const ssize_t said = read(ready[0], &byte, 1);
    close(ready[0]);
}

Child::~Child() {
    kill(process_, SIGKILL);
    waitpid(process_, nullptr, 0);
}

void Child::say_ready(int descriptor) {
    if (write(descriptor, "r", 1) != 1)
        _exit(1);
}

Copy::Copy(const Host& host, const Plan& plan)
    : host_(host), plan_(plan), client_namespace_(make_namespace()),
      server_namespace_(open(own_namespace, O_RDONLY | O_CLOEXEC)) {
    if (!client_namespace_.valid() || !server_namespace_.valid())
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

std::string Copy::client_address(Family family) const {
    const bool reachable = std::any_of(host_.routes.begin(), host_.routes.end(), [&](const HostRoute& route) {
        return route.family == family && route.is_default() && route.table == "main";
    });
    return reachable ? distant_address(host_, family) : "";
}

std::vector<Endpoint> Copy::targets(uint16_t port) const {
    std::vector<Endpoint> all;
    for (const HostAddress& one : host_.addresses)
        if (!client_address(one.family).empty() && is_concerned(one))
            all.push_back(resolve(one.address, port).front());
    return all;
}

std::vector<Asked> Copy::ask(uint16_t port, const Patience& patience) const {
    const std::vector<Payload> payloads = named_payloads("");
    if (setns(client_namespace_.number(), CLONE_NEWNET) != 0)
        fail("setns");
    std::vector<Asked> rows = ask_all(targets(port), payloads.back(), patience); // the last one is echo
    if (setns(server_namespace_.number(), CLONE_NEWNET) != 0)
        fail("setns");
    return rows;
}

void Copy::run_client(const Command& command) const {
    check(command, run_command(command, "", client_namespace_.number()));
}

Command Copy::client_address_command(Family family) const {
    Command command{"ip", "address", "add", client_address(family), "dev", "lo"};
    if (family == Family::ipv6)
        command.emplace_back("nodad");
    return command;
}

void Copy::add_link(const std::string& name) {
    const std::string peer = fmt::format("peer{}", links_.size());
    links_[name] = peer;
    run({"ip", "link", "add", "name", name, "type", "veth", "peer", "name", peer, "netns",
         fmt::format("/proc/self/fd/{}", client_namespace_.number())});
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

void Copy::add_address(const HostAddress& one) {
    const std::string& peer = links_.at(one.interface);
    Command command{"ip",  "address",    "add", fmt::format("{}/{}", one.address, one.prefix),
                    "dev", one.interface};
    if (one.family == Family::ipv6)
        command.emplace_back("nodad");
    if (one.family == Family::ipv6 && one.deprecated)
        command.insert(command.end(), {"preferred_lft", "0"});
    run(command);
    if (const std::string client = client_address(one.family); !client.empty())
        run_client(
            {"ip", family_option(one.family), "route", "replace", one.address, "dev", peer, "src", client});
}

bool Copy::is_concerned(const HostAddress& one) const {
    return std::any_of(plan_.translations.begin(), plan_.translations.end(),
                       [&](const Translation& other) {
                           return other.family == one.family && other.interface == one.interface;
                       }) ||
           std::any_of(host_.routes.begin(), host_.routes.end(), [&](const HostRoute& route) {
               return route.family == one.family && route.is_default() && route.interface == one.interface;
           });
}

/// The client's side is every router.
void Copy::add_router(Family family, const std::string& address, const std::string& peer) const {
    Command router{"ip", "address", "add", address, "dev", peer};
    if (family == Family::ipv6)
        router.emplace_back("nodad");
    run_command(router, "", client_namespace_.number()); // one router may be in several routes
}

void Copy::add_route(const HostRoute& route) {
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

} // namespace multihome::tools::recipes
