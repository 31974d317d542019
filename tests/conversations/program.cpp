// SPDX-License-Identifier: MIT
//
// The program under test: does what it is told (orders.hpp), with the plain calls of a UDP server.
#include "tests/conversations/orders.hpp"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <ctime>
#include <dlfcn.h>
#include <poll.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <unistd.h>

namespace multihome::conversations {

namespace {

bool has(const Order& order, Flag flag) {
    return (order.flags & static_cast<uint32_t>(flag)) != 0;
}

bool set_option(int fd, int level, int option, int value) {
    return setsockopt(fd, level, option, &value, sizeof value) == 0;
}

int make_socket(const Order& order) {
    const int fd = socket(order.family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || order.cookie_modulus == 0)
        return fd;
    uint64_t cookie = 0;
    socklen_t length = sizeof cookie;
    if (getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &length) == 0 && cookie % order.cookie_modulus == 1)
        return fd;
    // Cookies are counted up: one in `cookie_modulus` sockets is kept, the others only count.
    close(fd);
    return -1;
}

Outcome open_socket(const Order& order) {
    Outcome outcome;
    do
        outcome.fd = make_socket(order);
    while (outcome.fd < 0 && order.cookie_modulus != 0);
    const bool is_ipv4 = order.family == AF_INET;
    const int level = is_ipv4 ? static_cast<int>(IPPROTO_IP) : static_cast<int>(IPPROTO_IPV6);
    const int arrival = is_ipv4 ? static_cast<int>(IP_PKTINFO) : static_cast<int>(IPV6_RECVPKTINFO);
    const int hops = is_ipv4 ? static_cast<int>(IP_RECVTTL) : static_cast<int>(IPV6_RECVHOPLIMIT);
    if (outcome.fd < 0 || (has(order, Flag::asks_arrival) && !set_option(outcome.fd, level, arrival, 1)) ||
        (has(order, Flag::asks_more) &&
         (!set_option(outcome.fd, level, hops, 1) || !set_option(outcome.fd, SOL_SOCKET, SO_TIMESTAMP, 1))) ||
        (has(order, Flag::reuse_port) && !set_option(outcome.fd, SOL_SOCKET, SO_REUSEPORT, 1)) ||
        (has(order, Flag::reuse_address) && !set_option(outcome.fd, SOL_SOCKET, SO_REUSEADDR, 1)))
        outcome.error = errno;
    // The kernel is to drop nothing, for nobody could read that. Where it refuses so much room, the usual one
    // has to do.
    constexpr int much = 8 << 20;
    set_option(outcome.fd, SOL_SOCKET, SO_RCVBUFFORCE, much);
    return outcome;
}

// The first of the sockets that has a datagram; -1 where none has one in time.
int await_readable(const Order& order) {
    pollfd readable[maximum_others + 1] = {};
    nfds_t count = 0;
    if (order.fd >= 0)
        readable[count++] = {order.fd, POLLIN, 0};
    for (uint32_t index = 0; order.verb == Verb::receive && index < order.count; ++index)
        readable[count++] = {order.others[index], POLLIN, 0};
    int ready = 0;
    do
        ready = poll(readable, count, order.patience);
    while (ready < 0 && errno == EINTR);
    if (ready == 0)
        errno = ETIMEDOUT;
    for (nfds_t index = 0; ready > 0 && index < count; ++index)
        if (readable[index].revents != 0)
            return readable[index].fd;
    return -1;
}

ssize_t receive_from(int fd, const Order& order, Outcome& outcome, int flags) {
    outcome.name.length = sizeof outcome.name.v6;
    if (!has(order, Flag::message) && !has(order, Flag::batch))
        return recvfrom(fd, &outcome.token, sizeof outcome.token, flags, &outcome.name.any,
                        &outcome.name.length);
    iovec data{&outcome.token, sizeof outcome.token};
    alignas(cmsghdr) unsigned char control[maximum_control];
    mmsghdr message{};
    message.msg_hdr = {&outcome.name.any, outcome.name.length, &data, 1, control, order.room, 0};
    const ssize_t received = has(order, Flag::batch) ? recvmmsg(fd, &message, 1, flags, nullptr)
                                                     : recvmsg(fd, &message.msg_hdr, flags);
    outcome.name.length = message.msg_hdr.msg_namelen;
    return received;
}

ssize_t send_to(int fd, const Order& order, Name name, uint64_t token) {
    if (has(order, Flag::no_family))
        name.any.sa_family = AF_UNSPEC;
    void* const to = name.length == 0 ? nullptr : &name.any; // nullptr: to whom it is connected
    void* const from = has(order, Flag::no_data) ? nullptr : &token;
    if (!has(order, Flag::message) && !has(order, Flag::batch))
        return sendto(fd, from, sizeof token, order.call_flags, static_cast<sockaddr*>(to), name.length);
    iovec data{from, sizeof token};
    Order own = order; // because the messages are not const
    mmsghdr message{};
    message.msg_hdr = {to, name.length, &data, 1, own.control, own.control_length, 0};
    return has(order, Flag::batch) ? sendmmsg(fd, &message, 1, order.call_flags)
                                   : sendmsg(fd, &message.msg_hdr, order.call_flags);
}

Outcome receive(const Order& order) {
    Outcome outcome;
    const bool in_the_call = has(order, Flag::announced) || has(order, Flag::dont_wait);
    outcome.fd = in_the_call ? order.fd : await_readable(order);
    const int flags = order.call_flags | (has(order, Flag::dont_wait) ? MSG_DONTWAIT : 0);
    if (outcome.fd < 0 ||
        (has(order, Flag::peek) && receive_from(outcome.fd, order, outcome, flags | MSG_PEEK) < 0) ||
        receive_from(outcome.fd, order, outcome, flags) < 0)
        outcome.error = errno;
    return outcome;
}

Outcome drain(const Order& order) {
    Outcome outcome;
    for (uint32_t count = 0; count < order.count && outcome.error == 0; ++count) {
        outcome = receive(order);
        if (outcome.error == 0 && has(order, Flag::answer) &&
            send_to(order.fd, order, outcome.name, outcome.token) < 0)
            outcome.error = errno;
    }
    return outcome;
}

Outcome serve(Order order) {
    Outcome outcome;
    mmsghdr messages[maximum_batch] = {};
    iovec data[maximum_batch];
    alignas(cmsghdr) unsigned char control[maximum_batch][maximum_control];
    for (size_t index = 0; index < maximum_batch; ++index) {
        Name& name = outcome.names[index];
        data[index] = {&outcome.tokens[index], sizeof outcome.tokens[index]};
        messages[index].msg_hdr = {&name.any, sizeof name.v6, &data[index], 1, control[index], order.room, 0};
    }
    const bool answers = order.verb == Verb::serve;
    const int flags = answers ? 0 : order.call_flags;
    const int received = recvmmsg(order.fd, messages, order.count, flags | MSG_DONTWAIT, nullptr);
    if (received < 0) {
        outcome.error = errno;
        return outcome;
    }
    outcome.count = static_cast<uint32_t>(received);
    for (unsigned index = 0; answers && index < outcome.count; ++index) {
        messages[index].msg_hdr.msg_control = order.control;
        messages[index].msg_hdr.msg_controllen = order.control_length;
    }
    for (unsigned done = 0, failed = 0; answers && done < outcome.count && failed < 2;) {
        const int sent = sendmmsg(order.others[0], messages + done, outcome.count - done, order.call_flags);
        if (sent < 0)
            outcome.error = ++failed == 2 ? errno : 0;
        else
            done += static_cast<unsigned>(sent);
    }
    return outcome;
}

Outcome port_of(int fd) {
    Outcome outcome;
    if (getsockname(fd, &outcome.name.any, &outcome.name.length) != 0)
        outcome.error = errno;
    // At the same place in both families.
    outcome.port = outcome.name.v4.sin_port;
    return outcome;
}

// By channel. Only the first thread reads and writes it.
std::array<pthread_t, channels> threads{};

bool start_thread(uint32_t channel) {
    const auto body = [](void* argument) -> void* {
        obey_orders(first_channel + static_cast<int>(reinterpret_cast<intptr_t>(argument)));
        return nullptr;
    };
    return pthread_create(&threads[channel], nullptr, body, reinterpret_cast<void*>(intptr_t{channel})) == 0;
}

Outcome start_worker(const Order& order) {
    Outcome outcome;
    const pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, 0); // a worker may outlive its parent: it ends with its channel
        _exit(obey_orders(first_channel + static_cast<int>(order.count)));
    }
    if (child < 0)
        outcome.error = errno;
    outcome.token = static_cast<uint64_t>(child);
    return outcome;
}

// The following two need the library of faults.cpp.
void arm(Fault fault, int error) {
    static auto* const arm_fault =
        reinterpret_cast<void (*)(Fault, int)>(dlsym(RTLD_DEFAULT, "multihome_test_fault"));
    if (arm_fault != nullptr)
        arm_fault(fault, error);
}
void wait(uint32_t seconds) {
    static auto* const pass_time =
        reinterpret_cast<void (*)(uint32_t)>(dlsym(RTLD_DEFAULT, "multihome_test_pass_time"));
    if (pass_time != nullptr)
        pass_time(seconds);
}

Outcome carry_out(const Order& order) {
    Outcome outcome;
    errno = 0;
    bool done = true;
    switch (order.verb) {
    case Verb::open:
        return open_socket(order);
    case Verb::bind:
        done = bind(order.fd, &order.name.any, order.name.length) == 0;
        break;
    case Verb::connect:
        done = connect(order.fd, &order.name.any, order.name.length) == 0;
        break;
    case Verb::close:
        done = close(order.fd) == 0;
        break;
    case Verb::receive:
        return receive(order);
    case Verb::send:
        done = send_to(order.fd, order, order.name, order.token) >= 0;
        break;
    case Verb::drain:
        return drain(order);
    case Verb::serve:
    case Verb::gather:
        return serve(order);
    case Verb::number:
        return port_of(order.fd);
    case Verb::thread:
        done = start_thread(order.count);
        break;
    case Verb::fork:
        return start_worker(order);
    case Verb::copy:
        outcome.fd = dup(order.fd);
        done = outcome.fd >= 0;
        break;
    case Verb::cancel:
        done = pthread_cancel(threads[order.count]) == 0 && pthread_join(threads[order.count], nullptr) == 0;
        break;
    case Verb::wait:
        wait(order.count);
        break;
    case Verb::leave:
        break;
    }
    outcome.error = done ? 0 : errno;
    return outcome;
}

bool report(int channel, const Outcome& outcome) {
    return write(channel, &outcome, sizeof outcome) == static_cast<ssize_t>(sizeof outcome);
}

} // namespace

int obey_orders(int channel) {
    Order order;
    while (read(channel, &order, sizeof order) == static_cast<ssize_t>(sizeof order)) {
        if (order.verb == Verb::leave)
            return 0;
        if (has(order, Flag::announced) && !report(channel, Outcome{}))
            return 1;
        arm(order.fault, order.fault_errno);
        const Outcome outcome = carry_out(order);
        arm(Fault::none, 0);
        if (!report(channel, outcome))
            return 1;
    }
    return 0;
}

} // namespace multihome::conversations

int main() {
    signal(SIGCHLD, SIG_IGN); // nobody waits for workers
    _exit(multihome::conversations::obey_orders(multihome::conversations::first_channel));
}
