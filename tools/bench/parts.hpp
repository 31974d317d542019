// SPDX-License-Identifier: MIT
//
// The parts of the bench, each in a file of its name.
#pragma once

#include "tools/bench/figures.hpp"
#include "tools/bench/process.hpp"

#include <array>
#include <map>
#include <string>

namespace multihome::bench {

struct Settings {
    std::string library;  // libmultihome.so
    bool quick = false;   // fewer and shorter repetitions
    bool full = false;    // also what takes minutes
    std::string only;     // only rows whose names this regular expression matches
    std::string profiles; // where callgrind's files are kept, unless empty

    bool is_wanted(const std::string& row) const;
};

// The three servers that are compared.
struct Subject {
    const char* name;
    bool native; // uses IP_PKTINFO itself
    bool shim;   // has it preloaded

    Words environment(const Settings& settings) const {
        return shim ? Words{"LD_PRELOAD=" + settings.library} : Words{};
    }
};
constexpr std::array<Subject, 3> subjects = {
    {{"bare", false, false}, {"native", true, false}, {"shim", false, true}}};
// Their places there.
constexpr size_t bare_server = 0;
constexpr size_t native_server = 1;
constexpr size_t shim_server = 2;

using Part = void(const Settings& settings, Figures& figures);
Part measure_instructions;
Part measure_pages;
Part measure_system_calls;
Part measure_traffic;
Part measure_connect;
Part measure_inside;
Part measure_flood;
Part measure_lab;

// What is none of the shim's business, two calls each time.
const std::map<std::string, void (*)(uint64_t count)>& pass_on_kinds();

// What the bench starts itself as, beside run_server().
int run_pass_on(const std::string& kind, uint64_t count);
int run_late_server(unsigned delay_ms, uint64_t ignored);
int run_connector(const std::string& kind, unsigned connections);

} // namespace multihome::bench
