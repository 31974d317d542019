// SPDX-License-Identifier: MIT
// The ELF reader on files that are cut, overwritten and rearranged: it answers or throws ElfError, and never
// reads outside its buffers (which the sanitizer builds would see).
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

#include <elf.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <fstream>
#include <iterator>
#include <random>
#include <string>

#include "tools/elf_file.hpp"
#include "tools/program.hpp"

using namespace multihome::tools;

namespace {

using Image = std::string;

Image read_image(const std::string& path) {
    std::ifstream file{path, std::ios::binary};
    Image image{std::istreambuf_iterator<char>{file}, {}};
    REQUIRE(image.size() > sizeof(Elf64_Ehdr));
    return image;
}

Image probe(const std::string& name) {
    return read_image(std::string{LAUNCHER_PROBES "/"} + name);
}

/// The reader's answer for a file with these bytes.
ElfFacts facts_of(const Image& image) {
    const Descriptor file{memfd_create("elf_file_test", MFD_CLOEXEC)};
    REQUIRE(file.valid());
    REQUIRE(write(file.number(), image.data(), image.size()) == static_cast<ssize_t>(image.size()));
    return read_elf(file.number());
}

/// True when the reader took it, false when it refused; anything else fails the test.
bool survives(const Image& image) {
    try {
        facts_of(image);
        return true;
    } catch (const ElfError&) {
        return false;
    }
}

template <typename Value>
void overwrite(Image& image, std::size_t offset, Value value) {
    REQUIRE(offset + sizeof value <= image.size());
    std::memcpy(image.data() + offset, &value, sizeof value);
}

} // namespace

TEST_CASE("the programs that the tests are made of") {
    CHECK_FALSE(facts_of(probe("probe")).loader.empty());
    CHECK_FALSE(facts_of(probe("probe")).is_go);
    CHECK(facts_of(probe("probe_static")).loader.empty());
    CHECK(facts_of(probe("probe_go")).is_go);
    CHECK(facts_of(probe("probe_go_static")).is_go);
    CHECK(facts_of(probe("probe_musl")).loader == "/lib/ld-musl-x86_64.so.1");
    const ElfFacts own = facts_of(read_image("/proc/self/exe"));
    CHECK(own.machine == facts_of(probe("probe")).machine);
}

TEST_CASE("Go is seen by its note alone and by its sections alone") {
    if (sizeof(void*) != 8) {
        MESSAGE("SKIP: the offsets below are those of 64-bit files");
        return;
    }
    Image without_sections = probe("probe_go");
    overwrite(without_sections, offsetof(Elf64_Ehdr, e_shoff), Elf64_Off{0});
    CHECK(facts_of(without_sections).is_go);

    Image without_note = probe("probe_go");
    const std::array<char, 8> note{4, 0, 0, 0, 'G', 'o', 0, 0}; // the type, and then the name
    auto found = std::search(without_note.begin(), without_note.end(), note.begin(), note.end());
    REQUIRE(found != without_note.end());
    found[4] = 'X';
    CHECK(facts_of(without_note).is_go);

    overwrite(without_note, offsetof(Elf64_Ehdr, e_shoff), Elf64_Off{0});
    CHECK_FALSE(facts_of(without_note).is_go);
}

TEST_CASE("a file that ends anywhere") {
    const Image whole = probe("probe_go");
    for (std::size_t size = 0; size < std::min<std::size_t>(whole.size(), 1200); ++size)
        survives(whole.substr(0, size));
    for (std::size_t size = 0; size < whole.size(); size += 97)
        survives(whole.substr(0, size));
    CHECK_FALSE(survives(whole.substr(0, 63)));
    CHECK(survives(whole));
}

TEST_CASE("extreme values in every field of the headers") {
    const Image whole = probe("probe_go");
    for (std::size_t offset = 4; offset + 8 <= std::min<std::size_t>(whole.size(), 1024); ++offset) {
        for (const std::uint64_t value : {std::uint64_t{0}, ~std::uint64_t{0}, ~std::uint64_t{0} >> 1U,
                                          std::uint64_t{0xffffffff}, std::uint64_t{whole.size()}}) {
            Image damaged = whole;
            overwrite(damaged, offset, value);
            survives(damaged);
            damaged = whole;
            overwrite(damaged, offset, static_cast<std::uint16_t>(value));
            survives(damaged);
        }
    }
}

TEST_CASE("random damage") {
    const Image whole = probe("probe_go");
    std::mt19937 random{20260131}; // fixed: a failure can be repeated
    int refused = 0;
    for (int round = 0; round < 5000; ++round) {
        Image damaged = whole;
        const std::size_t reach = round % 2 == 0 ? 1024 : damaged.size();
        for (int byte = 0; byte < 1 + round % 16; ++byte)
            damaged[4 + random() % (reach - 4)] = static_cast<char>(random());
        refused += survives(damaged) ? 0 : 1;
    }
    CHECK(refused > 0); // else the damage did not reach what is read
}

TEST_CASE("#! lines as the kernel reads them") {
    CHECK(parse_script_line("echo").interpreter.empty());
    CHECK(parse_script_line("#!").interpreter.empty());
    CHECK(parse_script_line("#!/bin/sh").interpreter == "/bin/sh");
    const ScriptLine line = parse_script_line("#! \t/bin/a  -b c \nnext");
    CHECK(line.interpreter == "/bin/a");
    CHECK(line.argument == "-b c");
}

TEST_CASE("what env(1) is asked to start") {
    CHECK(parse_env_argument("python3").program == "python3");
    CHECK(parse_env_argument("python3 -u").program == "python3 -u"); // one word, as the kernel hands it over
    CHECK(parse_env_argument("-S python3 -u").program == "python3");
    CHECK(parse_env_argument("-Spython3").program == "python3");
    CHECK(parse_env_argument("--split-string=A=1 python3").program == "python3");
    CHECK(parse_env_argument("-S -u A -C /tmp python3").program == "python3");
    CHECK_FALSE(parse_env_argument("-S -u A python3").clears_environment);
    CHECK(parse_env_argument("-S -u LD_PRELOAD python3").clears_environment);
    CHECK(parse_env_argument("-S -uLD_PRELOAD python3").clears_environment);
    CHECK(parse_env_argument("-S -i python3").clears_environment);
    CHECK(parse_env_argument("-S -vi python3").clears_environment);
    CHECK(parse_env_argument("-S --ignore-env python3").clears_environment);
    CHECK_FALSE(parse_env_argument("-S --ignore-signal python3").clears_environment);
    CHECK(parse_env_argument("-S --uns LD_PRELOAD python3").clears_environment);
    CHECK(parse_env_argument("-S --uns A python3").program == "python3");
    CHECK(parse_env_argument("-vvS python3 -u").program == "python3");
    CHECK(parse_env_argument("--split=A=1 python3").program == "python3");
    CHECK(parse_env_argument("-i").clears_environment);
    CHECK(parse_env_argument("-vi").clears_environment);
    CHECK(parse_env_argument("").program.empty());
}
