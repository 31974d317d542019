# SPDX-License-Identifier: MIT
"""A server that connects its socket to the peer that it has just heard."""
import socket
import struct

from common import (LIBC, SHIM, V4, Family, await_addresses, disconnect, expect, family, free_port, hear, hears,
                    in_child, ip, local, run, skip, source)
from control_group import ControlGroup
from interfaces import chosen_address


def first(name):
    f = family(name)
    for asked in (f.first, f.second):
        server = f.server()
        port = server.getsockname()[1]
        print(f"port {port}")
        client, peer = f.meet(server, asked)
        server.connect(peer)
        f.expect_local(server, asked)
        expect("the port", server.getsockname()[1], port)
        expect("the peer", server.getpeername(), peer)
        f.expect_path(server)
        f.converse(server, client, asked)
        stranger = f.client()
        f.ask(stranger, server, asked, b"stranger")
        expect("a stranger is heard", hears(server, 0.2), "none")


def again(name, how):
    """how: by_number, where the program chose the port, or any_port."""
    ip("link", "set", "lo", "up")
    f = family(name)
    server = free_port(f) if how == "by_number" else f.server()
    port = server.getsockname()[1]
    print(f"port {port}")
    one, peer_one = f.meet(server, f.first)
    two, peer_two = f.meet(server, f.second)
    server.connect(peer_one)
    f.expect_local(server, f.first, "first: ")
    server.connect(peer_two)
    f.expect_local(server, f.second, "next: ")
    expect("next: the port", server.getsockname()[1], port)
    expect("next: the peer", server.getpeername(), peer_two)
    f.converse(server, two, f.second)
    server.connect(peer_one)
    f.expect_local(server, f.first, "back: ")
    expect("back: the port", server.getsockname()[1], port)
    f.converse(server, one, f.first)

    disconnect(server)
    expect("dissolved: local address", local(server), f.wildcard)
    # The kernel takes a port away that it has chosen itself. A socket that was steered twice keeps it.
    expect("dissolved, the port is kept or gone", server.getsockname()[1] in ((port,) if how == "by_number" else
                                                                             (port, 0)), True)
    if how != "by_number":
        return
    for asked in (f.first, f.second):
        client, peer = f.meet(server, asked)
        server.sendto(b"answer", peer)
        f.expect_answer(client, asked, "dissolved: ")
    three, peer_three = f.meet(server, f.second)
    server.connect(peer_three)
    f.expect_local(server, f.second, "connected anew: ")
    f.converse(server, three, f.second)
    disconnect(server)
    four, peer_four = f.meet(server, f.first)
    server.connect(peer_four)
    f.expect_local(server, f.first, "once more: ")
    expect("once more: the port", server.getsockname()[1], port)
    f.converse(server, four, f.first)


def keeps_address(how):
    """A socket of ::ffff:0.0.0.0 (.NET binds its dual-mode sockets so, for IPAddress.Any) keeps the address that its
    first connect() has given it. how: as for again()."""
    f = family("mapped")

    def connect_by_ipv4(server, peer):
        name = struct.pack("=H", socket.AF_INET) + struct.pack(">H", peer[1]) + socket.inet_aton(f.peer) + bytes(8)
        expect("connect", LIBC.connect(server.fileno(), name, len(name)), 0)

    def serve(connect):
        for asked, next_asked in ((f.second, f.first), (f.first, f.second), (f.route, f.second)):
            server = free_port(f) if how == "by_number" else f.server()
            port = server.getsockname()[1]
            client, peer = f.meet(server, asked)
            _, peer_next = f.meet(server, next_asked)
            connect(server, peer)
            f.expect_local(server, asked, "first: ")
            expect("first: the port", server.getsockname()[1], port)
            expect("first: the peer", server.getpeername(), peer)
            f.expect_path(server)
            if asked != f.route:
                f.converse(server, client, asked)
            connect(server, peer_next)
            f.expect_local(server, asked if how == "by_number" else next_asked, "next: ")
            expect("next: the peer", server.getpeername(), peer_next)
            if how == "by_number":
                disconnect(server)
                f.expect_local(server, asked, "dissolved: ")
                f.ask(client, server, asked if SHIM else f.route)
                connect(server, hear(server))
                f.expect_local(server, asked, "connected anew: ")

    # In processes that have not steered anything before.
    for connect in (lambda server, peer: server.connect(peer)), connect_by_ipv4:
        expect("the child's end", in_child(lambda: serve(connect)), 0)  # pylint: disable=cell-var-from-loop


def unknown_peer(name):
    f = family(name)
    fresh = f.server()
    stranger = f.client()
    fresh.connect((f.seen(f.peer), stranger.getsockname()[1]))
    expect("never heard anybody, local address", local(fresh), f.seen(f.route))

    server = f.server()
    port = server.getsockname()[1]
    known, peer = f.meet(server, f.first)
    other = f.client()
    server.connect((f.seen(f.peer), other.getsockname()[1]))
    expect("unknown peer, local address", local(server), f.seen(f.route))
    server.send(b"hello")
    expect("it hears", source(other), f.route)
    f.ask(other, port, f.route, b"reply")
    expect("its reply", hears(server), b"reply")
    server.connect(peer)
    f.expect_local(server, f.first, "the one that it has heard: ")
    f.converse(server, known, f.first)
    server.connect((f.seen(f.peer), other.getsockname()[1]))
    # The kernel keeps the address that a socket has.
    expect("unknown after known, the peer", server.getpeername()[1], other.getsockname()[1])


def as_routed():
    """Peers that asked where the routing table answers from, after one that did not: nothing is steered."""
    server = free_port(V4)
    for asked in V4.second, V4.route, V4.route:
        client, peer = V4.meet(server, asked)
        server.connect(peer)
        expect("the peer", server.getpeername(), peer)
        V4.expect_local(server, asked)
        server.send(b"answer")
        V4.expect_answer(client, asked)
        disconnect(server)


def interface_down():
    """The kernel takes in what is sent to an IPv4 address whose interface is down, and answers from it."""
    f = family("v4_secondary")
    asked = "198.51.100.1"
    if not ip("link", "add", "asleep", "type", "veth", "peer", "name", "asleep-peer", may_fail=True):
        skip("cannot make a veth pair")
    ip("address", "add", f"{asked}/32", "dev", "asleep")
    server = f.server()
    client, peer = f.meet(server, asked)
    server.connect(peer)
    f.expect_local(server, asked)
    expect("IP_MULTICAST_IF", chosen_address(server), "0.0.0.0")
    f.converse(server, client, asked)


def device(sock):
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, 16).rstrip(b"\0")


def bound_to_device(name):
    """A socket that is bound to a device. The shim undoes a connect() by AF_UNSPEC, with which the kernel takes the
    device off as well."""
    f = family(name)
    server = f.server()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
    one, peer_one = f.meet(server, f.second)
    next_, peer_next = f.meet(server, f.first)
    for client, peer, asked in ((one, peer_one, f.second), (next_, peer_next, f.first)):
        server.connect(peer)
        f.expect_local(server, asked)
        expect("device", device(server), b"lo")
        server.send(b"answer")
        f.expect_answer(client, asked)


def bound_by_control_group(name):
    """As "ip vrf exec" does it, a program on the control group binds each new socket to a device. So the program makes no
    call of which the shim could know that."""
    f = family(name)
    group = ControlGroup()
    with group.binding_to("lo"):
        made = in_child(lambda: serve_in(group, f))
    expect("wait status", made, 0)


def serve_in(group, f):
    for make in f.server, lambda: free_port(f):
        group.enter()
        server = make()
        group.leave()
        expect("made: device", device(server), b"lo")
        met = [(asked, *f.meet(server, asked)) for asked in (f.second, f.route, f.first)]
        for asked, client, peer in met:
            server.connect(peer)
            f.expect_local(server, asked)
            expect("device", device(server), b"lo")
            server.send(b"answer")
            f.expect_answer(client, asked)


def after_link_local():
    """connect() to a link-local peer binds the socket to the peer's device, which it stays bound to."""
    near = family("v6_link_local")
    far = Family("::", "2001:db8:1::1", "2001:db8:1::2", "2001:db8:1::3", route="fe80::2")
    for address in far.peer, far.first, far.second:
        ip("address", "add", f"{address}/64", "dev", "end0", "nodad")
    await_addresses([far.peer, far.first, far.second])
    server = free_port(near)
    _, peer = near.meet(server, near.second)
    _, next_peer = far.meet(server, far.second)
    for f, to in (near, peer), (far, next_peer):
        server.connect(to)
        f.expect_local(server, f.second)
        expect("device", device(server), b"end0")


def marked():
    """What the routing table chooses for a marked socket is not what it chooses for the next one."""
    f = family("v4_secondary")
    ip("rule", "add", "pref", "100", "lookup", "local")
    ip("rule", "del", "pref", "0")
    ip("rule", "add", "pref", "50", "fwmark", "1", "lookup", "50")
    ip("route", "add", "local", f.peer, "dev", "lo", "src", f.second, "table", "50")
    for mark, bare in (1, f.second), (0, f.route):
        server = free_port(f)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, mark)
        _, peer = f.meet(server, f.second)
        server.connect(peer)
        expect("local address", local(server), f.second, bare)


run({"first": first, "again": again, "keeps_address": keeps_address, "unknown_peer": unknown_peer,
     "as_routed": as_routed, "interface_down": interface_down, "bound_to_device": bound_to_device,
     "bound_by_control_group": bound_by_control_group, "after_link_local": after_link_local, "marked": marked})
