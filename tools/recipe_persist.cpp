// SPDX-License-Identifier: MIT
#include "tools/recipe_persist.hpp"

#include <fmt/core.h>
#include <net/if.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <string_view>
#include <system_error>

#include "tools/drop_in.hpp"
#include "tools/processes.hpp"
#include "tools/subcommands.hpp"

namespace multihome::tools::recipes {
namespace {

namespace fs = std::filesystem;

// The first line of our files, by which --undo knows them. The second one is there where the folder is ours,
// too.
constexpr const char* marker =
    "# Written by `multihomectl recipe ... --persist`; removed by `multihomectl recipe ... --undo`.";
constexpr std::string_view folder_marker = "# Folders made for it: ";

constexpr const char* rules_file = "/etc/nftables.d/multihome.nft";
/// Of the services that load them.
constexpr const char* nftables_file = "/etc/systemd/system/nftables.service.d/60-multihome.conf";
constexpr const char* firewalld_file = "/etc/systemd/system/firewalld.service.d/60-multihome.conf";
constexpr const char* sysctl_file = "/etc/sysctl.d/60-multihome.conf";
constexpr const char* network_folder = "/etc/systemd/network";
constexpr const char* network_drop_in = "60-multihome.conf";

bool is_ours(const fs::path& path) {
    std::ifstream file{path};
    std::string line;
    return std::getline(file, line) && line == marker;
}

/// How many folders above `path` were made for it. Where the file is there, it says so; else they are still
/// to be made.
int folders_of(const fs::path& path) {
    std::ifstream file{path};
    for (std::string line; std::getline(file, line);)
        if (line.starts_with(folder_marker) && line.size() == folder_marker.size() + 1)
            return line.back() - '0';
    int missing = 0;
    std::error_code error;
    for (fs::path folder = path.parent_path(); !fs::exists(folder, error) && missing < 9; ++missing)
        folder = folder.parent_path();
    return missing;
}

void add_own(Persistence& persistence, const fs::path& path, const std::string& content) {
    std::error_code error;
    if (fs::exists(path, error) && !is_ours(path))
        throw Impossible(fmt::format("{} is there already, and not from here: move it away", path.string()));
    persistence.files.push_back({path.string(), content});
}

void remove_file(const fs::path& path, Removal& removal) {
    if (!is_ours(path))
        return;
    int folders = folders_of(path);
    std::error_code error;
    fs::remove(path, error);
    if (error) {
        removal.left.push_back(fmt::format("{}: {}", path.string(), error.message()));
        return;
    }
    removal.removed.push_back(path.string());
    // A folder that somebody else has put a file into stays.
    for (fs::path folder = path.parent_path(); folders > 0 && fs::remove(folder, error); --folders)
        folder = folder.parent_path();
}

/// The .network file that systemd-networkd has for an interface; empty where it does not run it.
std::string network_file(const std::string& interface) {
    std::ifstream state{fmt::format("/run/systemd/netif/links/{}", if_nametoindex(interface.c_str()))};
    constexpr std::string_view key = "NETWORK_FILE=";
    for (std::string line; std::getline(state, line);)
        if (line.starts_with(key))
            return fs::path{line.substr(key.size())}.filename().string();
    return {};
}

std::string network_section(const Plan& plan, const Uplink& uplink) {
    std::string text;
    for (const std::string& link : uplink.links)
        text += fmt::format("\n[Route]\nDestination={}\nScope=link\nTable={}\n", link, uplink.number);
    text += fmt::format("\n[Route]\nGateway={}\n{}Table={}\n", uplink.gateway,
                        uplink.is_off_links ? "GatewayOnLink=yes\n" : "", uplink.number);
    if (plan.kind == RecipeKind::two_interfaces)
        return text +
               fmt::format("\n[RoutingPolicyRule]\nFirewallMark={0}\nPriority={0}\nTable={0}\nFamily={1}\n",
                           uplink.number, uplink.family == Family::ipv4 ? "ipv4" : "ipv6");
    for (const std::string& address : uplink.addresses) {
        for (const std::string& prefix : uplink.others)
            text += fmt::format("\n[RoutingPolicyRule]\nFrom={}\nTo={}\nPriority={}\nTable=main\n", address,
                                prefix, preference_of_others);
        text +=
            fmt::format("\n[RoutingPolicyRule]\nFrom={0}\nPriority={1}\nTable={1}\n", address, uplink.number);
    }
    return text;
}

void add_loader(Persistence& persistence, const Plan& plan) {
    // firewalld.service and nftables.service exclude each other. The firewall starts, also without our rules.
    if (plan.firewall == "firewalld") {
        persistence.loader = "firewalld";
        add_own(persistence, firewalld_file,
                fmt::format("[Service]\nExecStartPost=-+/usr/sbin/nft -f {}\n", rules_file));
        return;
    }
    persistence.loader = "nftables";
    // Behind /etc/nftables.conf, which begins with `flush ruleset` and is the operator's own.
    add_own(persistence, nftables_file,
            fmt::format("[Service]\nExecStartPost=/usr/sbin/nft -f {0}\n"
                        "ExecReload=/usr/sbin/nft -f {0}\n",
                        rules_file));
}

void add_uplink_files(Persistence& persistence, const Plan& plan) {
    std::vector<std::string> interfaces;
    for (const Uplink& uplink : plan.uplinks)
        if (std::find(interfaces.begin(), interfaces.end(), uplink.interface) == interfaces.end())
            interfaces.push_back(uplink.interface);
    for (const std::string& interface : interfaces) {
        std::string text;
        for (const Uplink& uplink : plan.uplinks)
            if (uplink.interface == interface)
                text += network_section(plan, uplink);
        if (const std::string base = network_file(interface); !base.empty()) {
            add_own(persistence, fs::path{network_folder} / (base + ".d") / network_drop_in, text);
            continue;
        }
        persistence.by_hand.push_back(
            fmt::format("systemd-networkd does not run {}: have these run when it comes up (`post-up` "
                        "in /etc/network/interfaces, a dispatcher script of NetworkManager):",
                        interface));
        Plan alone; // its routes and rules, and nothing else
        alone.kind = plan.kind;
        for (const Uplink& uplink : plan.uplinks)
            if (uplink.interface == interface)
                alone.uplinks.push_back(uplink);
        add_steps(alone);
        for (const Step& step : alone.steps)
            persistence.by_hand.push_back("  " + shell_command(step.command));
    }
}

/// Removes what an earlier --persist wrote, but `kept`.
Removal remove_but(const std::set<std::string>& kept) {
    Removal removal;
    // The rules behind what loads them: nftables.service does not start where they are missing.
    std::vector<fs::path> candidates{nftables_file, firewalld_file, rules_file, sysctl_file};
    std::error_code error;
    for (const fs::directory_entry& entry : fs::directory_iterator{network_folder, error})
        if (entry.path().string().ends_with(".network.d"))
            candidates.push_back(entry.path() / network_drop_in);
    for (const fs::path& path : candidates)
        if (!kept.contains(path.string()) && (path != rules_file || removal.left.empty()))
            remove_file(path, removal);
    return removal;
}

void reload_units() {
    std::error_code error;
    if (fs::exists("/run/systemd/system", error))
        run_command({"systemctl", "daemon-reload"});
}

} // namespace

Persistence plan_persistence(const Plan& plan) {
    if (plan.format == RuleFormat::iptables && !plan.translations.empty())
        throw Impossible("iptables has one file for all rules, which is not written from here: apply the "
                         "recipe and call `netfilter-persistent save`, or use --format nft");
    Persistence persistence;
    std::string rules;
    for (const Family family : {Family::ipv4, Family::ipv6})
        if (std::any_of(plan.translations.begin(), plan.translations.end(),
                        [&](const Translation& one) { return one.family == family; }))
            rules += "\n" + nft_file(plan, family);
    if (!rules.empty()) {
        if (plan.firewall == "fw4")
            throw Impossible("OpenWrt's fw4 includes the files of /etc/nftables.d in a table of its own, and "
                             "would load none of its rules with such a file there: have the recipe applied "
                             "at each start");
        add_own(persistence, rules_file, rules);
        add_loader(persistence, plan);
    }
    std::string settings;
    for (const std::string& interface : plan.loose)
        settings += fmt::format("net/ipv4/conf/{}/rp_filter = 2\n", interface);
    if (!settings.empty())
        add_own(persistence, sysctl_file, settings);
    add_uplink_files(persistence, plan);
    return persistence;
}

int persist(const Persistence& persistence, const OutputOptions& output) {
    std::set<std::string> written;
    for (const auto& [path, content] : persistence.files) {
        write_file(path, fmt::format("{}\n{}{}\n{}", marker, folder_marker, folders_of(path), content));
        written.insert(path);
    }
    const Removal replaced = remove_but(written);
    if (!persistence.loader.empty() || !replaced.removed.empty())
        reload_units();
    if (!output.quiet) {
        for (const std::string& path : replaced.removed)
            fmt::print("{}: removed\n", path);
        for (const Persistence::File& file : persistence.files)
            fmt::print("{}: written\n", file.path);
        if (!persistence.loader.empty())
            fmt::print("{0}.service loads the rules at boot, if it is enabled: systemctl enable {0}\n",
                       persistence.loader);
    }
    if (!replaced.left.empty())
        throw Impossible(
            fmt::format("what an earlier --persist wrote could not be removed: {}", replaced.left.front()));
    for (const std::string& line : persistence.by_hand)
        fmt::print(stderr, "{}{}\n", line.starts_with(' ') ? "" : "multihomectl: ", line);
    return persistence.by_hand.empty() ? success : failure;
}

Removal remove_persistent() {
    Removal removal = remove_but({});
    if (!removal.removed.empty())
        reload_units();
    return removal;
}

} // namespace multihome::tools::recipes
