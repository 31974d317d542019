/* SPDX-License-Identifier: MIT
 *
 * To be preloaded: of the inode number of a test's control group, stat() tells a part, as a 32-bit kernel
 * does, where it is half of what names the group. Here another number stands for the half. */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

int stat(const char* path, struct stat* status) {
    const int result = fstatat(AT_FDCWD, path, status, 0);
    if (result == 0 && strstr(path, "/mhengine-") != NULL)
        status->st_ino ^= 1U << 30;
    return result;
}
