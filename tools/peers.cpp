// SPDX-License-Identifier: MIT
// multihomectl peers: the conversations that a running library holds.
#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>

#include <algorithm>
#include <charconv>
#include <fmt/core.h>
#include <memory>
#include <nlohmann/json.hpp>

#include "tools/engine_rows.hpp"
#include "tools/ip_address.hpp"
#include "tools/output.hpp"
#include "tools/running_processes.hpp"
#include "tools/subcommands.hpp"

namespace multihome::tools {
namespace {

struct PeersOptions {
    OutputOptions output;
    std::string target;
    std::string peer;
    unsigned limit = 1000;
};

/// ADDRESS, ADDRESS:PORT, [ADDRESS]:PORT, and %SCOPE behind a link-local address, as ss(8) has it.
struct PeerName {
    Address address;
    std::uint32_t scope = 0;
    std::uint16_t port = 0; ///< 0: any
};

PeerName parse_peer(const std::string& text) {
    std::string address = text;
    std::string behind; // the address
    std::string scope;
    if (text.starts_with('[')) {
        const std::size_t end = text.find(']');
        address = text.substr(1, end - 1);
        behind = end != std::string::npos ? text.substr(end + 1) : "no ]";
    } else if (std::count(text.begin(), text.end(), ':') == 1) {
        address = text.substr(0, text.find(':'));
        behind = text.substr(text.find(':'));
    }
    if (const std::size_t percent = address.find('%'); percent != std::string::npos) {
        scope = address.substr(percent + 1);
        address.resize(percent);
    }
    PeerName peer;
    const auto number_in = [](const std::string& digits, auto& number) {
        const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
        return error == std::errc{} && end == digits.data() + digits.size();
    };
    const auto parsed = parse_address(address);
    const bool has_port = behind.starts_with(':') && number_in(behind.substr(1), peer.port) && peer.port != 0;
    if (!parsed || (!behind.empty() && !has_port) || (!scope.empty() && !number_in(scope, peer.scope)))
        throw Impossible(
            fmt::format("'{}' is no peer: use ADDRESS or ADDRESS:PORT, as in 192.0.2.1, 192.0.2.1:5060 or "
                        "[2001:db8::1]:5060 (behind fe80:: addresses %NUMBER of the interface)",
                        harmless(text)));
    peer.address = *parsed;
    return peer;
}

const char* state_text(Conversation::Kind kind) {
    switch (kind) {
    case Conversation::Kind::moving:
        return "moving";
    case Conversation::Kind::question:
        return "question";
    case Conversation::Kind::spoke_first:
        return "spoke-first";
    case Conversation::Kind::known:
        break;
    }
    return "known";
}

std::string address_text(const Address& address) {
    return address == Address{} ? std::string{} : to_text(address);
}

Json json_of(const RunningState::Held& held) {
    const auto or_null = [](const std::string& text) { return text.empty() ? Json() : Json(text); };
    Json json{{"hash", fmt::format("{:09x}", held.fingerprint)}};
    json["peer_port"] = held.peer_port != 0 ? Json(held.peer_port) : Json();
    json["local_port"] = held.local_port != 0 ? Json(held.local_port) : Json();
    json["state"] = state_text(held.kind);
    json["address"] = or_null(address_text(held.at));
    json["asked_last"] = or_null(address_text(held.asked_last));
    json["age"] = held.seconds >= 0 ? Json(held.seconds) : Json();
    json["counts"] = held.is_alive;
    return json;
}

std::vector<RunningState::Held> choose(const RunningState& state, const PeersOptions& options,
                                       const PeerName& peer) {
    return options.peer.empty() ? state.conversations()
                                : state.conversations_with(peer.address, peer.scope, peer.port);
}

std::vector<RunningState::Held> choose(const engine::Attachment& attached, std::uint16_t local_port,
                                       const PeersOptions& options, const PeerName& peer) {
    Wanted wanted;
    wanted.local_port = local_port;
    if (!options.peer.empty()) {
        wanted.peer = &peer.address;
        wanted.peer_port = peer.port;
    }
    return engine_conversations(attached, wanted);
}

/// The newest first, what has no age last, and no more than the limit. Returns how many are left out.
std::size_t sort_and_cut(std::vector<RunningState::Held>& conversations, std::size_t limit) {
    std::stable_sort(conversations.begin(), conversations.end(), [](const auto& one, const auto& other) {
        return static_cast<std::uint64_t>(one.seconds) < static_cast<std::uint64_t>(other.seconds);
    });
    if (limit == 0 || conversations.size() <= limit)
        return 0;
    const std::size_t left_out = conversations.size() - limit;
    conversations.resize(limit);
    return left_out;
}

void add_rows(Table& table, const std::string& holder, const std::vector<RunningState::Held>& conversations) {
    for (const RunningState::Held& held : conversations) {
        const std::string at = address_text(held.at);
        const std::string asked = address_text(held.asked_last);
        table.add(
            {holder, fmt::format("{:09x}", held.fingerprint),
             held.peer_port != 0 ? std::to_string(held.peer_port) : "-",
             held.local_port != 0 ? std::to_string(held.local_port) : "-", state_text(held.kind),
             (at.empty() ? "-" : at) + (asked.empty() ? "" : fmt::format(" (asked {})", asked)),
             held.seconds >= 0 ? fmt::format("{} s{}", held.seconds, held.is_alive ? "" : ", over") : "-"},
            held.is_alive ? Emphasis::none : Emphasis::dim);
    }
}

int peers(const PeersOptions& options) {
    const std::string target = true_target(options.target);
    PeerName peer;
    if (!options.peer.empty())
        peer = parse_peer(options.peer);
    Table table({"HELD-BY", "HASH", "PEER-PORT", "LOCAL-PORT", "STATE", "ADDRESS", "AGE"});
    Json document = json_document();
    document["processes"] = Json::array();
    std::size_t left_out = 0;
    bool has_problem = false;
    const auto show = [&](std::vector<RunningState::Held> conversations, const std::string& holder,
                          Json& entry) {
        left_out += sort_and_cut(conversations, options.limit);
        if (!options.output.json)
            add_rows(table, holder, conversations);
        else
            for (const RunningState::Held& held : conversations)
                entry["conversations"].push_back(json_of(held));
    };
    const std::vector<engine::Attachment> attached = attachments_meant(target, true);
    for (const Running& running : find_running(target, !attached.empty())) {
        Json entry{{"pid", running.process.number}, {"program", running.process.name}};
        entry["problem"] = running.problem.empty() ? Json() : Json(running.problem);
        entry["conversations"] = Json::array();
        has_problem = has_problem || !running.problem.empty();
        if (!running.problem.empty())
            fmt::print(stderr, "multihomectl: process {}: {}\n", running.process.number, running.problem);
        for (const RunningState& state : running.state)
            show(choose(state, options, peer), std::to_string(running.process.number), entry);
        document["processes"].push_back(entry);
    }
    document["engine"] = Json::array();
    const std::uint16_t local_port = attached.empty() ? std::uint16_t{0} : port_meant(target);
    for (const engine::Attachment& one : attached) {
        Json entry{{"control_group", one.path}};
        entry["conversations"] = Json::array();
        show(choose(one, local_port, options, peer), one.path, entry);
        document["engine"].push_back(entry);
    }
    document["left_out"] = left_out;
    if (options.output.json) {
        print_json(document);
    } else if (!options.output.quiet) {
        if (table.empty())
            fmt::print("No conversation is held{}.\n", root_sees_more());
        else
            table.print();
        if (left_out != 0)
            fmt::print("{} more; --limit 0 shows all.\n", left_out);
    }
    return has_problem ? failure : success;
}

} // namespace

void add_peers(CLI::App& application, int& exit_status) {
    auto options = std::make_shared<PeersOptions>();
    CLI::App* command = application.add_subcommand(
        "peers", "List the conversations that the library and the kernel engine hold");
    command->add_option("TARGET", options->target, "A PID, a unit or a port (default: all processes)");
    add_output_options(*command, options->output);
    command->add_option("--peer", options->peer, "Only those with this peer")->type_name("ADDRESS[:PORT]");
    command
        ->add_option("--limit", options->limit,
                     "Show so many of each process and control group; 0: all (default: 1000)")
        ->type_name("N");
    command->footer("Exit status: 0 all could be read, 1 some could not, 2 there is none or not possible.");
    command->callback([options, &exit_status] { exit_status = peers(*options); });
}

} // namespace multihome::tools
