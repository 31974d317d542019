// SPDX-License-Identifier: MIT
//
// copy_visible() against this machine's kernel. The same datagram is read twice. First it is looked at
// (MSG_PEEK) with our packet information on and all the room it needs: copy_visible() turns that into the
// program's view. Then our option is off, and the kernel fills the program's own buffer. Both must be the
// same to the last byte.

#include "shim/base/control.hpp"

#include "control_messages.hpp"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

namespace multihome::control_kernel_test {

namespace {

using test::ControlBuffer;

struct Option {
    int level;
    int name;
};

// What a receive call says of the control messages.
struct View {
    ControlBuffer buffer;
    size_t length = 0;
    int flags = 0;
};

class Datagram {
public:
    // A datagram over loopback, waiting in a socket that has `options` on.
    Datagram(int family, const char* destination, const std::vector<Option>& options) {
        receiver_ = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        sockaddr_storage name{};
        name.ss_family = static_cast<sa_family_t>(family);
        socklen_t length = family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
        if (receiver_ < 0 || bind(receiver_, reinterpret_cast<sockaddr*>(&name), length) != 0 ||
            getsockname(receiver_, reinterpret_cast<sockaddr*>(&name), &length) != 0)
            return;
        for (const Option& option : options)
            set(option, 1);
        void* address = &reinterpret_cast<sockaddr_in*>(&name)->sin_addr;
        if (family == AF_INET6)
            address = &reinterpret_cast<sockaddr_in6*>(&name)->sin6_addr;
        if (inet_pton(family, destination, address) != 1)
            return;
        const int sender = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        ready_ = sendto(sender, "?", 1, 0, reinterpret_cast<sockaddr*>(&name), length) == 1;
        close(sender);
    }
    ~Datagram() { close(receiver_); }
    Datagram(const Datagram&) = delete;
    Datagram& operator=(const Datagram&) = delete;

    bool ready() const { return ready_; }

    void set(Option option, int value) const {
        REQUIRE(setsockopt(receiver_, option.level, option.name, &value, sizeof value) == 0);
    }

    // Looks at it with a control buffer of `room` bytes, `offset` bytes off its alignment, or with none.
    View look(size_t room, size_t offset = 0, bool with_buffer = true) const {
        View view;
        char byte = 0;
        iovec data{&byte, 1};
        msghdr message{};
        message.msg_iov = &data;
        message.msg_iovlen = 1;
        message.msg_control = with_buffer ? view.buffer.data() + offset : nullptr;
        message.msg_controllen = room;
        REQUIRE(recvmsg(receiver_, &message, MSG_PEEK) == 1);
        view.length = message.msg_controllen;
        view.flags = message.msg_flags;
        return view;
    }

private:
    int receiver_ = -1;
    bool ready_ = false;
};

void check_same(const View& ours, const View& expected) {
    CHECK(ours.length == expected.length);
    CHECK((ours.flags & MSG_CTRUNC) == (expected.flags & MSG_CTRUNC));
    CHECK(ours.buffer == expected.buffer);
}

// `hidden`: the options that are ours; `hide`: their kinds.
void compare(const Datagram& datagram, const std::vector<Option>& hidden, unsigned hide) {
    for (const Option& option : hidden)
        datagram.set(option, 1);
    const View all = datagram.look(ControlBuffer::capacity);
    REQUIRE((all.flags & MSG_CTRUNC) == 0);
    for (const Option& option : hidden)
        datagram.set(option, 0);

    for (size_t room = 0; room <= all.length + 16; ++room) {
        CAPTURE(room);
        const View expected = datagram.look(room);
        View ours;
        ours.length =
            test::copy_visible(all.buffer.data(), all.length, hide, ours.buffer.data(), room, ours.flags);
        check_same(ours, expected);

        // A buffer at an odd address, and none at all although there is a length.
        View unaligned;
        unaligned.length = test::copy_visible(all.buffer.data(), all.length, hide,
                                              unaligned.buffer.data() + 3, room, unaligned.flags);
        check_same(unaligned, datagram.look(room, 3));
        View none;
        none.length = test::copy_visible(all.buffer.data(), all.length, hide, nullptr, room, none.flags);
        check_same(none, datagram.look(room, 0, false));

        // In place: what lies behind the end is nobody's business.
        View in_place = all;
        in_place.flags = 0;
        in_place.length = test::copy_visible(in_place.buffer.data(), all.length, hide, in_place.buffer.data(),
                                             room, in_place.flags);
        REQUIRE(in_place.length == expected.length);
        CHECK((in_place.flags & MSG_CTRUNC) == (expected.flags & MSG_CTRUNC));
        for (size_t at = 0; at < expected.length; ++at)
            if (expected.buffer.data()[at] != ControlBuffer::mark) // padding
                REQUIRE(in_place.buffer.data()[at] == expected.buffer.data()[at]);
    }
}

constexpr Option ipv4_info{IPPROTO_IP, IP_PKTINFO};
constexpr Option ipv6_info{IPPROTO_IPV6, IPV6_RECVPKTINFO};
constexpr Option timestamp{SOL_SOCKET, SO_TIMESTAMP};
constexpr Option drops{SOL_SOCKET, SO_RXQ_OVFL};

} // namespace

TEST_SUITE_BEGIN("control_kernel");

TEST_CASE("a program without control messages sees none") {
    const Datagram datagram{AF_INET, "127.0.0.2", {}};
    REQUIRE(datagram.ready());
    compare(datagram, {ipv4_info}, control::ipv4);
}

TEST_CASE("messages before and behind ours, whole, cut and left out") {
    const std::vector<Option> options{timestamp, drops, {IPPROTO_IP, IP_RECVTTL}, {IPPROTO_IP, IP_RECVTOS}};
    const Datagram datagram{AF_INET, "127.0.0.2", options};
    REQUIRE(datagram.ready());
    compare(datagram, {ipv4_info}, control::ipv4);
}

TEST_CASE("a program that asked for packet information itself gets it") {
    const Datagram datagram{AF_INET, "127.0.0.2", {timestamp, ipv4_info, {IPPROTO_IP, IP_RECVTTL}}};
    REQUIRE(datagram.ready());
    compare(datagram, {}, control::none);
}

TEST_SUITE_END();

// A suite of its own, so that where it is skipped nothing else is.
TEST_SUITE_BEGIN("control_kernel_dual_stack");

TEST_CASE("both kinds are hidden on a dual-stack socket") {
    const std::vector<Option> options{timestamp,
                                      {IPPROTO_IPV6, IPV6_RECVHOPLIMIT},
                                      {IPPROTO_IPV6, IPV6_RECVTCLASS},
                                      {IPPROTO_IP, IP_RECVTTL}};
    const Datagram datagram{AF_INET6, "::ffff:127.0.0.2", options};
    if (!datagram.ready()) {
        MESSAGE("SKIP: no dual-stack sockets here");
        return;
    }
    compare(datagram, {ipv4_info, ipv6_info}, control::ipv4 | control::ipv6);
    // The program has asked for one of the two.
    datagram.set(ipv6_info, 1);
    compare(datagram, {ipv4_info}, control::ipv4);
    datagram.set(ipv6_info, 0);
    datagram.set(ipv4_info, 1);
    compare(datagram, {ipv6_info}, control::ipv6);
}

TEST_SUITE_END();

TEST_SUITE_BEGIN("control_kernel");

TEST_CASE("of descriptors, as many are left as there is room for") {
    int ends[2];
    REQUIRE(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends) == 0);
    const int sent[3] = {ends[0], ends[0], ends[0]};
    const auto passed = ControlBuffer{}.add(SOL_SOCKET, SCM_RIGHTS, sent);
    char byte = 0;
    iovec data{&byte, 1};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    const auto receive = [&](size_t room) {
        View view;
        message.msg_control = const_cast<unsigned char*>(passed.data());
        message.msg_controllen = CMSG_LEN(sizeof sent);
        REQUIRE(sendmsg(ends[1], &message, 0) == 1);
        message.msg_control = view.buffer.data();
        message.msg_controllen = room;
        REQUIRE(recvmsg(ends[0], &message, 0) == 1);
        view.length = message.msg_controllen;
        view.flags = message.msg_flags;
        return view;
    };
    // How many descriptors there are. Closes those that the message names.
    const auto count_and_close = [](const View& view) {
        int count = 0;
        for (int fd = 0; fd < 256; ++fd)
            count += fcntl(fd, F_GETFD) >= 0 ? 1 : 0;
        for (size_t at = CMSG_LEN(0); at + sizeof(int) <= view.length; at += sizeof(int)) {
            int fd = -1;
            std::memcpy(&fd, view.buffer.data() + at, sizeof fd);
            close(fd);
        }
        return count;
    };
    for (size_t room = 0; room <= CMSG_SPACE(sizeof sent); ++room) {
        CAPTURE(room);
        const View expected = receive(room);
        const int expected_count = count_and_close(expected);
        const View all = receive(ControlBuffer::capacity);
        View ours;
        ours.length = test::copy_visible(all.buffer.data(), all.length, control::none, ours.buffer.data(),
                                         room, ours.flags);
        check_same(ours, expected);
        CHECK(count_and_close(ours) == expected_count);
    }
    close(ends[0]);
    close(ends[1]);
}

TEST_CASE("the kernel's packet information is read") {
    const Datagram datagram{AF_INET, "127.0.0.2", {ipv4_info}};
    REQUIRE(datagram.ready());
    const View view = datagram.look(ControlBuffer::capacity);
    CHECK(control::read(view.buffer.data(), view.length, false) ==
          Local{Address::from_ipv4({htonl(INADDR_LOOPBACK + 1)}), 0});
    const auto with_interface = control::read(view.buffer.data(), view.length, true);
    REQUIRE(with_interface.has_value());
    CHECK(with_interface->interface_index != 0);
}

TEST_SUITE_END();

} // namespace multihome::control_kernel_test
