// SPDX-License-Identifier: MIT
#include "tools/process_memory.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <fmt/core.h>
#include <string_view>

#include "tools/processes.hpp"
#include "tools/program.hpp"

namespace multihome::tools {
namespace {

constexpr std::size_t longest_maps = std::size_t{64} << 20U; // vm.max_map_count is 65,530 unless raised

/// The text up to `end`, taken off the front of `line`.
std::string_view take_until(std::string_view& line, char end) {
    const std::size_t at = std::min(line.find(end), line.size());
    const std::string_view part = line.substr(0, at);
    line.remove_prefix(std::min(at + 1, line.size()));
    return part;
}

bool read_number(std::string_view text, int base, std::uint64_t& number) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
    return error == std::errc{} && end == text.data() + text.size();
}

} // namespace

bool parse_mapping(const std::string& line, Mapping& mapping) {
    std::string_view left{line};
    const std::string_view begin = take_until(left, '-');
    const std::string_view end = take_until(left, ' ');
    const std::string_view rights = take_until(left, ' ');
    const std::string_view offset = take_until(left, ' ');
    mapping.device = take_until(left, ' ');
    const std::string_view inode = take_until(left, ' ');
    if (!read_number(begin, 16, mapping.begin) || !read_number(end, 16, mapping.end) || rights.size() != 4 ||
        !read_number(offset, 16, mapping.offset) || !read_number(inode, 10, mapping.inode) ||
        mapping.end < mapping.begin)
        return false;
    mapping.readable = rights[0] == 'r';
    mapping.executable = rights[2] == 'x';
    mapping.shared = rights[3] == 's';
    left.remove_prefix(std::min(left.find_first_not_of(' '), left.size()));
    mapping.path = left;
    return true;
}

std::vector<Mapping> read_mappings(pid_t process) {
    std::vector<Mapping> mappings;
    const std::string text = read_whole(fmt::format("/proc/{}/maps", process), longest_maps);
    for (std::size_t begin = 0; begin < text.size();) {
        const std::size_t end = std::min(text.find('\n', begin), text.size());
        Mapping mapping;
        if (parse_mapping(text.substr(begin, end - begin), mapping))
            mappings.push_back(std::move(mapping));
        begin = end + 1;
    }
    return mappings;
}

// Not by process_vm_readv(2): the number is that of /proc, which may be of another namespace of processes
// than ours.
bool read_memory(pid_t process, std::uint64_t address, void* buffer, std::size_t size) {
    const Descriptor memory = open_for_reading(fmt::format("/proc/{}/mem", process));
    return memory.valid() &&
           pread(memory.number(), buffer, size, static_cast<off_t>(address)) == static_cast<ssize_t>(size);
}

SharedMapping::SharedMapping(pid_t process, const Mapping& mapping)
    : process_(process), mapping_(mapping),
      // Needs CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN, proc(5).
      file_(open(fmt::format("/proc/{}/map_files/{:x}-{:x}", process, mapping.begin, mapping.end).c_str(),
                 O_RDONLY | O_CLOEXEC)) {
    struct stat status {};
    // A process could have mapped something else there by now.
    if (file_ >= 0 &&
        (fstat(file_, &status) != 0 || status.st_ino != mapping.inode || !S_ISREG(status.st_mode))) {
        close(file_);
        file_ = -1;
    }
}

SharedMapping::~SharedMapping() {
    if (file_ >= 0)
        close(file_);
}

std::vector<Extent> SharedMapping::extents() const {
    return file_ >= 0 ? extents_of_file() : extents_of_page_map();
}

std::vector<Extent> SharedMapping::extents_of_file() const {
    std::vector<Extent> extents;
    const auto size = static_cast<off_t>(mapping_.end - mapping_.begin);
    for (off_t at = 0; at < size;) {
        const off_t data = lseek(file_, at, SEEK_DATA);
        if (data < 0 || data >= size)
            break;
        const off_t hole = std::min(lseek(file_, data, SEEK_HOLE), size);
        if (hole <= data)
            break;
        extents.push_back({static_cast<std::uint64_t>(data), static_cast<std::uint64_t>(hole)});
        at = hole;
    }
    return extents;
}

/// What this process itself has touched; its children may have touched more.
std::vector<Extent> SharedMapping::extents_of_page_map() const {
    std::vector<Extent> extents;
    const Descriptor map = open_for_reading(fmt::format("/proc/{}/pagemap", process_));
    const auto page = static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
    constexpr std::uint64_t present_or_swapped = std::uint64_t{3}
                                                 << 62U; // Documentation/admin-guide/mm/pagemap.rst
    std::array<std::uint64_t, 4096> words{};
    const std::uint64_t pages = (mapping_.end - mapping_.begin) / page;
    for (std::uint64_t first = 0; map.valid() && first < pages;) {
        const std::size_t wanted = std::min<std::uint64_t>(words.size(), pages - first);
        const ssize_t size = pread(map.number(), words.data(), wanted * sizeof words[0],
                                   static_cast<off_t>((mapping_.begin / page + first) * sizeof words[0]));
        if (size < static_cast<ssize_t>(sizeof words[0]))
            break;
        const std::size_t count = static_cast<std::size_t>(size) / sizeof words[0];
        for (std::size_t index = 0; index < count; ++index) {
            if ((words[index] & present_or_swapped) == 0)
                continue;
            const std::uint64_t begin = (first + index) * page;
            if (!extents.empty() && extents.back().end == begin)
                extents.back().end = begin + page;
            else
                extents.push_back({begin, begin + page});
        }
        first += count;
    }
    return extents;
}

bool SharedMapping::read(std::uint64_t offset, void* buffer, std::size_t size) const {
    if (offset > mapping_.end - mapping_.begin || size > mapping_.end - mapping_.begin - offset)
        return false;
    if (file_ < 0)
        return read_memory(process_, mapping_.begin + offset, buffer, size);
    return pread(file_, buffer, size, static_cast<off_t>(offset)) == static_cast<ssize_t>(size);
}

} // namespace multihome::tools
