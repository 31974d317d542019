// SPDX-License-Identifier: MIT
// Applies a recipe and takes it back. Each step is written down before it is taken, with how to take it back,
// so that a recipe that was interrupted anywhere can be undone.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tools/program.hpp"
#include "tools/recipe_plan.hpp"

namespace multihome::tools::recipes {

/// The journal of the network namespace that this process is in. One process at a time holds it; /run is
/// empty after a boot, as are the rules and routes.
class Journal {
public:
    /// Opens and locks it. Throws Impossible.
    Journal();

    struct Content {
        std::string recipe; ///< empty: nothing is applied
        std::vector<Step> steps;
        std::vector<Command> forget;
    };
    [[nodiscard]] Content read() const;

    void begin(const Plan& plan);
    void write_down(const Step& step);
    /// All is taken back.
    void remove();

    [[nodiscard]] const std::string& path() const { return path_; }

private:
    void append(const std::string& line);

    std::string path_;
    Descriptor file_;
};

/// What is applied on this host. Throws Impossible.
Journal::Content read_applied();

/// `host` less what is applied: as the next boot finds it.
Host without(Host host, const Journal::Content& applied);

/// Of what iptables makes for us: others may use it by now, and it is no part of the recipe itself.
bool came_by_itself(const Step& step);

/// The step's change is in place.
bool is_in_place(const Step& step);

/// Takes all steps; when one fails, takes those before it back and throws Impossible.
void apply(const Plan& plan, Journal& journal);

/// Takes back what the journal names. Returns what could not be taken back, in words; then the journal stays.
std::vector<std::string> undo(Journal& journal);

} // namespace multihome::tools::recipes
