// SPDX-License-Identifier: MIT
#include "tools/differential/side.hpp"

#include "tools/differential/prepare.hpp"
#include "tools/differential/record.hpp"
#include "tools/differential/surroundings.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <exception>
#include <sched.h>
#include <unistd.h>

namespace multihome::differential {

namespace {

constexpr int end_of_inspection = 24; // descriptors up to here are looked at when a sequence ends

class Side {
public:
    Side(Mailbox& mailbox, Target target, in_port_t first_port, bool isolated)
        : mailbox_(mailbox), functions_(target), surroundings_(first_port, isolated),
          shares_ports_(!isolated) {}

    void run();

private:
    void run_step(const Step& step);
    void call(const Step& step);
    long call_plainly(Symbol symbol, std::initializer_list<std::uint64_t> arguments);
    void after_call(const Step& step, const Layout& layout);
    void record_messages(const Layout& layout);
    void record_memory(const Layout& layout);
    void record_arrivals();
    void normalise_name(std::uintptr_t address, std::size_t length);
    void normalise_control_at(std::uintptr_t address, std::size_t length);
    void event(const Step& step);
    void inspect(int fd);
    void inspect_names(int fd);
    void note_address(const char* what, const sockaddr_storage& name);
    void pass(const Step& step);
    void ask_other();
    void reset();
    void add(Label label, std::size_t index, std::uint64_t value);
    void dump();

    Mailbox& mailbox_;
    Functions functions_;
    Memory memory_;
    Surroundings surroundings_;
    bool shares_ports_; // with the other side, which runs when this one has finished
    std::uint32_t step_ = 0;
};

void Side::add(Label label, std::size_t index, std::uint64_t value) {
    if (mailbox_.entry_count == Mailbox::maximum_entries) {
        ++mailbox_.overflow;
        return;
    }
    mailbox_.entries[mailbox_.entry_count++] = {step_, label, static_cast<std::uint16_t>(index), value};
}

void Side::dump() {
    memory_.each_used([this](Region region, std::uintptr_t address, std::size_t size) {
        const DumpHeader header{region, address, size};
        if (mailbox_.dump_size + sizeof header + size > Mailbox::maximum_dump)
            return;
        std::memcpy(mailbox_.dump.data() + mailbox_.dump_size, &header, sizeof header);
        std::memcpy(mailbox_.dump.data() + mailbox_.dump_size + sizeof header,
                    reinterpret_cast<const void*>(address), size);
        mailbox_.dump_size += static_cast<std::uint32_t>(sizeof header + size);
    });
}

long Side::call_plainly(Symbol symbol, std::initializer_list<std::uint64_t> arguments) {
    std::array<std::uint64_t, maximum_arguments> values{};
    std::copy(arguments.begin(), arguments.end(), values.begin());
    return functions_.call(symbol, values);
}

void Side::normalise_name(std::uintptr_t address, std::size_t length) {
    std::array<unsigned char, 4> start{};
    const std::size_t there = memory_.load(address, start.data(), std::min(length, start.size()));
    normalise_address(start.data(), there);
    memory_.store(address, start.data(), there);
}

void Side::normalise_control_at(std::uintptr_t address, std::size_t length) {
    std::array<unsigned char, 16384> control;
    const std::size_t there = memory_.load(address, control.data(), std::min(length, control.size()));
    normalise_control(control.data(), there);
    memory_.store(address, control.data(), there);
}

void Side::record_messages(const Layout& layout) {
    constexpr std::size_t named_one_by_one = 4; // the others are in the memory's hash as well
    for (std::size_t index = 0; index < layout.parts.size(); ++index) {
        const Layout::Part& part = layout.parts[index];
        mmsghdr header{};
        if (layout.messages == 0) {
            normalise_name(part.name, part.name_room);
            continue;
        }
        if (memory_.load(layout.messages + index * layout.message_size, &header, layout.message_size) !=
            layout.message_size)
            continue;
        normalise_name(part.name, part.name_room);
        normalise_control_at(part.control,
                             std::min<std::size_t>(part.control_room, header.msg_hdr.msg_controllen));
        if (index >= named_one_by_one)
            continue;
        add(Label::message_name_length, index, header.msg_hdr.msg_namelen);
        add(Label::message_control_length, index, header.msg_hdr.msg_controllen);
        add(Label::message_flags, index, static_cast<std::uint64_t>(header.msg_hdr.msg_flags));
        if (layout.message_size == sizeof header)
            add(Label::message_length, index, header.msg_len);
    }
}

void Side::record_memory(const Layout& layout) {
    timespec left{};
    if (layout.timeout_runs && memory_.load(layout.timeout, &left, sizeof left) == sizeof left &&
        left.tv_nsec != 500'000'000)
        // What is left of a timeout depends on the clock; that something was written does not.
        memory_.store(layout.timeout, timespec{1, 1});
    for (std::size_t index = 0; index < region_count; ++index)
        if (const std::uint64_t hash = memory_.hash(static_cast<Region>(index)); hash != 0)
            add(Label::memory, index, hash);
    if (step_ == mailbox_.detailed_step)
        dump();
}

void Side::record_arrivals() {
    surroundings_.settle();
    std::string note;
    for (int client = 0; client < client_count; ++client) {
        std::uint64_t digest = 0;
        while (
            surroundings_.client_receive(client, digest, step_ == mailbox_.detailed_step ? &note : nullptr))
            add(Label::arrived, static_cast<std::size_t>(client), digest);
    }
    const std::size_t used = std::strlen(mailbox_.notes.data());
    std::snprintf(mailbox_.notes.data() + used, mailbox_.notes.size() - used, "%s", note.c_str());
}

void Side::after_call(const Step& step, const Layout& layout) {
    record_messages(layout);
    record_memory(layout);
    switch (step.op) {
    case Op::sendto:
    case Op::sendmsg:
    case Op::sendmmsg:
        record_arrivals();
        break;
    case Op::connect:
        surroundings_.settle();
        inspect(step.integer(Field::fd));
        break;
    case Op::bind:
    case Op::setsockopt:
        inspect(step.integer(Field::fd));
        break;
    case Op::closefrom:
    case Op::close_range:
        surroundings_.repair();
        break;
    default:
        break;
    }
}

void Side::call(const Step& step) {
    memory_.clear();
    const PreparedCall call = prepare(step, memory_, surroundings_, step_);
    errno = untouched_errno;
    const long result = functions_.call(call.symbol, call.arguments);
    const int error = errno;
    // What a call that ended in the middle has written to control buffers that it reports nothing of, and
    // what of a control message was written before the writing failed, is nothing that a program could use.
    if ((result < 0 && error == EFAULT) || step.pointer(Field::control) == Pointer::cross)
        memory_.leave_out(Region::control);
    add(Label::result, 0, static_cast<std::uint64_t>(result));
    add(Label::error, 0, static_cast<std::uint64_t>(error));
    after_call(step, call.layout);
}

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

void Side::note_address(const char* what, const sockaddr_storage& name) {
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

void Side::inspect_names(int fd) {
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
    surroundings_.normalise_port(local);
    surroundings_.normalise_port(remote);
    add(Label::local_address, 0, has_local ? hash_bytes(&local, local_length) : 0);
    add(Label::remote_address, 0, has_remote ? hash_bytes(&remote, remote_length) : 0);
    if (step_ == mailbox_.detailed_step) {
        note_address(" local", local);
        note_address(" remote", remote);
    }
}

void Side::inspect(int fd) {
    for (std::size_t index = 0; index < inspected_options.size(); ++index) {
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
    pollfd ready{fd, POLLIN | POLLOUT | POLLPRI, 0};
    add(Label::readiness, 0,
        poll(&ready, 1, 0) >= 0 ? static_cast<std::uint64_t>(ready.revents) : ~std::uint64_t{0});
}

/// Another descriptor of the same socket. The shim learns of copies from dup() and its kin, and looks at what
/// comes over a UNIX socket; that both happen to one client's socket in one process it does not follow.
bool has_copies(int fd) {
    const auto cookie_of = [](int descriptor) {
        std::uint64_t cookie = 0;
        socklen_t length = sizeof cookie;
        return libc().getsockopt(descriptor, SOL_SOCKET, SO_COOKIE, &cookie, &length) == 0 ? cookie : 0;
    };
    const std::uint64_t cookie = cookie_of(fd);
    for (int other = 0; other < first_own_descriptor && cookie != 0; ++other)
        if (other != fd && cookie_of(other) == cookie)
            return true;
    return false;
}

void Side::pass(const Step& step) {
    std::array<unsigned char, 1024> control{};
    std::size_t length = 0;
    build_control(content_rights, control, length);
    const int fd = step.integer(Field::fd);
    if (has_copies(fd))
        return;
    std::memcpy(control.data() + CMSG_LEN(0), &fd, sizeof fd);
    char byte = 'x';
    iovec data{&byte, 1};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = length;
    const ssize_t sent = libc().sendmsg(Surroundings::pass_from(), &message, MSG_DONTWAIT);
    add(Label::passed, 0, sent < 0 ? static_cast<std::uint64_t>(errno) : 0);
    if (sent < 0)
        return;
    // It moves. That it may go and stay is nothing that the shim could see here, where it is sent by hand.
    call_plainly(Symbol::close, {static_cast<std::uint64_t>(fd)});
    Step receive;
    receive.op = Op::recvmsg;
    receive.by_number = step.by_number;
    receive.set(Field::fd, Surroundings::pass_to());
    receive.set(Field::length, 10);
    receive.set(Field::control_length, 64);
    call(receive);
}

void Side::ask_other() {
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

void Side::reset() {
    for (int fd = 3; fd < end_of_inspection; ++fd)
        inspect(fd);
    call_plainly(Symbol::close_range, {3, first_own_descriptor - 1, 0});
    call_plainly(Symbol::close_range, {first_own_descriptor + own_descriptor_count, UINT_MAX, 0});
    surroundings_.repair();
    record_arrivals();
}

void Side::event(const Step& step) {
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
    case Op::ask_other:
        ask_other();
        break;
    default:
        reset();
        break;
    }
}

void Side::run_step(const Step& step) {
    if (is_call(step.op))
        call(step);
    else
        event(step);
}

void Side::run() {
    for (;;) {
        await_turn(mailbox_, Turn::side, 0);
        mailbox_.entry_count = 0;
        mailbox_.dump_size = 0;
        mailbox_.overflow = 0;
        mailbox_.notes.front() = 0;
        surroundings_.repair();
        for (step_ = 0; step_ < mailbox_.step_count; ++step_) {
            mailbox_.current_step = step_;
            run_step(mailbox_.steps[step_]);
        }
        if (step_ == 0 || mailbox_.steps[step_ - 1].op != Op::reset)
            reset();
        if (shares_ports_)
            Surroundings::leave();
        give_turn(mailbox_, Turn::coordinator);
    }
}

/// On one processor the packets of loopback are delivered in the order in which they were sent.
void stay_on_one_processor(bool second) {
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0)
        return;
    int skip = second && CPU_COUNT(&allowed) > 1 ? 1 : 0;
    for (int processor = 0; processor < CPU_SETSIZE; ++processor) {
        if (!CPU_ISSET(processor, &allowed) || skip-- > 0)
            continue;
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(processor, &one);
        sched_setaffinity(0, sizeof one, &one);
        return;
    }
}

void settle_process(bool second) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGPIPE, SIG_IGN);
    stay_on_one_processor(second);
    // Room for the descriptor numbers that the shim keeps in another place than the common ones.
    rlimit limit{};
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, 70000);
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    // What the parent had open would move the numbers of ours.
    libc().close_range(3, UINT_MAX, 0);
}

} // namespace

int run_side(const std::string& assignment) {
    int descriptor = -1;
    unsigned port = 0;
    const bool shimmed = assignment.starts_with("shimmed:");
    const auto colon = assignment.find(':');
    if (colon == std::string::npos ||
        std::sscanf(assignment.c_str() + colon, ":%d:%u", &descriptor, &port) != 2)
        return 2;
    void* shared = mmap(nullptr, sizeof(Mailbox), PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    if (shared == MAP_FAILED)
        return 2;
    auto& mailbox = *static_cast<Mailbox*>(shared);
    try {
        settle_process(shimmed);
        constexpr in_port_t own_network_port = 5300;
        const bool isolated = port == 0;
        Side side{mailbox, shimmed ? Target::shimmed : Target::bare,
                  isolated ? own_network_port : static_cast<in_port_t>(port), isolated};
        give_turn(mailbox, Turn::coordinator);
        side.run();
    } catch (const std::exception& error) {
        std::snprintf(mailbox.problem.data(), mailbox.problem.size(), "%s", error.what());
        give_turn(mailbox, Turn::coordinator);
    }
    return 2;
}

} // namespace multihome::differential
