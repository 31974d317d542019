// SPDX-License-Identifier: MIT
// Damaged and hostile ELF files: read_elf() returns or throws ElfError, whatever is in them. Built with
// sanitizers.
#include <elf.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <random>
#include <vector>

#include "tools/elf_file.hpp"
#include "tools/program.hpp"

namespace {

using namespace multihome::tools;

std::vector<unsigned char> own_file() {
    std::vector<unsigned char> bytes(64 * 1024);
    const Descriptor file = open_for_reading("/proc/self/exe");
    const ssize_t size = pread(file.number(), bytes.data(), bytes.size(), 0);
    bytes.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
    return bytes;
}

/// True where it is taken for a program.
bool is_taken(const std::vector<unsigned char>& bytes) {
    const Descriptor file{memfd_create("elf", MFD_CLOEXEC)};
    if (write(file.number(), bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size()))
        std::perror("write");
    try {
        describe(read_elf(file.number()).machine);
        return true;
    } catch (const ElfError&) {
        return false;
    }
}

/// A file that is all program headers, each of which calls the whole file a note.
std::vector<unsigned char> nothing_but_notes(const std::vector<unsigned char>& original) {
    std::vector<unsigned char> bytes(sizeof(Elf64_Ehdr));
    Elf64_Ehdr header{};
    std::memcpy(&header, original.data(), sizeof header);
    header.e_phoff = sizeof header;
    header.e_phnum = 0xffff;
    header.e_shoff = 0;
    std::memcpy(bytes.data(), &header, sizeof header);
    Elf64_Phdr segment{};
    segment.p_type = PT_NOTE;
    segment.p_filesz = ~std::uint64_t{0};
    const auto* begin = reinterpret_cast<const unsigned char*>(&segment);
    for (unsigned count = 0; count < header.e_phnum; ++count)
        bytes.insert(bytes.end(), begin, begin + sizeof segment);
    return bytes;
}

} // namespace

int main() {
    const std::vector<unsigned char> original = own_file();
    if (original.size() < 4096 || !is_taken(original)) {
        std::puts("FAIL: this program itself is not taken for one");
        return 1;
    }
    std::mt19937 random{12}; // the same on every run
    const auto below = [&](std::size_t limit) { return random() % limit; };
    unsigned taken = 0;
    constexpr unsigned rounds = 3000;
    for (unsigned round = 0; round < rounds; ++round) {
        std::vector<unsigned char> bytes = original;
        const bool in_header = round % 2 == 0;
        const std::size_t reach =
            in_header ? sizeof(Elf64_Ehdr) : sizeof(Elf64_Ehdr) + 16 * sizeof(Elf64_Phdr);
        for (std::size_t changes = 1 + below(4); changes > 0; --changes) {
            const std::size_t at = below(reach);
            static constexpr unsigned char edges[] = {0x00, 0x01, 0x7f, 0x80, 0xff};
            bytes[at] = below(2) == 0 ? edges[below(sizeof edges)] : static_cast<unsigned char>(random());
        }
        if (below(8) == 0)
            bytes.resize(below(bytes.size()));
        taken += is_taken(bytes) ? 1 : 0;
    }
    is_taken(nothing_but_notes(original));
    std::printf("%u damaged files, %u of them still programs\n", rounds, taken);
    return 0;
}
