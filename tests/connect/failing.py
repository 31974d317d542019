# SPDX-License-Identifier: MIT
"""A connect() that fails, or cannot have the address that was asked."""
import errno
import os
import socket
import subprocess

from common import (FAR, FAR_V6, SHIM, V6, await_addresses, disconnect, expect, family, far_address, far_client, free_port,
                    hear, hears, ip, local, run, skip, source)


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
    f.expect_answer(client, f.second)
    server.connect(peer)
    expect("connected once more, local address", local(server), f.second, f.route)
    f.converse(server, client, f.second)


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


def broadcast():
    f = family("v4_secondary")
    server = free_port(f)
    name = server.getsockname()
    default_route()
    expect("before any peer", code_of(server, ("255.255.255.255", 9)), "EACCES")
    expect("its name", server.getsockname(), name)
    client, peer = f.meet(server, f.second)
    expect("after a peer", code_of(server, ("255.255.255.255", 9)), "EACCES")
    expect("its name", server.getsockname(), name)
    # Still an ordinary server.
    other, peer_other = f.meet(server, f.first)
    server.sendto(b"answer", peer_other)
    f.expect_answer(other, f.first)
    server.connect(peer)
    expect("connected", local(server), f.second, f.route)
    expect("from a connected one", code_of(server, ("255.255.255.255", 9)), "EACCES")
    expect("its name", server.getsockname(), (f.second if SHIM else f.route, name[1]))
    expect("its peer", server.getpeername(), peer)
    as_before(f, server, client, peer)


def unreachable():
    """A heard peer that is gone when the server connects."""
    f = family("v4_secondary")
    server = free_port(f)
    name = server.getsockname()
    far = far_client()
    f.ask(far, server, f.second)
    peer_far = hear(server)
    far_address("delete")
    expect("the peer is gone", code_of(server, peer_far), "ENETUNREACH")
    expect("its name", server.getsockname(), name)
    client, peer = f.meet(server, f.second)
    server.sendto(b"answer", peer)
    f.expect_answer(client, f.second)
    server.connect(peer)
    expect("from a connected one", code_of(server, peer_far), "ENETUNREACH")
    expect("its name", server.getsockname(), (f.second if SHIM else f.route, name[1]))
    expect("its peer", server.getpeername(), peer)
    as_before(f, server, client, peer)
    disconnect(server)
    expect("its name", server.getsockname(), name)
    far_address("add")
    f.ask(far, server, f.second)
    expect("the peer is back", code_of(server, hear(server)), "connected")
    expect("its name", server.getsockname(), (f.second, name[1]), (FAR, name[1]))


def keeps_address():
    """A socket of ::ffff:0.0.0.0 would keep the address that a refused connect() has given it."""
    f = family("mapped")
    # From the second time on, the process knows that the routing table chooses another address.
    for server in free_port(f), f.server(), free_port(f), f.server():
        name = server.getsockname()
        far = far_client()
        f.ask(far, server, f.second)
        peer_far = hear(server)
        far_address("delete")
        expect("the peer is gone", code_of(server, peer_far), "ENETUNREACH")
        expect("its name", server.getsockname(), name)
        client, peer = f.meet(server, f.second)
        server.connect(peer)
        f.expect_local(server, f.second)
        f.converse(server, client, f.second)


def hears_others(name, why):
    """AF_UNSPEC does not take the peer's address off an IPv6 socket, which hears no other IPv6 peer from then on. So a
    server that connects to a peer in vain must not have been connected to anything on the way."""
    f = family(name)
    if name != "v6":
        family("v6")  # the other peer's addresses
    far = FAR_V6 if name == "v6" else FAR

    def obstruct(begin):
        if why == "no_route":
            far_address("delete" if begin else "add", far)
        elif not ip("xfrm", "policy", "add" if begin else "delete", "dst", far, "dir", "out",
                    *(["action", "block"] if begin else []), may_fail=True):
            skip("this kernel has no IPsec")

    if why == "policy":
        # Elsewhere than on the loopback interface, policies count from the start.
        with open("/proc/sys/net/ipv4/conf/lo/disable_xfrm", "w", encoding="ascii") as switch:
            switch.write("0")

    client_far = far_client(far)
    # From the second time on, the process knows that the routing table chooses another address.
    for server in free_port(f), f.server(), free_port(f), f.server():
        name_before = server.getsockname()
        f.ask(client_far, server, f.second)
        peer_far = hear(server)
        obstruct(True)
        expect("connecting", code_of(server, peer_far), "ENETUNREACH" if why == "no_route" else "EPERM")
        expect("its name", server.getsockname(), name_before)
        obstruct(False)
        other = V6.client()
        V6.ask(other, server, V6.second, b"other")
        expect("another one is heard", hears(server, 2), b"other")
        client, peer = f.meet(server, f.second)
        server.connect(peer)
        f.expect_local(server, f.second)
        f.converse(server, client, f.second)


def device(sock):
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, 16).rstrip(b"\0")


def asked_on_link():
    """A client with a global address has asked a link-local one of ours, or somebody on that link has in its name. With
    that address the server would be bound to that link's device, and the next peer may be elsewhere."""
    f = family("v6_link_local")
    far = "2001:db8:1::1"
    ip("address", "add", f"{far}/64", "dev", "end1", "nodad")
    await_addresses([far])
    # What this host sends to its own address goes over the link, too.
    ip("-6", "rule", "add", "pref", "100", "lookup", "local")
    ip("-6", "rule", "del", "pref", "0")
    ip("-6", "rule", "add", "pref", "50", "iif", "lo", "to", far, "lookup", "50")
    ip("-6", "route", "add", far, "dev", "end0", "table", "50")
    client = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    client.bind((far, 0))
    # From the second time on, the process knows that the routing table chooses another address.
    for server in free_port(f), f.server(), free_port(f), f.server():
        elsewhere, peer_elsewhere = V6.meet(server, V6.second)
        f.ask(client, server, f.second)
        expect("connecting", code_of(server, hear(server)), "connected")
        expect("device", device(server), b"")
        expect("connecting elsewhere", code_of(server, peer_elsewhere), "connected")
        server.send(b"answer")
        expect("is heard", hears(elsewhere), b"answer")


def another_link():
    """A connected server whose next peer is on another link than its device. It keeps the peer that it has."""
    f = family("v6_link_local")
    for server in free_port(f), f.server():
        client, peer = f.meet(server, f.second)
        # From the other end, where nobody else asks.
        other = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        other.bind(f.name(f.route, 0, "end0"))
        other.sendto(b"question", f.name(f.peer, server.getsockname()[1], "end0"))
        peer_other = hear(server)
        server.connect(peer)
        expect("connecting", code_of(server, peer_other), "EINVAL")
        expect("its peer", server.getpeername(), peer)
        expect("device", device(server), b"end0")
        f.converse(server, client, f.second)


def without_port():
    """A socket that has lost its port with its peer gets no port where the program asks for the MTU of its way."""
    f = family("mapped")
    server = f.server()
    server.connect(("::ffff:127.0.0.1", 9))
    disconnect(server)
    expect("its port", server.getsockname()[1], 0)
    ipv6_mtu = 24
    try:
        told = server.getsockopt(socket.IPPROTO_IPV6, ipv6_mtu)
    except OSError as error:
        told = errno.errorcode[error.errno]
    expect("the MTU", told, "ENOTCONN")
    expect("its port", server.getsockname()[1], 0)


def given_back():
    """An answer by connect() that failed is still to be given."""
    f = family("v4_secondary")
    server = free_port(f)
    far = far_client()
    server.setblocking(False)
    for asked in (f.first, f.second):
        f.ask(far, server, asked)
    peer_far = hear(server)
    expect("the other question is heard", hear(server), peer_far)
    expect("and no more", hears_now(server), "none")
    far_address("delete")
    expect("the peer is gone", code_of(server, peer_far), "ENETUNREACH")
    far_address("add")
    for asked in (f.first, f.second):
        server.sendto(b"answer", peer_far)
        expect("answered in order from", source(far), asked, FAR)


def address_gone():
    """The address that was asked is not this host's any more: as bare."""
    f = family("v4_secondary")
    server = free_port(f)
    port = server.getsockname()[1]
    client, peer = f.meet(server, f.second)
    ip("address", "delete", "192.0.2.3/24", "dev", "many")
    expect("the address is gone", code_of(server, peer), "connected")
    expect("its name", server.getsockname(), (f.route, port))
    expect("its peer", server.getpeername(), peer)
    server.send(b"answer")
    expect("answered from", source(client), f.route)
    f.ask(client, server, f.route, b"more")
    expect("hears", hears(server), b"more")
    disconnect(server)
    client, peer = f.meet(server, f.first)
    server.connect(peer)
    expect("another address", local(server), f.first, f.route)
    f.converse(server, client, f.first)


def filtered(name):
    """A packet filter drops what leaves from the address that was asked. A connected socket has one address: see LIMITS in
    multihome(7). The next client is served all the same."""
    f = family(name)
    word = "ip6" if f.domain == socket.AF_INET6 else "ip"
    rules = f"table {word} t {{ chain c {{ type filter hook output priority 0; {word} saddr {f.second} drop; }}; }}"
    try:
        subprocess.run(["nft", rules], env={"PATH": os.environ["PATH"]}, check=True)
    except (OSError, subprocess.CalledProcessError):
        skip("this kernel has no nftables, or nft is not installed")
    server = free_port(f)
    client, peer = f.meet(server, f.second)
    expect("connected", code_of(server, peer), "connected")
    expect("its name", local(server), f.second, f.route)
    try:
        server.send(b"answer")
        sent = "sent"
    except OSError as error:
        sent = errno.errorcode[error.errno]
    expect("an answer from there", sent, "EPERM", "sent")
    expect("the client hears", hears(client, 0.3 if SHIM else 30), "none", b"answer")
    disconnect(server)
    client, peer = f.meet(server, f.first)
    server.connect(peer)
    expect("the next one", local(server), f.first, f.route)
    f.converse(server, client, f.first)


run({"broadcast": broadcast, "unreachable": unreachable, "keeps_address": keeps_address, "hears_others": hears_others,
     "asked_on_link": asked_on_link, "another_link": another_link, "without_port": without_port, "given_back": given_back,
     "address_gone": address_gone, "filtered": filtered})
