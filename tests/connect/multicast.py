# SPDX-License-Identifier: MIT
"""The interface that multicast leaves through stays what the program chose, though connect uses that option."""
import os
import resource
import socket
import struct
import sys

from common import FAMILIES, SHIM, TOPICS, disconnect, end, expect, family, free_port, ip, local, run
from interfaces import IP_MULTICAST_IF, chosen_address, leaves_through, two_interfaces


def by_index(device):
    """IP_MULTICAST_IF as an ip_mreqn."""
    return struct.pack("=8xi", socket.if_nametoindex(device))


def chosen(how):
    f = family("v4_secondary")
    two_interfaces()
    choice, address, device = {
        "unset": (None, "0.0.0.0", "one"),
        "by_address": (socket.inet_aton("198.51.100.2"), "198.51.100.2", "two"),
        "by_address_mreq": (bytes(4) + socket.inet_aton("198.51.100.2"), "198.51.100.2", "two"),
        "by_address_mreqn": (bytes(4) + socket.inet_aton("198.51.100.2") + bytes(4), "198.51.100.2", "two"),
        "by_index": (by_index("two"), "0.0.0.0", "two"),
        "by_both": (bytes(4) + socket.inet_aton("198.51.100.1") + by_index("two")[8:], "198.51.100.1", "two"),
    }[how]
    for when in ("before the request", "after it"):
        server = f.server()
        if choice and when == "before the request":
            server.setsockopt(socket.IPPROTO_IP, IP_MULTICAST_IF, choice)
        one, peer_one = f.meet(server, f.second)
        next_, peer_next = f.meet(server, f.first)
        if choice and when == "after it":
            server.setsockopt(socket.IPPROTO_IP, IP_MULTICAST_IF, choice)
        before = chosen_address(server)
        expect(f"{when}, IP_MULTICAST_IF", before, address)
        for client, peer, asked in ((one, peer_one, f.second), (next_, peer_next, f.first)):
            server.connect(peer)
            f.expect_local(server, asked)
            expect("IP_MULTICAST_IF", chosen_address(server), before)
            # Where nothing was chosen, the kernel takes the interface that the local address is on.
            expect("multicast leaves through", leaves_through(server), device if choice else "many")
            server.send(b"answer")
            f.expect_answer(client, asked)
        disconnect(server)
        expect("dissolved, multicast leaves through", leaves_through(server), device)


def great_index():
    """An IP_MULTICAST_IF that could not be put back: the next connect() keeps the address, as a plain one does."""
    f = family("v4_secondary")
    ip("link", "add", "great", "index", "70000", "type", "veth", "peer", "name", "great-peer")
    ip("link", "set", "great", "up")
    server = f.server()
    _, peer = f.meet(server, f.second)
    other, peer_other = f.meet(server, f.first)
    server.connect(peer)
    f.expect_local(server, f.second)
    server.setsockopt(socket.IPPROTO_IP, IP_MULTICAST_IF, struct.pack("=8xi", 70000))
    server.connect(peer_other)
    expect("its peer", server.getpeername(), peer_other)
    f.expect_local(server, f.second)
    server.send(b"answer")
    f.expect_answer(other, f.second)

    fresh = f.server()
    fresh.setsockopt(socket.IPPROTO_IP, IP_MULTICAST_IF, struct.pack("=8xi", 70000))
    _, peer = f.meet(fresh, f.second)
    fresh.connect(peer)
    expect("from the first connect() on, local address", local(fresh), f.route)


def family_of(how):
    return "mapped" if how == "keeps_address" else "v4_secondary"


def inherited(how):
    """A socket that comes from a program without the shim, which has chosen an interface by its index."""
    f = family(family_of(how))
    if how == "by_index_of_many":
        for last in range(1, 101):
            ip("address", "add", f"10.77.0.{last}/32", "dev", "many")
    two_interfaces()
    server = free_port(f)
    if how in ("by_index", "by_index_of_many", "interface_down", "keeps_address"):
        server.setsockopt(socket.IPPROTO_IP, IP_MULTICAST_IF, by_index("two"))
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
    f = FAMILIES[family_of(how)]  # its addresses are there
    server = socket.socket(fileno=number)
    server.settimeout(5)
    device = {"unset": "one", "at_limit": "one", "no_route": None}.get(how, "two")
    before = chosen_address(server)
    if how == "keeps_address":
        # A socket of ::ffff:0.0.0.0. To find out what was chosen would give it an address for good.
        _, peer = f.meet(server, f.second)
        server.connect(peer)
        f.expect_local(server, f.route)
        expect("multicast leaves through", leaves_through(server), device)
        return
    if how == "interface_down":
        # What was chosen cannot be found out now, and is not touched.
        _, peer = f.meet(server, f.second)
        server.connect(peer)
        disconnect(server)
        ip("link", "set", "two", "up")
        expect("up again, multicast leaves through", leaves_through(server), device)
        return
    if device:
        expect("multicast leaves through", leaves_through(server), device)
    if how == "at_limit":
        # Whether anything was chosen cannot be found out without one more descriptor.
        client, peer = f.meet(server, f.second)
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        next_number = os.dup(server.fileno())
        os.close(next_number)
        resource.setrlimit(resource.RLIMIT_NOFILE, (next_number, limits[1]))
        server.connect(peer)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        disconnect(server)
        ip("route", "replace", "224.0.0.0/4", "dev", "two")
        expect("multicast follows the route to", leaves_through(server), "two")
        return
    for asked in (f.first, f.second):
        _, peer = f.meet(server, asked)
        server.connect(peer)
        f.expect_local(server, asked)
        expect("IP_MULTICAST_IF", chosen_address(server), before)
        # Where nothing was chosen, the kernel takes the interface that the local address is on.
        expect("multicast leaves through", leaves_through(server), device if device == "two" else "many")
        disconnect(server)
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
    choice = socket.inet_aton("198.51.100.2") if how == "address" else by_index("two")
    server.setsockopt(socket.IPPROTO_IP, IP_MULTICAST_IF, choice)
    if how == "address":
        ip("address", "delete", "198.51.100.2/32", "dev", "two")
    else:
        ip("link", "delete", "two")
    before = chosen_address(server)
    _, peer = f.meet(server, f.second)
    server.connect(peer)
    # Rather than lose the choice, the socket gets the address that it would have without the shim.
    expect("local address", local(server), f.route)
    disconnect(server)
    expect("IP_MULTICAST_IF", chosen_address(server), before)


if "INHERITED" in os.environ:
    inheriting(int(os.environ["INHERITED"]), TOPICS[1])
    end()
run({"chosen": chosen, "great_index": great_index, "gone": gone,
     "inherited": lambda how: without_preload(lambda: inherited(how))})
