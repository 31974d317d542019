// SPDX-License-Identifier: MIT
#include "shim/base/log_target.hpp"

#include "shim/base/kernel_constants.hpp"
#include "shim/base/libc.hpp"
#include "shim/base/permissions.hpp"

#include <cstring>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/socket.h>
#include <sys/un.h>

namespace multihome::log {

namespace {

using libc::raw_syscall;
using permissions::may;

// Signals as the kernel's sigset_t has them.
using SignalSet = uint64_t;
constexpr SignalSet set_of(int signal) {
    return SignalSet{1} << (signal - 1);
}

// Holds back the signal that a write to this kind of file may raise, and takes it back where it was raised.
class HeldBackSignal {
public:
    explicit HeldBackSignal(mode_t mode) {
        if (S_ISFIFO(mode) || S_ISSOCK(mode))
            set_ = set_of(SIGPIPE); // nobody reads
        else if (S_ISREG(mode))
            set_ = set_of(SIGXFSZ); // RLIMIT_FSIZE
        if (set_ == 0)
            return;
        raw_syscall(SYS_rt_sigprocmask, SIG_BLOCK, &set_, &before_, sizeof set_);
        // One that the program itself holds back may be waiting already, and is the program's.
        if ((before_ & set_) != 0)
            raw_syscall(SYS_rt_sigpending, &waiting_, sizeof waiting_);
    }

    // `result`: what the write came to.
    void release(long result) const {
        if (set_ == 0)
            return;
        if ((result == -EPIPE || result == -EFBIG) && (waiting_ & set_) == 0) {
            const timespec at_once{};
            raw_syscall(SYS_rt_sigtimedwait, &set_, 0, &at_once, sizeof set_);
        }
        if ((before_ & set_) == 0)
            raw_syscall(SYS_rt_sigprocmask, SIG_SETMASK, &before_, 0, sizeof before_);
    }

private:
    SignalSet set_ = 0;
    SignalSet before_ = 0;
    SignalSet waiting_ = 0;
};

// Root follows no symbolic link: whoever may write to a directory on the way could lead it to any file.
// O_NONBLOCK: opening a FIFO must not wait for a reader.
long open_file(const char* name) {
    constexpr int flags = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
    constexpr long mode = 0640;
    long opened = -ENOSYS;
    if (may(Activity::resolving_no_links)) {
        open_how how{};
        how.flags = flags;
        how.mode = mode;
        how.resolve = RESOLVE_NO_SYMLINKS;
        opened = raw_syscall(SYS_openat2, AT_FDCWD, name, &how, sizeof how);
    }
    // Before Linux 5.6 only the last part of the name is looked at.
    if (opened == -ENOSYS)
        opened = raw_syscall(SYS_openat, AT_FDCWD, name, flags | O_NOFOLLOW, mode);
    if (opened == -ELOOP && raw_syscall(SYS_geteuid) != 0)
        opened = raw_syscall(SYS_openat, AT_FDCWD, name, flags, mode);
    return opened;
}

} // namespace

FileIdentity identity_of(int fd) {
    struct stat64 status; // as the kernel fills it in on all of our architectures
    if (raw_syscall(number_of_fstat, fd, &status) != 0)
        return {};
    return {status.st_dev, status.st_ino, status.st_mode};
}

bool is_network_connection(int fd, const FileIdentity& identity) {
    if (!S_ISSOCK(identity.mode))
        return false;
    int domain = AF_UNSPEC;
    socklen_t length = sizeof domain;
    raw_syscall(SYS_getsockopt, fd, SOL_SOCKET, SO_DOMAIN, &domain, &length);
    return domain != AF_UNIX;
}

int write_to_descriptor(int fd, const FileIdentity& identity, std::string_view line) {
    const HeldBackSignal signal(identity.mode);
    const long result = raw_syscall(SYS_write, fd, line.data(), line.size());
    signal.release(result);
    return result < 0 ? static_cast<int>(result) : 0;
}

int append_to_file(const char* name, std::string_view line) {
    const long opened = open_file(name);
    if (opened < 0)
        return static_cast<int>(opened);
    const int fd = static_cast<int>(opened);
    const FileIdentity identity = identity_of(fd);
    // ENXIO is also what the kernel says of a FIFO that nobody reads.
    const int result = S_ISREG(identity.mode) ? write_to_descriptor(fd, identity, line) : -ENXIO;
    raw_syscall(SYS_close, fd);
    return result;
}

int send_to_syslog(std::string_view message) {
    const long opened = raw_syscall(SYS_socket, AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (opened < 0)
        return static_cast<int>(opened);
    constexpr sockaddr_un address{AF_UNIX, "/dev/log"};
    const long result = raw_syscall(SYS_sendto, opened, message.data(), message.size(),
                                    MSG_NOSIGNAL | MSG_DONTWAIT, &address, sizeof address);
    raw_syscall(SYS_close, opened);
    return result < 0 ? static_cast<int>(result) : 0;
}

} // namespace multihome::log
