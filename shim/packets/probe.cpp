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

// True for the errors that a source can cause. A pending error, the destination or another control message
// can cause them too.
bool may_be_the_source(int error) {
    constexpr std::array errors{
        EINVAL,       ENETUNREACH, EHOSTUNREACH, EADDRNOTAVAIL, EACCES, ENODEV, ENXIO,
        EPERM,        // an IPsec policy; a packet filter cannot be met without sending
        EAFNOSUPPORT, // a family that the socket does not speak
        ENOBUFS};     // with ours, the control messages take more memory than the socket has left
    return std::find(errors.begin(), errors.end(), error) != errors.end();
}

// Returns the error, if the source may be its reason; else 0. `more`: flags of the probe.
int find_error(int fd, const msghdr& message, int more = 0) {
    // Where we may not ask, the program's own call decides. Nothing has been sent yet.
    if (!permissions::may(Activity::probing))
        return EINVAL;
    // A system call of our own, because libc's function is a cancellation point.
    const long result =
        libc::raw_syscall(SYS_sendmsg, fd, &message, msg_probe | MSG_DONTWAIT | MSG_NOSIGNAL | more);
    // ENOSYS on 32-bit x86 before Linux 4.3, where libc makes this call by way of socketcall(2).
    const int error = result == -ENOSYS ? EINVAL : result < 0 ? static_cast<int>(-result) : 0;
    return may_be_the_source(error) ? error : 0;
}

// True where a datagram may be in the making. The kernel does not say so, but it says whether anything waits
// to be sent, as it does on every busy socket.
bool may_be_corked(int fd) {
    const libc::ErrnoGuard keep_errno;
    int queued = 0;
    return permissions::may(Activity::probing) && ioctl(fd, SIOCOUTQ, &queued) == 0 && queued != 0;
}

} // namespace

// With MSG_MORE, the kernel does not send a datagram that is in the making. Where there is none, it would
// begin one. With MSG_CONFIRM it stops a probe without data before that (do_confirm in udp_sendmsg() and
// udpv6_sendmsg()); but then it notes that the neighbour is alive, so this is not for every probe.
bool fails(int fd, const msghdr& message) {
    return find_error(fd, message, may_be_corked(fd) ? MSG_MORE | MSG_CONFIRM : 0) != 0;
}

// The kernel drops a datagram in the making when a call fails (udp_sendmsg()). So this does not ask
// may_be_corked().
bool fails_after(int fd, const msghdr& message) {
    return may_be_the_source(errno) && find_error(fd, message) != 0;
}

bool shows_another_try(int fd) {
    const libc::ErrnoGuard keep_errno;
    return permissions::may(Activity::probing) && (socket_calls::read(fd, IPPROTO_UDP, UDP_CORK, 1) != 0 ||
                                                   socket_calls::read(fd, IPPROTO_IP, IP_RECVERR) != 0 ||
                                                   socket_calls::read(fd, IPPROTO_IPV6, IPV6_RECVERR) != 0);
}

bool allows_now(int fd, const msghdr& message) {
    if (errno != EINVAL)
        return false;
    const Local source = control::read_source(message.msg_control, message.msg_controllen);
    if (source.address.is_ipv4())
        return false;
    // Where the kernel refuses the message without our source as well (an answer to port 0), the source is
    // not the reason.
    msghdr theirs = message;
    theirs.msg_controllen = CMSG_ALIGN(theirs.msg_controllen) - CMSG_SPACE(sizeof(in6_pktinfo));
    return find_error(fd, theirs) == 0 &&
           options::allow_local_route(fd, sockets::load(fd), source.address.ipv6());
}

} // namespace multihome::probe
