// SPDX-License-Identifier: MIT
#include "tools/differential/record.hpp"

#include <linux/futex.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>
#include <ctime>
#include <fmt/core.h>

namespace multihome::differential {

// By number where glibc's headers and the kernel's cannot be included together.
const std::array<InspectedOption, 21> inspected_options{{
    {IPPROTO_IP, 8, "IP_PKTINFO"},
    {IPPROTO_IP, 24, "IP_BIND_ADDRESS_NO_PORT"},
    {IPPROTO_IP, 32, "IP_MULTICAST_IF"},
    {IPPROTO_IPV6, 49, "IPV6_RECVPKTINFO"},
    {IPPROTO_IPV6, 2, "IPV6_2292PKTINFO"},
    {IPPROTO_IPV6, 26, "IPV6_V6ONLY"},
    {IPPROTO_IPV6, 17, "IPV6_MULTICAST_IF"},
    {IPPROTO_IPV6, 78, "IPV6_FREEBIND"},
    {SOL_SOCKET, SO_OOBINLINE, "SO_OOBINLINE"},
    {SOL_SOCKET, SO_ERROR, "SO_ERROR"},
    {SOL_SOCKET, SO_BINDTODEVICE, "SO_BINDTODEVICE"},
    {SOL_SOCKET, SO_RCVBUF, "SO_RCVBUF"},
    {SOL_SOCKET, SO_TIMESTAMP, "SO_TIMESTAMP"},
    {IPPROTO_IP, 33, "IP_MULTICAST_TTL"},
    {IPPROTO_IP, 34, "IP_MULTICAST_LOOP"},
    {IPPROTO_IP, 15, "IP_FREEBIND"},
    {IPPROTO_IP, 50, "IP_UNICAST_IF"},
    {IPPROTO_IPV6, 76, "IPV6_UNICAST_IF"},
    {SOL_SOCKET, SO_BINDTOIFINDEX, "SO_BINDTOIFINDEX"},
    {SOL_SOCKET, SO_REUSEADDR, "SO_REUSEADDR"},
    {SOL_SOCKET, SO_MARK, "SO_MARK"},
}};

namespace {

std::string error_text(std::uint64_t value) {
    if (value == static_cast<std::uint64_t>(untouched_errno))
        return "errno untouched";
    const char* name = strerrorname_np(static_cast<int>(value));
    return fmt::format("errno {}", name != nullptr ? std::string{name} : std::to_string(value));
}

} // namespace

std::string name_of(const Entry& entry) {
    switch (entry.label) {
    case Label::result:
        return "result";
    case Label::error:
        return "errno";
    case Label::message_name_length:
        return fmt::format("msg_namelen of message {}", entry.index);
    case Label::message_control_length:
        return fmt::format("msg_controllen of message {}", entry.index);
    case Label::message_flags:
        return fmt::format("msg_flags of message {}", entry.index);
    case Label::message_length:
        return fmt::format("msg_len of message {}", entry.index);
    case Label::memory:
        return fmt::format("memory ({})", name_of(static_cast<Region>(entry.index)));
    case Label::arrived:
        return fmt::format("what client {} received", entry.index);
    case Label::local_address:
        return "getsockname()";
    case Label::remote_address:
        return "getpeername()";
    case Label::readiness:
        return "poll()";
    case Label::option:
        return fmt::format("getsockopt({})", inspected_options.at(entry.index).text);
    case Label::answer_source:
        return "source of an answer";
    case Label::moved_on_tcp:
        return "errno set by a success on a TCP socket";
    case Label::passed:
        return "passing a descriptor";
    case Label::bare_option:
        return fmt::format("getsockopt({}) without the library", inspected_options.at(entry.index).text);
    case Label::ended:
        return "wait status of another process";
    }
    return "?";
}

std::string value_of(const Entry& entry) {
    switch (entry.label) {
    case Label::error:
        return error_text(entry.value);
    case Label::result:
    case Label::message_name_length:
    case Label::message_control_length:
    case Label::message_length:
        return std::to_string(static_cast<std::int64_t>(entry.value));
    case Label::memory:
    case Label::arrived:
    case Label::local_address:
    case Label::remote_address:
    case Label::option:
    case Label::bare_option:
        return fmt::format("(hash {:016x})", entry.value);
    default:
        return fmt::format("{:#x}", entry.value);
    }
}

std::string describe(const Entry& entry) {
    return name_of(entry) + ": " + value_of(entry);
}

namespace {

// libc's own syscall(): the shim's is under test, and must not see ours.
long futex(std::atomic<std::uint32_t>& word, int operation, std::uint32_t value, const timespec* timeout) {
    using Syscall = long(long, ...);
    static auto* const call = reinterpret_cast<Syscall*>(find_in_libc("syscall"));
    return call(SYS_futex, &word, operation, value, timeout, nullptr, 0);
}

} // namespace

void give_turn(Mailbox& mailbox, Turn to) {
    mailbox.turn.store(static_cast<std::uint32_t>(to), std::memory_order_release);
    futex(mailbox.turn, FUTEX_WAKE, 1, nullptr);
}

bool await_turn(Mailbox& mailbox, Turn ours, int seconds) {
    const auto wanted = static_cast<std::uint32_t>(ours);
    const timespec timeout{seconds, 0};
    for (;;) {
        const std::uint32_t now = mailbox.turn.load(std::memory_order_acquire);
        if (now == wanted)
            return true;
        if (futex(mailbox.turn, FUTEX_WAIT, now, seconds != 0 ? &timeout : nullptr) != 0 &&
            errno == ETIMEDOUT)
            return mailbox.turn.load(std::memory_order_acquire) == wanted;
    }
}

} // namespace multihome::differential
