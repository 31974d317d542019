# SPDX-License-Identifier: MIT
"""A server that connects its socket to the peer that it has just heard."""
import errno
import os
import socket
import struct

from common import (SHIM, TOPICS, V4, disconnect, end, expect, family, free_port, hear, hears, in_child, ip, local,
                    skip, source)
from interfaces import IP_MULTICAST_IF, chosen_address, leaves_through, two_interfaces


def meet(f, server, address, data=b"question"):
    """A client that asks `address`, and the peer that the server then hears."""
    client = f.client()
    f.ask(client, server, address, data)
    return client, hear(server)


def converse(f, server, client, address):
    """Both directions, twice. Bare, the answers come from elsewhere and the server is deaf."""
    for _ in range(2):
        server.send(b"answer")
        expect("answered from", source(client), address, f.route)
        f.ask(client, server, address, b"more")
        expect("hears", hears(server, 5 if SHIM else 0.3), b"more", "none")


def first(name):
    f = family(name)
    for asked in (f.first, f.second):
        server = f.server()
        port = server.getsockname()[1]
        print(f"port {port}")
        client, peer = meet(f, server, asked)
        server.connect(peer)
        expect("local address", local(server), f.seen(asked), f.seen(f.route))
        expect("the port", server.getsockname()[1], port)
        expect("the peer", server.getpeername(), peer)
        converse(f, server, client, asked)
        stranger = f.client()
        f.ask(stranger, server, asked, b"stranger")
        expect("a stranger is heard", hears(server, 0.2), "none")


def again(name, how):
    """how: by_number, where the program chose the port, or any_port."""
    f = family(name)
    server = free_port(f) if how == "by_number" else f.server()
    port = server.getsockname()[1]
    print(f"port {port}")
    one, peer_one = meet(f, server, f.first)
    two, peer_two = meet(f, server, f.second)
    server.connect(peer_one)
    expect("first, local address", local(server), f.seen(f.first), f.seen(f.route))
    server.connect(peer_two)
    expect("next, local address", local(server), f.seen(f.second), f.seen(f.route))
    expect("next, the port", server.getsockname()[1], port)
    expect("next, the peer", server.getpeername(), peer_two)
    converse(f, server, two, f.second)
    server.connect(peer_one)
    expect("back, local address", local(server), f.seen(f.first), f.seen(f.route))
    expect("back, the port", server.getsockname()[1], port)
    converse(f, server, one, f.first)

    disconnect(server)
    expect("dissolved, local address", local(server), f.wildcard)
    # The kernel takes a port away that it has chosen itself. A socket that was steered twice keeps it.
    expect("dissolved, the port is kept or gone", server.getsockname()[1] in ((port,) if how == "by_number" else
                                                                             (port, 0)), True)
    if how != "by_number":
        return
    for asked in (f.first, f.second):
        client, peer = meet(f, server, asked)
        server.sendto(b"answer", peer)
        expect("dissolved, answered from", source(client), asked, f.route)
    three, peer_three = meet(f, server, f.second)
    server.connect(peer_three)
    expect("connected anew, local address", local(server), f.seen(f.second), f.seen(f.route))
    converse(f, server, three, f.second)
    disconnect(server)
    four, peer_four = meet(f, server, f.first)
    server.connect(peer_four)
    expect("once more, local address", local(server), f.seen(f.first), f.seen(f.route))
    expect("once more, the port", server.getsockname()[1], port)
    converse(f, server, four, f.first)


def multicast_if(how):
    f = family("v4_secondary")
    two_interfaces()
    two = struct.pack("=i", socket.if_nametoindex("two"))
    choice, address, device = {
        "unset": (None, "0.0.0.0", "one"),
        "by_address": (socket.inet_aton("198.51.100.2"), "198.51.100.2", "two"),
        "by_address_mreq": (bytes(4) + socket.inet_aton("198.51.100.2"), "198.51.100.2", "two"),
        "by_address_mreqn": (bytes(4) + socket.inet_aton("198.51.100.2") + bytes(4), "198.51.100.2", "two"),
        "by_index": (bytes(8) + two, "0.0.0.0", "two"),
        "by_both": (bytes(4) + socket.inet_aton("198.51.100.1") + two, "198.51.100.1", "two"),
    }[how]
    for when in ("before the request", "after it"):
        server = f.server()
        if choice and when == "before the request":
            server.setsockopt(socket.IPPROTO_IP, IP_MULTICAST_IF, choice)
        one, peer_one = meet(f, server, f.second)
        next_, peer_next = meet(f, server, f.first)
        if choice and when == "after it":
            server.setsockopt(socket.IPPROTO_IP, IP_MULTICAST_IF, choice)
        before = chosen_address(server)
        expect(f"{when}, IP_MULTICAST_IF", before, address)
        for client, peer, asked in ((one, peer_one, f.second), (next_, peer_next, f.first)):
            server.connect(peer)
            expect("local address", local(server), asked, f.route)
            expect("IP_MULTICAST_IF", chosen_address(server), before)
            # Where nothing was chosen, the kernel takes the interface that the local address is on.
            expect("multicast leaves through", leaves_through(server), device if choice else "many")
            server.send(b"answer")
            expect("answered from", source(client), asked, f.route)
        disconnect(server)
        expect("dissolved, multicast leaves through", leaves_through(server), device)


def great_multicast_index():
    """An IP_MULTICAST_IF that could not be put back: the next connect() keeps the address, as a plain one does."""
    f = family("v4_secondary")
    ip("link", "add", "great", "index", "70000", "type", "veth", "peer", "name", "great-peer")
    ip("link", "set", "great", "up")
    server = f.server()
    _, peer = meet(f, server, f.second)
    other, peer_other = meet(f, server, f.first)
    server.connect(peer)
    expect("local address", local(server), f.second, f.route)
    server.setsockopt(socket.IPPROTO_IP, IP_MULTICAST_IF, struct.pack("=8xi", 70000))
    server.connect(peer_other)
    expect("its peer", server.getpeername(), peer_other)
    expect("local address", local(server), f.second, f.route)
    server.send(b"answer")
    expect("answered from", source(other), f.second, f.route)


def interface_down():
    """The kernel takes in what is sent to an IPv4 address whose interface is down, and answers from it."""
    f = family("v4_secondary")
    asked = "198.51.100.1"
    if not ip("link", "add", "asleep", "type", "veth", "peer", "name", "asleep-peer", may_fail=True):
        skip("cannot make a veth pair")
    ip("address", "add", f"{asked}/32", "dev", "asleep")
    server = f.server()
    client, peer = meet(f, server, asked)
    server.connect(peer)
    expect("local address", local(server), asked, f.route)
    expect("IP_MULTICAST_IF", chosen_address(server), "0.0.0.0")
    converse(f, server, client, asked)


def unknown_peer(name):
    f = family(name)
    fresh = f.server()
    stranger = f.client()
    fresh.connect((f.seen(f.peer), stranger.getsockname()[1]))
    expect("never heard anybody, local address", local(fresh), f.seen(f.route))

    server = f.server()
    port = server.getsockname()[1]
    known, peer = meet(f, server, f.first)
    other = f.client()
    server.connect((f.seen(f.peer), other.getsockname()[1]))
    expect("unknown peer, local address", local(server), f.seen(f.route))
    server.send(b"hello")
    expect("it hears", source(other), f.route)
    f.ask(other, port, f.route, b"reply")
    expect("its reply", hears(server), b"reply")
    server.connect(peer)
    expect("the one that it has heard, local address", local(server), f.seen(f.first), f.seen(f.route))
    converse(f, server, known, f.first)
    server.connect((f.seen(f.peer), other.getsockname()[1]))
    # The kernel keeps the address that a socket has.
    expect("unknown after known, the peer", server.getpeername()[1], other.getsockname()[1])


def code_of(sock, peer):
    try:
        sock.connect(peer)
        return "connected"
    except OSError as error:
        return errno.errorcode[error.errno]


def as_before(f, server, client, peer):
    """A connected socket whose next connect() has failed. One answer only: the kernel (6.18) sends the second one
    after that to where it failed to connect to, bare as well, until the next connect()."""
    server.send(b"answer")
    expect("answered from", source(client), f.second, f.route)
    server.connect(peer)
    expect("connected once more, local address", local(server), f.second, f.route)
    converse(f, server, client, f.second)


def fails(how):
    f = family("v4_secondary")
    server = free_port(f)
    port = server.getsockname()[1]
    name = ("0.0.0.0", port)
    if how == "broadcast":
        default_route()
        expect("before any peer", code_of(server, ("255.255.255.255", 9)), "EACCES")
        expect("its name", server.getsockname(), name)
        client, peer = meet(f, server, f.second)
        expect("after a peer", code_of(server, ("255.255.255.255", 9)), "EACCES")
        expect("its name", server.getsockname(), name)
        # Still an ordinary server.
        other, peer_other = meet(f, server, f.first)
        server.sendto(b"answer", peer_other)
        expect("answered from", source(other), f.first, f.route)
        server.connect(peer)
        expect("connected", local(server), f.second, f.route)
        expect("from a connected one", code_of(server, ("255.255.255.255", 9)), "EACCES")
        expect("its name", server.getsockname(), (f.second if SHIM else f.route, port))
        expect("its peer", server.getpeername(), peer)
        as_before(f, server, client, peer)
    elif how == "unreachable":
        # A heard peer that is gone when the server connects.
        ip("address", "add", "203.0.113.1/32", "dev", "lo")
        far = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        far.bind(("203.0.113.1", 0))
        far.settimeout(5)
        f.ask(far, server, f.second)
        peer_far = hear(server)
        ip("address", "delete", "203.0.113.1/32", "dev", "lo")
        expect("the peer is gone", code_of(server, peer_far), "ENETUNREACH")
        expect("its name", server.getsockname(), name)
        client, peer = meet(f, server, f.second)
        server.sendto(b"answer", peer)
        expect("answered from", source(client), f.second, f.route)
        server.connect(peer)
        expect("from a connected one", code_of(server, peer_far), "ENETUNREACH")
        expect("its name", server.getsockname(), (f.second if SHIM else f.route, port))
        expect("its peer", server.getpeername(), peer)
        as_before(f, server, client, peer)
        disconnect(server)
        expect("its name", server.getsockname(), name)
        ip("address", "add", "203.0.113.1/32", "dev", "lo")
        f.ask(far, server, f.second)
        expect("the peer is back", code_of(server, hear(server)), "connected")
        expect("its name", server.getsockname(), (f.second, port), ("203.0.113.1", port))
    elif how == "given_back":
        ip("address", "add", "203.0.113.1/32", "dev", "lo")
        far = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        far.bind(("203.0.113.1", 0))
        far.settimeout(5)
        server.setblocking(False)
        for asked in (f.first, f.second):
            f.ask(far, server, asked)
        peer_far = hear(server)
        expect("the other question is heard", hear(server), peer_far)
        expect("and no more", hears_now(server), "none")
        ip("address", "delete", "203.0.113.1/32", "dev", "lo")
        expect("the peer is gone", code_of(server, peer_far), "ENETUNREACH")
        ip("address", "add", "203.0.113.1/32", "dev", "lo")
        for asked in (f.first, f.second):
            server.sendto(b"answer", peer_far)
            expect("answered in order from", source(far), asked, "203.0.113.1")
    elif how == "address_gone":
        # The address that was asked is not this host's any more: as bare.
        client, peer = meet(f, server, f.second)
        ip("address", "delete", "192.0.2.3/24", "dev", "many")
        expect("the address is gone", code_of(server, peer), "connected")
        expect("its name", server.getsockname(), (f.route, port))
        expect("its peer", server.getpeername(), peer)
        server.send(b"answer")
        expect("answered from", source(client), f.route)
        f.ask(client, port, f.route, b"more")
        expect("hears", hears(server), b"more")
        disconnect(server)
        client, peer = meet(f, server, f.first)
        server.connect(peer)
        expect("another address", local(server), f.first, f.route)
        converse(f, server, client, f.first)


def hears_now(sock):
    try:
        return sock.recvfrom(100)[0]
    except BlockingIOError:
        return "none"


def default_route():
    """255.255.255.255 needs one."""
    ip("link", "add", "out", "type", "veth", "peer", "name", "out-peer")
    ip("link", "set", "out", "up")
    ip("route", "add", "default", "dev", "out")


def reuseport(how):
    """Two workers that share a port. One client port asks two addresses before either is answered; the client tries
    many ports, because the kernel chooses the worker by them.

    separate: each worker has a socket of its own, made after the fork.  batch: and reads what is there first.
    inherited: both sockets are the parent's.
    """
    def make(port=0):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(("0.0.0.0", port))
        return sock

    def work(sock, go):
        sock.setblocking(False)
        os.write(ready[1], b"r")
        while os.read(go, 1):
            read = []
            while True:
                try:
                    read.append(sock.recvfrom(100))
                except BlockingIOError:
                    break
                if how != "batch":
                    sock.sendto(*read.pop())
            for data, peer in read:
                sock.sendto(data, peer)
            os.write(ready[1], b"d")

    ready = os.pipe()
    holder = make()
    port = holder.getsockname()[1]
    print(f"port {port}")
    sockets = [holder, make(port)] if how == "inherited" else []
    if not sockets:
        # Nothing is asked before the workers are there, so that this one may go.
        holder.close()
    workers = []
    for number in range(2):
        go = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(go[1])
            for _, other in workers:
                os.close(other)
            try:
                work(sockets[number] if sockets else make(port), go[0])
            finally:
                os._exit(0)
        os.close(go[0])
        workers.append((child, go[1]))
        if not os.read(ready[0], 1):
            raise OSError("no worker")
    for sock in sockets:
        sock.close()
    os.close(ready[1])
    try:
        right = wrong = silent = 0
        for _ in range(48):
            client = V4.client()
            client.settimeout(2)
            for asked in (V4.first, V4.second):
                V4.ask(client, port, asked, asked.encode())
            for _, go in workers:
                os.write(go, b"g")
            for _ in workers:
                os.read(ready[0], 1)
            for _ in range(2):
                try:
                    data, name = client.recvfrom(100)
                    right += data.decode() == name[0]
                    wrong += data.decode() != name[0]
                except TimeoutError:
                    silent += 1
            client.close()
        expect("answers right, wrong, missing", (right, wrong, silent), (96, 0, 0), (0, 96, 0))
    finally:
        for child, go in workers:
            os.close(go)
            os.waitpid(child, 0)


def bound_to_device(name):
    """A socket that is bound to a device. The shim undoes a connect() by AF_UNSPEC, with which the kernel takes the
    device off as well."""
    f = family(name)
    server = f.server()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
    one, peer_one = meet(f, server, f.second)
    next_, peer_next = meet(f, server, f.first)
    for client, peer, asked in ((one, peer_one, f.second), (next_, peer_next, f.first)):
        server.connect(peer)
        expect("local address", local(server), f.seen(asked), f.seen(f.route))
        expect("device", server.getsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, 16).rstrip(b"\0"), b"lo")
        server.send(b"answer")
        expect("answered from", source(client), asked, f.route)


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
        _, peer = meet(f, server, f.second)
        server.connect(peer)
        expect("local address", local(server), f.second, bare)


def forked_connect():
    """The parent hears, a child connects the socket that it inherited (socat UDP-LISTEN,fork)."""
    server = V4.server()
    client, peer = meet(V4, server, V4.first)

    def child():
        server.connect(peer)
        expect("local address", local(server), V4.first, V4.route)
        converse(V4, server, client, V4.first)

    expect("the child's end", in_child(child), 0)


def connected_by_child():
    """A child connects the socket that it inherited to one client, the parent then to another: it does not know that
    the socket has an address, which connect() alone does not change."""
    server = V4.server()
    _, for_child = meet(V4, server, V4.first)
    client, for_parent = meet(V4, server, V4.second)

    def child():
        server.connect(for_child)
        expect("local address in the child", local(server), V4.first, V4.route)

    expect("the child's end", in_child(child), 0)
    server.connect(for_parent)
    expect("local address", local(server), V4.second, V4.route)
    converse(V4, server, client, V4.second)


TESTS = {"first": first, "again": again, "multicast_if": multicast_if,
         "great_multicast_index": great_multicast_index, "interface_down": interface_down,
         "bound_to_device": bound_to_device, "marked": marked, "unknown_peer": unknown_peer, "fails": fails,
         "reuseport": reuseport, "forked": forked_connect, "connected_by_child": connected_by_child}
TESTS[TOPICS[0]](*TOPICS[1:])
end()
