// SPDX-License-Identifier: MIT
// What happens around the calls: a look at a descriptor, clients, descriptors that come and go unseen.
#include "tools/differential/runner.hpp"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstring>
#include <thread>

namespace multihome::differential {

namespace {

constexpr int end_of_inspection = 24; // descriptors up to here are looked at when a sequence ends

in6_addr ipv6_of(const sockaddr_storage& name) {
    sockaddr_in6 ipv6{};
    std::memcpy(&ipv6, &name, sizeof ipv6);
    return name.ss_family == AF_INET6 ? ipv6.sin6_addr : in6_addr{};
}

bool is_mapped(const sockaddr_storage& name) {
    const in6_addr address = ipv6_of(name);
    return IN6_IS_ADDR_V4MAPPED(&address);
}

bool is_loopback6(const sockaddr_storage& name) {
    const in6_addr address = ipv6_of(name);
    return IN6_IS_ADDR_LOOPBACK(&address);
}

} // namespace

void Runner::note_address(const char* what, const sockaddr_storage& name) {
    std::array<char, INET6_ADDRSTRLEN> text{};
    in_port_t port = 0;
    std::memcpy(&port, reinterpret_cast<const char*>(&name) + offsetof(sockaddr_in, sin_port), sizeof port);
    const std::size_t offset =
        name.ss_family == AF_INET ? offsetof(sockaddr_in, sin_addr) : offsetof(sockaddr_in6, sin6_addr);
    if (inet_ntop(name.ss_family, reinterpret_cast<const char*>(&name) + offset, text.data(), text.size()) ==
        nullptr)
        return;
    const std::size_t used = std::strlen(mailbox_.notes.data());
    std::snprintf(mailbox_.notes.data() + used, mailbox_.notes.size() - used, "%s %s port %u", what,
                  text.data(), static_cast<unsigned>(ntohs(port)));
}

void Runner::inspect_names(int fd) {
    sockaddr_storage local{};
    sockaddr_storage remote{};
    socklen_t local_length = sizeof local;
    socklen_t remote_length = sizeof remote;
    const bool has_local = getsockname(fd, reinterpret_cast<sockaddr*>(&local), &local_length) == 0;
    const bool has_remote = getpeername(fd, reinterpret_cast<sockaddr*>(&remote), &remote_length) == 0;
    // A socket that was connected to ::1 and then to an IPv4 peer answers from 127.0.0.1, and yet goes on to
    // call itself ::1. The shim, which sees to the local address at each connect(), makes that true.
    if (has_local && has_remote && is_mapped(remote) && is_loopback6(local)) {
        sockaddr_in6 changed{};
        std::memcpy(&changed, &local, sizeof changed);
        inet_pton(AF_INET6, "::ffff:127.0.0.1", &changed.sin6_addr);
        std::memcpy(&local, &changed, sizeof changed);
    }
    const int protocol = protocol_of(fd);
    const bool by_lot = protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6;
    surroundings_.normalise_port(local, by_lot);
    surroundings_.normalise_port(remote, false);
    add(Label::local_address, 0, has_local ? hash_bytes(&local, local_length) : 0);
    add(Label::remote_address, 0, has_remote ? hash_bytes(&remote, remote_length) : 0);
    if (step_ == mailbox_.detailed_step) {
        note_address(" local", local);
        note_address(" remote", remote);
    }
}

void Runner::inspect(int fd) {
    // The kernel enlarges a connection's buffers by the clock, and empties them when a delayed
    // acknowledgement comes.
    const bool by_clock = protocol_of(fd) == IPPROTO_TCP;
    for (std::size_t index = 0; index < inspected_options.size(); ++index) {
        if (by_clock && inspected_options[index].level == SOL_SOCKET &&
            inspected_options[index].name == SO_RCVBUF)
            continue;
        std::array<unsigned char, 32> value{};
        value.fill(Memory::pattern);
        socklen_t length = value.size();
        errno = untouched_errno;
        const long result = call_plainly(
            Symbol::getsockopt,
            {static_cast<std::uint64_t>(fd), static_cast<std::uint64_t>(inspected_options[index].level),
             static_cast<std::uint64_t>(inspected_options[index].name),
             reinterpret_cast<std::uintptr_t>(value.data()), reinterpret_cast<std::uintptr_t>(&length)});
        const auto error = static_cast<std::uint64_t>(errno);
        if (result < 0 && errno == EBADF)
            return; // nothing there, and so say all the others
        add(Label::option, index, hash_bytes(value.data(), value.size(), length + (error << 32U)));
    }
    inspect_names(fd);
    pollfd ready{fd, POLLIN | POLLPRI, 0};
    if (!by_clock)
        ready.events |= POLLOUT;
    else if (tcp_goes_by_the_clock())
        ready.events = POLLPRI;
    add(Label::readiness, 0,
        poll(&ready, 1, 0) >= 0 ? static_cast<std::uint64_t>(ready.revents) : ~std::uint64_t{0});
}

/// A UDP socket on which the program has asked for packet information itself, or for what the shim marks its
/// sockets with: on its way to another process only one bit, the mark, can tell what of it is the program's
/// and what the shim's. That is enough for an IPv4 socket without the mark, which has one such option.
bool Runner::asks_itself(int fd) {
    bool asked = false;
    int domain = 0;
    socklen_t domain_length = sizeof domain;
    libc().getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &domain_length);
    for (const int index : {0, 3, 4, 8}) {
        if (index == 0 && domain == AF_INET)
            continue;
        const InspectedOption& option = inspected_options.at(static_cast<std::size_t>(index));
        int value = 0;
        socklen_t length = sizeof value;
        call_plainly(Symbol::getsockopt,
                     {static_cast<std::uint64_t>(fd), static_cast<std::uint64_t>(option.level),
                      static_cast<std::uint64_t>(option.name), reinterpret_cast<std::uintptr_t>(&value),
                      reinterpret_cast<std::uintptr_t>(&length)});
        asked = asked || value != 0;
    }
    return asked;
}

namespace {

sockaddr_storage own_name(int fd) {
    sockaddr_storage name{};
    socklen_t length = sizeof name;
    getsockname(fd, reinterpret_cast<sockaddr*>(&name), &length);
    return name;
}

bool is_inet(const sockaddr_storage& name) {
    return name.ss_family == AF_INET || name.ss_family == AF_INET6;
}

in_port_t port_of(const sockaddr_storage& name) {
    in_port_t port = 0;
    std::memcpy(&port, reinterpret_cast<const char*>(&name) + offsetof(sockaddr_in, sin_port), sizeof port);
    return port;
}

bool is_wildcard(const sockaddr_storage& name) {
    const in6_addr ipv6 = ipv6_of(name);
    sockaddr_in ipv4{};
    std::memcpy(&ipv4, &name, sizeof ipv4);
    if (name.ss_family == AF_INET)
        return ipv4.sin_addr.s_addr == INADDR_ANY;
    return IN6_IS_ADDR_UNSPECIFIED(&ipv6) || (is_mapped(name) && ipv6.s6_addr32[3] == INADDR_ANY);
}

/// A UDP socket that the library may have taken over. What it leaves on such a socket, a program without the
/// library sees (multihome(7)).
bool may_be_ours(int fd) {
    const sockaddr_storage name = own_name(fd);
    return is_inet(name) && port_of(name) != 0 && is_wildcard(name);
}

} // namespace

/// A socket that a child has connected to an IPv4 peer sends to an IPv6 peer: without the library never, with
/// it an answer (multihome(7)).
bool Runner::may_answer_across_families(const Step& step) {
    const bool sends = step.op == Op::sendto || step.op == Op::sendmsg || step.op == Op::sendmmsg;
    return sends && child_has_connected_ && is_mapped(own_name(step.integer(Field::fd)));
}

bool Runner::send_descriptor(int fd) {
    std::array<unsigned char, 1024> control{};
    std::size_t length = 0;
    build_control(content_rights, control, length);
    std::memcpy(control.data() + CMSG_LEN(0), &fd, sizeof fd);
    char byte = 'x';
    iovec data{&byte, 1};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = length;
    const long sent = call_plainly(Symbol::sendmsg,
                                   {static_cast<std::uint64_t>(Surroundings::pass_from()),
                                    reinterpret_cast<std::uintptr_t>(&message), std::uint64_t{MSG_DONTWAIT}});
    add(Label::passed, 0, sent < 0 ? static_cast<std::uint64_t>(errno) : 0);
    return sent >= 0;
}

void Runner::pass(const Step& step) {
    const int fd = step.integer(Field::fd);
    if (asks_itself(fd) || !send_descriptor(fd))
        return;
    if (step.get(Field::flags) == 0)
        call_plainly(Symbol::close, {static_cast<std::uint64_t>(fd)});
    Step receive;
    receive.op = Op::recvmsg;
    receive.by_number = step.by_number;
    receive.set(Field::fd, Surroundings::pass_to());
    receive.set(Field::length, 10);
    receive.set(Field::control_length, 64);
    call(receive);
}

void Runner::inspect_bare(int fd) {
    for (std::size_t index = 0; index < inspected_options.size(); ++index) {
        const InspectedOption& option = inspected_options.at(index);
        if (option.name == SO_RCVBUF && protocol_of(fd) == IPPROTO_TCP)
            continue; // see inspect()
        std::array<unsigned char, 32> value{};
        socklen_t length = value.size();
        errno = untouched_errno;
        libc().getsockopt(fd, option.level, option.name, value.data(), &length);
        add(Label::bare_option, index,
            hash_bytes(value.data(), value.size(), length + (static_cast<std::uint64_t>(errno) << 32U)));
    }
}

void Runner::hand_out(int fd) {
    if (has_connected_ || may_be_ours(fd) || !send_descriptor(fd))
        return;
    char byte = 0;
    iovec data{&byte, 1};
    alignas(cmsghdr) std::array<unsigned char, CMSG_SPACE(sizeof fd)> control{};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    if (libc().recvmsg(Surroundings::pass_to(), &message, MSG_DONTWAIT) < 0 || message.msg_controllen == 0)
        return;
    int received = -1;
    std::memcpy(&received, control.data() + CMSG_LEN(0), sizeof received);
    inspect_bare(received);
    libc().close(received);
}

void Runner::move_unseen(const Step& step) {
    static std::array<char, 70000> buffer;
    const int fd = step.integer(Field::fd);
    if (protocol_of(fd) == IPPROTO_TCP)
        return; // how much it takes or has at once may be the clock's
    // A socket that gets its port here is bound where the library does not see it (multihome(7)).
    if (const sockaddr_storage name = own_name(fd);
        step.op == Op::send && is_inet(name) && port_of(name) == 0)
        return;
    const auto size =
        static_cast<std::size_t>(std::clamp<std::int64_t>(step.get(Field::length), 0, buffer.size()));
    const int flags = step.integer(Field::flags) | MSG_DONTWAIT;
    buffer.fill(step.op == Op::send ? 'x' : 0);
    errno = untouched_errno;
    const ssize_t moved =
        step.op == Op::send ? ::send(fd, buffer.data(), size, flags) : ::recv(fd, buffer.data(), size, flags);
    const int error = errno;
    add(Label::result, 0, static_cast<std::uint64_t>(moved));
    add(Label::error, 0, static_cast<std::uint64_t>(error));
    add(Label::memory, static_cast<std::size_t>(Region::data), hash_bytes(buffer.data(), buffer.size()));
    if (step.op == Op::send)
        record_arrivals();
}

void Runner::run_until(std::uint32_t end) {
    while (++step_ < end) {
        mailbox_.current_step = step_;
        run_step(mailbox_.steps[step_]);
    }
}

/// The child shares our memory, this object too.
int Runner::run_in_vfork_child(std::uint32_t end) {
    // NOLINTBEGIN(clang-analyzer-security.insecureAPI.vfork, clang-analyzer-unix.Vfork): what is tested
    const pid_t child = vfork();
    if (child == 0) {
        run_until(end);
        _exit(0);
    }
    // NOLINTEND(clang-analyzer-security.insecureAPI.vfork, clang-analyzer-unix.Vfork)
    int status = -1;
    waitpid(child, &status, 0);
    return status;
}

void Runner::run_elsewhere(const Step& step) {
    const auto where = static_cast<Elsewhere>(step.get(Field::number));
    std::uint32_t end = step_ + 1;
    while (end < mailbox_.step_count && end - step_ <= static_cast<std::uint64_t>(step.get(Field::count)) &&
           may_run(where, mailbox_.steps[end].op))
        ++end;
    int status = 0;
    if (where == Elsewhere::thread) {
        std::thread{[&] { run_until(end); }}.join();
    } else if (where == Elsewhere::vfork_child) {
        status = run_in_vfork_child(end);
    } else {
        // What the child has done to sockets that are ours too.
        constexpr int used_tcp = 1;
        constexpr int connected = 2;
        const std::int64_t sent_before = tcp_sent_;
        const pid_t child = fork();
        if (child == 0) {
            run_until(end);
            _exit((tcp_sent_ != sent_before ? used_tcp : 0) | (has_connected_ ? connected : 0));
        }
        waitpid(child, &status, 0);
        if (WIFEXITED(status) && (WEXITSTATUS(status) & used_tcp) != 0)
            tcp_sent_ += always_fits + 1;
        child_has_connected_ =
            child_has_connected_ || (WIFEXITED(status) && (WEXITSTATUS(status) & connected) != 0);
        has_connected_ = has_connected_ || child_has_connected_;
    }
    step_ = end - 1;
    add(Label::ended, 0, static_cast<std::uint64_t>(status));
}

void Runner::ask_other() {
    constexpr int port = 9;
    sockaddr_storage name{};
    const socklen_t length = surroundings_.address(Place::v4_any, port, name);
    const auto name_pointer = reinterpret_cast<std::uintptr_t>(&name);
    const long fd = call_plainly(Symbol::socket, {AF_INET, SOCK_DGRAM, 0});
    const auto number = static_cast<std::uint64_t>(fd);
    call_plainly(Symbol::bind, {number, name_pointer, length});
    surroundings_.client_send(0, Place::v4_other, port, 1, 1, false);
    char byte = 0;
    socklen_t room = sizeof name;
    call_plainly(Symbol::recvfrom, {number, reinterpret_cast<std::uintptr_t>(&byte), 1, MSG_DONTWAIT,
                                    name_pointer, reinterpret_cast<std::uintptr_t>(&room)});
    call_plainly(Symbol::sendto,
                 {number, reinterpret_cast<std::uintptr_t>(&byte), 1, MSG_DONTWAIT, name_pointer, room});
    surroundings_.settle();
    add(Label::answer_source, 0, surroundings_.client_source(0));
    call_plainly(Symbol::close, {number});
}

void Runner::reset() {
    for (int fd = 3; fd < end_of_inspection; ++fd)
        inspect(fd);
    call_plainly(Symbol::close_range, {3, first_own_descriptor - 1, 0});
    call_plainly(Symbol::close_range, {first_own_descriptor + own_descriptor_count, UINT_MAX, 0});
    surroundings_.repair();
    record_arrivals();
    tcp_sent_ = 0;
    has_connected_ = false;
    child_has_connected_ = false;
}

void Runner::event(const Step& step) {
    const int fd = step.integer(Field::fd);
    std::array<int, 2> pair{};
    switch (step.op) {
    case Op::client_send:
        surroundings_.client_send(std::clamp(step.integer(Field::client), 0, client_count - 1),
                                  static_cast<Place>(step.get(Field::place)), step.integer(Field::port),
                                  static_cast<std::size_t>(step.get(Field::length)),
                                  step.integer(Field::count),
                                  (step.get(Field::contents) & content_segment) != 0);
        break;
    case Op::inspect:
        inspect(fd);
        break;
    case Op::hidden_close:
        add(Label::result, 0, static_cast<std::uint64_t>(libc().close(fd)));
        break;
    case Op::listen:
        add(Label::result, 0, static_cast<std::uint64_t>(::listen(fd, 3)));
        break;
    case Op::socketpair:
        add(Label::result, 0,
            static_cast<std::uint64_t>(::socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, pair.data())));
        break;
    case Op::pass:
        pass(step);
        break;
    case Op::hand_out:
        hand_out(fd);
        break;
    case Op::recv:
    case Op::send:
        move_unseen(step);
        break;
    case Op::elsewhere:
        run_elsewhere(step);
        break;
    case Op::ask_other:
        ask_other();
        break;
    default:
        reset();
        break;
    }
}

} // namespace multihome::differential
