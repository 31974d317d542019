// SPDX-License-Identifier: MIT
//
// Where a line of the log can be written to, by system calls of our own that the program's interposed
// functions do not see. Each function returns 0, or the error as a negative errno. Async-signal-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <sys/stat.h>

namespace multihome::log {

// What a descriptor stands for.
struct FileIdentity {
    uint64_t device = 0;
    uint64_t inode = 0;
    mode_t mode = 0; // 0: nothing

    // Whose rights have changed is still the same.
    friend bool operator==(const FileIdentity& one, const FileIdentity& other) {
        return one.device == other.device && one.inode == other.inode &&
               ((one.mode ^ other.mode) & S_IFMT) == 0;
    }
};

FileIdentity identity_of(int fd);

// True for a socket of the internet: what is written to it goes to the other end.
bool is_network_connection(int fd, const FileIdentity& identity);

// Writes `line` by one write(2), which raises no signal.
int write_to_descriptor(int fd, const FileIdentity& identity, std::string_view line);

// Appends `line` to a regular file, which is made if it is not there.
int append_to_file(const char* name, std::string_view line);

// Sends `message` to /dev/log.
int send_to_syslog(std::string_view message);

} // namespace multihome::log
