// SPDX-License-Identifier: MIT
// The directory of the engine's pins. One process at a time changes it; what a killed one has left half made
// has a name of its own, so that whoever comes next removes it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tools/program.hpp"

namespace multihome::tools::engine {

/// Holds the lock on the directory, which it makes. Throws Impossible.
class Pins {
public:
    Pins();

    [[nodiscard]] static std::string directory_of(std::uint64_t identity);
    /// Where the pins of an attachment are made, before all of them are there.
    [[nodiscard]] static std::string unfinished(std::uint64_t identity);
    [[nodiscard]] static std::vector<std::uint64_t> identities();

    void begin(std::uint64_t identity);  ///< makes the unfinished directory
    void finish(std::uint64_t identity); ///< gives it its name
    bool remove(std::uint64_t identity);
    /// Removes what killed processes have left, and the whole directory if it is empty.
    void sweep();

private:
    Descriptor lock_;
};

} // namespace multihome::tools::engine
