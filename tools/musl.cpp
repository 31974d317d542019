// SPDX-License-Identifier: MIT
#include "tools/musl.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>
#include <fmt/core.h>
#include <string_view>
#include <system_error>

#include "tools/elf_file.hpp"
#include "tools/library.hpp"
#include "tools/program.hpp"
#include "tools/units.hpp"

namespace multihome::tools {
namespace {

/// Its name holds the processor; only those that a library of ours could be for count.
bool has_musl_loader(const std::string& root) {
    constexpr std::array processors = {"x86_64", "i386", "aarch64", "armhf"};
    return std::any_of(processors.begin(), processors.end(), [&](const char* processor) {
        return access(fmt::format("{}/lib/ld-musl-{}.so.1", root, processor).c_str(), F_OK) == 0;
    });
}

bool runs_by_musl(pid_t process) {
    const Descriptor file = open_for_reading(fmt::format("/proc/{}/exe", process));
    try {
        return file.valid() && read_elf(file.number()).loader.find("/ld-musl-") != std::string::npos;
    } catch (const ElfError&) {
        return false;
    }
}

std::vector<pid_t> children_of(pid_t process) {
    std::vector<pid_t> children;
    std::error_code error;
    // A child is one of the thread that has started it.
    const std::string tasks = fmt::format("/proc/{}/task", process);
    for (std::filesystem::directory_iterator task{tasks, error}, end; !error && task != end;
         task.increment(error))
        for (const std::string& word : split_words(read_whole((task->path() / "children").string()))) {
            pid_t child = 0;
            if (std::from_chars(word.data(), word.data() + word.size(), child).ec == std::errc{})
                children.push_back(child);
        }
    return children;
}

} // namespace

std::string note_on_musl(const std::string& preload, const std::string& root,
                         const std::vector<pid_t>& started) {
    const std::vector<std::string> names = preloaded_names(preload);
    const auto full = std::find_if(names.begin(), names.end(), [](const std::string& name) {
        return name.ends_with("/libmultihome.so") && name.find('$') == std::string::npos;
    });
    if (full == names.end() ||
        !(has_musl_loader(root) || std::any_of(started.begin(), started.end(), runs_by_musl)))
        return {};
    const std::string name = preload_name(*full);
    return fmt::format(
        "LD_PRELOAD names the library by its full path, which ends every program of musl's that "
        "inherits it: {}",
        name != *full ? fmt::format("name it {} instead", name)
                      : "install the library below /usr, and name it "
                        "/usr/$LIB/multihome/libmultihome.so");
}

std::string note_on_musl(const Process& process) {
    if (process.preload.find("libmultihome.so") == std::string::npos)
        return {};
    return note_on_musl(process.preload, fmt::format("/proc/{}/root", process.number),
                        children_of(process.number));
}

} // namespace multihome::tools
