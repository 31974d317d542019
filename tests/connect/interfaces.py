# SPDX-License-Identifier: MIT
"""Interfaces "one" and "two" beside "many" (see common.py), and the one that a socket's multicast leaves through."""
import socket
import struct

from common import ip, skip

IP_MULTICAST_IF = 32
IP_PKTINFO = 8
GROUP = "239.255.77.77"


def two_interfaces():
    for number, device in enumerate(("one", "two"), 1):
        if not ip("link", "add", device, "type", "veth", "peer", "name", f"{device}-peer", may_fail=True):
            skip("cannot make a veth pair")
        ip("address", "add", f"198.51.100.{number}/32", "dev", device)
        ip("link", "set", device, "up")
        ip("link", "set", f"{device}-peer", "up")
    ip("route", "add", "224.0.0.0/4", "dev", "one")


def chosen_address(sock):
    return socket.inet_ntoa(sock.getsockopt(socket.IPPROTO_IP, IP_MULTICAST_IF, 4))


def leaves_through(sock):
    """The interface that a multicast datagram of the socket's leaves through: its looped copy arrives there."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
        listener.bind((GROUP, 0))
        listener.settimeout(2)
        for device in ("many", "one", "two"):
            member = socket.inet_aton(GROUP) + bytes(4) + struct.pack("=i", socket.if_nametoindex(device))
            listener.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
        group = f"::ffff:{GROUP}" if sock.family == socket.AF_INET6 else GROUP
        sock.sendto(b"multicast", (group, listener.getsockname()[1]))
        for level, kind, data in listener.recvmsg(100, 200)[1]:
            if (level, kind) == (socket.IPPROTO_IP, IP_PKTINFO):
                return socket.if_indextoname(struct.unpack_from("=i", data)[0])
    raise OSError("no packet information")
