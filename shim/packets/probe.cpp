// SPDX-License-Identifier: MIT
#include "shim/packets/probe.hpp"

#include "shim/base/control.hpp"
#include "shim/base/kernel_constants.hpp"
#include "shim/base/libc.hpp"
#include "shim/base/permissions.hpp"
#include "shim/sockets/options.hpp"
#include "shim/sockets/socket_calls.hpp"
#include "shim/sockets/sockets.hpp"

#include <algorithm>
#include <array>
#include <linux/sockios.h>
#include <netinet/udp.h>
#include <sys/ioctl.h>

namespace multihome::probe {

namespace {

// The errors that a source can be the reason of; so can a pending error, the destination or another control
// message.
bool may_be_the_source(int error) {
    constexpr std::array errors{
        EINVAL, ENETUNREACH, EHOSTUNREACH, EADDRNOTAVAIL,
        EACCES, ENODEV,      ENXIO,        EAFNOSUPPORT /* a family that the socket does not speak */};
    return std::find(errors.begin(), errors.end(), error) != errors.end();
}

bool finds_no_way(int fd, const msghdr& message) {
    // Where it cannot be asked, the program's own call decides: nothing has been sent.
    if (!permissions::may(Activity::probing))
        return true;
    // By a system call of our own: libc's function is a cancellation point.
    const long result = libc::raw_syscall(SYS_sendmsg, fd, &message, msg_probe | MSG_DONTWAIT | MSG_NOSIGNAL);
    return result < 0 && may_be_the_source(static_cast<int>(-result));
}

// The kernel does not say whether a datagram is being put together, only that nothing waits to be sent.
bool may_be_corked(int fd) {
    const libc::ErrnoGuard keep_errno;
    int queued = 0;
    return permissions::may(Activity::probing) && ioctl(fd, SIOCOUTQ, &queued) == 0 && queued != 0;
}

bool is_corked(int fd) {
    const libc::ErrnoGuard keep_errno;
    return permissions::may(Activity::probing) && socket_calls::read(fd, IPPROTO_UDP, UDP_CORK, 1) != 0;
}

} // namespace

bool fails(int fd, const msghdr& message) {
    return !may_be_corked(fd) && finds_no_way(fd, message);
}

// What was being put together is gone: the kernel drops it when a call fails (udp_sendmsg()). So this does
// not ask may_be_corked(), which is true of every busy socket.
bool fails_after(int fd, const msghdr& message) {
    return may_be_the_source(errno) && finds_no_way(fd, message);
}

// Nothing is being put together behind one that was sent, unless the call or the socket says so. Then it goes
// where its first part has said, and no source is looked at.
bool fails_behind(int fd, const msghdr& message, int flags) {
    return (flags & MSG_MORE) == 0 && !is_corked(fd) && finds_no_way(fd, message);
}

bool allows_now(int fd, const msghdr& message) {
    if (errno != EINVAL)
        return false;
    const Local source = control::read_source(message.msg_control, message.msg_controllen);
    if (source.address.is_ipv4())
        return false;
    // What the kernel refuses without our source as well (an answer to port 0) is not about the source.
    msghdr theirs = message;
    theirs.msg_controllen -= std::min<size_t>(theirs.msg_controllen, CMSG_SPACE(sizeof(in6_pktinfo)));
    return !finds_no_way(fd, theirs) &&
           options::allow_local_route(fd, sockets::peek(fd), source.address.ipv6());
}

} // namespace multihome::probe
