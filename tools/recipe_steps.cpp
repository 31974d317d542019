// SPDX-License-Identifier: MIT
// The steps of a recipe: rules for nft or iptables, routing rules, routes, and the reverse path filter.
#include <fmt/core.h>

#include <algorithm>

#include "tools/recipe_plan.hpp"

namespace multihome::tools::recipes {
namespace {

constexpr const char* table_name = "multihome";

const char* nft_family(Family family) {
    return family == Family::ipv4 ? "ip" : "ip6";
}

const char* iptables(Family family) {
    return family == Family::ipv4 ? "iptables" : "ip6tables";
}

std::string joined_ports(const std::vector<unsigned>& ports) {
    std::string list;
    for (const unsigned port : ports)
        list += fmt::format("{}{}", list.empty() ? "" : ", ", port);
    return list;
}

void add_reverse_path(Plan& plan, const std::string& interface) {
    // 2, the loose mode: the larger of the interface's value and that of "all" counts, and both may be 1.
    const Command probe = reverse_path_probe(interface);
    const std::string& key = probe.back();
    const CommandResult now = run_command(probe);
    const std::string old = now.ok() ? now.output.substr(0, now.output.find('\n')) : "1";
    plan.steps.push_back(
        {fmt::format("requests that come in on {} are not dropped for their way back", interface),
         {"sysctl", "-qw", key + "=2"},
         "",
         {"sysctl", "-qw", key + "=" + old},
         probe,
         "2"});
}

void add_route(Plan& plan, const Uplink& uplink, const std::string& destination) {
    const char* const family = family_option(uplink.family);
    const std::string table = std::to_string(uplink.number);
    const bool everything = destination == "default";
    Command command{"ip", family, "route", "add", destination};
    Command undo{"ip", family, "route", "del", destination};
    for (Command* one : {&command, &undo}) {
        if (everything)
            one->insert(one->end(), {"via", uplink.gateway});
        one->insert(one->end(), {"dev", uplink.interface});
        if (everything && uplink.is_off_links)
            one->emplace_back("onlink");
        one->insert(one->end(), {"table", table});
    }
    plan.steps.push_back({everything ? fmt::format("table {}: out through {}", table, uplink.interface)
                                     : fmt::format("table {}: the link itself", table),
                          command,
                          "",
                          undo,
                          {"ip", family, "route", "show", "table", table, "exact", destination}});
}

/// In front of the rule for all that leaves from `address`.
void add_rule_to(Plan& plan, Family family, const std::string& address, const std::string& prefix) {
    const char* const option = family_option(family);
    const std::string preference = std::to_string(preference_of_others);
    Command rule{"ip",   option,  "rule", "add",  "pref",   preference,
                 "from", address, "to",   prefix, "lookup", "main"};
    Command undo = rule;
    undo[3] = "del";
    Command probe = rule;
    probe[3] = "show";
    plan.steps.push_back(
        {fmt::format("but to {} it leaves through that link", prefix), rule, "", undo, probe});
}

void add_uplink(Plan& plan, const Uplink& uplink) {
    for (const std::string& link : uplink.links)
        add_route(plan, uplink, link);
    add_route(plan, uplink, "default");
    const char* const family = family_option(uplink.family);
    const std::string number = std::to_string(uplink.number);
    if (plan.kind == RecipeKind::two_interfaces) {
        Command rule{"ip", family, "rule", "add", "fwmark", number, "pref", number, "table", number};
        Command undo = rule;
        undo[3] = "del";
        plan.steps.push_back({fmt::format("what has the mark {} uses table {}", number, number),
                              rule,
                              "",
                              undo,
                              {"ip", family, "rule", "show", "pref", number}});
        return;
    }
    for (const std::string& address : uplink.addresses) {
        for (const std::string& prefix : uplink.others)
            add_rule_to(plan, uplink.family, address, prefix);
        Command rule{"ip", family, "rule", "add", "from", address, "pref", number, "table", number};
        Command undo = rule;
        undo[3] = "del";
        plan.steps.push_back({fmt::format("what leaves from {} uses table {}", address, number),
                              rule,
                              "",
                              undo,
                              {"ip", family, "rule", "show", "from", address, "table", number}});
    }
}

/// "iifname X meta l4proto udp ..." with the ports, if only some are meant.
std::string nft_ports(const Plan& plan) {
    return plan.ports.empty() ? "meta l4proto udp"
                              : fmt::format("udp dport {{ {} }}", joined_ports(plan.ports));
}

bool translates(const Plan& plan, Family family) {
    return std::any_of(plan.translations.begin(), plan.translations.end(),
                       [&](const Translation& one) { return one.family == family; });
}

std::vector<const Uplink*> marked_uplinks(const Plan& plan, Family family) {
    std::vector<const Uplink*> uplinks;
    if (plan.kind == RecipeKind::two_interfaces)
        for (const Uplink& uplink : plan.uplinks)
            if (uplink.family == family)
                uplinks.push_back(&uplink);
    return uplinks;
}

void add_nft(Plan& plan, Family family) {
    plan.steps.push_back({"the rules",
                          {"nft", "-f", "-"},
                          nft_rules(plan, family),
                          {"nft", "delete", "table", nft_family(family), table_name},
                          {"nft", "list", "table", nft_family(family), table_name}});
}

/// iptables makes its tables and chains when the first rule needs them. Those that it makes for us are taken
/// away again if they are empty; the old kind of iptables (ip_tables) never gives them back.
void add_iptables_chain(Plan& plan, Family family, const std::string& table, const std::string& chain) {
    if (run_command({iptables(family), "--version"}).output.find("nf_tables") == std::string::npos)
        return;
    const Command list_table{"nft", "list", "table", nft_family(family), table};
    const Command list_chain{"nft", "list", "chain", nft_family(family), table, chain};
    const bool planned = std::any_of(plan.steps.begin(), plan.steps.end(),
                                     [&](const Step& step) { return step.probe == list_table; });
    if (!planned && !run_command(list_table).ok()) {
        Step step{fmt::format("the table {} comes with its first rule", table), {}, "", {}, list_table};
        step.undo = {"nft", "delete", "table", nft_family(family), table};
        step.unless = "chain"; // of somebody else's: ours are gone by then
        plan.steps.push_back(step);
    }
    if (!run_command(list_chain).ok()) {
        Step step{fmt::format("the chain {} comes with its first rule", chain), {}, "", {}, list_chain};
        step.undo = {iptables(family), "-w", "-t", table, "-X", chain};
        step.shared = true;
        plan.steps.push_back(step);
    }
}

class IptablesRules {
public:
    IptablesRules(Plan& plan, Family family) : plan_(plan), family_(family) {}

    void add(const std::string& why, const std::string& table, const std::string& chain,
             const Command& rule) {
        Command words{iptables(family_), "-w", "-t", table, "-A", chain};
        words.insert(words.end(), rule.begin(), rule.end());
        // Ours are told from the same rule of somebody else's by the comment.
        words.insert(words.end(), {"-m", "comment", "--comment", table_name});
        Command undo = words;
        undo[4] = "-D";
        Command probe = words;
        probe[4] = "-C";
        Step step{why, words, "", undo, probe};
        step.by_status = true;
        plan_.steps.push_back(step);
    }

private:
    Plan& plan_;
    Family family_;
};

void add_iptables(Plan& plan, Family family) {
    const std::vector<const Uplink*> uplinks = marked_uplinks(plan, family);
    add_iptables_chain(plan, family, "nat", "PREROUTING");
    if (!uplinks.empty()) {
        add_iptables_chain(plan, family, "mangle", "INPUT");
        add_iptables_chain(plan, family, "mangle", "OUTPUT");
    }
    IptablesRules rules{plan, family};
    if (family == Family::ipv6)
        rules.add("link-local addresses stay on their link", "nat", "PREROUTING",
                  {"-d", "fe80::/10", "-j", "RETURN"});
    for (const Uplink* uplink : uplinks) {
        const std::string mark = std::to_string(uplink->number);
        rules.add("remember on the connection where the request came in", "mangle", "INPUT",
                  {"-i", uplink->interface, "-p", "udp", "-m", "conntrack", "--ctdir", "ORIGINAL", "-j",
                   "CONNMARK", "--set-mark", mark});
        rules.add("and route the answer by it", "mangle", "OUTPUT",
                  {"-p", "udp", "-m", "conntrack", "--ctdir", "REPLY", "-m", "connmark", "--mark", mark, "-j",
                   "CONNMARK", "--restore-mark"});
    }
    for (const BoundSocket& socket : plan.untouched)
        if (socket.family == family)
            rules.add(
                "a program is bound to this address", "nat", "PREROUTING",
                {"-d", socket.address, "-p", "udp", "--dport", std::to_string(socket.port), "-j", "RETURN"});
    std::string ports = joined_ports(plan.ports);
    std::erase(ports, ' ');
    for (const Translation& one : plan.translations) {
        if (one.family != family)
            continue;
        Command rule{"-i", one.interface, "-p", "udp"};
        if (!ports.empty())
            rule.insert(rule.end(), {"-m", "multiport", "--dports", ports});
        if (!one.clients.empty())
            rule.insert(rule.end(), {"-s", one.clients});
        rule.insert(rule.end(),
                    {"-m", "addrtype", "--dst-type", "LOCAL", "-j", "DNAT", "--to-destination", one.address});
        rules.add("to the address from which the answer leaves", "nat", "PREROUTING", rule);
    }
}

} // namespace

Command reverse_path_probe(const std::string& interface) {
    // With slashes (sysctl(8)), because an interface's name may hold a dot.
    return {"sysctl", "-n", fmt::format("net/ipv4/conf/{}/rp_filter", interface)};
}

std::string nft_rules(const Plan& plan, Family family) {
    const char* const ip = nft_family(family);
    // Behind those of others, as firewalld's is at dstnat + 10: the first chain that translates a request
    // decides.
    std::string rules = fmt::format("table {} {} {{\n    chain prerouting {{\n"
                                    "        type nat hook prerouting priority dstnat + 20; policy accept;\n",
                                    ip, table_name);
    if (family == Family::ipv6)
        rules += "        ip6 daddr fe80::/10 return\n"; // they stay on their link
    for (const BoundSocket& socket : plan.untouched)
        if (socket.family == family)
            rules +=
                fmt::format("        {} daddr {} udp dport {} return\n", ip, socket.address, socket.port);
    for (const Translation& one : plan.translations)
        if (one.family == family)
            rules += fmt::format("        iifname \"{}\" {} fib daddr type local {}counter dnat to {}\n",
                                 one.interface, nft_ports(plan),
                                 one.clients.empty() ? "" : fmt::format("{} saddr {} ", ip, one.clients),
                                 one.address);
    rules += "    }\n";
    const std::vector<const Uplink*> uplinks = marked_uplinks(plan, family);
    if (!uplinks.empty()) {
        rules += "    chain input {\n        type filter hook input priority mangle; policy accept;\n";
        for (const Uplink* uplink : uplinks)
            rules +=
                fmt::format("        iifname \"{}\" meta l4proto udp ct direction original ct mark set {}\n",
                            uplink->interface, uplink->number);
        rules +=
            "    }\n    chain output {\n        type route hook output priority mangle; policy accept;\n";
        for (const Uplink* uplink : uplinks)
            rules +=
                fmt::format("        meta l4proto udp ct direction reply ct mark {} meta mark set ct mark\n",
                            uplink->number);
        rules += "    }\n";
    }
    return rules + "}\n";
}

std::string nft_file(const Plan& plan, Family family) {
    // Deletes what is there, and for that makes it first where it is not.
    return fmt::format("table {0} {1}\ndelete table {0} {1}\n", nft_family(family), table_name) +
           nft_rules(plan, family);
}

void add_steps(Plan& plan) {
    for (const std::string& interface : plan.loose)
        add_reverse_path(plan, interface);
    for (const Uplink& uplink : plan.uplinks)
        add_uplink(plan, uplink);
    for (const Family family : {Family::ipv4, Family::ipv6}) {
        if (!translates(plan, family))
            continue;
        if (plan.format == RuleFormat::nft)
            add_nft(plan, family);
        else
            add_iptables(plan, family);
    }
}

} // namespace multihome::tools::recipes
