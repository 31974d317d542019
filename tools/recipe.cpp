// SPDX-License-Identifier: MIT
// multihomectl recipe: the kernel-side way, for what preloading does not reach.
#include <unistd.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include <cstdio>
#include <memory>
#include <string>
#include <utility>

#include "tools/network_namespace.hpp"
#include "tools/output.hpp"
#include "tools/recipe_journal.hpp"
#include "tools/recipe_persist.hpp"
#include "tools/recipe_plan.hpp"
#include "tools/recipe_verify.hpp"
#include "tools/subcommands.hpp"

namespace multihome::tools {
namespace {

using namespace recipes;

struct RecipeCommand {
    std::string kind;
    std::string format = "nft";
    RecipeOptions recipe;
    bool apply = false;
    bool verify = false;
    bool undo = false;
    bool persist = false;
    OutputOptions output;
};

RecipeKind kind_of(const std::string& name) {
    for (const RecipeKind kind : {RecipeKind::one_interface, RecipeKind::two_interfaces, RecipeKind::routing})
        if (name == name_of(kind))
            return kind;
    throw Impossible(fmt::format("there is no recipe '{}'", name)); // the command line is checked before
}

void need_root(const char* what) {
    if (geteuid() != 0)
        throw Impossible(fmt::format("{} needs root: run this as root", what));
}

/// What is written for the next boot is for the network that process 1 is in. Also where that cannot be told.
bool is_network_of_boot() {
    const ino_t theirs = network_namespace_of(1);
    return theirs == 0 || theirs == own_network_namespace().inode;
}

void need_commands(const Plan& plan) {
    for (const Step& step : plan.steps)
        if (!step.command.empty() && !has_command(step.command.front()))
            throw Impossible(fmt::format("{} is not installed; see `multihomectl recipe --help` for the "
                                         "other --format",
                                         step.command.front()));
}

void need_ports(const Plan& plan) {
    if (plan.translations.empty() || !plan.ports.empty())
        return;
    if (!plan.firewall.empty())
        throw Impossible(fmt::format("the firewall of this host ({}) accepts what is translated, so that the "
                                     "recipe would open every UDP port that it blocks: choose the ports that "
                                     "all may ask, and name them with --port",
                                     plan.firewall));
}

/// What would be passed over without a word.
void refuse_options_of_others(const RecipeOptions& options) {
    if (options.kind == RecipeKind::routing && !options.ports.empty())
        throw Impossible("--port goes with one-interface and two-interfaces: the rules of routing go by "
                         "the address, whatever the port");
    if (options.kind == RecipeKind::one_interface && !options.gateways.empty())
        throw Impossible("--gateway goes with two-interfaces and routing: one-interface needs no router");
}

void print_plan(const Plan& plan) {
    Json document = json_document();
    document["recipe"] = name_of(plan.kind);
    document["format"] = plan.format == RuleFormat::nft ? "nft" : "iptables";
    document["steps"] = Json::array();
    for (const Step& step : plan.steps)
        document["steps"].push_back(
            {{"why", step.why}, {"command", step.command}, {"input", step.input}, {"undo", step.undo}});
    document["left_out"] = plan.notes;
    print_json(document);
}

int take_back(const RecipeCommand& options) {
    need_root("--undo");
    Journal journal;
    const std::string recipe = journal.read().recipe;
    Removal files;
    if (is_network_of_boot())
        files = remove_persistent();
    std::vector<std::string> left;
    if (!recipe.empty()) {
        left = undo(journal);
    } else {
        journal.remove();
    }
    if (!options.output.quiet) {
        for (const std::string& file : files.removed)
            fmt::print("{}: removed\n", file);
        if (!recipe.empty() && left.empty())
            fmt::print("the recipe {} is taken back\n", recipe);
        if (recipe.empty() && files.removed.empty() && files.left.empty())
            fmt::print("no recipe is applied: nothing to take back\n");
    }
    for (const auto* list : {&left, &files.left})
        for (const std::string& one : *list)
            fmt::print(stderr, "multihomectl: could not be taken back: {}\n", one);
    if (left.empty() && files.left.empty())
        return success;
    fmt::print(stderr, "multihomectl: mend that and call --undo again{}\n",
               left.empty() ? "" : fmt::format("; {} says what is left", journal.path()));
    return bad_usage;
}

void apply_now(const Plan& plan, const OutputOptions& output) {
    need_root("--apply");
    need_commands(plan);
    Journal journal;
    apply(plan, journal);
    if (output.quiet)
        return;
    fmt::print("the recipe {0} is applied; to take it back: multihomectl recipe {0} --undo\n",
               name_of(plan.kind));
    if (!plan.forget.empty() && !has_command("conntrack"))
        fmt::print(
            "conntrack is not installed: flows that are tracked already stay as they are until they have "
            "been silent for two minutes\n");
}

int recipe(RecipeCommand& options) {
    if (options.undo)
        return take_back(options);
    options.recipe.kind = kind_of(options.kind);
    options.recipe.format = options.format == "nft" ? RuleFormat::nft : RuleFormat::iptables;
    refuse_options_of_others(options.recipe);
    Host host = read_host();
    Journal::Content applied;
    if (options.persist) { // the next boot has nothing of what is applied now
        need_root("--persist");
        if (!is_network_of_boot())
            throw Impossible(
                "--persist writes for the next boot of the host, and this is another network than "
                "that of process 1: have whatever makes this network apply the recipe in it");
        applied = read_applied();
        host = without(std::move(host), applied);
    }
    const Plan plan = make_plan(options.recipe, host);
    if (!options.apply && !options.verify && !options.persist) {
        if (options.output.json)
            print_plan(plan);
        else if (!options.output.quiet)
            fmt::print("{}", script_of(plan));
        return success;
    }
    for (const std::string& note : plan.notes)
        if (!options.output.quiet)
            fmt::print(stderr, "multihomectl: left out: {}\n", note);
    if (options.apply || options.persist)
        need_ports(plan);
    Persistence persistence;
    if (options.persist) // before anything is done
        persistence = plan_persistence(plan);
    int status = success;
    if (options.verify) {
        need_root("--verify");
        need_commands(plan);
        status = verify(plan, host, options.output);
        if (status != success)
            return status; // what does not work here is not applied
    }
    if (options.apply || options.persist) {
        if (plan.steps.empty()) {
            if (!applied.recipe.empty())
                throw Impossible(fmt::format("nothing is written: there is nothing that needs the recipe {}, "
                                             "but the recipe {} is applied; name that one, with its "
                                             "--gateway, --interface and --port",
                                             options.kind, applied.recipe));
            if (!options.output.quiet)
                fmt::print("this host has nothing that needs the recipe {}\n", options.kind);
            return status;
        }
    }
    if (options.apply)
        apply_now(plan, options.output);
    if (options.persist)
        status = persist(persistence, options.output);
    return status;
}

} // namespace

void add_recipe(CLI::App& application, int& exit_status) {
    auto options = std::make_shared<RecipeCommand>();
    CLI::App* command = application.add_subcommand(
        "recipe", "Print, apply and take back what the kernel can do where preloading does not reach");
    command
        ->add_option(
            "RECIPE", options->kind,
            "one-interface (several addresses there), two-interfaces (a second uplink), or routing (only "
            "the rules that a second uplink needs in any case)")
        ->required()
        ->check(CLI::IsMember({"one-interface", "two-interfaces", "routing"}));
    command->add_option("--format", options->format, "nft or iptables")
        ->check(CLI::IsMember({"nft", "iptables"}))
        ->capture_default_str();
    command->add_option("--interface", options->recipe.interfaces, "Only this interface (may be repeated)");
    command->add_option("--gateway", options->recipe.gateways,
                        "The router of a second uplink, where no routing table names it (may be repeated)");
    command->add_option("--port", options->recipe.ports, "Only requests to this port (may be repeated)")
        ->check(CLI::Range(1U, 65535U));
    CLI::Option* apply = command->add_flag("--apply", options->apply, "Do it, instead of printing it");
    CLI::Option* verify =
        command->add_flag("--verify", options->verify,
                          "Try it on a copy of this host's addresses and routes in network namespaces of "
                          "its own; with --apply before it is done");
    CLI::Option* undo =
        command->add_flag("--undo", options->undo, "Take back what --apply and --persist did");
    CLI::Option* persist =
        command->add_flag("--persist", options->persist, "Write it to files for the next boot");
    undo->excludes(apply)->excludes(verify)->excludes(persist);
    add_output_options(*command, options->output);
    // What they print is for people.
    for (CLI::Option* option : {apply, verify, undo, persist})
        command->get_option("--json")->excludes(option);
    command->footer("Exit status: 0 done, 1 --verify found that it does not work or --persist left something "
                    "to do by hand, "
                    "2 wrong usage or not possible.");
    command->callback([options, &exit_status] { exit_status = recipe(*options); });
}

} // namespace multihome::tools
