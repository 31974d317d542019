// SPDX-License-Identifier: MIT
#include "tests/transparency/probe.hpp"

#include <algorithm>
#include <linux/errqueue.h>
#include <net/if.h>
#include <netinet/udp.h>
#include <sched.h>
#include <sys/ioctl.h>

namespace probe {

namespace {

constexpr unsigned char untouched_byte = 0xaa;

// What of a control message's data is the same in each run: all but clock readings, counts of dropped
// datagrams and the port in a socket address.
bool is_masked(const cmsghdr& header, size_t offset) {
    if (header.cmsg_level == SOL_SOCKET)
        return header.cmsg_type == SO_TIMESTAMP || header.cmsg_type == SO_TIMESTAMPNS ||
               header.cmsg_type == SO_TIMESTAMPING || header.cmsg_type == SO_RXQ_OVFL;
    if ((header.cmsg_level == IPPROTO_IP && header.cmsg_type == IP_ORIGDSTADDR) ||
        (header.cmsg_level == IPPROTO_IPV6 && header.cmsg_type == IPV6_ORIGDSTADDR))
        return offset == 2 || offset == 3;
    return false;
}

struct In6Request { // struct in6_ifreq of linux/ipv6.h, which cannot be included beside netinet/in.h
    in6_addr address;
    uint32_t prefix_length;
    int interface_index;
};

} // namespace

void skip(const char* reason) {
    std::printf("SKIP: %s\n", reason);
    std::exit(77);
}

int run_topic(std::string_view name, std::initializer_list<Topic> topics) {
    for (const Topic& topic : topics)
        if (topic.name == name) {
            topic.run();
            return 0;
        }
    return 2;
}

void must(bool condition, const char* what) {
    if (condition)
        return;
    std::printf("%s: %s\n", what, std::strerror(errno));
    std::exit(1);
}

void say(const char* what, long result) {
    if (result < 0)
        std::printf("%s: %ld %s\n", what, result, strerrorname_np(errno));
    else
        std::printf("%s: %ld\n", what, result);
}

Name::Name(const char* address, in_port_t port) {
    if (std::strchr(address, ':') != nullptr) {
        sockaddr_in6 ipv6{};
        ipv6.sin6_family = AF_INET6;
        ipv6.sin6_port = port;
        must(inet_pton(AF_INET6, address, &ipv6.sin6_addr) == 1, address);
        std::memcpy(&storage, &ipv6, length = sizeof ipv6);
    } else {
        sockaddr_in ipv4{};
        ipv4.sin_family = AF_INET;
        ipv4.sin_port = port;
        must(inet_pton(AF_INET, address, &ipv4.sin_addr) == 1, address);
        std::memcpy(&storage, &ipv4, length = sizeof ipv4);
    }
}

std::string Name::address() const {
    char text[INET6_ADDRSTRLEN] = "none";
    if (storage.ss_family == AF_INET)
        inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in*>(&storage)->sin_addr, text, sizeof text);
    else if (storage.ss_family == AF_INET6)
        inet_ntop(AF_INET6, &reinterpret_cast<const sockaddr_in6*>(&storage)->sin6_addr, text, sizeof text);
    return text;
}

in_port_t Name::port() const {
    // In the same place in both families.
    return reinterpret_cast<const sockaddr_in*>(&storage)->sin_port;
}

Name name_of(int fd) {
    Name name;
    must(getsockname(fd, name.get(), &name.length) == 0, "getsockname");
    return name;
}

msghdr header_for(Name& name, iovec& part) {
    return {name.get(), name.length, &part, 1, nullptr, 0, 0};
}

static int bound_at(const Name& name) {
    const int fd = socket(name.storage.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    must(fd >= 0, "socket");
    must(bind(fd, name.get(), name.length) == 0, "bind");
    return fd;
}

int bound(const char* address) {
    return bound_at(Name(address, 0));
}

int bound_at_own_port(const char* address) {
    return bound_at(Name(address, htons(7000)));
}

void switch_on(int fd, int level, int name, int value) {
    must(setsockopt(fd, level, name, &value, sizeof value) == 0, "setsockopt");
}

bool readable(int fd, int milliseconds) {
    pollfd poller{fd, POLLIN, 0};
    int result = 0;
    do
        result = poll(&poller, 1, milliseconds);
    while (result < 0 && errno == EINTR);
    return result == 1;
}

void Client::ask(int server, const char* address, const char* text) {
    const Name to(address, name_of(server).port());
    must(sendto(fd_, text, std::strlen(text), 0, to.get(), to.length) >= 0, "the client's sendto");
    must(readable(server), "the question did not arrive");
}

std::string Client::hear(int milliseconds) {
    char data[64];
    Name from;
    if (!readable(fd_, milliseconds) || recvfrom(fd_, data, sizeof data, 0, from.get(), &from.length) < 0)
        return "nobody";
    return from.address();
}

void Client::print_answer(const char* asked) {
    std::printf("answer asked=%s from=%s\n", asked, hear().c_str());
}

Name say_heard(int server) {
    char data[64];
    Name peer;
    say_call("recvfrom", [&] { return recvfrom(server, data, sizeof data, 0, peer.get(), &peer.length); });
    return peer;
}

void say_answered(int server, const Name& peer) {
    say_call("sendto", [&] { return sendto(server, "answer", 6, 0, peer.get(), peer.length); });
}

void echo(int receiver, int sender, const char* asked, const char* client_at) {
    Client client(client_at);
    client.ask(receiver, asked);
    char data[64];
    Name peer;
    const ssize_t received = recvfrom(receiver, data, sizeof data, 0, peer.get(), &peer.length);
    if (received < 0)
        say("recvfrom", received);
    else if (const ssize_t sent =
                 sendto(sender, data, static_cast<size_t>(received), 0, peer.get(), peer.length);
             sent != received)
        say("sendto", sent);
    else
        client.print_answer(asked);
}

namespace {

In6Request on_loopback(const char* text) {
    In6Request address{};
    inet_pton(AF_INET6, text, &address.address);
    address.prefix_length = 128;
    address.interface_index = static_cast<int>(if_nametoindex("lo"));
    return address;
}

} // namespace

void remove_address(const char* text) {
    const int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    In6Request address = on_loopback(text);
    must(ioctl(fd, SIOCDIFADDR, &address) == 0, text);
    close(fd);
}

void namespace_with_local_route() {
    own_namespace();
    if (std::system("ip -6 route add local fd00:7::/64 dev lo") != 0)
        skip("ip(8) cannot add a route");
}

void own_namespace() {
    if (unshare(CLONE_NEWNET) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0)
        skip("may not make a network namespace");
    const int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        skip("no IPv6 here");
    ifreq request{};
    std::strcpy(request.ifr_name, "lo");
    must(ioctl(fd, SIOCGIFFLAGS, &request) == 0, "SIOCGIFFLAGS");
    request.ifr_flags = static_cast<short>(request.ifr_flags | IFF_UP);
    if (ioctl(fd, SIOCSIFFLAGS, &request) != 0)
        skip("may not configure a network namespace");
    for (const char* text :
         {"fd00::2", "fd00::3", "fd00::4", address_with_small_first_half, address_with_small_second_half}) {
        In6Request address = on_loopback(text);
        if (ioctl(fd, SIOCSIFADDR, &address) != 0)
            skip("no IPv6 here");
        // The kernel makes the address usable a moment later.
        const Name name(text, 0);
        bool usable = false;
        for (int attempt = 0; attempt < 500 && !usable; ++attempt) {
            const int test = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
            usable = bind(test, name.get(), name.length) == 0;
            close(test);
            if (!usable)
                poll(nullptr, 0, 10);
        }
        must(usable, text);
    }
    close(fd);
}

Message::Message(long control_room) {
    prepare(control_room);
}

void Message::prepare(long control_room) {
    data.fill(untouched_byte);
    control.fill(untouched_byte);
    std::memset(&name, untouched_byte, sizeof name);
    part = {data.data(), data.size()};
    header = {};
    header.msg_name = &name;
    header.msg_namelen = sizeof name;
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = control_room < 0 ? nullptr : control.data();
    header.msg_controllen = control_room < 0 ? 0 : static_cast<size_t>(control_room);
    header.msg_flags = -1;
}

void Message::print(long result) const {
    say("received", result);
    if (result < 0)
        return;
    std::printf("  flags %x, name of %u bytes, control of %zu:", static_cast<unsigned>(header.msg_flags),
                header.msg_namelen, header.msg_controllen);
    // The messages first, so that the hexadecimal dump knows what to mask; then every byte of the buffer that
    // was written, those beyond msg_controllen as well.
    std::array<bool, 2048> masked{};
    size_t at = 0;
    while (at + sizeof(cmsghdr) <= header.msg_controllen) {
        cmsghdr message;
        std::memcpy(&message, control.data() + at, sizeof message);
        if (message.cmsg_len < sizeof message)
            break;
        std::printf(" (level %d type %d length %zu)", message.cmsg_level, message.cmsg_type,
                    message.cmsg_len);
        const size_t end = std::min(at + message.cmsg_len, control.size());
        for (size_t byte = at + CMSG_LEN(0); byte < end; ++byte)
            masked[byte] = is_masked(message, byte - at - CMSG_LEN(0));
        at += CMSG_ALIGN(message.cmsg_len);
    }
    std::printf("\n  ");
    size_t last = control.size();
    while (last > 0 && control[last - 1] == untouched_byte && !masked[last - 1])
        --last;
    for (size_t byte = 0; byte < last; ++byte)
        if (masked[byte])
            std::printf("..");
        else
            std::printf("%02x", control[byte]);
    std::printf("\n");
}

void Message::show(int fd, int flags) {
    print(recvmsg(fd, &header, flags));
}

ssize_t Message::answer(int fd) const {
    return sendto(fd, "answer", 6, 0, reinterpret_cast<const sockaddr*>(&name), header.msg_namelen);
}

void show_and_answer(int server, Client& client, const char* asked, Message& message, int flags) {
    message.show(server, flags);
    message.answer(server);
    client.print_answer(asked);
}

void say_packet_information(int fd) {
    int value = -1;
    socklen_t length = sizeof value;
    say("IP_PKTINFO", getsockopt(fd, IPPROTO_IP, IP_PKTINFO, &value, &length));
    std::printf("is %d\n", value);
}

void look(const char* what, int receiver, int sender) {
    std::printf("%s\n", what);
    for (const int fd : {receiver, sender})
        say_packet_information(fd);
    Client client;
    client.ask(receiver);
    Message message(256);
    message.show(receiver);
    say("sendto", message.answer(sender));
    client.print_answer();
}

int server_in_use() {
    const int server = bound("0.0.0.0");
    look("before", server, server);
    return server;
}

const char* receive_call_name(int number) {
    constexpr const char* names[receive_calls] = {"recvfrom", "recvmsg", "recvmmsg"};
    return names[number];
}

long receive_by(int number, int fd, Name& peer) {
    char data[64];
    if (number == 0)
        return recvfrom(fd, data, sizeof data, 0, peer.get(), &peer.length);
    iovec part{data, sizeof data};
    mmsghdr message{};
    message.msg_hdr = header_for(peer, part);
    const long result =
        number == 1 ? recvmsg(fd, &message.msg_hdr, 0) : recvmmsg(fd, &message, 1, 0, nullptr);
    peer.length = message.msg_hdr.msg_namelen;
    return result;
}

void wait_until_blocked(int thread) {
    char path[64];
    std::snprintf(path, sizeof path, "/proc/self/task/%d/stat", thread);
    for (int attempt = 0; attempt < 5000; ++attempt) {
        char line[256] = "";
        if (FILE* file = std::fopen(path, "r")) {
            if (std::fgets(line, sizeof line, file) == nullptr)
                line[0] = '\0';
            std::fclose(file);
        }
        const char* name_end = std::strrchr(line, ')');
        if (name_end != nullptr && name_end[1] != '\0' && name_end[2] == 'S')
            return;
        usleep(1000);
    }
}

} // namespace probe
