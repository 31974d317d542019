// SPDX-License-Identifier: MIT
//
// Point 5: what the kernel refuses is refused alike, and nothing crashes. The differential fuzzer goes
// further; these are the classic cases under their names.
#include "tests/transparency/probe.hpp"

#include <string_view>
#include <sys/mman.h>

using namespace probe;

namespace {

int server;
Client* client;
Name peer;

void* unmapped; // nothing there
void* readable_only;

// A datagram is waiting before each receive call, and is gone or not afterwards.
template <typename Call>
void receiving(const char* what, Call call) {
    client->ask(server);
    say_call(what, call);
    char data[8];
    int left = 0;
    while (recv(server, data, sizeof data, MSG_DONTWAIT) >= 0)
        ++left;
    std::printf("  left: %d\n", left);
}

template <typename Call>
void sending(const char* what, Call call) {
    if (say_call(what, call) >= 0)
        while (readable(client->fd(), 0))
            client->print_answer();
}

void pointers() {
    char data[64];
    for (void* bad : {unmapped, readable_only, static_cast<void*>(nullptr), reinterpret_cast<void*>(-1)}) {
        std::printf("%s\n", bad == unmapped        ? "unmapped"
                            : bad == readable_only ? "read only"
                            : bad                  ? "-1"
                                                   : "null");
        auto* name = static_cast<sockaddr*>(bad);
        auto* length = static_cast<socklen_t*>(bad);
        Name from;
        receiving("recvfrom, data", [&] { return recvfrom(server, bad, 8, 0, from.get(), &from.length); });
        receiving("recvfrom, name", [&] { return recvfrom(server, data, 8, 0, name, &from.length); });
        std::printf("  name of %u bytes\n", from.length);
        receiving("recvfrom, length", [&] { return recvfrom(server, data, 8, 0, from.get(), length); });
        receiving("recvmsg, header", [&] { return recvmsg(server, static_cast<msghdr*>(bad), 0); });
        receiving("recvmmsg, headers",
                  [&] { return recvmmsg(server, static_cast<mmsghdr*>(bad), 1, 0, nullptr); });
        const auto with = [&](auto change) {
            static Message message(64);
            message.prepare(64);
            change(message.header);
            const msghdr before = message.header;
            const ssize_t result = recvmsg(server, &message.header, 0);
            const int error = errno;
            if (message.header.msg_name != before.msg_name || message.header.msg_iov != before.msg_iov ||
                message.header.msg_control != before.msg_control ||
                message.header.msg_iovlen != before.msg_iovlen)
                std::printf("  pointers changed\n");
            std::printf("  flags %d, name of %u, control of %zu\n", message.header.msg_flags,
                        message.header.msg_namelen, message.header.msg_controllen);
            errno = error;
            return result;
        };
        receiving("recvmsg, name", [&] { return with([&](msghdr& header) { header.msg_name = bad; }); });
        receiving("recvmsg, parts",
                  [&] { return with([&](msghdr& header) { header.msg_iov = static_cast<iovec*>(bad); }); });
        receiving("recvmsg, control",
                  [&] { return with([&](msghdr& header) { header.msg_control = bad; }); });
        switch_on(server, IPPROTO_IP, IP_RECVTTL);
        receiving("recvmsg, control in use",
                  [&] { return with([&](msghdr& header) { header.msg_control = bad; }); });
        switch_on(server, IPPROTO_IP, IP_RECVTTL, 0);
        iovec part{bad, 8};
        receiving("recvmsg, data", [&] { return with([&](msghdr& header) { header.msg_iov = &part; }); });
        mmsghdr one{};
        iovec good{data, sizeof data};
        one.msg_hdr.msg_iov = &good;
        one.msg_hdr.msg_iovlen = 1;
        receiving("recvmmsg, timeout",
                  [&] { return recvmmsg(server, &one, 1, 0, static_cast<timespec*>(bad)); });

        sending("sendto, data", [&] { return sendto(server, bad, 8, 0, peer.get(), peer.length); });
        sending("sendto, name", [&] { return sendto(server, data, 8, 0, name, peer.length); });
        sending("sendmsg, header", [&] { return sendmsg(server, static_cast<msghdr*>(bad), 0); });
        sending("sendmmsg, headers", [&] { return sendmmsg(server, static_cast<mmsghdr*>(bad), 1, 0); });
        const auto sent_with = [&](auto change) {
            msghdr header = header_for(peer, good);
            change(header);
            return sendmsg(server, &header, 0);
        };
        sending("sendmsg, name", [&] { return sent_with([&](msghdr& header) { header.msg_name = bad; }); });
        sending("sendmsg, parts", [&] {
            return sent_with([&](msghdr& header) { header.msg_iov = static_cast<iovec*>(bad); });
        });
        sending("sendmsg, data", [&] { return sent_with([&](msghdr& header) { header.msg_iov = &part; }); });
        for (const size_t room : {1U, 15U, 16U, 64U, 100000U})
            sending("sendmsg, control", [&] {
                return sent_with([&](msghdr& header) {
                    header.msg_control = bad;
                    header.msg_controllen = room;
                });
            });
        // What can be read is all zero, which would undo the connection and the port.
        if (bad == readable_only)
            continue;
        say("connect", connect(server, name, sizeof(sockaddr_in)));
        say("bind", bind(server, name, sizeof(sockaddr_in)));
    }
}

// Structures that begin on a page that is there and end on one that is not. Left out: a control buffer that
// ends within the first header, of which the kernel writes what it reaches, and an mmsghdr whose msg_len
// alone is not there.
void page_ends() {
    char* end = static_cast<char*>(unmapped);
    for (const size_t there : {1U, 24U, 40U, 55U, 64U}) {
        auto* at = end - there;
        std::memset(at, 0, there);
        std::printf("%zu bytes there\n", there);
        receiving("recvmsg", [&] { return recvmsg(server, reinterpret_cast<msghdr*>(at), MSG_DONTWAIT); });
        receiving("recvmmsg",
                  [&] { return recvmmsg(server, reinterpret_cast<mmsghdr*>(at), 1, MSG_DONTWAIT, nullptr); });
        receiving("recvmmsg of 2",
                  [&] { return recvmmsg(server, reinterpret_cast<mmsghdr*>(at), 2, MSG_DONTWAIT, nullptr); });
        sending("sendmsg", [&] { return sendmsg(server, reinterpret_cast<msghdr*>(at), 0); });
        sending("sendmmsg", [&] { return sendmmsg(server, reinterpret_cast<mmsghdr*>(at), 1, 0); });
        Message message(0);
        message.header.msg_control = at;
        message.header.msg_controllen = 64;
        switch_on(server, IPPROTO_IP, IP_RECVTTL);
        receiving("control", [&] { return recvmsg(server, &message.header, 0); });
        std::printf("  flags %d, control of %zu\n", message.header.msg_flags, message.header.msg_controllen);
        for (size_t byte = 0; byte < there; ++byte)
            std::printf("%02x", static_cast<unsigned char>(at[byte]));
        std::printf("\n");
        switch_on(server, IPPROTO_IP, IP_RECVTTL, 0);
        char data[8];
        socklen_t length = 16;
        receiving("recvfrom",
                  [&] { return recvfrom(server, data, 8, 0, reinterpret_cast<sockaddr*>(at), &length); });
        std::printf("  name of %u bytes\n", length);
        std::memcpy(at, peer.get(), there < 16 ? there : 16);
        sending("sendto", [&] { return sendto(server, data, 8, 0, reinterpret_cast<sockaddr*>(at), 16); });
    }
}

// A peer's address at the end of a page, with more of it promised than there is: answered before, so that the
// shim knows the place.
void address_ends() {
    auto* at = static_cast<char*>(unmapped) - sizeof(sockaddr_in);
    auto* address = reinterpret_cast<sockaddr*>(at);
    char data[8];
    for (int round = 0; round < 4; ++round) {
        client->ask(server);
        socklen_t length = sizeof(sockaddr_in);
        say("recvfrom", recvfrom(server, data, sizeof data, 0, address, &length));
        say("sendto", sendto(server, data, sizeof data, 0, address, sizeof(sockaddr_in)));
        client->print_answer();
    }
    for (const socklen_t length : {24U, 28U, 128U}) {
        std::printf("%u bytes\n", static_cast<unsigned>(length));
        sending("sendto", [&] { return sendto(server, data, sizeof data, 0, address, length); });
        iovec part{data, sizeof data};
        msghdr message{};
        message.msg_name = address;
        message.msg_namelen = length;
        message.msg_iov = &part;
        message.msg_iovlen = 1;
        sending("sendmsg", [&] { return sendmsg(server, &message, 0); });
    }
    std::memset(at, 0xff, sizeof(sockaddr_in));
    sending("no family", [&] { return sendto(server, data, sizeof data, 0, address, sizeof(sockaddr_in6)); });
}

void lengths() {
    char data[64];
    for (const long given : {0L, 1L, 7L, 8L, 15L, 16L, 17L, 128L, 129L, 1000000L, -1L, 2147483647L}) {
        auto length = static_cast<socklen_t>(given);
        std::printf("length %ld\n", given);
        static char room[1 << 20];
        receiving("recvfrom",
                  [&] { return recvfrom(server, data, 8, 0, reinterpret_cast<sockaddr*>(room), &length); });
        std::printf("  name of %u bytes\n", length);
        sending("sendto",
                [&] { return sendto(server, data, 8, 0, peer.get(), static_cast<socklen_t>(given)); });
        Message message(64);
        message.header.msg_namelen = static_cast<socklen_t>(given);
        message.header.msg_name = room;
        receiving("recvmsg", [&] { return recvmsg(server, &message.header, 0); });
        std::printf("  name of %u bytes\n", message.header.msg_namelen);
        message.prepare(64);
        message.header.msg_controllen = static_cast<size_t>(given);
        message.header.msg_control = room;
        receiving("recvmsg, control", [&] { return recvmsg(server, &message.header, 0); });
        std::printf("  control of %zu\n", message.header.msg_controllen);
        message.prepare(64);
        message.header.msg_iovlen = static_cast<size_t>(given);
        static iovec parts[1024];
        message.header.msg_iov = parts;
        receiving("recvmsg, parts", [&] { return recvmsg(server, &message.header, 0); });
        receiving("recvfrom, flags", [&] {
            return recvfrom(server, data, 8, MSG_DONTWAIT | static_cast<int>(given & 0xffff00), nullptr,
                            nullptr);
        });
    }
    for (const int family : {AF_UNSPEC, AF_INET6, AF_UNIX, 255}) {
        Name to = peer;
        to.storage.ss_family = static_cast<sa_family_t>(family);
        std::printf("family %d\n", family);
        sending("sendto", [&] { return sendto(server, data, 8, 0, to.get(), to.length); });
        sending("sendto", [&] { return sendto(server, data, 8, 0, to.get(), sizeof to.storage); });
    }
}

void batches() {
    constexpr unsigned room = 5000;
    static mmsghdr messages[room];
    static char data[8];
    static iovec part{data, sizeof data};
    static sockaddr_storage names[room];
    for (const unsigned count : {0U, 1U, 2U, 4U, 5U, 1024U, 1025U, 5000U, ~0U}) {
        for (unsigned number = 0; number < room; ++number) {
            messages[number] = {};
            messages[number].msg_hdr.msg_name = &names[number];
            messages[number].msg_hdr.msg_namelen = sizeof names[number];
            messages[number].msg_hdr.msg_iov = &part;
            messages[number].msg_hdr.msg_iovlen = 1;
        }
        std::printf("%u messages\n", count);
        client->ask(server);
        client->ask(server);
        receiving("recvmmsg", [&] { return recvmmsg(server, messages, count, MSG_DONTWAIT, nullptr); });
        timespec time{0, 0};
        receiving("recvmmsg, no time",
                  [&] { return recvmmsg(server, messages, count, MSG_DONTWAIT, &time); });
        time = {-1, 0};
        receiving("recvmmsg, bad time",
                  [&] { return recvmmsg(server, messages, count, MSG_DONTWAIT, &time); });
        for (unsigned number = 0; number < room; ++number) {
            std::memcpy(&names[number], peer.get(), peer.length);
            messages[number].msg_hdr.msg_namelen = peer.length;
            messages[number].msg_hdr.msg_controllen = 0;
            // Only the first ones, and one that the kernel refuses among them.
            if (number == 3)
                messages[number].msg_hdr.msg_namelen = 1;
        }
        sending("sendmmsg", [&] { return sendmmsg(server, messages, count, 0); });
    }
}

void descriptors() {
    char data[8];
    Name from;
    mmsghdr message{};
    timespec time{};
    int value = 0;
    socklen_t length = sizeof value;
    for (const int fd : {-1, -100, 19'999, 2147483647, -2147483647 - 1}) {
        std::printf("descriptor %d\n", fd);
        say("recvfrom", recvfrom(fd, data, 8, 0, from.get(), &from.length));
        say("recvmsg", recvmsg(fd, &message.msg_hdr, 0));
        say("recvmmsg", recvmmsg(fd, &message, 1, 0, &time));
        say("sendto", sendto(fd, data, 8, 0, peer.get(), peer.length));
        say("sendmsg", sendmsg(fd, &message.msg_hdr, 0));
        say("sendmmsg", sendmmsg(fd, &message, 1, 0));
        say("connect", connect(fd, peer.get(), peer.length));
        say("bind", bind(fd, peer.get(), peer.length));
        say("getsockopt", getsockopt(fd, IPPROTO_IP, IP_PKTINFO, &value, &length));
        say("setsockopt", setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &value, length));
        say("dup", dup(fd));
        say("dup2", dup2(fd, 100));
        say("dup2 onto it", fd == 19'999 ? -1 : dup2(server, fd));
        say("close", close(fd));
    }
    echo(server);
}

} // namespace

int main(int, char** arguments) {
    const std::string_view topic = arguments[1];
    constexpr size_t page = 4096;
    auto* pages = static_cast<char*>(
        mmap(nullptr, 50 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    must(pages != MAP_FAILED && munmap(pages + page, page) == 0, "mmap");
    // With nothing behind it, up to the longest length that is tried.
    must(mprotect(pages + 2 * page, page, PROT_READ) == 0, "mprotect");
    must(mprotect(pages + 3 * page, 47 * page, PROT_NONE) == 0, "mprotect");
    unmapped = pages + page;
    readable_only = pages + 2 * page;
    server = bound("0.0.0.0");
    Client asking;
    client = &asking;
    peer = name_of(asking.fd());
    echo(server);
    client->ask(server);
    say_heard(server);
    if (topic == "pointers")
        pointers();
    else if (topic == "address_ends")
        address_ends();
    else if (topic == "page_ends")
        page_ends();
    else if (topic == "lengths")
        lengths();
    else if (topic == "batches")
        batches();
    else if (topic == "descriptors")
        descriptors();
    else
        return 2;
    return 0;
}
