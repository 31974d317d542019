// SPDX-License-Identifier: MIT
//
// A library to be preloaded, as sandboxes and tracers have them: its functions make their system calls by
// syscall(2), which is an interposed function, too.
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

// NOLINTBEGIN(bugprone-macro-parentheses): types and lists of arguments
#define BY_NUMBER(result, name, parameters, ...)                                                             \
    extern "C" [[gnu::visibility("default")]] result name parameters {                                       \
        return static_cast<result>(syscall(SYS_##name, __VA_ARGS__));                                        \
    }
// NOLINTEND(bugprone-macro-parentheses)

BY_NUMBER(int, socket, (int domain, int type, int protocol) noexcept, domain, type, protocol)
BY_NUMBER(int, bind, (int fd, const sockaddr* address, socklen_t length) noexcept, fd, address, length)
BY_NUMBER(int, connect, (int fd, const sockaddr* address, socklen_t length), fd, address, length)
BY_NUMBER(int, close, (int fd), fd)
BY_NUMBER(int, dup, (int fd) noexcept, fd)
BY_NUMBER(int, setsockopt, (int fd, int level, int name, const void* value, socklen_t length) noexcept, fd,
          level, name, value, length)
BY_NUMBER(int, getsockopt, (int fd, int level, int name, void* value, socklen_t* length) noexcept, fd, level,
          name, value, length)
BY_NUMBER(ssize_t, recvfrom,
          (int fd, void* buffer, size_t size, int flags, sockaddr* address, socklen_t* length), fd, buffer,
          size, flags, address, length)
BY_NUMBER(ssize_t, recvmsg, (int fd, msghdr* message, int flags), fd, message, flags)
BY_NUMBER(ssize_t, sendto,
          (int fd, const void* data, size_t size, int flags, const sockaddr* address, socklen_t length), fd,
          data, size, flags, address, length)
BY_NUMBER(ssize_t, sendmsg, (int fd, const msghdr* message, int flags), fd, message, flags)
BY_NUMBER(int, sendmmsg, (int fd, mmsghdr* messages, unsigned count, int flags), fd, messages, count, flags)
