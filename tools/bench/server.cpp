// SPDX-License-Identifier: MIT
//
// The servers that are measured. A server answers from one UDP socket that is bound to the wildcard address,
// and prints its port as a line once all its threads and workers are there.
#include "tools/bench/programs.hpp"

#include <array>
#include <csignal>
#include <cstddef>
#include <memory>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <thread>
#include <vector>

using namespace multihome::bench;

namespace {

struct Server {
    bool native = false; // uses IP_PKTINFO itself
    bool ipv6 = false;   // on ::, which IPv4 clients reach as well
    // "plain": recvfrom() and sendto(); "messages": recvmsg() and sendmsg(); "batches": recvmmsg() and
    // sendmmsg(). A native program needs control messages: it uses messages in the place of plain calls.
    // "receive": recvfrom() alone; instead of an answer, a byte on standard output. There a native program is
    // as bare as any: who answers nobody needs no source.
    std::string calls = "plain";
    // Where it keeps its buffers, addresses and message headers: close together on the "stack", or each on
    // pages of its own, on the "heap" or "fixed".
    std::string memory = "stack";
    unsigned room = largest_batch; // messages that a batch has room for: 1, 8 or 32
    unsigned threads = 1;          // all on one socket, so that each has the same to do
    unsigned workers = 1;          // forked, as well
    uint64_t warm_up = 0;          // requests that are not counted by callgrind
    uint64_t requests = 0;         // ends after that many more; 0: never
    bool gated = false;            // waits for a byte on standard input before each receive call
    bool marks = false;            // stores to 0x10000000 before each receive call
    uint16_t port = 0;             // 0: any
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(Server, native, ipv6, calls, memory, room, threads, workers,
                                                warm_up, requests, gated, marks, port)

// Where nothing else lies.
void* const mark = reinterpret_cast<void*>(0x10000000);

// What differs between the families. An IPv6 socket serves IPv4 clients as well, by their mapped addresses.
struct Ipv4 {
    using Address = sockaddr_in;
    using Information = in_pktinfo;
    static constexpr sa_family_t family = AF_INET;
    static constexpr int level = IPPROTO_IP, option = IP_PKTINFO, message = IP_PKTINFO;
    static constexpr auto interface_index = &in_pktinfo::ipi_ifindex;
};
struct Ipv6 {
    using Address = sockaddr_in6;
    using Information = in6_pktinfo;
    static constexpr sa_family_t family = AF_INET6;
    static constexpr int level = IPPROTO_IPV6, option = IPV6_RECVPKTINFO, message = IPV6_PKTINFO;
    static constexpr auto interface_index = &in6_pktinfo::ipi6_ifindex;
};

// What a server with room for `room` messages keeps between its calls. `apart`: each kind on pages of its
// own, as larger programs have it.
template <typename Family, unsigned room, bool apart>
struct Workspace {
    static constexpr size_t alignment = apart ? 4096 : alignof(std::max_align_t);
    static constexpr size_t control_size = CMSG_SPACE(sizeof(typename Family::Information));

    alignas(alignment) std::array<std::array<char, largest_datagram>, room> buffers;
    alignas(alignment) std::array<typename Family::Address, room> peers;
    alignas(alignment) std::array<iovec, room> data;
    alignas(alignment) std::array<std::array<uint64_t, control_size / sizeof(uint64_t)>, room> control;
    alignas(alignment) std::array<mmsghdr, room> messages;
    alignas(alignment) socklen_t peer_length;

    // Before each receive call.
    void prepare(unsigned index, bool native) {
        msghdr& message = messages[index].msg_hdr;
        data[index] = {buffers[index].data(), largest_datagram};
        message.msg_namelen = sizeof peers[index];
        message.msg_controllen = native ? control_size : 0;
    }
    void prepare_once(bool native) {
        for (unsigned index = 0; index < room; ++index) {
            messages[index] = {};
            msghdr& message = messages[index].msg_hdr;
            message.msg_name = &peers[index];
            message.msg_iov = &data[index];
            message.msg_iovlen = 1;
            message.msg_control = native ? control[index].data() : nullptr;
        }
    }
};

// What came with the request goes back with the answer; only the interface is left to the routing table.
template <typename Family>
void turn_around(msghdr& message) {
    for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header))
        if (header->cmsg_level == Family::level && header->cmsg_type == Family::message) {
            auto* information = reinterpret_cast<typename Family::Information*>(CMSG_DATA(header));
            information->*Family::interface_index = 0;
            return;
        }
}

// The natural loops, kept short: what they cost is subtracted from, or compared with, what the shim makes of
// them. Each is one function wherever its workspace lies, so that the memory alone differs.
struct Loop {
    int fd;
    bool gated;
    bool marks;

    void wait_at_gate() const {
        if (marks)
            *static_cast<volatile int*>(mark) = 0;
        char byte = 0;
        if (gated && read(STDIN_FILENO, &byte, 1) != 1)
            _exit(0);
    }

    template <typename Family, bool apart>
    [[gnu::noinline]] void plain(Workspace<Family, 1, apart>& space, uint64_t requests) const {
        for (uint64_t done = 0; done < requests; ++done) {
            wait_at_gate();
            char* buffer = space.buffers[0].data();
            auto* peer = reinterpret_cast<sockaddr*>(&space.peers[0]);
            socklen_t on_stack = 0;
            socklen_t& length = apart ? space.peer_length : on_stack;
            length = sizeof space.peers[0];
            const ssize_t got = recvfrom(fd, buffer, largest_datagram, 0, peer, &length);
            if (got >= 0)
                sendto(fd, buffer, static_cast<size_t>(got), 0, peer, length);
        }
    }

    template <typename Family, bool apart>
    [[gnu::noinline]] void receive(Workspace<Family, 1, apart>& space, uint64_t requests) const {
        for (uint64_t done = 0; done < requests; ++done) {
            wait_at_gate();
            char* buffer = space.buffers[0].data();
            socklen_t length = sizeof space.peers[0];
            if (recvfrom(fd, buffer, largest_datagram, 0, reinterpret_cast<sockaddr*>(&space.peers[0]),
                         &length) >= 0 &&
                write(STDOUT_FILENO, buffer, 1) != 1)
                _exit(0);
        }
    }

    template <typename Family, bool native, bool apart>
    [[gnu::noinline]] void messages(Workspace<Family, 1, apart>& space, uint64_t requests) const {
        space.prepare_once(native);
        for (uint64_t done = 0; done < requests; ++done) {
            wait_at_gate();
            space.prepare(0, native);
            msghdr& message = space.messages[0].msg_hdr;
            const ssize_t got = recvmsg(fd, &message, 0);
            if (got < 0)
                continue;
            if constexpr (native)
                turn_around<Family>(message);
            space.data[0].iov_len = static_cast<size_t>(got);
            static_cast<void>(sendmsg(fd, &message, 0));
        }
    }

    template <typename Family, bool native, unsigned room, bool apart>
    [[gnu::noinline]] void batches(Workspace<Family, room, apart>& space, uint64_t requests) const {
        space.prepare_once(native);
        for (uint64_t done = 0; done < requests;) {
            wait_at_gate();
            for (unsigned index = 0; index < room; ++index)
                space.prepare(index, native);
            const int got = recvmmsg(fd, space.messages.data(), room, MSG_WAITFORONE, nullptr);
            if (got <= 0)
                continue;
            const auto count = static_cast<unsigned>(got);
            for (unsigned index = 0; index < count; ++index) {
                space.data[index].iov_len = space.messages[index].msg_len;
                if constexpr (native)
                    turn_around<Family>(space.messages[index].msg_hdr);
            }
            for (unsigned sent = 0; sent < count;) {
                const int more = sendmmsg(fd, &space.messages[sent], count - sent, 0);
                sent += more > 0 ? static_cast<unsigned>(more) : 1;
            }
            done += count;
        }
    }
};

template <typename Family, bool native, unsigned room>
[[gnu::noinline]] void serve_with_room(int fd, const Server& settings) {
    const Loop loop{fd, settings.gated, settings.marks};
    const bool batches = settings.calls == "batches";
    const bool messages = native || settings.calls == "messages";
    const auto serve_in = [&](auto& space) {
        const auto work = [&](uint64_t requests) {
            if (batches)
                loop.template batches<Family, native>(space, requests);
            else if constexpr (room == 1)
                settings.calls == "receive" ? loop.receive(space, requests)
                : messages                  ? loop.template messages<Family, native>(space, requests)
                                            : loop.template plain<Family>(space, requests);
        };
        if (settings.warm_up != 0)
            work(settings.warm_up);
        CALLGRIND_START_INSTRUMENTATION;
        work(settings.requests != 0 ? settings.requests : UINT64_MAX);
        CALLGRIND_DUMP_STATS;
    };
    if (settings.memory == "stack") {
        Workspace<Family, room, false> space;
        serve_in(space);
    } else if (settings.memory == "heap") {
        serve_in(*std::make_unique<Workspace<Family, room, true>>());
    } else {
        static Workspace<Family, room, true> space;
        serve_in(space);
    }
}

template <typename Family, bool native>
void serve(int fd, const Server& settings) {
    // The stack goes on at the same place in a page, wherever the environment makes it begin: what crosses a
    // page costs the shim more.
    const bool is_small = settings.calls != "batches" || settings.room == 1;
    const auto here = reinterpret_cast<uintptr_t>(__builtin_frame_address(0));
    *static_cast<volatile char*>(__builtin_alloca((here - (is_small ? 0 : 2560)) % 4096 + 1)) = 0;
    if (is_small)
        serve_with_room<Family, native, 1>(fd, settings);
    else if (settings.room == 8)
        serve_with_room<Family, native, 8>(fd, settings);
    else
        serve_with_room<Family, native, largest_batch>(fd, settings);
}

template <typename Family, bool native>
void serve_in_threads(const Server& settings) {
    const int fd = check(socket(Family::family, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket");
    if (native && settings.calls != "receive")
        set_option(fd, Family::level, Family::option, 1);
    // In an IPv4 address, too, the port comes second, and zeroes stand for any address.
    sockaddr_in6 address{Family::family, htons(settings.port), 0, {}, 0};
    bind_with_room(fd, address);
    if (settings.warm_up != 0) // it is counted
        use_steady_key();
    for (unsigned index = 1; index < settings.workers; ++index)
        if (check(fork(), "fork") == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            serve<Family, native>(fd, settings);
            _exit(0);
        }
    std::vector<std::jthread> threads;
    for (unsigned index = 1; index < settings.threads; ++index)
        threads.emplace_back(serve<Family, native>, fd, settings);
    socklen_t length = sizeof address;
    check(getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length), "getsockname");
    std::printf("%u\n", ntohs(address.sin6_port));
    std::fflush(stdout);
    serve<Family, native>(fd, settings);
}

void run(const Server& settings) {
    if (settings.marks && mmap(mark, 4096, PROT_READ | PROT_WRITE,
                               MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == MAP_FAILED)
        fail("mmap");
    if (settings.ipv6)
        settings.native ? serve_in_threads<Ipv6, true>(settings) : serve_in_threads<Ipv6, false>(settings);
    else
        settings.native ? serve_in_threads<Ipv4, true>(settings) : serve_in_threads<Ipv4, false>(settings);
}

} // namespace

int main(int argc, char** argv) {
    return run_with_settings(argc, argv, run);
}
