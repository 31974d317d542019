// SPDX-License-Identifier: MIT
// multihomectl doctor: which servers of this host answer from the wrong address, and what mends each.
#include <unistd.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>

#include <algorithm>
#include <fmt/core.h>
#include <fmt/format.h>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "tools/host_network.hpp"
#include "tools/ip_address.hpp"
#include "tools/kernel_engine/engine.hpp"
#include "tools/network_namespace.hpp"
#include "tools/output.hpp"
#include "tools/subcommands.hpp"
#include "tools/udp_sockets.hpp"
#include "tools/verdict.hpp"

namespace multihome::tools {
namespace {

struct DoctorOptions {
    OutputOptions output;
    std::string name;
    bool everywhere = false;
    bool all = false;
};

/// What was found in one network namespace.
struct Findings {
    NetworkNamespace place;
    HostNetwork network;
    std::vector<UdpSocket> sockets;
    std::vector<Server> servers;
    std::string problem; ///< it could not be looked at

    [[nodiscard]] std::size_t count(Verdict verdict) const {
        return static_cast<std::size_t>(std::count_if(
            servers.begin(), servers.end(), [&](const auto& one) { return one.verdict == verdict; }));
    }
    [[nodiscard]] bool has_routing_fault() const {
        const auto& faults = network.routing_faults();
        return std::any_of(faults.begin(), faults.end(), [](const auto& fault) { return fault.is_certain; });
    }
};

Findings look_into(const NetworkNamespace& place) {
    Findings findings;
    findings.place = place;
    const Visit visit(place);
    findings.network = HostNetwork::read();
    findings.sockets = list_unconnected_udp_sockets();
    return findings;
}

std::vector<Findings> examine(const DoctorOptions& options, unsigned& unreadable) {
    std::vector<Findings> all;
    if (options.everywhere) {
        for (const NetworkNamespace& place : all_network_namespaces(unreadable)) {
            try {
                all.push_back(look_into(place));
            } catch (const Impossible& problem) {
                all.emplace_back().place = place;
                all.back().problem = problem.what();
            }
        }
    } else {
        all.push_back(look_into(options.name.empty() ? own_network_namespace()
                                                     : named_network_namespace(options.name)));
    }
    std::unordered_set<std::uint64_t> inodes;
    for (const Findings& findings : all)
        for (const UdpSocket& socket : findings.sockets)
            inodes.insert(socket.inode);
    const SocketOwners owners(inodes);
    unreadable = std::max(unreadable, owners.unreadable()); // most of them are the same
    const std::vector<engine::Attachment> attached = engine::visible_attachments();
    for (Findings& findings : all)
        findings.servers = Judge(findings.network, owners, attached).judge(findings.sockets);
    return all;
}

Json json_of(const Server& server) {
    const Process& process = server.process;
    Json json{{"port", server.port}, {"program", process.name}};
    json["pid"] = process.number != 0 ? Json(process.number) : Json();
    json["unit"] = !process.unit.empty() ? Json(process.unit) : Json();
    json["bound_to"] = server.bound_to;
    json["verdict"] = to_text(server.verdict);
    json["certain"] = server.is_certain;
    json["reason"] = server.reason;
    json["wrong_at"] = server.wrong_at;
    json["obstacles"] = server.obstacles;
    json["notes"] = server.notes;
    json["command"] = !server.command.empty() ? Json(server.command) : Json();
    return json;
}

Json json_of(const Findings& findings) {
    const HostNetwork& network = findings.network;
    Json json{{"netns", !findings.place.name.empty() ? Json(findings.place.name) : Json()}};
    json["problem"] = !findings.problem.empty() ? Json(findings.problem) : Json();
    json["addresses"] = Json::array();
    for (const OwnAddress& own : network.addresses())
        json["addresses"].push_back(
            {{"address", to_text(own.address)}, {"interface", network.link_name(own.interface)}});
    json["replies_leave_from"] = Json::array();
    for (const bool ipv4 : {true, false})
        if (network.far_source(ipv4))
            json["replies_leave_from"].push_back(to_text(*network.far_source(ipv4)));
    json["servers"] = Json::array();
    for (const Server& server : findings.servers)
        json["servers"].push_back(json_of(server));
    json["routing"] = Json::array();
    for (const RoutingFault& fault : network.routing_faults())
        json["routing"].push_back({{"address", to_text(fault.address)},
                                   {"interface", network.link_name(fault.interface)},
                                   {"leaves_by", network.link_name(fault.leaves_by)},
                                   {"requests_dropped", fault.is_dropped},
                                   {"certain", fault.is_certain}});
    return json;
}

void print_addresses(const HostNetwork& network) {
    std::vector<std::string> own;
    for (const OwnAddress& address : network.addresses())
        own.push_back(fmt::format("{} ({})", to_text(address.address), network.link_name(address.interface)));
    std::vector<std::string> far;
    for (const bool ipv4 : {true, false})
        if (network.far_source(ipv4))
            far.push_back(to_text(*network.far_source(ipv4)));
    fmt::print("{}\n", harmless(fmt::format("Addresses: {}{}{}",
                                            own.empty() ? "none" : fmt::format("{}", fmt::join(own, ", ")),
                                            far.empty() ? "" : "; replies beyond the links leave from ",
                                            fmt::join(far, ", "))));
}

std::string explain(const Server& server) {
    if (server.verdict != Verdict::wrong)
        return server.reason;
    std::vector<std::string> parts{fmt::format("at {}", fmt::join(server.wrong_at, ", "))};
    if (!server.reason.empty())
        parts.push_back(server.reason);
    parts.insert(parts.end(), server.obstacles.begin(), server.obstacles.end());
    return fmt::format("{}", fmt::join(parts, "; "));
}

void print_servers(const Findings& findings, bool all) {
    Table table({"PORT", "PROGRAM", "PID", "UNIT", "VERDICT"});
    for (const Server& server : findings.servers) {
        if (server.verdict == Verdict::client && !all)
            continue;
        const Process& process = server.process;
        const bool is_wrong = server.verdict == Verdict::wrong;
        // Both words have one width, so that what follows is aligned.
        const char* word = is_wrong ? "WRONG" : server.verdict == Verdict::ok ? "ok   " : "-    ";
        table.add({std::to_string(server.port), process.name.empty() ? "-" : process.name,
                   process.number != 0 ? std::to_string(process.number) : "-",
                   process.unit.empty() ? "-" : process.unit, fmt::format("{}  {}", word, explain(server))},
                  is_wrong                        ? Emphasis::bad
                  : server.verdict == Verdict::ok ? Emphasis::none
                                                  : Emphasis::dim);
    }
    if (!table.empty())
        table.print();
}

/// Each once, with all the servers of which it is to be said.
void print_notes(const std::vector<Server>& servers) {
    std::vector<std::pair<std::string, std::vector<std::string>>> notes;
    for (const Server& server : servers)
        for (const std::string& note : server.notes) {
            auto known =
                std::find_if(notes.begin(), notes.end(), [&](const auto& one) { return one.first == note; });
            if (known == notes.end())
                known = notes.insert(notes.end(), {note, {}});
            known->second.push_back(fmt::format("{} ({})", server.port, server.process.name));
        }
    for (const auto& [note, names] : notes)
        fmt::print("{}\n", harmless(fmt::format("Note on {}: {}", fmt::join(names, ", "), note)));
}

void print_summary(const Findings& findings) {
    const std::size_t wrong = findings.count(Verdict::wrong);
    const std::size_t judged = findings.servers.size() - findings.count(Verdict::client);
    const bool is_certain = std::all_of(findings.servers.begin(), findings.servers.end(),
                                        [](const Server& server) { return server.is_certain; });
    if (wrong == 0)
        fmt::print("{}\n", judged == 0  ? "There are no UDP servers."
                           : is_certain ? "No server answers from the wrong address."
                                        : "No server is known to answer from the wrong address.");
    else
        fmt::print("{} of {} server{} answer{} from the wrong address.\n", wrong, judged,
                   judged == 1 ? "" : "s", wrong == 1 ? "s" : "");
    Table commands({"", "", ""});
    for (const Server& server : findings.servers) {
        if (server.verdict != Verdict::wrong)
            continue;
        // No column of its own: one command of a thousand characters would push all remarks that far away.
        const char* between = server.command.empty() || server.remark.empty() ? "" : "  ";
        const std::string remark = server.remark.empty() ? "" : fmt::format("({})", server.remark);
        commands.add({"", std::to_string(server.port), server.command + between + remark});
    }
    fmt::print("{}", commands.text(false, false));
    if (const std::size_t unknown = findings.count(Verdict::unknown); unknown != 0)
        fmt::print("{} could not be judged.\n", unknown);
    print_notes(findings.servers);
}

void print_routing(const HostNetwork& network) {
    for (const RoutingFault& fault : network.routing_faults()) {
        fmt::print(
            "{}\n",
            harmless(fmt::format(
                "Routing: {} has no \"from\" rule; its answers leave by {}. See: multihomectl recipe routing",
                to_text(fault.address), network.link_name(fault.leaves_by))));
        if (fault.is_dropped)
            fmt::print("{}\n",
                       harmless(fmt::format(
                           "Routing: rp_filter is strict on {}: without that rule, requests to {} from "
                           "beyond its link are dropped before a program sees them.",
                           network.link_name(fault.interface), to_text(fault.address))));
    }
}

void print_text(const std::vector<Findings>& all, const DoctorOptions& options, unsigned unreadable) {
    for (const Findings& findings : all) {
        if (options.everywhere) {
            if (findings.servers.empty() && findings.problem.empty() && !findings.place.name.empty())
                continue; // a namespace without servers is nobody's concern
            fmt::print("{}{}\n", &findings == &all.front() ? "" : "\n",
                       harmless(findings.place.name.empty()
                                    ? "This network namespace"
                                    : fmt::format("Network namespace {}", findings.place.name)));
        }
        if (!findings.problem.empty()) {
            fmt::print("{}\n", harmless(findings.problem));
            continue;
        }
        print_addresses(findings.network);
        print_servers(findings, options.all);
        print_summary(findings);
        print_routing(findings.network);
    }
    if (unreadable != 0 && geteuid() != 0)
        fmt::print("{} processes of other users could not be looked into: run this as root to see them.\n",
                   unreadable);
}

int doctor(const DoctorOptions& options) {
    unsigned unreadable = 0;
    const std::vector<Findings> all = examine(options, unreadable);
    std::size_t wrong = 0;
    bool has_found = false;
    bool has_problem = false;
    for (const Findings& findings : all) {
        wrong += findings.count(Verdict::wrong);
        has_found = has_found || findings.has_routing_fault();
        has_problem = has_problem || !findings.problem.empty();
    }
    if (options.output.json) {
        Json document = json_document();
        document["wrong"] = wrong;
        document["processes_not_readable"] = unreadable;
        document["namespaces"] = Json::array();
        for (const Findings& findings : all)
            document["namespaces"].push_back(json_of(findings));
        print_json(document);
    } else if (!options.output.quiet) {
        print_text(all, options, unreadable);
    }
    if (wrong != 0 || has_found)
        return failure;
    return has_problem ? bad_usage : success;
}

} // namespace

void add_doctor(CLI::App& application, int& exit_status) {
    auto options = std::make_shared<DoctorOptions>();
    CLI::App* command = application.add_subcommand(
        "doctor", "Show which UDP servers answer from the wrong address, and what mends each");
    add_output_options(*command, options->output);
    CLI::Option* name =
        command->add_option("--netns", options->name, "Look into this network namespace (ip-netns(8))")
            ->type_name("NAME");
    command->add_flag("--all-netns", options->everywhere, "Look into all network namespaces")->excludes(name);
    command->add_flag("-a,--all", options->all,
                      "Also show sockets on ports that the kernel gives to clients");
    command->footer(
        "Exit status: 0 all is right, 1 a server or the routing is wrong, 2 not possible, or not for all "
        "network namespaces.");
    command->callback([options, &exit_status] { exit_status = doctor(*options); });
}

} // namespace multihome::tools
