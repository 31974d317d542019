// SPDX-License-Identifier: MIT
//
// A server that takes over the sockets of its predecessor, all of one port. Its system calls are counted by
// questions.sh.
//
//   handed SOCKETS
#include "names.hpp"

#include <sys/resource.h>

namespace {

struct Room {
    alignas(cmsghdr) unsigned char bytes[CMSG_SPACE(sizeof(int))];
};

// Sends the descriptor from one end of a pair of UNIX sockets to the other. Returns the new one.
int hand(int fd, const int (&pair)[2]) {
    char byte = 'x';
    iovec data{&byte, 1};
    Room room{};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = room.bytes;
    message.msg_controllen = sizeof room.bytes;
    cmsghdr* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof fd);
    std::memcpy(CMSG_DATA(header), &fd, sizeof fd);
    must(sendmsg(pair[0], &message, 0) == 1, "sendmsg");
    must(recvmsg(pair[1], &message, 0) == 1 && CMSG_FIRSTHDR(&message) != nullptr, "recvmsg");
    int handed = -1;
    std::memcpy(&handed, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof handed);
    return handed;
}

} // namespace

int main(int count, char** arguments) {
    if (count != 2)
        return 2;
    rlimit limit{};
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    int pair[2];
    must(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) == 0, "socketpair");
    sockaddr_in own = name_at(0, htons(5300));
    for (int number = std::atoi(arguments[1]); number > 0; --number) {
        const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        const int on = 1;
        must(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) == 0, "SO_REUSEPORT");
        must(bind(fd, any(own), sizeof own) == 0, "bind");
        const int handed = hand(fd, pair);
        close(fd);
        char data[16];
        must(recv(handed, data, sizeof data, MSG_DONTWAIT) == -1, "recv");
        sockaddr_in peer{};
        socklen_t length = sizeof peer;
        must(recvfrom(handed, data, sizeof data, MSG_DONTWAIT, any(peer), &length) == -1, "recvfrom");
    }
    return 0;
}
