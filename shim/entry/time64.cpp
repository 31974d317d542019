// SPDX-License-Identifier: MIT
//
// The exported functions, on 32-bit processors, of programs in which a time has 64 bits (_TIME_BITS=64). Two
// are functions of their own, as in glibc. The others are second names (SECOND_NAME()) of the usual
// functions.
//
// On our sockets these two do what those of the usual names do. On a kernel older than Linux 5.1, glibc
// adds a second time of 64 bits to the one of 32 bits that SO_TIMESTAMP brings. Our sockets do not get that.
#include "shim/entry/entry.hpp"

#if __SIZEOF_POINTER__ == 4

#include "shim/base/user_memory.hpp"

#include <algorithm>
#include <cerrno>
#include <limits>

using namespace multihome; // NOLINT(google-build-using-namespace): this file is the program's side of it
using namespace multihome::entry; // NOLINT(google-build-using-namespace)

EXPORT ssize_t __recvmsg64(int fd, msghdr* message, int flags) {
    return recvmsg_after_look<libc::__recvmsg64>(fd, message, flags);
}

EXPORT int __recvmmsg64(int fd, mmsghdr* messages, unsigned int count, int flags, libc::Time64* timeout) {
    const Socket socket = socket_for_receiving(fd);
    if (!is_ours(socket))
        return recvmmsg_with_descriptors(libc::__recvmmsg64, fd, messages, count, flags, timeout);
    if (timeout == nullptr)
        return receive::messages(fd, messages, count, flags, nullptr, socket);
    if (!user_memory::can_read(timeout, sizeof *timeout))
        return libc::__recvmmsg64(fd, messages, count, flags, timeout);
    // A time that 32 bits do not hold is so far off that nobody sees the difference.
    using Seconds = std::numeric_limits<time_t>;
    const int64_t seconds = std::clamp<int64_t>(timeout->seconds, Seconds::min(), Seconds::max());
    timespec left{static_cast<time_t>(seconds), timeout->nanoseconds};
    const int received = receive::messages(fd, messages, count, flags, &left, socket);
    if (received <= 0)
        return received;
    if (!user_memory::can_write(timeout, sizeof *timeout)) {
        errno = EFAULT;
        return -1;
    }
    *timeout = {timeout->seconds - seconds + left.tv_sec, static_cast<int32_t>(left.tv_nsec), 0};
    return received;
}

#endif
