// SPDX-License-Identifier: MIT
#include "tools/drop_in.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fmt/core.h>
#include <fmt/format.h>
#include <fstream>
#include <system_error>

#include "tools/library.hpp"
#include "tools/output.hpp"
#include "tools/program.hpp"
#include "tools/run_command.hpp"

namespace multihome::tools {
namespace {

/// Systemd reads drop-ins in the order of their names, and the last LD_PRELOAD counts.
constexpr const char* file_name = "zz-multihome.conf";
constexpr const char* unit_directory = "/etc/systemd/system";
/// How each of our drop-ins begins.
constexpr const char* first_words = "# Made by 'multihomectl enable ";

[[noreturn]] void fail(const std::string& path) {
    // NOLINTNEXTLINE(concurrency-mt-unsafe): this program has one thread
    throw Impossible(
        fmt::format("{}: {}{}", path, std::strerror(errno), geteuid() != 0 ? ": run this as root" : ""));
}

/// In quotes, with systemd's specifiers and escapes taken literally.
std::string quoted(const std::string& assignment) {
    std::string text = "\"";
    for (const char byte : without_specifiers(assignment)) {
        if (byte == '"' || byte == '\\')
            text += '\\';
        text += byte;
    }
    return text + '"';
}

} // namespace

std::string drop_in_path(const std::string& unit) {
    return fmt::format("{}/{}.d/{}", unit_directory, unit, file_name);
}

void require_own_file(const std::string& path, const std::string& words) {
    std::ifstream file{path};
    bool is_ours = !file.is_open();
    for (std::string line; !is_ours && std::getline(file, line);)
        is_ours = line.starts_with(words);
    if (!is_ours)
        throw Impossible(fmt::format("{}: multihomectl did not write this file, and leaves it as it is: "
                                     "give it another name",
                                     path));
}

void require_own_drop_in(const std::string& unit) {
    require_own_file(drop_in_path(unit), first_words);
}

std::string merge_preload(const std::string& preload, const std::string& library, const std::string& name) {
    std::string merged;
    for (const std::string& other : preloaded_names(preload))
        if (!is_name_of(other, library))
            merged += other + ":";
    return merged + name;
}

bool has_library(const std::string& preload, const std::string& library) {
    const std::vector<std::string> names = preloaded_names(preload);
    return std::any_of(names.begin(), names.end(),
                       [&](const std::string& name) { return is_name_of(name, library); });
}

std::string drop_in_text(const std::string& unit, const std::string& preload,
                         const std::vector<std::string>& lines) {
    std::string text =
        fmt::format("{0}{1}', and removed by 'multihomectl disable {1}'.\n[Service]\nEnvironment={2}\n",
                    first_words, unit, quoted("LD_PRELOAD=" + preload));
    for (const std::string& line : lines)
        text += line + "\n";
    return text;
}

void write_file(const std::string& path, const std::string& text) {
    std::error_code error;
    std::filesystem::create_directories(std::filesystem::path{path}.parent_path(), error);
    if (error) {
        errno = error.value();
        fail(path);
    }
    // A name that systemd and AppArmor do not read.
    std::string temporary = path + ".XXXXXX";
    const Descriptor file{mkostemp(temporary.data(), O_CLOEXEC)};
    if (!file.valid())
        fail(path);
    struct stat old {};
    const mode_t mode = stat(path.c_str(), &old) == 0 ? old.st_mode & 07777U : 0644U;
    if (write(file.number(), text.data(), text.size()) != static_cast<ssize_t>(text.size()) ||
        fchmod(file.number(), mode) != 0 || fsync(file.number()) != 0 ||
        rename(temporary.c_str(), path.c_str()) != 0) {
        const int reason = errno;
        unlink(temporary.c_str());
        errno = reason;
        fail(path);
    }
}

bool remove_drop_in(const std::string& unit) {
    const std::string path = drop_in_path(unit);
    if (unlink(path.c_str()) != 0) {
        if (errno == ENOENT || errno == ENOTDIR)
            return false;
        fail(path);
    }
    rmdir(std::filesystem::path{path}.parent_path().c_str()); // fails where something else is in it
    return true;
}

void reload_systemd() {
    const CommandResult result = run_command({"systemctl", "daemon-reload"});
    if (result.status != 0)
        throw Impossible(fmt::format("systemctl daemon-reload failed: {}", harmless(result.errors)));
}

} // namespace multihome::tools
