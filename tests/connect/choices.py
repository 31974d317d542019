# SPDX-License-Identifier: MIT
"""A source that the program has chosen itself stays, and one may be local by a route alone, or not any more."""
import ctypes
import fcntl
import socket
import struct
import termios

from common import FAMILIES, LIBC, PATH_OPTIONS, any_ip_route, expect, family, hear, hears, ip, run, source

IPV6_PKTINFO, IPV6_FREEBIND, IPV6_RECVPKTINFO, IP_FREEBIND = 50, 78, 49, 15


def sticky(when):
    """RFC 3542, 6.: what the program has set once for all wins. (Linux takes the interface of it alone.)"""
    f = family("v6")
    server = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    server.settimeout(5)
    none = bytes(20)
    chosen = socket.inet_pton(socket.AF_INET6, f.second) + bytes(4)
    if when == "before_bind":
        server.setsockopt(socket.IPPROTO_IPV6, IPV6_PKTINFO, chosen)
    server.bind(("::", 0))
    client, peer = f.meet(server, f.first)
    if when == "after_bind":
        server.setsockopt(socket.IPPROTO_IPV6, IPV6_PKTINFO, chosen)
    for _ in range(2):
        server.sendto(b"answer", peer)
        expect("the program's choice: answered from", source(client), f.route)
        f.ask(client, server, f.first)
        data, control, _, peer = server.recvmsg(100, 100)
        expect("control messages", (data, control), (b"question", []))
    expect("IPV6_RECVPKTINFO", server.getsockopt(socket.IPPROTO_IPV6, IPV6_RECVPKTINFO), 0)
    server.setsockopt(socket.IPPROTO_IPV6, IPV6_PKTINFO, none)
    f.ask(client, server, f.first)
    server.sendto(b"answer", hear(server))
    f.expect_answer(client, f.first, "no choice any more: ")


def any_ip(name):
    """Addresses that are local by a route ("AnyIP") are sources as any other."""
    any_ip_route()
    f = family_of_any_ip(name)
    server = f.server()
    for asked in ("2001:db8:7::1", "2001:db8::2", "2001:db8:7::ffff:1", "2001:db8:7::1"):
        # Another client each time: where one is known elsewhere, a second answer after a pause goes there.
        client, peer = f.meet(server, asked)
        for _ in range(2):
            server.sendto(b"answer", peer)
            f.expect_answer(client, asked)
        f.ask(client, server, asked)
        peer = server.recvmsg(100)[3]
        server.sendmsg([b"answer"], [], 0, peer)
        f.expect_answer(client, asked, "sendmsg(): ")
    for level, option in ((socket.IPPROTO_IPV6, IPV6_FREEBIND), (socket.IPPROTO_IP, IP_FREEBIND)):
        expect("the option reads", server.getsockopt(level, option), 0)
    # An address that is not this host's any more is no source because of that.
    fresh = f.server()
    f.ask(client, fresh, f.second)
    peer = hear(fresh)
    ip("address", "delete", f"{f.second}/128", "dev", "lo")
    fresh.sendto(b"answer", peer)
    expect("an address that is gone: answered from", source(client), f.route)


def family_of_any_ip(name):
    f = FAMILIES["v6"]
    if name == "dual":
        # IPv6 clients of a dual-stack socket.
        def server(port=0):
            sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            sock.bind(("::", port))
            sock.settimeout(5)
            return sock
        f.server = server
    return f


def send_two(server, *peers):
    """sendmmsg(2) on 64-bit processors: what it returns."""
    names = [struct.pack("=H", socket.AF_INET) + struct.pack(">H4s8x", port, socket.inet_aton(address))
             for address, port in peers]
    places = [ctypes.create_string_buffer(name, 16) for name in names]
    data = ctypes.create_string_buffer(b"answer")
    part = ctypes.create_string_buffer(struct.pack("=QQ", ctypes.addressof(data), 6))
    messages = ctypes.create_string_buffer(b"".join(
        struct.pack("=QI4xQQQQi4xI4x", ctypes.addressof(place), 16, ctypes.addressof(part), 1, 0, 0, 0, 0)
        for place in places))
    return LIBC.sendmmsg(server.fileno(), messages, len(names), 0)


def keep_waiting(f, server):
    """Something that the server sends waits for a neighbour that does not answer, for a minute and not for a second."""
    for table in "arp_cache", "ndisc_cache":
        ip("ntable", "change", "name", table, "dev", "many", "retrans", "60000", may_fail=True)
    nobody = "192.0.2.77"
    if f.client_domain == socket.AF_INET6:
        nobody = "2001:db8:0:1::77"
        ip("address", "add", "2001:db8:0:1::1/64", "dev", "many", "nodad", may_fail=True)
    server.sendto(b"question", (nobody, 9))


def something_waits(server):
    return fcntl.ioctl(server, termios.TIOCOUTQ, bytes(4)) != bytes(4)


def waiting(name, how):
    """An address that goes while something that was sent before still waits."""
    f = family(name)
    server = f.server()
    client, peer = f.meet(server, f.second)
    server.sendto(b"answer", peer)
    f.expect_answer(client, f.second)
    keep_waiting(f, server)
    ip("address", "delete", *((f"{f.second}/128", "dev", "lo") if name == "v6" else (f"{f.second}/24", "dev", "many")))
    expect("something waits", something_waits(server), True)
    if how == "batch":
        # Behind one that goes to somebody else.
        expect("sent of two", send_two(server, (f.route, 9), peer), 2)
    else:
        server.sendto(b"answer", peer)
    expect("the address is gone: answered from", source(client), f.route)


def path(name):
    """What the kernel tells of the way to the peer, while something that was sent before still waits."""
    f = family(name)
    server = f.server()
    client, peer = f.meet(server, f.second)
    keep_waiting(f, server)
    server.connect(peer)
    f.expect_local(server, f.second)
    f.expect_path(server)
    expect("something waits", something_waits(server), True)
    f.converse(server, client, f.second)

    # To ask is no reason to send a datagram that is in the making, nor to send it elsewhere. (Under the shim, the way
    # to the peer is not told meanwhile.)
    server = f.server()
    other = f.client()
    client, peer = f.meet(server, f.second)
    server.connect(peer)
    server.sendto(b"in two ", socket.MSG_MORE, other.getsockname())
    for option in PATH_OPTIONS[f.domain].values():
        try:
            server.getsockopt(*option, 64)
        except OSError:
            pass
    server.send(b"parts")
    expect("the other client hears", hears(other), b"in two parts")


run({"path": path, "sticky": sticky, "any_ip": any_ip, "waiting": waiting})
