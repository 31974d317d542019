// SPDX-License-Identifier: MIT
//
// The exported functions of a descriptor's life and options. See entry.hpp.
#include "shim/entry/entry.hpp"

#include "shim/base/libc.hpp"
#include "shim/packets/connect.hpp"
#include "shim/sockets/options.hpp"

#include <climits>
#include <fcntl.h>
#include <unistd.h>

using namespace multihome; // NOLINT(google-build-using-namespace): this file is the program's side of it
using namespace multihome::entry; // NOLINT(google-build-using-namespace)

namespace {

// Nothing is known of what `fd` stands for, or nothing that the number's next use would have to be told from.
bool is_nothing_to_forget(int fd) {
    return sockets::is_direct(fd) && sockets::peek_direct(fd).word() <= uint64_t{1};
}
static_assert(static_cast<uint64_t>(Socket::Kind::other) == 1);

[[gnu::noinline]] int close_known(int fd) {
    // Before the call: afterwards the number may belong to another thread's new socket.
    sockets::forget(fd);
    return libc::close(fd);
}

[[gnu::noinline]] int note_copy(int fd, int copy) {
    const bool is_noted = is_nothing_to_forget(copy) && sockets::is_direct(fd) &&
                          sockets::peek_direct(fd).word() == sockets::peek_direct(copy).word();
    if (copy >= 0 && !is_noted)
        sockets::duplicated(fd, copy);
    return copy;
}

template <typename Next>
[[gnu::always_inline]] inline int fcntl_through(const Next& next, int fd, int command, long argument) {
    if (command == F_DUPFD || command == F_DUPFD_CLOEXEC) [[unlikely]]
        return note_copy(fd, next(fd, command, argument));
    return next(fd, command, argument);
}

// An option that is nothing to us, or one of what is none of our business and what no option could make so.
bool is_passed_on_for_good(int fd, int level, int name) {
    const uint64_t word = sockets::peek_direct(fd).word() & ~uint64_t{Socket::no_descriptors};
    return word == static_cast<uint64_t>(Socket::Kind::other) ||
           options::concern(level, name) == options::Concern::none;
}

} // namespace

EXPORT int socket(int domain, int type, int protocol) noexcept {
    const int fd = libc::socket(domain, type, protocol);
    if (fd >= 0)
        sockets::created(fd, domain, type, protocol);
    return fd;
}

EXPORT int bind(int fd, const sockaddr* address, socklen_t length) noexcept {
    return sockets::bind(fd, address, length);
}

EXPORT int connect(int fd, const sockaddr* address, socklen_t length) {
    // A socket that is none of ours may become one again by AF_UNSPEC.
    return connect::to(sockets::get(fd), fd, address, length);
}

EXPORT int close(int fd) {
    if (is_nothing_to_forget(fd)) [[likely]]
        return libc::close(fd);
    return close_known(fd);
}

EXPORT int close_range(unsigned int first, unsigned int last, int flags) noexcept {
    // Another thread goes on with these, and finds out anew what they are.
    if (flags == CLOSE_RANGE_UNSHARE)
        sockets::mark_all();
    // Nothing is closed where the kernel refuses the flags.
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
    // A failure's -1 is not direct either. Two tests: gcc makes more of one for both.
    if (!sockets::is_direct(copy)) [[unlikely]]
        return note_copy(fd, copy);
    if (!sockets::is_direct(fd)) [[unlikely]]
        return note_copy(fd, copy);
    // Nothing is known of either: nothing to tell of the one for the other.
    if ((sockets::peek_direct(copy).word() | sockets::peek_direct(fd).word()) != 0) [[unlikely]]
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

EXPORT int setsockopt(int fd, int level, int name, const void* value, socklen_t length) noexcept {
    if (is_passed_on_for_good(fd, level, name)) [[likely]]
        return libc::setsockopt(fd, level, name, value, length);
    return options::set(fd, level, name, value, length);
}

EXPORT int getsockopt(int fd, int level, int name, void* value, socklen_t* length) noexcept {
    if (is_passed_on_for_good(fd, level, name)) [[likely]]
        return libc::getsockopt(fd, level, name, value, length);
    return options::get(fd, level, name, value, length);
}
