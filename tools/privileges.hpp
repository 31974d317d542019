// SPDX-License-Identifier: MIT
// Whether the kernel would set AT_SECURE for a program that this process starts. The dynamic loader then
// drops LD_PRELOAD, so the program would run without the library and without a word.
#pragma once

#include <sys/stat.h>

#include <string>

namespace multihome::tools {

enum class SecureReason {
    none,
    set_user_id,       ///< the file's bit changes the user of the process
    set_group_id,      ///< the file's bit changes the group of the process
    file_capabilities, ///< the file gives capabilities to an ordinary user
    already_changed,   ///< this process itself runs with changed ids, and so would everything that it starts
};

/// `path` is the file that the kernel maps: for a script, its interpreter. `status` is that file's stat().
SecureReason secure_execution(const std::string& path, const struct stat& status);

} // namespace multihome::tools
