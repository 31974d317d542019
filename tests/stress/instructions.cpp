// SPDX-License-Identifier: MIT
//
// Requests and their answers inside one process and one thread, for counting the instructions of a server's
// part. The client's part is the same in each mode, and made of calls that the shim does not interpose (send,
// recv).
//
//   multihome_instructions plain|pktinfo REQUESTS PORTS
//     plain    the server uses recvfrom() and sendto()
//     pktinfo  the server takes care of the source itself: recvmsg() and sendmsg() with IP_PKTINFO

#include <arpa/inet.h>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vector>

namespace {

[[noreturn]] void fail(const char* what) {
    std::perror(what);
    std::exit(1); // NOLINT(concurrency-mt-unsafe): there are no threads
}

void reply_plain(int fd) {
    char data[64];
    sockaddr_in peer{};
    socklen_t length = sizeof peer;
    const ssize_t received = recvfrom(fd, data, sizeof data, 0, reinterpret_cast<sockaddr*>(&peer), &length);
    if (received < 0 || sendto(fd, data, static_cast<size_t>(received), 0, reinterpret_cast<sockaddr*>(&peer),
                               length) != received)
        fail("plain");
}

void reply_with_packet_info(int fd) {
    char data[64];
    sockaddr_in peer;
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(in_pktinfo))];
    iovec vector{data, sizeof data};
    msghdr message{};
    message.msg_name = &peer;
    message.msg_namelen = sizeof peer;
    message.msg_iov = &vector;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    const ssize_t received = recvmsg(fd, &message, 0);
    if (received < 0)
        fail("recvmsg");
    in_addr local{};
    for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header))
        if (header->cmsg_level == IPPROTO_IP && header->cmsg_type == IP_PKTINFO) {
            in_pktinfo info;
            std::memcpy(&info, CMSG_DATA(header), sizeof info);
            local = info.ipi_spec_dst;
        }
    in_pktinfo info{};
    info.ipi_spec_dst = local;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = IPPROTO_IP;
    header->cmsg_type = IP_PKTINFO;
    header->cmsg_len = CMSG_LEN(sizeof info);
    std::memcpy(CMSG_DATA(header), &info, sizeof info);
    vector.iov_len = static_cast<size_t>(received);
    if (sendmsg(fd, &message, 0) != received)
        fail("sendmsg");
}

int udp_socket(in_addr_t address, sockaddr_in& name) {
    const int fd = socket(AF_INET, SOCK_DGRAM, 0);
    name = {};
    name.sin_family = AF_INET;
    name.sin_addr.s_addr = htonl(address);
    socklen_t length = sizeof name;
    if (fd < 0 || bind(fd, reinterpret_cast<sockaddr*>(&name), length) != 0 ||
        getsockname(fd, reinterpret_cast<sockaddr*>(&name), &length) != 0)
        fail("bind");
    return fd;
}

} // namespace

int main(int count, char** arguments) {
    const std::string_view mode = count == 4 ? arguments[1] : "";
    if (mode != "plain" && mode != "pktinfo") {
        std::fprintf(stderr, "usage: %s plain|pktinfo REQUESTS PORTS\n", arguments[0]);
        return 2;
    }
    const unsigned long requests = std::strtoul(arguments[2], nullptr, 10);
    const unsigned long ports = std::strtoul(arguments[3], nullptr, 10);
    rlimit limit{};
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }

    sockaddr_in name;
    const int server = udp_socket(INADDR_ANY, name);
    const int on = 1;
    if (mode == "pktinfo" && setsockopt(server, IPPROTO_IP, IP_PKTINFO, &on, sizeof on) != 0)
        fail("IP_PKTINFO");
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    std::vector<int> clients;
    for (unsigned long port = 0; port < ports; ++port) {
        sockaddr_in own;
        clients.push_back(udp_socket(INADDR_LOOPBACK, own));
        if (connect(clients.back(), reinterpret_cast<sockaddr*>(&name), sizeof name) != 0)
            fail("connect");
    }

    for (unsigned long request = 0; request < requests; ++request) {
        const int client = clients[request % ports];
        char data[32] = "?";
        if (send(client, data, sizeof data, 0) < 0)
            fail("send");
        if (mode == "plain")
            reply_plain(server);
        else
            reply_with_packet_info(server);
        if (recv(client, data, sizeof data, 0) < 0)
            fail("recv");
    }
    return 0;
}
