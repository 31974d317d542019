// SPDX-License-Identifier: MIT
// multihomectl list: where the kernel engine is attached.
#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <fmt/core.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include <bitset>
#include <memory>
#include <string>
#include <vector>

#include "tools/kernel_engine/counter_names.hpp"
#include "tools/kernel_engine/engine.hpp"
#include "tools/output.hpp"
#include "tools/subcommands.hpp"

namespace multihome::tools {
namespace {

/// As --ports takes it.
std::string ports_text(const std::bitset<65536>& ports) {
    std::string text;
    for (std::size_t first = 0; first < ports.size(); ++first) {
        if (!ports.test(first))
            continue;
        std::size_t last = first;
        while (last + 1 < ports.size() && ports.test(last + 1))
            ++last;
        text += fmt::format("{}{}{}", text.empty() ? "" : ",", first,
                            last != first ? fmt::format("-{}", last) : "");
        first = last;
    }
    return text;
}

int run_list(const OutputOptions& output) {
    // Without the rights the directory cannot be read, which must not look like "nothing is attached".
    if (const std::string missing = engine::missing_rights(); !missing.empty())
        throw Impossible(fmt::format("list needs {}, which user {} does not have here: run it as root",
                                     missing, geteuid()));
    const std::vector<engine::Attachment> found = engine::attachments();
    bool stale = false;
    Json list = Json::array();
    Table table{{"CONTROL GROUP", "STATE", "PEERS", "SOURCES NAMED", "HOOKS"}};
    for (const engine::Attachment& one : found) {
        stale = stale || !one.alive;
        Json entry{{"control_group", one.path},
                   {"identity", one.identity},
                   {"alive", one.alive},
                   {"except", one.except},
                   {"ports", one.ports ? Json(ports_text(*one.ports)) : Json()},
                   {"hooks", one.hooks},
                   {"counters", engine::counters_json(one.counters)}};
        list.push_back(entry);
        table.add({one.path, one.alive ? "attached" : "gone", fmt::format("{}", one.counters[ENGINE_PEERS]),
                   fmt::format("{}", one.counters[ENGINE_CHOSEN]), fmt::format("{}", one.hooks.size())},
                  one.alive ? Emphasis::none : Emphasis::bad);
    }
    if (output.json) {
        Json document = json_document();
        document["built_in"] = engine::built_in();
        document["attached"] = list;
        print_json(document);
    } else if (!output.quiet) {
        if (table.empty())
            fmt::print("nothing is attached{}\n",
                       engine::built_in() ? "" : ": built without the kernel engine");
        else
            table.print();
        if (stale)
            fmt::print("'gone': the control group does not exist any more; 'multihomectl detach --all' "
                       "removes what is left "
                       "of all, 'multihomectl detach UNIT' of one\n");
    }
    return stale ? failure : success;
}

} // namespace

void add_list(CLI::App& application, int& exit_status) {
    CLI::App* command = application.add_subcommand("list", "Say where the kernel engine is attached");
    auto output = std::make_shared<OutputOptions>();
    add_output_options(*command, *output);
    command->callback([output, &exit_status] { exit_status = run_list(*output); });
}

} // namespace multihome::tools
