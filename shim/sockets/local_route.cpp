// SPDX-License-Identifier: MIT
#include "shim/sockets/local_route.hpp"

#include "shim/base/libc.hpp"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <sys/syscall.h>

namespace multihome::local_route {

bool covers(const in6_addr& address) {
    struct {
        nlmsghdr header;
        rtmsg route;
        rtattr attribute;
        in6_addr destination;
    } question{};
    static_assert(sizeof question == question_length);
    question.header.nlmsg_len = sizeof question;
    question.header.nlmsg_type = RTM_GETROUTE;
    question.header.nlmsg_flags = NLM_F_REQUEST;
    question.route.rtm_family = AF_INET6;
    question.route.rtm_dst_len = 128;
    question.attribute = {RTA_LENGTH(sizeof address), RTA_DST};
    question.destination = address;

    // By raw system calls, so that no interposed function sees this descriptor.
    const long fd = libc::raw_syscall(SYS_socket, AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (fd < 0)
        return false;
    // The kernel cuts off the attributes, which we do not look at.
    struct {
        nlmsghdr header;
        rtmsg route;
    } answer{};
    static_assert(sizeof answer == answer_length);
    const bool answered =
        libc::raw_syscall(SYS_sendto, fd, &question, sizeof question) == long{sizeof question} &&
        libc::raw_syscall(SYS_recvfrom, fd, &answer, sizeof answer, MSG_DONTWAIT) >=
            long{NLMSG_LENGTH(sizeof(rtmsg))};
    libc::raw_syscall(SYS_close, fd);
    // The kernel itself makes the routes of addresses on interfaces (RTPROT_KERNEL).
    return answered && answer.header.nlmsg_type == RTM_NEWROUTE && answer.route.rtm_type == RTN_LOCAL &&
           answer.route.rtm_protocol != RTPROT_KERNEL;
}

} // namespace multihome::local_route
