// SPDX-License-Identifier: MIT
// multihomectl: looks at programs and at the host for libmultihome.so.
#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <exception>
#include <fmt/core.h>
#include <string>
#include <string_view>
#include <vector>

#include "tools/output.hpp"
#include "tools/run_command.hpp"
#include "tools/subcommands.hpp"

namespace {

/// What other programs have said may stand in it, on lines of its own.
std::string harmless_lines(std::string_view text) {
    std::string lines;
    for (;;) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        lines += multihome::tools::harmless(text.substr(0, end));
        if (end == text.size())
            return lines;
        lines += '\n';
        text.remove_prefix(end + 1);
    }
}

/// No value is empty: that of a script's variable that is not set would stand for all ports, or for all
/// processes. Only a program's name may be: it is not found.
void refuse_empty_values(CLI::App& command) {
    const auto problem = [](const std::string& value) { return value.empty() ? "the value is empty" : ""; };
    for (CLI::Option* option : command.get_options())
        if (option->get_name() != "PROGRAM")
            option->check(problem);
    for (CLI::App* subcommand : command.get_subcommands({}))
        refuse_empty_values(*subcommand);
}

/// CLI11 reads "--ports= 53" as "--ports 53". In a script, what stands before the blank is a variable that is
/// not set, and the next word something else. Returns that option; of what `run` starts, none.
std::string option_without_value(CLI::App& application, const std::vector<std::string>& words) {
    CLI::App* command = &application;
    for (std::size_t at = 0; at < words.size() && words[at] != "--"; ++at) {
        const std::string& word = words[at];
        if (word.starts_with("--") && word.find('=') == word.size() - 1)
            return word.substr(0, word.size() - 1);
        if (word.starts_with('-')) {
            if (const CLI::Option* option = command->get_option_no_throw(word))
                at += static_cast<std::size_t>(option->get_items_expected_min());
        } else if (command == &application) {
            for (CLI::App* subcommand : application.get_subcommands({}))
                if (subcommand->get_name() == word)
                    command = subcommand;
        } else if (command->get_name() == "run") {
            break;
        }
    }
    return {};
}

int run(int argument_count, char** arguments) {
    using namespace multihome::tools;

    CLI::App application{
        "Companion of libmultihome.so, which makes UDP servers answer from the address they were "
        "asked at.",
        "multihomectl"};
    application.set_version_flag("--version", "multihomectl " MULTIHOME_VERSION,
                                 "Print the version and exit");
    application.set_help_flag("-h,--help", "Print this help and exit");
    application.require_subcommand(1);
    int exit_status = success;
    add_ask(application, exit_status);
    add_attach(application, exit_status);
    add_check(application, exit_status);
    add_detach(application, exit_status);
    add_disable(application, exit_status);
    add_doctor(application, exit_status);
    add_enable(application, exit_status);
    add_list(application, exit_status);
    add_peers(application, exit_status);
    add_recipe(application, exit_status);
    // CLI11 would take some of a command's words for its own, "[]" for one.
    std::vector<std::string> behind_dashes;
    if (argument_count > 1 && std::strcmp(arguments[1], "run") == 0)
        for (int word = 2; word < argument_count; ++word)
            if (std::strcmp(arguments[word], "--") == 0) {
                behind_dashes.assign(arguments + word + 1, arguments + argument_count);
                argument_count = word;
            }
    add_run(application, exit_status, behind_dashes);
    add_selftest(application, exit_status);
    add_stats(application, exit_status);
    refuse_empty_values(application);
    try {
        if (const std::string option =
                option_without_value(application, {arguments + 1, arguments + argument_count});
            !option.empty())
            throw CLI::ValidationError(option, "the value is empty");
        application.parse(argument_count, arguments);
    } catch (const CLI::Success& request) {
        return application.exit(request); // --help and --version: CLI11 prints the text
    } catch (const CLI::ParseError& error) {
        // CLI11's own statuses (105 and up) would be taken for a subcommand's answer.
        fmt::print(stderr, "multihomectl: {}\nTry 'multihomectl --help'.\n", harmless(error.what()));
        return bad_usage;
    }
    return exit_status;
}

} // namespace

int main(int argument_count, char** arguments) {
    multihome::tools::open_standard_streams();
    multihome::tools::hear_of_children();
    try {
        return multihome::tools::flush_output(run(argument_count, arguments));
    } catch (const std::exception& error) {
        std::fputs("multihomectl: ", stderr);
        std::fputs(harmless_lines(error.what()).c_str(), stderr);
        std::fputs("\n", stderr);
        return multihome::tools::bad_usage;
    }
}
