# SPDX-License-Identifier: MIT
"""What a program has chosen itself stays as it is: interfaces for multicast, a sticky source. And a source that is local
by a route alone, or not any more."""
import ctypes
import fcntl
import os
import resource
import socket
import struct
import sys
import termios

from common import (FAMILIES, LIBC, SHIM, TOPICS, addresses, end, expect, family, free_port, hear, ip, local, skip,
                    source)
from interfaces import chosen_address, leaves_through, two_interfaces

IP_MULTICAST_IF = 32
IPV6_PKTINFO, IPV6_FREEBIND, IPV6_RECVPKTINFO, IP_FREEBIND = 50, 78, 49, 15


def inherited(how):
    """A socket that comes from a program without the shim, which has chosen an interface by its index."""
    f = family("v4_secondary")
    if how == "by_index_of_many":
        for last in range(1, 101):
            ip("address", "add", f"10.77.0.{last}/32", "dev", "many")
    two_interfaces()
    server = free_port(f)
    if how in ("by_index", "by_index_of_many", "interface_down"):
        server.setsockopt(socket.IPPROTO_IP, IP_MULTICAST_IF, bytes(8) + struct.pack("=i", socket.if_nametoindex("two")))
    elif how == "by_address":
        server.setsockopt(socket.IPPROTO_IP, IP_MULTICAST_IF, socket.inet_aton("198.51.100.2"))
    elif how == "no_route":
        ip("route", "delete", "224.0.0.0/4")
    if how == "interface_down":
        ip("link", "set", "two", "down")
    server.set_inheritable(True)
    environment = dict(os.environ, INHERITED=str(server.fileno()))
    if "PRELOAD_LATER" in environment:
        environment["LD_PRELOAD"] = environment["PRELOAD_LATER"]
    os.execve(sys.executable, [sys.executable, *sys.argv], environment)


def inheriting(number, how):
    f = FAMILIES["v4_secondary"]  # its addresses are there
    server = socket.socket(fileno=number)
    server.settimeout(5)
    device = {"unset": "one", "at_limit": "one", "no_route": None}.get(how, "two")
    before = chosen_address(server)
    if how == "interface_down":
        # What was chosen cannot be found out now, and is not touched.
        f.ask(f.client(), server, f.second)
        server.connect(hear(server))
        LIBC.connect(server.fileno(), bytes(16), 16)
        ip("link", "set", "two", "up")
        expect("up again, multicast leaves through", leaves_through(server), device)
        return
    if device:
        expect("multicast leaves through", leaves_through(server), device)
    if how == "at_limit":
        # Whether anything was chosen cannot be found out without one more descriptor.
        client = f.client()
        f.ask(client, server, f.second)
        peer = hear(server)
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        next_number = os.dup(server.fileno())
        os.close(next_number)
        resource.setrlimit(resource.RLIMIT_NOFILE, (next_number, limits[1]))
        server.connect(peer)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        LIBC.connect(server.fileno(), bytes(16), 16)
        ip("route", "replace", "224.0.0.0/4", "dev", "two")
        expect("multicast follows the route to", leaves_through(server), "two")
        return
    for asked in (f.first, f.second):
        client = f.client()
        f.ask(client, server, asked)
        server.connect(hear(server))
        expect("local address", local(server), asked, f.route)
        expect("IP_MULTICAST_IF", chosen_address(server), before)
        # Where nothing was chosen, the kernel takes the interface that the local address is on.
        expect("multicast leaves through", leaves_through(server), device if device == "two" else "many")
        LIBC.connect(server.fileno(), bytes(16), 16)
    if device:
        expect("dissolved, multicast leaves through", leaves_through(server), device)


def without_preload(work):
    """Starts this program once more without the shim, which it is to have later."""
    if SHIM and "LD_PRELOAD" in os.environ:
        environment = dict(os.environ, PRELOAD_LATER=os.environ["LD_PRELOAD"])
        del environment["LD_PRELOAD"]
        os.execve(sys.executable, [sys.executable, *sys.argv], environment)
    work()


def gone(how):
    """The address or the interface that multicast leaves by is gone: it could not be chosen again."""
    f = family("v4_secondary")
    two_interfaces()
    server = free_port(f)
    choice = socket.inet_aton("198.51.100.2") if how == "address" else bytes(8) + struct.pack(
        "=i", socket.if_nametoindex("two"))
    server.setsockopt(socket.IPPROTO_IP, IP_MULTICAST_IF, choice)
    if how == "address":
        ip("address", "delete", "198.51.100.2/32", "dev", "two")
    else:
        ip("link", "delete", "two")
    before = chosen_address(server)
    client = f.client()
    f.ask(client, server, f.second)
    server.connect(hear(server))
    # Rather than lose the choice, the socket gets the address that it would have without the shim.
    expect("local address", local(server), f.route)
    LIBC.connect(server.fileno(), bytes(16), 16)
    expect("IP_MULTICAST_IF", chosen_address(server), before)


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
    client = f.client()
    f.ask(client, server, f.first)
    peer = hear(server)
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
    expect("no choice any more: answered from", source(client), f.first, f.route)


def any_ip(name):
    """Addresses that are local by a route ("AnyIP") are sources as any other."""
    addresses()
    f = family_of_any_ip(name)
    if not ip("-6", "route", "add", "local", "2001:db8:7::/64", "dev", "lo", may_fail=True):
        skip("no such route here")
    server = f.server()
    for asked in ("2001:db8:7::1", "2001:db8::2", "2001:db8:7::ffff:1", "2001:db8:7::1"):
        # Another client each time: where one is known elsewhere, a second answer after a pause goes there.
        client = f.client()
        f.ask(client, server, asked)
        peer = hear(server)
        for _ in range(2):
            server.sendto(b"answer", peer)
            expect("answered from", source(client), asked, f.route)
        f.ask(client, server, asked)
        peer = server.recvmsg(100)[3]
        server.sendmsg([b"answer"], [], 0, peer)
        expect("sendmsg(): answered from", source(client), asked, f.route)
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


def waiting(name, how):
    """An address that goes while something that was sent before still waits for a neighbour that does not answer."""
    f = family(name)
    server = f.server()
    client = f.client()
    f.ask(client, server, f.second)
    peer = hear(server)
    server.sendto(b"answer", peer)
    expect("answered from", source(client), f.second, f.route)
    nobody = "192.0.2.77"
    if name == "v6":
        nobody = "2001:db8:0:1::77"
        ip("address", "add", "2001:db8:0:1::1/64", "dev", "many", "nodad")
    server.sendto(b"question", (nobody, 9))
    ip("address", "delete", *((f"{f.second}/128", "dev", "lo") if name == "v6" else (f"{f.second}/24", "dev", "many")))
    unsent = fcntl.ioctl(server, termios.TIOCOUTQ, bytes(4))
    expect("something waits", unsent != bytes(4), True)
    if how == "batch":
        # Behind one that goes to somebody else.
        expect("sent of two", send_two(server, (f.route, 9), peer), 2)
    else:
        server.sendto(b"answer", peer)
    expect("the address is gone: answered from", source(client), f.route)


if "INHERITED" in os.environ:
    inheriting(int(os.environ["INHERITED"]), TOPICS[1])
elif TOPICS[0] == "inherited":
    without_preload(lambda: inherited(TOPICS[1]))
else:
    {"sticky": sticky, "any_ip": any_ip, "gone": gone, "waiting": waiting}[TOPICS[0]](*TOPICS[1:])
end()
