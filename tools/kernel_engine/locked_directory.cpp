// SPDX-License-Identifier: MIT
#include "tools/kernel_engine/locked_directory.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace multihome::tools::engine {

int open_locked_directory(const std::string& directory, int operation) {
    // A symbolic link that leads nowhere is not gone, and must not be waited for.
    const int descriptor = open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (descriptor < 0)
        return -1;
    struct stat locked {};
    struct stat named {};
    int error = 0;
    if (flock(descriptor, operation) != 0 || fstat(descriptor, &locked) != 0 ||
        stat(directory.c_str(), &named) != 0)
        error = errno;
    else if (locked.st_ino != named.st_ino) // removed while we waited, and made anew
        error = ENOENT;
    if (error == 0)
        return descriptor;
    close(descriptor);
    errno = error;
    return -1;
}

} // namespace multihome::tools::engine
