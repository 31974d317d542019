// SPDX-License-Identifier: MIT
#include "tools/obstacles.hpp"

#include <elf.h>
#include <pwd.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fmt/core.h>
#include <string_view>

#include "tools/library.hpp"
#include "tools/output.hpp"
#include "tools/privileges.hpp"
#include "tools/run_command.hpp"

namespace multihome::tools {
namespace {

constexpr std::string_view without_the_library =
    "start one instance for each address, bound to that address; or use the program's own option for hosts "
    "with "
    "several addresses, if it has one; or let the kernel engine serve it (multihome --engine kernel, "
    "multihomectl attach)";

std::string name_of_user(uid_t user) {
    const passwd* entry = getpwuid(user); // NOLINT(concurrency-mt-unsafe): this program has one thread
    return entry != nullptr ? std::string{entry->pw_name} : fmt::format("number {}", user);
}

/// glibc's own loader, called by name (ld.so ./program), has no PT_INTERP and yet preloads.
bool is_glibc_loader(const std::string& path) {
    std::error_code error;
    const std::string name = std::filesystem::canonical(path, error).filename().string();
    return name.starts_with("ld-linux") || name.starts_with("ld64.so") || name.starts_with("ld.so") ||
           (name.starts_with("ld-2.") && name.ends_with(".so"));
}

/// What the library is built for. Each has a folder of its own, and the ABI names its loader.
struct Architecture {
    unsigned char word_size;
    std::uint16_t machine;
    const char* debian;
    const char* folder;
    const char* loader;
};
constexpr std::array architectures = {
    Architecture{ELFCLASS64, EM_X86_64, "amd64", "lib/x86_64-linux-gnu", "/lib64/ld-linux-x86-64.so.2"},
    Architecture{ELFCLASS32, EM_386, "i386", "lib/i386-linux-gnu", "/lib/ld-linux.so.2"},
    Architecture{ELFCLASS64, EM_AARCH64, "arm64", "lib/aarch64-linux-gnu", "/lib/ld-linux-aarch64.so.1"},
    Architecture{ELFCLASS32, EM_ARM, "armhf", "lib/arm-linux-gnueabihf", "/lib/ld-linux-armhf.so.3"}};

const Architecture* find_architecture(const ElfMachine& machine) {
    const auto* const found =
        std::find_if(architectures.begin(), architectures.end(), [&](const Architecture& one) {
            return one.word_size == machine.word_size && one.machine == machine.machine &&
                   machine.byte_order == ELFDATA2LSB;
        });
    return found != architectures.end() ? found : nullptr;
}

/// Where programs of `architecture` look for `name`, which has $LIB in it. What that stands for, only their
/// loader can tell: on Debian, another one with libc6-i386 than with libc6:i386.
std::string place_for(const Architecture& architecture, const std::string& name) {
    std::string folder = architecture.folder;
    const std::string told = "\n" + run_command({architecture.loader, "--list-diagnostics"}).output;
    constexpr std::string_view key = "\ndl_dst_lib=\"";
    if (const std::size_t at = told.find(key); at != std::string::npos) {
        const std::size_t begin = at + key.size();
        folder = told.substr(begin, told.find('"', begin) - begin);
    }
    constexpr std::string_view token = "$LIB";
    std::string place = name;
    return place.replace(place.rfind(token), token.size(), folder);
}

/// A program of another machine than the library's has a library of its own, beside that one.
void look_at_sibling(const ElfMachine& machine, const Architecture& architecture, const std::string& name,
                     std::vector<Obstacle>& obstacles) {
    const std::string place = place_for(architecture, name);
    const Descriptor file = open_for_reading(place);
    try {
        if (file.valid() && read_elf_machine(file.number()) == machine)
            return;
    } catch (const ElfError&) { // NOLINT(bugprone-empty-catch): a damaged one is none
    }
    obstacles.push_back(
        {fmt::format("it is a {} program, and the library for such programs is not "
                     "installed: they look for it at {}",
                     describe(machine), place),
         fmt::format("install libmultihome:{}, or build libmultihome.so for {} and put it there",
                     architecture.debian, describe(machine)),
         fmt::format("a {} program", describe(machine))});
}

/// Also where it cannot be told.
bool gives_rights(int file) {
    struct stat status {};
    return fstat(file, &status) != 0 || (status.st_mode & (S_ISUID | S_ISGID)) != 0 ||
           fgetxattr(file, "security.capability", nullptr, 0) > 0;
}

} // namespace

void print_obstacles(const std::vector<Obstacle>& obstacles) {
    for (const Obstacle& obstacle : obstacles)
        fmt::print(stderr, "  why:     {}\n  instead: {}\n", harmless(obstacle.reason),
                   harmless(obstacle.advice));
}

LibraryFile look_at_library(const std::string& library) {
    const std::string path = library.empty() ? "/proc/self/exe" : library;
    const Descriptor file = open_for_reading(path);
    if (!file.valid())
        throw Impossible(fmt::format("{}: cannot be read", path));
    try {
        return {find_library(library), read_elf_machine(file.number())};
    } catch (const ElfError& error) {
        throw Impossible(fmt::format("{}: {}: it is no library", path, error.what()));
    }
}

void look_at_file(const std::string& path, int descriptor, const LibraryFile& library,
                  std::vector<Obstacle>& obstacles) {
    const ElfMachine machine = read_elf_machine(descriptor);
    const bool is_other = machine != library.machine;
    const Architecture* architecture = is_other ? find_architecture(machine) : nullptr;
    const std::string name = architecture != nullptr ? preload_name(library.path) : std::string{};
    if (is_other && name.find('$') == std::string::npos) {
        obstacles.push_back({fmt::format("it is a {} program, and the library is made for {}",
                                         describe(machine), describe(library.machine)),
                             fmt::format("install the program for {}, or build libmultihome.so for {}",
                                         describe(library.machine), describe(machine)),
                             fmt::format("a {} program", describe(machine))});
        return;
    }
    const ElfFacts facts = read_elf(descriptor);
    if (facts.is_go)
        obstacles.push_back(
            {"it is a Go program: Go makes its system calls itself and never calls the C functions "
             "that LD_PRELOAD replaces, not even when it is linked dynamically",
             std::string{without_the_library}, "a Go program"});
    if (facts.loader.empty() && !is_glibc_loader(path)) {
        if (!facts.is_go)
            obstacles.push_back(
                {fmt::format("it is statically linked{}: no dynamic loader runs that could preload a library",
                             facts.position_independent ? " (static-pie)" : ""),
                 fmt::format("install a dynamically linked build of it; or {}", without_the_library),
                 "statically linked"});
        return;
    }
    const std::string loader = std::filesystem::path{facts.loader}.filename().string();
    const bool other_libc =
        loader.starts_with("ld-musl") || loader.starts_with("ld-uClibc") || loader.starts_with("linker");
    if (other_libc && !facts.is_go)
        obstacles.push_back(
            {fmt::format("it does not use glibc (its loader is {}), and libmultihome.so does", facts.loader),
             fmt::format("use a build of the program for glibc (another package or container "
                         "image); or {}",
                         without_the_library),
             "not a glibc program"});
    if (!facts.loader.empty() && !other_libc && access(facts.loader.c_str(), F_OK) != 0)
        throw ElfError(fmt::format("its dynamic loader {} is not on this host", facts.loader));
    if (architecture != nullptr && !facts.is_go && !other_libc)
        look_at_sibling(machine, *architecture, name, obstacles);
}

void look_at_privileges(const Lookup& program, std::vector<Obstacle>& obstacles) {
    const std::string user = name_of_user(getuid());
    const std::string owner = name_of_user(program.status.st_uid);
    switch (secure_execution(program.path, program.status)) {
    case SecureReason::none:
        return;
    case SecureReason::set_user_id:
        obstacles.push_back(
            {fmt::format(
                 "it is set-user-ID {}: started by user {} it changes its user, and the dynamic loader then "
                 "ignores LD_PRELOAD",
                 owner, user),
             fmt::format(
                 "start it as user {}, for whom the bit changes nothing; or remove the bit (chmod u-s) and "
                 "start it from a systemd unit with User= and AmbientCapabilities=",
                 owner),
             "set-user-ID"});
        return;
    case SecureReason::set_group_id:
        obstacles.push_back(
            {"it is set-group-ID: it would change its group, and the dynamic loader then ignores LD_PRELOAD",
             fmt::format(
                 "start it with group number {} as the real group (Group= in its systemd unit); or remove "
                 "the bit (chmod g-s)",
                 program.status.st_gid),
             "set-group-ID"});
        return;
    case SecureReason::file_capabilities:
        obstacles.push_back(
            {fmt::format("it has file capabilities: for user {} the dynamic loader then ignores LD_PRELOAD",
                         user),
             fmt::format("remove them (setcap -r {}) and give the same ones in its systemd unit with "
                         "AmbientCapabilities=, which does not switch preloading off; or start it as root",
                         program.path),
             "file capabilities"});
        return;
    case SecureReason::already_changed:
        obstacles.push_back(
            {"this process runs with an effective user or group that is not its real one, and the "
             "dynamic loader ignores LD_PRELOAD for everything that it starts",
             "start it from a shell or a systemd unit, not from a set-user-ID program",
             "started by a set-user-ID program"});
        return;
    }
}

Obstacle reason_of_secure_execution(const Process& process) {
    const Descriptor file = open_for_reading(fmt::format("/proc/{}/exe", process.number));
    if (!file.valid() || gives_rights(file.number()))
        return {"it runs with more rights than the user who started it: the dynamic loader has ignored "
                "LD_PRELOAD",
                "give it its rights by a systemd unit with AmbientCapabilities=",
                "file capabilities or set-user-ID"};
    // A server that has given up its rights for a while executes its worker (squid). Or a security module
    // has asked for it: AppArmor with an "x" rule that clears the environment, SELinux without noatsecure.
    const bool has_module = !process.confinement.empty() || access("/sys/fs/selinux/enforce", F_OK) == 0;
    const std::string in_short = fmt::format("executed while real and effective user or group differed{}",
                                             has_module ? ", or into a confined domain" : "");
    return {
        fmt::format("it was {}: the dynamic loader has ignored LD_PRELOAD", in_short),
        "let it serve without executing a worker, if it can; or let the kernel engine serve it (multihome "
        "--engine kernel, multihomectl attach)",
        in_short};
}

} // namespace multihome::tools
