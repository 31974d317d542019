// SPDX-License-Identifier: MIT
// Calls the interposed functions by name, with the signatures of shim/symbols.def and libffi: the list is the
// one that the shim is made from, so a function added there cannot be left out here.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace multihome::differential {

enum class Symbol : std::uint8_t {
#define MULTIHOME_SYMBOL(result, name, arguments)     name,
#define MULTIHOME_VARIADIC(result, name, fixed, rest) name,
#include "shim/symbols.def"
    count
};

constexpr std::size_t symbol_count = static_cast<std::size_t>(Symbol::count);
constexpr std::size_t maximum_arguments = 7;

const char* name_of(Symbol symbol);

/// Which definition of the interposed functions is called.
enum class Target : std::uint8_t {
    bare,    ///< libc's own
    shimmed, ///< the one that every program with the library preloaded gets
};

/// The interposed functions of this process.
class Functions {
public:
    explicit Functions(Target target);
    ~Functions();
    Functions(const Functions&) = delete;
    Functions& operator=(const Functions&) = delete;
    Functions(Functions&&) = delete;
    Functions& operator=(Functions&&) = delete;

    /// Each argument is an integer or a pointer; the function's type decides how much of it is passed.
    long call(Symbol symbol, const std::array<std::uint64_t, maximum_arguments>& arguments) const;

    /// Where the function lies; null where nobody defines it.
    [[nodiscard]] void* address(Symbol symbol) const;

private:
    struct Function;
    std::vector<std::unique_ptr<Function>> functions_;
};

/// libc's own definition of any function, whoever else defines it too. Null where it has none.
void* find_in_libc(const char* name);

} // namespace multihome::differential
