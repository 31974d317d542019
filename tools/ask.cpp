// SPDX-License-Identifier: MIT
// multihomectl ask: from which addresses does a server answer? Proof from outside, for any server.
#include <netdb.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tools/ask_exchange.hpp"
#include "tools/numbers.hpp"
#include "tools/output.hpp"
#include "tools/payloads.hpp"
#include "tools/subcommands.hpp"

namespace multihome::tools {
namespace {

struct AskOptions {
    std::vector<std::string> addresses;
    std::optional<std::string> port;
    std::string payload;
    std::string hex;
    std::string text;
    std::string secret = "testing123"; // what FreeRADIUS gives to clients on the host itself
    double timeout = 2;
    int tries = 2;
    OutputOptions output;
};

uint16_t parse_port(const std::string& text) {
    if (!text.empty() && text.size() <= 5 &&
        std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; })) {
        const int number = std::stoi(text);
        if (number >= 1 && number <= 65535)
            return static_cast<uint16_t>(number);
    } else if (const servent* service = getservbyname(text.c_str(), "udp")) { // NOLINT(concurrency-mt-unsafe)
        return ntohs(static_cast<uint16_t>(service->s_port));
    }
    throw Impossible(fmt::format("--port: '{}' is no port: use a number from 1 to 65535 or the name "
                                 "of a UDP service from /etc/services",
                                 text));
}

std::string names_of(const std::vector<Payload>& payloads) {
    std::string names;
    for (const Payload& payload : payloads)
        names += (names.empty() ? "" : ", ") + payload.name;
    return names;
}

/// The payload asked for, or the one of the port.
Payload choose_payload(const AskOptions& options) {
    if (!options.port && options.payload.empty())
        throw Impossible(options.hex.empty() && options.text.empty()
                             ? "name the server's --port or a --payload"
                             : "--hex and --text go to a port of your choice: name the server's --port");
    if (!options.hex.empty()) {
        const std::optional<Datagram> bytes = parse_hex(options.hex);
        if (!bytes)
            throw Impossible(
                fmt::format("--hex: '{}' is not an even number of hexadecimal digits", options.hex));
        return raw_payload("hex", *bytes);
    }
    if (!options.text.empty())
        return raw_payload("text", options.text);
    std::vector<Payload> known = named_payloads(options.secret);
    const uint16_t port = options.port ? parse_port(*options.port) : uint16_t{0};
    const auto found = std::find_if(known.begin(), known.end(), [&](const Payload& payload) {
        return options.payload.empty() ? payload.port == port : payload.name == options.payload;
    });
    if (found != known.end())
        return *found;
    if (!options.payload.empty())
        throw Impossible(fmt::format("--payload: there is no payload '{}': use one of {}, or --hex or --text",
                                     options.payload, names_of(known)));
    throw Impossible(fmt::format("which protocol port {} speaks is not known: add --payload with one of "
                                 "{}, or --hex or --text",
                                 port, names_of(known)));
}

const char* word(Outcome outcome) {
    switch (outcome) {
    case Outcome::not_asked:
        return "not asked";
    case Outcome::right:
        return "ok";
    case Outcome::wrong:
        return "WRONG";
    case Outcome::silent:
        return "silent";
    case Outcome::refused:
        return "refused";
    }
    return "";
}

/// A cell of the table: where the answer came from.
std::string cell(const Asked& row, const Answer& answer) {
    switch (answer.outcome) {
    case Outcome::not_asked:
        return "-";
    case Outcome::right:
    case Outcome::wrong:
        break;
    case Outcome::silent:
    case Outcome::refused:
        return word(answer.outcome);
    }
    // Another port is worth a word where it is what makes the answer wrong.
    const bool other_port = answer.outcome == Outcome::wrong && answer.source.same_address(row.target);
    return answer.source.address() + (other_port ? fmt::format("#{}", answer.source.port()) : "");
}

Json to_json(const Answer& answer) {
    if (answer.outcome == Outcome::not_asked)
        return nullptr;
    Json json{{"verdict", answer.outcome == Outcome::wrong ? "wrong" : word(answer.outcome)},
              {"from", nullptr},
              {"port", nullptr}};
    if (answer.outcome == Outcome::right || answer.outcome == Outcome::wrong) {
        json["from"] = answer.source.address();
        json["port"] = answer.source.port();
    }
    return json;
}

const char* verdict(const Asked& row) {
    return row.worst() == Outcome::wrong ? "wrong" : word(row.worst());
}

void print_answers(const Payload& payload, uint16_t port, const std::vector<Asked>& rows) {
    Json document = json_document();
    document["port"] = port;
    document["payload"] = payload.name;
    document["addresses"] = Json::array();
    for (const Asked& row : rows)
        document["addresses"].push_back({{"address", row.target.address()},
                                         {"local", is_local(row.target)},
                                         {"verdict", verdict(row)},
                                         {"own_port", to_json(row.own_port)},
                                         {"one_port", to_json(row.one_port)},
                                         {"at_once", to_json(row.at_once)}});
    print_json(document);
}

void print_table(const std::vector<Asked>& rows) {
    Table table{{"ADDRESS", "OWN PORT", "ONE PORT", "AT ONCE", "VERDICT"}};
    for (const Asked& row : rows) {
        const Outcome worst = row.worst();
        table.add({row.target.address(), cell(row, row.own_port), cell(row, row.one_port),
                   cell(row, row.at_once), word(worst)},
                  worst == Outcome::right ? Emphasis::none : Emphasis::bad);
    }
    table.print();
}

void print_notes(const std::vector<Asked>& rows) {
    const auto count = [&](Outcome outcome) {
        return std::count_if(rows.begin(), rows.end(),
                             [&](const Asked& row) { return row.worst() == outcome; });
    };
    const auto wrong = count(Outcome::wrong);
    const auto silent = count(Outcome::silent);
    const auto refused = count(Outcome::refused);
    if (wrong != 0)
        fmt::print(
            "{} of {} addresses {} answered wrongly: a client drops what comes from where it did not ask.\n",
            wrong, rows.size(), wrong == 1 ? "is" : "are");
    if (refused != 0)
        fmt::print(
            "{} of {} addresses refused: no server listens at that port there, or there is no way to it.\n",
            refused, rows.size());
    if (silent != 0)
        fmt::print(
            "{} of {} addresses gave no answer. A firewall or NAT on the way drops an answer from a wrong\n"
            "address, too; ask from a machine without one to know which it is.\n",
            silent, rows.size());
}

void warn_of_local_addresses(const std::vector<Asked>& rows) {
    for (const Asked& row : rows)
        if (is_local(row.target))
            fmt::print(
                stderr,
                "multihomectl: {} is an address of this host: what it sends to itself says nothing about "
                "what others get; ask from another machine\n",
                row.target.address());
}

int ask(const AskOptions& options) {
    const Payload payload = choose_payload(options);
    const uint16_t port = options.port ? parse_port(*options.port) : payload.port;
    std::vector<Endpoint> targets;
    for (const std::string& address : options.addresses)
        for (const Endpoint& found : resolve(address, port)) {
            // Its answer would come from another address, and be right.
            if (!is_of_one_host(found))
                throw Impossible(fmt::format(
                    "{} is no address of one server: a server answers from another one", found.address()));
            if (std::none_of(targets.begin(), targets.end(),
                             [&](const Endpoint& one) { return one.address() == found.address(); }))
                targets.push_back(found);
        }
    const std::vector<Asked> rows =
        ask_all(targets, payload,
                {std::chrono::milliseconds{static_cast<int>(options.timeout * 1000)}, options.tries});

    warn_of_local_addresses(rows);
    if (options.output.json) {
        print_answers(payload, port, rows);
    } else if (!options.output.quiet) {
        print_table(rows);
        print_notes(rows);
    }
    const bool all_right =
        std::all_of(rows.begin(), rows.end(), [](const Asked& row) { return row.worst() == Outcome::right; });
    return all_right ? success : failure;
}

} // namespace

void add_ask(CLI::App& application, int& exit_status) {
    auto options = std::make_shared<AskOptions>();
    CLI::App* command = application.add_subcommand(
        "ask", "Ask a server at each of its addresses, and say from which addresses it answers");
    command->add_option("ADDRESS", options->addresses, "The server's addresses, or a name that has them")
        ->required();
    command->add_option("-p,--port", options->port, "The server's port, a number or a service's name");
    auto* named = command->add_option("--payload", options->payload,
                                      "What to ask: dns, ntp, stun, snmp, tftp, radius, sip, quic, memcached "
                                      "or echo (default: by the port)");
    auto* hex =
        command->add_option("--hex", options->hex, "Send these bytes; anything that comes is an answer");
    auto* text =
        command->add_option("--text", options->text, "Send this text; anything that comes is an answer");
    named->excludes(hex)->excludes(text);
    hex->excludes(text);
    command->add_option("--secret", options->secret, "radius: the secret shared with this client")
        ->capture_default_str();
    command->add_option("--timeout", options->timeout, "Seconds to wait for an answer")
        ->check([](const std::string& value) { return problem_with_seconds(value, 0.01, 60); })
        ->capture_default_str();
    command->add_option("--tries", options->tries, "How often to ask where no answer comes")
        ->check(CLI::Range(1, 10))
        ->capture_default_str();
    add_output_options(*command, options->output);
    command->footer("Exit status: 0 all answers are right, 1 one is wrong or missing, 2 wrong usage.");
    command->callback([options, &exit_status] { exit_status = ask(*options); });
}

} // namespace multihome::tools
