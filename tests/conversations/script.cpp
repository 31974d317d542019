// SPDX-License-Identifier: MIT
#include "tests/conversations/script.hpp"

#include <arpa/inet.h>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

namespace multihome::conversations {

namespace {

// So many orders fit into a channel before it is read.
constexpr size_t orders_under_way = 32;

uint64_t new_token() {
    static uint64_t last = 0;
    return ++last;
}

} // namespace

void fail(const std::string& why) {
    throw std::runtime_error(why);
}

std::string with_errno(const std::string& what) {
    return what + ": " + std::strerror(errno);
}

// --- names ---

Name name_of(const std::string& address, in_port_t port) {
    Name name;
    if (inet_pton(AF_INET6, address.c_str(), &name.v6.sin6_addr) == 1) {
        name.v6.sin6_family = AF_INET6;
        name.v6.sin6_port = port;
        return name;
    }
    name.v4 = {};
    name.v4.sin_family = AF_INET;
    name.v4.sin_port = port;
    name.length = sizeof name.v4;
    if (inet_pton(AF_INET, address.c_str(), &name.v4.sin_addr) != 1)
        fail(address + " is no address");
    return name;
}

Name as_seen_by(Family family, const Name& name) {
    return family == Family::v6 && name.any.sa_family == AF_INET
               ? name_of("::ffff:" + text_of(name), name.v4.sin_port)
               : name;
}

std::string text_of(const Name& name) {
    std::array<char, INET6_ADDRSTRLEN> text{};
    const void* address = &name.v6.sin6_addr;
    if (name.any.sa_family == AF_INET)
        address = &name.v4.sin_addr;
    if (inet_ntop(name.any.sa_family, address, text.data(), text.size()) == nullptr)
        return "nothing";
    return text.data();
}

bool is_same_address(const Name& one, const Name& other) {
    return one.any.sa_family == other.any.sa_family && one.v4.sin_port == other.v4.sin_port &&
           text_of(one) == text_of(other);
}

const std::array<std::string, 3>& addresses(Family family) {
    static const std::array<std::string, 3> v4{"192.0.2.2", "192.0.2.3", "198.51.100.2"};
    static const std::array<std::string, 3> v6{"2001:db8:1::2", "2001:db8:1::3", "2001:db8:2::2"};
    return family == Family::v4 ? v4 : v6;
}

const std::string& address_to_lose(Family family) {
    static const std::string v4 = "198.51.100.77";
    static const std::string v6 = "2001:db8:2::77";
    return family == Family::v4 ? v4 : v6;
}

std::string peer_address(Family family, unsigned number) {
    return (family == Family::v4 ? "203.0.113." : "2001:db8:ffff::") + std::to_string(1 + number % 250);
}

// --- peers ---

Peer::Peer(const std::string& address, in_port_t port) : name_(name_of(address, port)) {
    fd_ = socket(name_.any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const int on = 1;
    const bool is_ipv4 = name_.any.sa_family == AF_INET;
    // The address is the host's by its route alone, so IPv6 would refuse to bind to it.
    if (fd_ < 0 ||
        setsockopt(fd_, is_ipv4 ? static_cast<int>(IPPROTO_IP) : static_cast<int>(IPPROTO_IPV6),
                   is_ipv4 ? static_cast<int>(IP_FREEBIND) : static_cast<int>(IPV6_FREEBIND), &on,
                   sizeof on) != 0 ||
        bind(fd_, &name_.any, name_.length) != 0 || getsockname(fd_, &name_.any, &name_.length) != 0)
        fail(with_errno("the peer " + address));
}

Peer::~Peer() {
    if (fd_ >= 0)
        close(fd_);
}

Question Peer::ask(const std::string& address, in_port_t port) {
    const Question question{name_of(address, port), new_token()};
    if (sendto(fd_, &question.token, sizeof question.token, 0, &question.asked.any, question.asked.length) <
        0)
        fail(with_errno(text_of(name_) + " asks " + address));
    return question;
}

std::optional<Name> Peer::try_to_hear(uint64_t token, int milliseconds) {
    for (;;) {
        pollfd readable{fd_, POLLIN, 0};
        if (poll(&readable, 1, milliseconds) != 1)
            return std::nullopt;
        Name source;
        uint64_t heard = 0;
        if (recvfrom(fd_, &heard, sizeof heard, 0, &source.any, &source.length) < 0)
            fail(with_errno(text_of(name_) + " hears"));
        if (heard == token)
            return source;
    }
}

Name Peer::hear(uint64_t token) {
    const std::optional<Name> source = try_to_hear(token, patience_milliseconds);
    if (!source)
        fail(text_of(name_) + " waits for an answer in vain");
    return *source;
}

void Peer::forget_all() {
    uint64_t heard = 0;
    while (recv(fd_, &heard, sizeof heard, MSG_DONTWAIT) >= 0) {
    }
}

// --- the program ---

void Actor::give(const Order& order) const {
    if (::send(channel_, &order, sizeof order, MSG_NOSIGNAL) != static_cast<ssize_t>(sizeof order))
        fail(with_errno("an order"));
}

Outcome Actor::take() const {
    Outcome outcome;
    if (recv(channel_, &outcome, sizeof outcome, 0) != static_cast<ssize_t>(sizeof outcome))
        fail("the program has ended");
    return outcome;
}

std::optional<Outcome> Actor::take_if_there() const {
    Outcome outcome;
    if (recv(channel_, &outcome, sizeof outcome, MSG_DONTWAIT) != static_cast<ssize_t>(sizeof outcome))
        return std::nullopt;
    return outcome;
}

Outcome Actor::try_to(const Order& order) {
    give(order);
    return take();
}

Outcome Actor::carry_out(const Order& order) {
    const Outcome outcome = try_to(order);
    errno = outcome.error;
    if (outcome.error != 0)
        fail(with_errno("order " + std::to_string(static_cast<int>(order.verb))));
    return outcome;
}

std::vector<Outcome> Actor::carry_out(const std::vector<Order>& orders) {
    std::vector<Outcome> outcomes;
    outcomes.reserve(orders.size());
    for (size_t given = 0; outcomes.size() < orders.size();) {
        for (; given < orders.size() && given - outcomes.size() < orders_under_way; ++given)
            give(orders[given]);
        outcomes.push_back(take());
        if (outcomes.back().error != 0) {
            errno = outcomes.back().error;
            fail(with_errno("one of many orders"));
        }
    }
    return outcomes;
}

Order Actor::order(Verb verb, int fd) const {
    Order order;
    order.verb = verb;
    order.fd = fd;
    order.flags = calls_;
    order.room = fd % 2 == 1 ? maximum_control : 0;
    return order;
}

void Actor::use(std::initializer_list<Flag> calls) {
    calls_ = 0;
    for (const Flag flag : calls)
        calls_ |= static_cast<uint32_t>(flag);
}

int Actor::open(Family family, std::initializer_list<Flag> flags, in_port_t port) {
    Order order;
    order.verb = Verb::open;
    order.family = family == Family::v4 ? AF_INET : AF_INET6;
    for (const Flag flag : flags)
        order.flags |= static_cast<uint32_t>(flag);
    const int fd = carry_out(order).fd;
    Order bind = this->order(Verb::bind, fd);
    bind.name = name_of(family == Family::v4 ? "0.0.0.0" : "::", port);
    carry_out(bind);
    return fd;
}

Outcome Actor::receive(int fd) {
    return carry_out(order(Verb::receive, fd));
}

void Actor::find_empty(int fd) {
    Order once_more = order(Verb::receive, fd);
    once_more.flags |= static_cast<uint32_t>(Flag::dont_wait);
    if (try_to(once_more).error != EAGAIN)
        fail("a socket that should be empty is not");
}

void Actor::send(int fd, const Name& name, uint64_t token) {
    Order send = order(Verb::send, fd);
    send.name = name;
    send.token = token;
    carry_out(send);
}

void Actor::connect(int fd, const Name& name) {
    Order connect = order(Verb::connect, fd);
    connect.name = name;
    carry_out(connect);
}

void Actor::close(int fd) {
    carry_out(order(Verb::close, fd));
}

in_port_t Actor::port_of(int fd) {
    return carry_out(order(Verb::number, fd)).port;
}

void Actor::leave() {
    give(order(Verb::leave, -1));
}

Program::Program(const std::string& preload, const std::string& environment) : is_bare_(preload.empty()) {
    std::array<int, channels> theirs{};
    for (int& end : theirs) {
        std::array<int, 2> pair{};
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair.data()) != 0)
            fail(with_errno("a channel"));
        actors_.push_back(Actor{pair[0]});
        // Above the numbers that the program finds its channels at.
        end = fcntl(pair[1], F_DUPFD_CLOEXEC, first_channel + channels);
        close(pair[1]);
    }
    const std::string program = std::filesystem::read_symlink("/proc/self/exe")
                                    .replace_filename("multihome_conversations_program")
                                    .string();
    process_ = fork();
    if (process_ == 0) {
        for (int index = 0; index < channels; ++index)
            dup2(theirs[static_cast<size_t>(index)], first_channel + index);
        // NOLINTBEGIN(concurrency-mt-unsafe): one thread
        unsetenv("LD_PRELOAD");
        if (!preload.empty())
            setenv("LD_PRELOAD", preload.c_str(), 1);
        if (!environment.empty())
            putenv(const_cast<char*>(environment.c_str()));
        // NOLINTEND(concurrency-mt-unsafe)
        execl(program.c_str(), program.c_str(), static_cast<char*>(nullptr));
        _exit(127);
    }
    for (const int end : theirs)
        close(end);
    if (process_ < 0)
        fail(with_errno("fork"));
}

Program::~Program() {
    // Each thread and each worker ends when its channel does.
    for (const Actor& actor : actors_)
        close(actor.channel_);
    waitpid(process_, nullptr, 0);
}

Actor& Program::start(Actor& by, Verb verb) {
    if (used_ == actors_.size())
        fail("no channel is left");
    start_at(by, verb, actors_[used_]);
    return actors_[used_++];
}

void Program::start_at(Actor& by, Verb verb, Actor& started) {
    Order order = by.order(verb, -1);
    order.count = channel_of(started);
    const Outcome outcome = by.carry_out(order);
    workers_.resize(actors_.size());
    workers_[order.count] = static_cast<pid_t>(outcome.token);
    started.calls_ = by.calls_;
}

void Program::cancel(const Actor& thread) {
    Order order = main().order(Verb::cancel, -1);
    order.count = channel_of(thread);
    main().carry_out(order);
}

void Program::kill(const Actor& worker) {
    const pid_t process = workers_.at(channel_of(worker));
    if (process <= 0 || ::kill(process, SIGKILL) != 0)
        fail(with_errno("a worker to kill"));
    // Its number is free once the program has reaped it, which it does by ignoring SIGCHLD.
    for (int tries = 0; ::kill(process, 0) == 0; ++tries) {
        if (tries == patience_milliseconds)
            fail("a killed worker is still there");
        usleep(1000);
    }
}

void Tally::expect(const Name& wanted, const Name& source) {
    ++answers;
    if (is_same_address(wanted, source))
        return;
    if (wrong++ == 0)
        first = "answer " + std::to_string(answers) + " came from " + text_of(source) + ", should be " +
                text_of(wanted);
}

} // namespace multihome::conversations
