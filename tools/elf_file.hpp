// SPDX-License-Identifier: MIT
// The few facts of an ELF file that decide whether a preloaded library reaches the program.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

namespace multihome::tools {

/// The file is no program that the kernel would start. what() says why, in words for an operator.
class ElfError : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

/// What must be equal in a program and in a library that is to be loaded into it.
struct ElfMachine {
    unsigned char word_size = 0;  ///< EI_CLASS
    unsigned char byte_order = 0; ///< EI_DATA
    std::uint16_t machine = 0;    ///< e_machine

    bool operator==(const ElfMachine&) const = default;
};

struct ElfFacts {
    ElfMachine machine;
    bool position_independent = false; ///< ET_DYN
    bool is_go = false;                ///< made by the Go toolchain
    std::string loader;                ///< PT_INTERP, empty when there is none
};

/// The machine alone, from the first bytes of a file. Throws ElfError when they are no ELF header.
ElfMachine read_elf_machine(int descriptor);

/// Everything. The byte order has to be this machine's own. Never trusts an offset or a length in the file.
ElfFacts read_elf(int descriptor);

/// "64-bit x86-64"
std::string describe(const ElfMachine& machine);

} // namespace multihome::tools
