// SPDX-License-Identifier: MIT
#include "shim/sockets/sockets.hpp"

#include "shim/peers/shared_state.hpp"

#include "child.hpp"

#include <arpa/inet.h>
#include <cerrno>
#include <climits>
#include <doctest/doctest.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/wait.h>
#include <unistd.h>

namespace multihome {

namespace {

using Kind = Socket::Kind;
using Role = Socket::Role;

// A descriptor that is forgotten and closed.
class Descriptor {
public:
    explicit Descriptor(int fd) : fd_(fd) { REQUIRE(fd_ >= 0); }
    ~Descriptor() {
        sockets::forget_range(static_cast<unsigned>(fd_), static_cast<unsigned>(fd_));
        close(fd_);
    }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;

    operator int() const { return fd_; } // NOLINT(google-explicit-constructor): stands for the number

private:
    int fd_;
};

int udp() {
    return socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
}

void bind_to(int fd, in_addr_t address) {
    sockaddr_in name{};
    name.sin_family = AF_INET;
    name.sin_addr.s_addr = htonl(address);
    REQUIRE(bind(fd, reinterpret_cast<sockaddr*>(&name), sizeof name) == 0);
}

int option(int fd, int level, int name) {
    int value = -1;
    socklen_t length = sizeof value;
    REQUIRE(getsockopt(fd, level, name, &value, &length) == 0);
    return value;
}

} // namespace

TEST_SUITE_BEGIN("sockets");

TEST_CASE("the parts of a word do not touch each other") {
    CHECK(Socket{}.kind() == Kind::unknown);
    CHECK(Socket{}.word() == 0);
    const uint32_t tag = 0x5eadbeef;
    for (const Kind kind : {Kind::unknown, Kind::other, Kind::unbound, Kind::ours}) {
        const Socket socket{kind, Socket::asked_ipv4 | Socket::ipv6, tag};
        CHECK(socket.kind() == kind);
        for (const Kind other : {Kind::other, Kind::unbound, Kind::ours})
            CHECK(socket.is(other) == (kind == other));
        CHECK(socket.role() == Role::fresh);
        CHECK(socket.tag() == tag);
        CHECK(socket.has(Socket::asked_ipv4));
        CHECK(socket.has(Socket::ipv6));
        CHECK_FALSE(socket.has(Socket::asked_ipv6));
        CHECK_FALSE(socket.has(Socket::marked));
        for (const Role role : {Role::server, Role::client, Role::fresh}) {
            const Socket with = socket.with_role(role);
            CHECK(with.role() == role);
            CHECK(with.with_role(Role::fresh).word() == socket.word());
        }
        const Socket changed = socket.with_options(Socket::all_asked, Socket::asked_ipv6);
        CHECK_FALSE(changed.has(Socket::asked_ipv4));
        CHECK(changed.has(Socket::asked_ipv6));
        CHECK(changed.has(Socket::ipv6));
        CHECK(changed.kind() == kind);
        CHECK(changed.tag() == tag);
    }
}

TEST_CASE("a UDP socket that is bound to the wildcard is ours") {
    const Descriptor fd{udp()};
    bind_to(fd, INADDR_ANY);
    CHECK(sockets::peek(fd).kind() == Kind::unknown);
    errno = 4711;
    const Socket socket = sockets::get(fd);
    CHECK(errno == 4711);
    CHECK(socket.kind() == Kind::ours);
    CHECK(socket.role() == Role::fresh);
    CHECK(sockets::peek(fd).word() == socket.word());
    CHECK(shared_state::get() != nullptr);
    CHECK(option(fd, IPPROTO_IP, IP_PKTINFO) == 1);
    uint64_t cookie = 0;
    socklen_t length = sizeof cookie;
    REQUIRE(getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &length) == 0);
    CHECK(socket.tag() == Socket::tag_of(cookie));
}

TEST_CASE("everything else is none of our business and left as it was") {
    const Descriptor specific{udp()};
    bind_to(specific, INADDR_LOOPBACK);
    CHECK(sockets::get(specific).kind() == Kind::other);
    CHECK(option(specific, IPPROTO_IP, IP_PKTINFO) == 0);

    const Descriptor tcp{socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    bind_to(tcp, INADDR_ANY);
    CHECK(sockets::get(tcp).kind() == Kind::other);

    const Descriptor local{socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    CHECK(sockets::get(local).kind() == Kind::other);

    int ends[2];
    REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
    const Descriptor reading{ends[0]};
    const Descriptor writing{ends[1]};
    CHECK(sockets::get(reading).kind() == Kind::other);
}

TEST_CASE("an unbound socket is watched until it is bound") {
    const Descriptor fd{udp()};
    sockets::created(fd, AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    CHECK(sockets::peek(fd).kind() == Kind::unbound);
    bind_to(fd, INADDR_ANY);
    sockets::bound(fd);
    CHECK(sockets::peek(fd).kind() == Kind::ours);

    const Descriptor other{udp()};
    sockets::created(other, AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bind_to(other, INADDR_LOOPBACK);
    sockets::bound(other);
    CHECK(sockets::peek(other).kind() == Kind::other);

    const Descriptor tcp{socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    sockets::created(tcp, AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(sockets::peek(tcp).kind() == Kind::other);
}

TEST_CASE("a number that is no descriptor is not remembered") {
    errno = 4711;
    CHECK(sockets::get(-1).kind() == Kind::other);
    CHECK(sockets::get(INT_MIN).kind() == Kind::other);
    int closed = udp();
    REQUIRE(closed >= 0);
    close(closed);
    CHECK(sockets::get(closed).kind() == Kind::other);
    CHECK(sockets::peek(closed).kind() == Kind::unknown);
    CHECK(sockets::get(INT_MAX).kind() == Kind::other);
    CHECK(sockets::peek(INT_MAX).kind() == Kind::unknown);
}

TEST_CASE("a copy of a descriptor is known as the original is") {
    const Descriptor fd{udp()};
    bind_to(fd, INADDR_ANY);
    const Socket socket = sockets::get(fd);
    const Descriptor copy{dup(fd)};
    sockets::duplicated(fd, copy);
    CHECK(sockets::peek(copy).word() == socket.word());

    sockets::set_options(copy, Socket::asked_ipv4, Socket::asked_ipv4);
    CHECK(sockets::peek(fd).has(Socket::asked_ipv4));
    CHECK(sockets::peek(copy).has(Socket::asked_ipv4));

    sockets::forget(fd);
    CHECK(sockets::peek(fd).kind() == Kind::unknown);
    CHECK(sockets::peek(copy).kind() == Kind::ours);
    // Found once more, and it is the same socket.
    CHECK(sockets::get(fd).tag() == socket.tag());
}

TEST_CASE("a socket that came from elsewhere is bound by all of its descriptors") {
    const Descriptor fd{udp()};
    const Descriptor copy{dup(fd)};
    const auto is_bound_by_copy = [&] {
        bind_to(copy, INADDR_ANY);
        sockets::bound(copy);
        CHECK(sockets::peek(copy).is(Kind::ours));
        CHECK(sockets::get(fd).word() == sockets::peek(copy).word());
    };
    SUBCASE("inherited, and one of them looked at") {
        CHECK(sockets::get(fd).is(Kind::unbound));
        is_bound_by_copy();
    }
    SUBCASE("received, and copied then") {
        sockets::arrived(fd);
        sockets::duplicated(fd, copy);
        SUBCASE("not looked at") {
            is_bound_by_copy();
        }
        SUBCASE("looked at") {
            CHECK(sockets::get(fd).is(Kind::unbound));
            is_bound_by_copy();
        }
    }
    SUBCASE("what is received is forgotten with its descriptor") {
        sockets::arrived(fd);
        CHECK(sockets::peek(fd).kind() == Kind::unknown);
        sockets::forget(fd);
        CHECK(sockets::peek(fd).word() == 0);
    }
}

TEST_CASE("options of one socket are not another's") {
    const Descriptor first{udp()};
    const Descriptor second{udp()};
    bind_to(first, INADDR_ANY);
    bind_to(second, INADDR_ANY);
    const Socket untouched = sockets::get(second);
    REQUIRE(sockets::get(first).tag() != untouched.tag());
    sockets::set_options(first, Socket::asked_ipv4, Socket::asked_ipv4);
    CHECK(sockets::peek(second).word() == untouched.word());
}

TEST_CASE("a word changes only if it still is what it was") {
    const Descriptor fd{udp()};
    bind_to(fd, INADDR_ANY);
    const Socket socket = sockets::get(fd);
    sockets::update(fd, socket, socket.with_role(Role::server));
    CHECK(sockets::peek(fd).role() == Role::server);
    sockets::update(fd, socket, socket.with_role(Role::client));
    CHECK(sockets::peek(fd).role() == Role::server);
}

TEST_CASE("a number behind which another socket lies now is forgotten") {
    const Descriptor fd{udp()};
    bind_to(fd, INADDR_ANY);
    const Socket socket = sockets::get(fd);
    sockets::verify(fd, socket);
    CHECK(sockets::peek(fd).kind() == Kind::ours);
    {
        const Descriptor other{udp()};
        REQUIRE(dup2(other, fd) == fd); // unseen by us
    }
    sockets::verify(fd, socket);
    CHECK(sockets::peek(fd).kind() == Kind::unknown);
}

TEST_CASE("ranges are forgotten, and what lies beside them is not") {
    const Descriptor fd{udp()};
    bind_to(fd, INADDR_ANY);
    const Socket socket = sockets::get(fd);
    const auto number = static_cast<unsigned>(static_cast<int>(fd));
    sockets::forget_range(number + 1, UINT_MAX);
    CHECK(sockets::peek(fd).word() == socket.word());
    sockets::forget_range(number + 1, number - 1);
    CHECK(sockets::peek(fd).word() == socket.word());
    sockets::forget_range(0, number);
    CHECK(sockets::peek(fd).kind() == Kind::unknown);
}

TEST_CASE("high numbers are known as well") {
    // Without such a limit of descriptors: only the words are looked at.
    const int high = 40'000;
    const int higher = 1'000'000'000;
    const Descriptor fd{udp()};
    bind_to(fd, INADDR_ANY);
    const Socket socket = sockets::get(fd);
    for (const int number : {high, higher}) {
        CAPTURE(number);
        CHECK(sockets::peek(number).kind() == Kind::unknown);
        sockets::duplicated(fd, number);
        CHECK(sockets::peek(number).word() == socket.word());
        CHECK(sockets::peek(number + 1).kind() == Kind::unknown);
    }
    sockets::set_options(high, Socket::asked_ipv6, Socket::asked_ipv6);
    CHECK(sockets::peek(higher).has(Socket::asked_ipv6));
    CHECK(sockets::peek(fd).has(Socket::asked_ipv6));
    sockets::forget(high);
    CHECK(sockets::peek(high).kind() == Kind::unknown);
    sockets::forget_range(static_cast<unsigned>(higher), UINT_MAX);
    CHECK(sockets::peek(higher).kind() == Kind::unknown);
    CHECK(sockets::peek(fd).kind() == Kind::ours);
}

TEST_CASE("a vfork child that closes its descriptors leaves the parent's words") {
    const Descriptor fd{udp()};
    bind_to(fd, INADDR_ANY);
    const Socket socket = sockets::get(fd);
    const pid_t child = vfork(); // NOLINT(clang-analyzer-security.insecureAPI.vfork): what is tested
    if (child == 0) {
        sockets::forget(fd);
        sockets::forget_range(0, UINT_MAX);
        _exit(0); // NOLINT(clang-analyzer-unix.Vfork)
    }
    REQUIRE(child > 0);
    int status = -1;
    REQUIRE(waitpid(child, &status, 0) == child);
    CHECK(sockets::peek(fd).word() == socket.word());
}

TEST_CASE("a forked child forgets its own words and not the parent's") {
    const Descriptor fd{udp()};
    bind_to(fd, INADDR_ANY);
    const Socket socket = sockets::get(fd);
    const pid_t child = test::fork_clean();
    REQUIRE(child >= 0);
    if (child == 0) {
        sockets::forget(fd);
        _exit(sockets::peek(fd).kind() == Kind::unknown ? 0 : 1);
    }
    int status = -1;
    REQUIRE(waitpid(child, &status, 0) == child);
    CHECK(status == 0);
    CHECK(sockets::peek(fd).word() == socket.word());
}

TEST_SUITE_END();

} // namespace multihome
