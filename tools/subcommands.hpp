// SPDX-License-Identifier: MIT
// What main.cpp knows of the subcommands. To add one: write tools/NAME.cpp with add_NAME(), declare it here,
// list the file in CMakeLists.txt and call it from main().
#pragma once

#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace multihome::tools {

/// What multihomectl exits with. 125 to 127 mean what they mean for env(1), nohup(1) and the launcher.
enum ExitStatus : int {
    success = 0,          ///< all right
    failure = 1,          ///< something was found: the subcommand did its work, and the result is bad
    bad_usage = 2,        ///< the command line was wrong, or the subcommand could not do its work
    not_reachable = 125,  ///< check: LD_PRELOAD has no effect on the program; selftest: nor on itself;
                          ///< run: the command was not started
    not_executable = 126, ///< check: the program exists but cannot be started
    not_found = 127,      ///< check: there is no such program
};

/// Each adds one subcommand to the command line. Its callback puts what the process exits with into
/// `exit_status`, which must live as long as `application`.
void add_ask(CLI::App& application, int& exit_status);
void add_attach(CLI::App& application, int& exit_status);
void add_check(CLI::App& application, int& exit_status);
void add_detach(CLI::App& application, int& exit_status);
void add_disable(CLI::App& application, int& exit_status);
void add_doctor(CLI::App& application, int& exit_status);
void add_enable(CLI::App& application, int& exit_status);
void add_list(CLI::App& application, int& exit_status);
void add_peers(CLI::App& application, int& exit_status);
void add_recipe(CLI::App& application, int& exit_status);
/// `behind_dashes`: the words behind "--", which are not the parser's to read.
void add_run(CLI::App& application, int& exit_status, const std::vector<std::string>& behind_dashes);
void add_selftest(CLI::App& application, int& exit_status);
void add_stats(CLI::App& application, int& exit_status);

} // namespace multihome::tools
