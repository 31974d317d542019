// SPDX-License-Identifier: MIT
// What a recipe does to this host, as a list of steps that can each be taken back.
#pragma once

#include <string>
#include <vector>

#include "tools/recipe_host.hpp"
#include "tools/run_command.hpp"

namespace multihome::tools::recipes {

/// One change to the host. It is there when `probe` succeeds and prints something (or `expected`, if that is
/// not empty; or anything at all, with `by_status`), but not `unless`.
struct Step {
    std::string why;
    Command command = {}; ///< empty: comes by itself with the steps behind it
    std::string input = {};
    Command undo;
    Command probe;
    std::string expected = {};
    std::string unless = {};
    bool by_status = false;
    /// Somebody else may have begun to use it meanwhile: then it stays.
    bool shared = false;
};

enum class RecipeKind { one_interface, two_interfaces, routing };
enum class RuleFormat { nft, iptables };

struct RecipeOptions {
    RecipeKind kind = RecipeKind::one_interface;
    RuleFormat format = RuleFormat::nft;
    std::vector<std::string> interfaces; ///< only these; empty: all that need it
    std::vector<std::string> gateways;   ///< of second uplinks, where no routing table names them
    std::vector<unsigned> ports;         ///< only these; empty: all
};

/// Table, preference and mark of the first uplink, where they are free.
constexpr unsigned first_number = 42;
/// In front of the rules of all uplinks. Rules of somebody else's may have it, too.
constexpr unsigned preference_of_others = first_number - 1;

/// A second uplink: what answers from its addresses leaves through it.
struct Uplink {
    Family family = Family::ipv4;
    std::string interface;
    std::string gateway;
    std::vector<std::string> addresses;
    std::vector<std::string> links; ///< the prefixes that are on the link itself
    /// The prefixes of links that are no uplinks. Who is there asks, and is answered, through that link. In
    /// the recipe routing; with marks the routing table main has them.
    std::vector<std::string> others;
    bool is_off_links = false; ///< the router's address lies in none of `links`
    unsigned number = 0;       ///< its routing table, its rule's preference and its mark
};

/// "A request that comes in on `interface` from `clients` goes to `address`": from there the program's answer
/// leaves, so that connection tracking knows the answer and puts the address asked back on it.
struct Translation {
    Family family = Family::ipv4;
    std::string interface;
    std::string clients; ///< a prefix; empty: all others
    std::string address;
};

struct Plan {
    RecipeKind kind = RecipeKind::one_interface;
    RuleFormat format = RuleFormat::nft;
    std::vector<unsigned> ports;
    std::vector<Translation> translations;
    std::vector<BoundSocket> untouched; ///< asked at their own address, as without the recipe
    std::vector<Uplink> uplinks;
    std::string firewall;           ///< see Host
    std::vector<std::string> loose; ///< interfaces whose reverse path filter would drop requests
    std::vector<std::string> notes; ///< what the plan leaves out, and why
    /// What is done, in order. Empty: this host does not need it.
    std::vector<Step> steps;
    /// Flows that are tracked already would keep the treatment that they began with.
    std::vector<Command> forget;
};

const char* name_of(RecipeKind kind);

/// Throws Impossible where the host lacks what the recipe needs, with what to do.
Plan make_plan(const RecipeOptions& options, const Host& host);

/// Whether two-interfaces finds a second uplink without being told of its router. Throws Impossible.
bool has_second_uplink();

/// Fills `steps` of a plan from the rest of it.
void add_steps(Plan& plan);

/// Prints the value that a recipe sets to 2 where requests would be dropped.
Command reverse_path_probe(const std::string& interface);

/// The nftables tables of a plan, one for each family; empty where it has no translation.
std::string nft_rules(const Plan& plan, Family family);

/// The same for a file, which may be loaded where the tables are there already.
std::string nft_file(const Plan& plan, Family family);

/// The plan as a shell script with its explanation.
std::string script_of(const Plan& plan);

} // namespace multihome::tools::recipes
