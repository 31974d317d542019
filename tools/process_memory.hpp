// SPDX-License-Identifier: MIT
// The memory of another process, read while it runs: it is not stopped, and nothing is put into it.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace multihome::tools {

struct Mapping {
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
    std::uint64_t offset = 0;
    bool readable = false;
    bool executable = false;
    bool shared = false;
    std::string device;
    std::uint64_t inode = 0;
    std::string path;
};

/// One line of /proc/PID/maps; false where it is none.
bool parse_mapping(const std::string& line, Mapping& mapping);

/// All mappings; empty where they may not be read, and for a kernel thread. errno says why.
std::vector<Mapping> read_mappings(pid_t process);

/// True where all `size` bytes could be read. errno says why not.
bool read_memory(pid_t process, std::uint64_t address, void* buffer, std::size_t size);

/// The parts of a shared mapping that have memory behind them, as [begin, end) from the start of the mapping.
/// Others are all zero, and reading them out of the process would make the kernel put memory there.
struct Extent {
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
};

/// Reads a shared mapping by the parts that have memory.
class SharedMapping {
public:
    SharedMapping(pid_t process, const Mapping& mapping);
    SharedMapping(const SharedMapping&) = delete;
    SharedMapping& operator=(const SharedMapping&) = delete;
    ~SharedMapping();

    [[nodiscard]] std::vector<Extent> extents() const;
    /// True where all could be read. `offset` counts from the start of the mapping.
    bool read(std::uint64_t offset, void* buffer, std::size_t size) const;

private:
    [[nodiscard]] std::vector<Extent> extents_of_file() const;
    [[nodiscard]] std::vector<Extent> extents_of_page_map() const;

    pid_t process_;
    Mapping mapping_;
    int file_; ///< the memory's own file, -1 where the kernel does not hand it out
};

} // namespace multihome::tools
