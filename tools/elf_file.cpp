// SPDX-License-Identifier: MIT
#include "tools/elf_file.hpp"

#include <elf.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <fmt/core.h>
#include <limits>
#include <string_view>
#include <vector>

namespace multihome::tools {
namespace {

struct Elf32 {
    using Header = Elf32_Ehdr;
    using Segment = Elf32_Phdr;
    using Section = Elf32_Shdr;
};
struct Elf64 {
    using Header = Elf64_Ehdr;
    using Segment = Elf64_Phdr;
    using Section = Elf64_Shdr;
};

constexpr unsigned char native_byte_order =
    std::endian::native == std::endian::little ? ELFDATA2LSB : ELFDATA2MSB;
constexpr std::size_t longest_loader_path = 4096; // PATH_MAX: the kernel starts nothing longer
constexpr std::size_t longest_notes = 1U << 20U;  // real ones are a few hundred bytes
constexpr unsigned most_notes = 64;               // real files have three or four note segments

/// Up to `size` bytes at `offset`; fewer where the file ends. pread, not mmap: a file that shrinks while we
/// look at it would kill us with SIGBUS.
std::size_t read_some(int descriptor, std::uint64_t offset, void* buffer, std::size_t size) {
    std::size_t done = 0;
    while (done < size) {
        const std::uint64_t position = offset + done;
        if (position < offset || position > static_cast<std::uint64_t>(std::numeric_limits<off_t>::max()))
            break;
        const ssize_t count =
            pread(descriptor, static_cast<char*>(buffer) + done, size - done, static_cast<off_t>(position));
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            break;
        done += static_cast<std::size_t>(count);
    }
    return done;
}

template <typename Record>
bool read_record(int descriptor, std::uint64_t offset, Record& record) {
    return read_some(descriptor, offset, &record, sizeof record) == sizeof record;
}

std::array<unsigned char, EI_NIDENT> read_identification(int descriptor) {
    std::array<unsigned char, EI_NIDENT> identification{};
    if (read_some(descriptor, 0, identification.data(), identification.size()) != identification.size() ||
        std::memcmp(identification.data(), ELFMAG, SELFMAG) != 0)
        throw ElfError("it has no ELF header");
    return identification;
}

/// Walks a note segment: the Go linker writes its build id as a note of type 4 that is named "Go".
bool notes_name_go(int descriptor, std::uint64_t offset, std::uint64_t size) {
    constexpr std::uint32_t go_build_id = 4;
    constexpr std::string_view go_name{"Go\0", 3}; // the length in the file counts the terminator
    std::vector<char> notes(static_cast<std::size_t>(std::min<std::uint64_t>(size, longest_notes)));
    notes.resize(read_some(descriptor, offset, notes.data(), notes.size()));
    std::size_t position = 0;
    while (notes.size() - position >= sizeof(Elf64_Nhdr)) {
        Elf64_Nhdr note{}; // the 32-bit header is the same
        std::memcpy(&note, notes.data() + position, sizeof note);
        position += sizeof note;
        // In 64 bits, so that rounding up cannot wrap.
        const std::uint64_t name_length = (std::uint64_t{note.n_namesz} + 3U) & ~std::uint64_t{3U};
        const std::uint64_t content_length = (std::uint64_t{note.n_descsz} + 3U) & ~std::uint64_t{3U};
        if (name_length + content_length > notes.size() - position)
            return false;
        const std::string_view name{notes.data() + position, note.n_namesz};
        // Go writes the length as 4, with the name padded by a second zero.
        if (note.n_type == go_build_id && name.substr(0, go_name.size()) == go_name)
            return true;
        position += static_cast<std::size_t>(name_length + content_length);
    }
    return false;
}

/// Builds with an emptied build id have no Go note; their sections still tell. The kernel does not look at
/// sections at all, so nothing that is wrong with them is an error.
template <typename Elf>
bool sections_name_go(int descriptor, const typename Elf::Header& header) {
    using Section = typename Elf::Section;
    if (header.e_shoff == 0 || header.e_shentsize != sizeof(Section) || header.e_shstrndx >= header.e_shnum)
        return false;
    std::vector<Section> sections(header.e_shnum);
    const std::size_t wanted = sections.size() * sizeof(Section);
    sections.resize(read_some(descriptor, header.e_shoff, sections.data(), wanted) / sizeof(Section));
    if (header.e_shstrndx >= sections.size())
        return false;
    const Section& names = sections[header.e_shstrndx];
    return std::any_of(sections.begin(), sections.end(), [&](const Section& section) {
        std::array<char, 32> text{};
        if (section.sh_name >= names.sh_size)
            return false;
        const std::uint64_t position = std::uint64_t{names.sh_offset} + section.sh_name;
        read_some(descriptor, position, text.data(), text.size() - 1);
        const std::string_view name{text.data()};
        return name == ".note.go.buildid" || name == ".go.buildinfo";
    });
}

template <typename Segment>
std::string read_loader(int descriptor, const Segment& segment) {
    const std::uint64_t size = segment.p_filesz;
    if (size < 2 || size > longest_loader_path)
        throw ElfError("its ELF header is damaged: the loader's name has an impossible length");
    std::string loader(static_cast<std::size_t>(size), '\0');
    if (read_some(descriptor, segment.p_offset, loader.data(), loader.size()) != loader.size())
        throw ElfError("it is cut short: the loader's name lies behind the end of the file");
    if (loader.back() != '\0')
        throw ElfError("its ELF header is damaged: the loader's name has no end");
    loader.resize(std::strlen(loader.c_str()));
    return loader;
}

template <typename Elf>
ElfFacts read_program(int descriptor, const ElfMachine& machine) {
    using Segment = typename Elf::Segment;
    typename Elf::Header header{};
    if (!read_record(descriptor, 0, header))
        throw ElfError("it is cut short inside the ELF header");
    if (header.e_type != ET_EXEC && header.e_type != ET_DYN)
        throw ElfError("it is an ELF file, but not a program (an object file or a core dump)");
    if (header.e_phnum == 0 || header.e_phentsize != sizeof(Segment))
        throw ElfError("its ELF header is damaged: it names no usable program headers");

    ElfFacts facts;
    facts.machine = machine;
    facts.position_independent = header.e_type == ET_DYN;
    unsigned notes = 0;
    for (std::uint64_t index = 0; index < header.e_phnum; ++index) {
        Segment segment{};
        if (header.e_phoff > std::numeric_limits<std::uint64_t>::max() - index * sizeof(Segment) ||
            !read_record(descriptor, header.e_phoff + index * sizeof(Segment), segment))
            throw ElfError("it is cut short: its program headers lie behind the end of the file");
        if (segment.p_type == PT_INTERP && facts.loader.empty())
            facts.loader = read_loader(descriptor, segment);
        if (segment.p_type == PT_NOTE && ++notes <= most_notes && !facts.is_go &&
            notes_name_go(descriptor, segment.p_offset, segment.p_filesz))
            facts.is_go = true;
    }
    if (!facts.is_go)
        facts.is_go = sections_name_go<Elf>(descriptor, header);
    return facts;
}

} // namespace

ElfMachine read_elf_machine(int descriptor) {
    const auto identification = read_identification(descriptor);
    ElfMachine result;
    result.word_size = identification[EI_CLASS];
    result.byte_order = identification[EI_DATA];
    if (result.word_size != ELFCLASS32 && result.word_size != ELFCLASS64)
        throw ElfError("its ELF header is damaged: it is neither 32-bit nor 64-bit");
    if (result.byte_order != ELFDATA2LSB && result.byte_order != ELFDATA2MSB)
        throw ElfError("its ELF header is damaged: it names no byte order");
    static_assert(offsetof(Elf32_Ehdr, e_machine) == offsetof(Elf64_Ehdr, e_machine));
    if (!read_record(descriptor, offsetof(Elf64_Ehdr, e_machine), result.machine))
        throw ElfError("it is cut short inside the ELF header");
    if (result.byte_order != native_byte_order)
        result.machine = static_cast<std::uint16_t>((result.machine << 8U) | (result.machine >> 8U));
    return result;
}

ElfFacts read_elf(int descriptor) {
    const ElfMachine machine = read_elf_machine(descriptor);
    if (machine.byte_order != native_byte_order)
        throw ElfError("it is made for a machine of the other byte order");
    return machine.word_size == ELFCLASS64 ? read_program<Elf64>(descriptor, machine)
                                           : read_program<Elf32>(descriptor, machine);
}

std::string describe(const ElfMachine& machine) {
    const auto name = [&]() -> std::string {
        switch (machine.machine) {
        case EM_386:
            return "x86 (i386)";
        case EM_X86_64:
            return "x86-64";
        case EM_ARM:
            return "ARM";
        case EM_AARCH64:
            return "AArch64";
        case EM_RISCV:
            return "RISC-V";
        case EM_PPC64:
            return "POWER";
        case EM_S390:
            return "s390";
        case EM_MIPS:
            return "MIPS";
        default:
            return fmt::format("machine number {}", machine.machine);
        }
    }();
    return fmt::format("{} {}", machine.word_size == ELFCLASS64 ? "64-bit" : "32-bit", name);
}

} // namespace multihome::tools
