// SPDX-License-Identifier: MIT
#include "shim/sockets/sockets.hpp"

#include "shim/base/settings.hpp"
#include "shim/peers/shared_state.hpp"
#include "shim/sockets/multicast_turn.hpp"
#include "shim/sockets/process.hpp"

#include "child.hpp"
#include "udp_sockets.hpp"

#include <arpa/inet.h>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <climits>
#include <doctest/doctest.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace multihome::sockets_test {

using namespace test; // NOLINT(google-build-using-namespace)

// A UDP socket that the shim has seen being made.
static int seen_udp() {
    const int fd = udp();
    sockets::created(fd, AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    return fd;
}

TEST_SUITE_BEGIN("sockets");

TEST_CASE("the parts of a word do not touch each other") {
    CHECK(Socket{}.kind() == Kind::unknown);
    CHECK(Socket{}.word() == 0);
    for (const Kind kind : {Kind::unknown, Kind::other, Kind::unbound, Kind::ours}) {
        const Socket socket = Socket{kind, Socket::wants_ipv4 | Socket::ipv6 | Socket::free_bind}
                                  .with_port(0xfedc)
                                  .with_made(0xba98)
                                  .with_multicast_interface(Socket::multicast_too_great);
        const auto is_unchanged = [&](Socket changed) {
            CHECK(changed.kind() == kind);
            CHECK(changed.has(Socket::wants_ipv4));
            CHECK(changed.has(Socket::ipv6));
            CHECK(changed.has(Socket::free_bind));
            CHECK_FALSE(changed.has(Socket::wants_ipv6));
            CHECK_FALSE(changed.has(Socket::has_copies));
        };
        is_unchanged(socket);
        for (const Kind other : {Kind::other, Kind::unbound, Kind::ours}) {
            CHECK(socket.is(other) == (kind == other));
            CHECK(socket.with_kind(other).with_kind(kind).word() == socket.word());
        }
        CHECK(socket.port() == 0xfedc);
        CHECK(socket.made() == 0xba98);
        CHECK(socket.multicast_interface() == Socket::multicast_too_great);
        is_unchanged(socket.with_port(0).with_made(0xffff).with_multicast_interface(0));
        CHECK(socket.with_port(1).made() == socket.made());
        CHECK(socket.with_made(1).port() == socket.port());
        CHECK(socket.with_multicast_interface(1).made() == socket.made());
        const Socket changed = socket.with(Socket::wants_messages, false).with(Socket::wants_ipv6);
        CHECK_FALSE(changed.has(Socket::wants_ipv4));
        CHECK(changed.has(Socket::wants_ipv6));
        CHECK(changed.has(Socket::ipv6));
        CHECK(changed.kind() == kind);
        CHECK(changed.port() == socket.port());
    }
}

TEST_CASE("a UDP socket that is bound to the wildcard is ours") {
    const Descriptor fd{udp()};
    bind_to(fd, INADDR_ANY);
    CHECK(sockets::load(fd).kind() == Kind::unknown);
    errno = 4711;
    const Socket socket = sockets::get(fd);
    CHECK(errno == 4711);
    CHECK(socket.kind() == Kind::ours);
    CHECK(sockets::load(fd).word() == socket.word());
    CHECK(shared_state::get() != nullptr);
    CHECK(option(fd, IPPROTO_IP, IP_PKTINFO) == 1);
    CHECK(socket.port() == port_of(fd));
    CHECK(socket.has(Socket::has_copies));
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
    CHECK(sockets::load(fd).kind() == Kind::unbound);
    REQUIRE(bind_seen(fd, INADDR_ANY) == 0);
    CHECK(sockets::load(fd).kind() == Kind::ours);
    CHECK(sockets::load(fd).port() == port_of(fd));
    CHECK(option(fd, IPPROTO_IP, IP_PKTINFO) == 1);

    const Descriptor other{udp()};
    sockets::created(other, AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    REQUIRE(bind_seen(other, INADDR_LOOPBACK) == 0);
    CHECK(sockets::load(other).kind() == Kind::other);
    CHECK(option(other, IPPROTO_IP, IP_PKTINFO) == 0);

    const Descriptor tcp{socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    sockets::created(tcp, AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(sockets::load(tcp).kind() == Kind::other);
}

TEST_CASE("a client's socket is left alone until it is bound or closed") {
    const Descriptor fd{seen_udp()};
    sockets::left_alone(fd);
    CHECK(sockets::load(fd).is(Kind::other));
    CHECK(sockets::load(fd).has(Socket::no_descriptors));
    REQUIRE(bind_seen(fd, INADDR_ANY) == 0);
    CHECK(sockets::load(fd).is(Kind::ours));

    // Its number may be one of ours next.
    const Descriptor next{seen_udp()};
    sockets::left_alone(next);
    sockets::forget(next);
    CHECK(sockets::load(next).kind() == Kind::unknown);
}

TEST_CASE("a socket that another thread has just made ours is not left alone") {
    const Descriptor fd{seen_udp()};
    REQUIRE(bind_seen(fd, INADDR_ANY) == 0);
    const Socket ours = sockets::load(fd);
    sockets::left_alone(fd); // by a thread that saw it unbound
    CHECK(sockets::load(fd).word() == ours.word());
}

TEST_CASE("sockets are numbered as they are made") {
    REQUIRE(shared_state::create(Settings::default_peers) != nullptr);
    const Descriptor first{seen_udp()};
    const Descriptor second{seen_udp()};
    CHECK(sockets::load(first).made() != 0);
    CHECK(static_cast<uint16_t>(sockets::load(second).made() - sockets::load(first).made()) == 1);
    REQUIRE(bind_seen(first, INADDR_ANY) == 0);
    CHECK(static_cast<uint16_t>(sockets::load(second).made() - sockets::load(first).made()) == 1);
}

// Two sockets of one port are told from each other by their numbers (run_progress.hpp).
TEST_CASE("sockets that are made before anything is shared have numbers, and the next ones go on with them") {
    SharedState* const before = shared_state::detail::state.exchange(nullptr);
    const uint64_t mask_before = shared_state::detail::bucket_mask.exchange(0);
    const Descriptor first{seen_udp()};
    const Descriptor second{seen_udp()};
    CHECK(sockets::load(first).made() != 0);
    CHECK(static_cast<uint16_t>(sockets::load(second).made() - sockets::load(first).made()) == 1);
    REQUIRE(shared_state::create(64) != nullptr);
    const Descriptor third{seen_udp()};
    CHECK(static_cast<uint16_t>(sockets::load(third).made() - sockets::load(second).made()) == 1);
    shared_state::detail::state.store(before);
    shared_state::detail::bucket_mask.store(mask_before);
}

TEST_CASE("who steers one socket keeps nobody from steering another") {
    const auto numbered = [](unsigned number) {
        return Socket{Kind::ours, 0}.with_made(static_cast<uint16_t>(number));
    };
    const MulticastTurn turn(numbered(1));
    CHECK(static_cast<bool>(turn));
    bool same = true;
    unsigned others = 0;
    std::thread([&] {
        same = static_cast<bool>(MulticastTurn(numbered(1)));
        for (unsigned number = 2; number <= 1000; ++number)
            others += static_cast<bool>(MulticastTurn(numbered(number))) ? 1 : 0;
    }).join();
    CHECK_FALSE(same);
    CHECK(others == 999);
}

TEST_CASE("who steers a socket may be without a processor for a while") {
    const Socket socket = Socket{Kind::ours, 0}.with_made(1);
    unsigned got = 0;
    // Several times: on a busy machine it may be for longer than others wait.
    for (unsigned round = 0; round < 20; ++round) {
        std::atomic<bool> has_turn{false};
        std::thread holder([&] {
            const MulticastTurn turn(socket);
            has_turn = true;
            std::this_thread::sleep_for(std::chrono::milliseconds(10));
        });
        while (!has_turn)
            std::this_thread::yield();
        got += static_cast<bool>(MulticastTurn(socket)) ? 1 : 0;
        holder.join();
    }
    CHECK(got != 0);
}

TEST_CASE("a number that is no descriptor is not remembered") {
    errno = 4711;
    CHECK(sockets::get(-1).kind() == Kind::other);
    CHECK(sockets::get(INT_MIN).kind() == Kind::other);
    int closed = udp();
    REQUIRE(closed >= 0);
    close(closed);
    CHECK(sockets::get(closed).kind() == Kind::other);
    CHECK(sockets::load(closed).kind() == Kind::unknown);
    CHECK(sockets::get(INT_MAX).kind() == Kind::other);
    CHECK(sockets::load(INT_MAX).kind() == Kind::unknown);
}

TEST_CASE("a copy of a descriptor is known as the original is") {
    const Descriptor fd{udp()};
    bind_to(fd, INADDR_ANY);
    const Socket socket = sockets::get(fd);
    const Descriptor copy{dup(fd)};
    sockets::duplicated(fd, copy);
    CHECK(sockets::load(copy).word() == sockets::load(fd).word());
    CHECK(sockets::load(copy).is(Kind::ours));
    CHECK(sockets::load(copy).port() == socket.port());

    sockets::set_bits(copy, Socket::wants_ipv4);
    CHECK(sockets::load(fd).has(Socket::wants_ipv4));
    CHECK(sockets::load(copy).has(Socket::wants_ipv4));

    sockets::forget(fd);
    CHECK(sockets::load(fd).kind() == Kind::unknown);
    CHECK(sockets::load(copy).kind() == Kind::ours);
    // Found once more, and it is the same socket.
    CHECK(sockets::get(fd).has(Socket::wants_ipv4));
    CHECK(sockets::get(fd).word() == sockets::load(copy).word());
}

TEST_CASE("a socket that came from elsewhere is bound by all of its descriptors") {
    const Descriptor fd{udp()};
    const Descriptor copy{dup(fd)};
    const auto is_bound_by_copy = [&] {
        REQUIRE(bind_seen(copy, INADDR_ANY) == 0);
        CHECK(sockets::load(copy).is(Kind::ours));
        CHECK(sockets::get(fd).word() == sockets::load(copy).word());
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
        CHECK(sockets::load(fd).kind() == Kind::unknown);
        sockets::forget(fd);
        CHECK(sockets::load(fd).word() == 0);
    }
}

TEST_CASE("options of one socket are not another's") {
    const Descriptor first{udp()};
    const Descriptor second{udp()};
    bind_to(first, INADDR_ANY);
    bind_to(second, INADDR_ANY);
    const Socket untouched = sockets::get(second);
    REQUIRE(sockets::get(first).is(Kind::ours));
    sockets::set_bits(first, Socket::wants_ipv4);
    CHECK(sockets::load(second).word() == untouched.word());
}

TEST_CASE("a word changes only if it still is what it was") {
    const Descriptor fd{udp()};
    bind_to(fd, INADDR_ANY);
    const Socket socket = sockets::get(fd);
    const Socket changed = socket.with_port(1);
    sockets::update(fd, socket, changed);
    CHECK(sockets::load(fd).word() == changed.word());
    sockets::update(fd, socket, socket.with_port(2));
    CHECK(sockets::load(fd).word() == changed.word());
}

TEST_CASE("a number behind which another socket lies now is forgotten") {
    const Descriptor fd{udp()};
    bind_to(fd, INADDR_ANY);
    const Socket socket = sockets::get(fd);
    sockets::verify(fd, socket);
    CHECK(sockets::load(fd).kind() == Kind::ours);
    {
        const Descriptor other{udp()};
        REQUIRE(dup2(other, fd) == fd); // unseen by us
    }
    sockets::verify(fd, socket);
    CHECK(sockets::load(fd).kind() == Kind::unknown);
}

TEST_CASE("ranges are forgotten, and what lies beside them is not") {
    const Descriptor fd{udp()};
    bind_to(fd, INADDR_ANY);
    const Socket socket = sockets::get(fd);
    const auto number = static_cast<unsigned>(static_cast<int>(fd));
    sockets::forget_range(number + 1, UINT_MAX);
    CHECK(sockets::load(fd).word() == socket.word());
    sockets::forget_range(number + 1, number - 1);
    CHECK(sockets::load(fd).word() == socket.word());
    sockets::forget_range(0, number);
    CHECK(sockets::load(fd).kind() == Kind::unknown);
}

TEST_CASE("high numbers are known as well") {
    // Without such a limit of descriptors: only the words are looked at.
    const int high = 40'000;
    const int higher = 1'000'000'000;
    const Descriptor fd{udp()};
    bind_to(fd, INADDR_ANY);
    sockets::get(fd);
    for (const int number : {high, higher}) {
        CAPTURE(number);
        CHECK(sockets::load(number).kind() == Kind::unknown);
        sockets::duplicated(fd, number);
        CHECK(sockets::load(number).word() == sockets::load(fd).word());
        CHECK(sockets::load(number + 1).kind() == Kind::unknown);
    }
    // No descriptors stand behind the numbers, so that the kernel tells of no copies.
    sockets::set_bits(high, Socket::wants_ipv6);
    CHECK(sockets::load(high).has(Socket::wants_ipv6));
    CHECK_FALSE(sockets::load(higher).has(Socket::wants_ipv6));
    sockets::forget(high);
    CHECK(sockets::load(high).kind() == Kind::unknown);
    sockets::forget_range(static_cast<unsigned>(higher), UINT_MAX);
    CHECK(sockets::load(higher).kind() == Kind::unknown);
    CHECK(sockets::load(fd).kind() == Kind::ours);
}

TEST_CASE("a vfork child that closes its descriptors leaves the parent's words") {
    const Descriptor fd{udp()};
    bind_to(fd, INADDR_ANY);
    const Socket socket = sockets::get(fd);
    process::before_vfork();     // as our vfork() does
    const pid_t child = vfork(); // NOLINT(clang-analyzer-security.insecureAPI.vfork): what is tested
    if (child == 0) {
        sockets::forget(fd);
        sockets::forget_range(0, UINT_MAX);
        _exit(0); // NOLINT(clang-analyzer-unix.Vfork)
    }
    REQUIRE(child > 0);
    int status = -1;
    REQUIRE(waitpid(child, &status, 0) == child);
    CHECK(sockets::load(fd).word() == socket.word());
}

TEST_CASE("a forked child forgets its own words and not the parent's") {
    const Descriptor fd{udp()};
    bind_to(fd, INADDR_ANY);
    const Socket socket = sockets::get(fd);
    const pid_t child = test::fork_clean();
    REQUIRE(child >= 0);
    if (child == 0) {
        sockets::forget(fd);
        _exit(sockets::load(fd).kind() == Kind::unknown ? 0 : 1);
    }
    int status = -1;
    REQUIRE(waitpid(child, &status, 0) == child);
    CHECK(status == 0);
    CHECK(sockets::load(fd).word() == socket.word());
}

TEST_SUITE_END();

} // namespace multihome::sockets_test
