// SPDX-License-Identifier: MIT
// A recipe as a shell script that explains itself.
#include <fmt/core.h>

#include <string_view>

#include "tools/processes.hpp"
#include "tools/recipe_plan.hpp"

namespace multihome::tools::recipes {
namespace {

constexpr std::string_view one_interface_text = R"(
The kernel answers from the address that the routing table prefers, whichever address was asked. So each request
is sent on to that address before a program sees it (destination NAT). Connection tracking remembers the address
that was asked, and puts it back on the answer.
)";

constexpr std::string_view two_interfaces_text = R"(
The kernel answers from the address, and through the uplink, that the routing table prefers. So each request is
sent on to that address before a program sees it (destination NAT), and connection tracking puts the address
that was asked back on the answer. For the second uplink that is not all:
- a mark on the connection remembers that the request came in there; the answer takes the mark, and a routing
  table of its own leads what has the mark out through the same uplink;
- a strict reverse path filter (rp_filter=1) would drop the request, because the way back to its sender leads
  through the other uplink; it is set to loose (2) where it is strict.
)";

constexpr std::string_view routing_text = R"(
What leaves from an address of the second uplink has to leave through that uplink: the provider of the other one
drops it. This alone makes no program answer from the address asked; it is what a host with two uplinks needs in
any case, with multihome in the program or with a program that is bound to the address. A strict reverse path
filter passes with it, because the way back is looked up with the same rule.
Clients on a link that is no uplink (a third interface, a bridge of containers, the networks behind a static
route) go on being answered through that link: rules in front lead to the routing table main for these. Make the
recipe again when such a link or route comes later.
)";

constexpr std::string_view translation_text = R"(
What you should know:
- Filter rules see the new destination. To match the one that was asked: `ct original daddr 192.0.2.3` (nftables)
  or `-m conntrack --ctorigdst 192.0.2.3` (iptables); what is translated at all: `ct status dnat`, `--ctstatus DNAT`.
  The program and its log see the new destination, too.
- A firewall that accepts what is translated (`ct status dnat accept`), as those of firewalld and OpenWrt do, then
  accepts these requests, too: name with --port the ports that all may ask.
- What another chain of nftables translates first stays as that one has it. With iptables the rules stand at the
  end of PREROUTING, and in front of the chains of nftables that have the same priority and are older.
- Rewriting the source of the answers instead (SNAT) does not work. Request and answer are then two connections
  to the kernel, and the port of the wanted address is taken by the first: the kernel changes the source port,
  and the client drops the answer.
- Each client takes an entry in the connection tracking table, for 30 seconds or 2 minutes. When the table is
  full, requests are dropped ("nf_conntrack: table full, dropping packet" in the kernel's log). See and raise:
  `sysctl net.netfilter.nf_conntrack_count net.netfilter.nf_conntrack_max`.
- Flows that are tracked already keep the treatment that they began with until they are forgotten: conntrack -D.
- A program that is bound to one address would no longer hear what is sent there. Those that run now are left
  out below. Make the recipe again when that changes, and when an address or a route does.
- A program that answers from another port (TFTP) is not helped: to the kernel that is another connection.
)";

std::string commented(std::string_view text) {
    std::string result;
    while (!text.empty()) {
        const size_t end = text.find('\n');
        const std::string_view line = text.substr(0, end);
        result += line.empty() ? "#\n" : fmt::format("# {}\n", line);
        text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    }
    return result;
}

} // namespace

std::string script_of(const Plan& plan) {
    std::string text =
        fmt::format("#!/bin/sh\n# multihomectl recipe {}, for the addresses and routes that this "
                    "host has now.\n",
                    name_of(plan.kind));
    switch (plan.kind) {
    case RecipeKind::one_interface:
        text += commented(one_interface_text) + commented(translation_text);
        break;
    case RecipeKind::two_interfaces:
        text += commented(two_interfaces_text) + commented(translation_text);
        break;
    case RecipeKind::routing:
        text += commented(routing_text);
        break;
    }
    for (const std::string& note : plan.notes)
        text += fmt::format("#\n# Left out: {}.\n", note);
    if (plan.steps.empty())
        return text + "#\n# This host has nothing that needs it.\n";
    text += "set -e\n";
    for (const Step& step : plan.steps) {
        if (step.command.empty())
            continue;
        text += fmt::format("\n# {}\n{}", step.why, shell_command(step.command));
        text += step.input.empty() ? "\n" : fmt::format(" <<'RULES'\n{}RULES\n", step.input);
    }
    if (!plan.forget.empty()) {
        text += "\n# forget the flows that are tracked already\n";
        for (const Command& command : plan.forget)
            text += shell_command(command) + " || true\n";
    }
    text += "\n# To take it back, in this order:\n";
    for (auto step = plan.steps.rbegin(); step != plan.steps.rend(); ++step)
        text += fmt::format("#   {}\n", shell_command(step->undo));
    return text;
}

} // namespace multihome::tools::recipes
