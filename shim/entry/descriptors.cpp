// SPDX-License-Identifier: MIT
//
// The exported functions for the life of a descriptor and for its options. See entry.hpp.
#include "shim/entry/entry.hpp"

#include "shim/packets/connect.hpp"
#include "shim/sockets/options.hpp"

#include <climits>
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

using namespace multihome; // NOLINT(google-build-using-namespace): this file is the program's side of it
using namespace multihome::entry; // NOLINT(google-build-using-namespace)

namespace {

[[gnu::noinline]] int close_known(int fd) {
    // A thread that is cancelled here closes nothing.
    pthread_testcancel();
    // Before the call: afterwards the number may belong to another thread's new socket.
    sockets::forget(fd);
    return libc::close(fd);
}

[[gnu::noinline]] int note_copy(int fd, int copy) {
    if (copy >= 0)
        sockets::duplicated(fd, copy);
    return copy;
}

template <typename Next>
[[gnu::always_inline]] inline int fcntl_through(const Next& next, int fd, int command, long argument) {
    if (command == F_DUPFD || command == F_DUPFD_CLOEXEC) [[unlikely]]
        return note_copy(fd, next(fd, command, argument));
    return next(fd, command, argument);
}

// True where the call goes straight to libc: the option does not concern us, or the descriptor is none of our
// business and no option can change that.
bool goes_to_libc(int fd, int level, int name) {
    const uint64_t word = sockets::load_direct(fd).word() & ~uint64_t{Socket::no_descriptors};
    return word == static_cast<uint64_t>(Socket::Kind::other) ||
           options::concern(level, name) == options::Concern::none;
}

[[gnu::noinline]] int get_option(int fd, int level, int name, void* value, socklen_t* length) {
    if (options::concern(level, name) == options::Concern::path)
        return connect::read_path(fd, level, name, value, length);
    return options::get(fd, level, name, value, length);
}

} // namespace

EXPORT int socket(int domain, int type, int protocol) noexcept {
    if (!is_started && environ != nullptr) [[unlikely]]
        start();
    const int fd = libc::socket(domain, type, protocol);
    if (fd >= 0)
        sockets::created(fd, domain, type, protocol);
    return fd;
}

EXPORT int bind(int fd, const sockaddr* address, socklen_t length) noexcept {
    return sockets::bind(fd, address, length);
}

EXPORT int connect(int fd, const sockaddr* address, socklen_t length) {
    // Looks at the word of every socket: AF_UNSPEC may make one ours that is not.
    return connect::to(sockets::get_bound_or_not(fd), fd, address, length);
}

EXPORT int close(int fd) {
    // Nothing is known of it, or just that it is none of our business.
    static_assert(static_cast<uint64_t>(Socket::Kind::other) == 1);
    if (sockets::load(fd).word() <= 1) [[likely]]
        return libc::close(fd);
    return close_known(fd);
}

EXPORT int close_range(unsigned int first, unsigned int last, int flags) noexcept {
    // The other threads keep these descriptors and look at them anew. Then the mark says what is ours.
    if (flags == CLOSE_RANGE_UNSHARE)
        sockets::mark_all();
    // The kernel closes nothing where it refuses the flags.
    if ((static_cast<unsigned>(flags) & ~unsigned{CLOSE_RANGE_UNSHARE}) == 0)
        sockets::forget_range(first, last);
    return libc::close_range(first, last, flags);
}

EXPORT void closefrom(int first) noexcept {
    sockets::forget_range(first < 0 ? 0 : static_cast<unsigned>(first), UINT_MAX);
    libc::closefrom(first);
}

EXPORT int dup(int fd) noexcept {
    const int copy = libc::dup(fd);
    // A failure's -1 is not direct either. There are two tests, because gcc makes more instructions of one.
    if (!sockets::is_direct(copy)) [[unlikely]]
        return note_copy(fd, copy);
    if (!sockets::is_direct(fd)) [[unlikely]]
        return note_copy(fd, copy);
    // Where nothing is known of either, there is nothing to note.
    if ((sockets::load_direct(copy).word() | sockets::load_direct(fd).word()) != 0) [[unlikely]]
        return note_copy(fd, copy);
    return copy;
}

EXPORT int dup2(int fd, int number) noexcept {
    return note_copy(fd, libc::dup2(fd, number));
}

EXPORT int dup3(int fd, int number, int flags) noexcept {
    return note_copy(fd, libc::dup3(fd, number, flags));
}

int fcntl_with_argument(int fd, int command, long argument) {
    return fcntl_through(libc::fcntl, fd, command, argument);
}

int fcntl64_with_argument(int fd, int command, long argument) {
    return fcntl_through(libc::fcntl64, fd, command, argument);
}
SECOND_NAME(__fcntl_time64, fcntl64_with_argument, "fcntl64")

EXPORT int setsockopt(int fd, int level, int name, const void* value, socklen_t length) noexcept {
    if (goes_to_libc(fd, level, name)) [[likely]]
        return libc::setsockopt(fd, level, name, value, length);
    return options::set(fd, level, name, value, length);
}
SECOND_NAME(__setsockopt64, setsockopt, "setsockopt")

EXPORT int getsockopt(int fd, int level, int name, void* value, socklen_t* length) noexcept {
    if (goes_to_libc(fd, level, name)) [[likely]]
        return libc::getsockopt(fd, level, name, value, length);
    return get_option(fd, level, name, value, length);
}
SECOND_NAME(__getsockopt64, getsockopt, "getsockopt")
