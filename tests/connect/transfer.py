# SPDX-License-Identifier: MIT
"""A second socket answers a peer that the first has just heard."""
import errno
import socket
import threading

from common import (FAR, SHIM, TOPICS, end, expect, family, far_address, far_client, hear, hears, in_child, local,
                    source)


def second(f, kind):
    sock = socket.socket(f.domain, socket.SOCK_DGRAM)
    if f.domain == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if f.mapped else 1)
    sock.settimeout(5)
    if kind in ("wildcard_bound", "connected_wildcard_bound"):
        sock.bind((f.wildcard, 0))
    return sock


def transfer(f, kind, peer, client, asked):
    """What a TFTP server does, block by block."""
    with second(f, kind) as sock:
        if kind.startswith("connected"):
            sock.connect(peer)
            f.expect_local(sock, asked)
            f.expect_path(sock)
        for _ in range(3):
            if kind.startswith("connected"):
                sock.send(b"block")
            else:
                sock.sendto(b"block", peer)
            f.expect_answer(client, asked)
            # Where it was asked, a bare connected socket does not hear.
            f.ask(client, sock, asked, b"acknowledged")
            deaf = kind.startswith("connected") and not SHIM
            expect("hears", hears(sock, 0.3 if deaf else 5), b"acknowledged",
                   "none" if kind.startswith("connected") else None)


def answers(kind, where, name):
    f = family(name)
    server = f.server()
    print(f"port {server.getsockname()[1]}")
    for asked in (f.first, f.second, f.first):
        client, peer = f.meet(server, asked)

        def work():
            transfer(f, kind, peer, client, asked)  # pylint: disable=cell-var-from-loop

        if where == "here":
            work()
        elif where == "thread":
            thread = threading.Thread(target=work)
            thread.start()
            thread.join(20)
            expect("the thread has ended", thread.is_alive(), False)
        else:
            expect("the child's end", in_child(work), 0)


def not_handed_over(kind, name):
    """A peer that has been answered through the first socket waits for nothing: what another socket sends to it is a
    question of the program's own, and follows the routing table."""
    f = family(name)
    server = f.server()
    for asked in (f.first, f.second):
        client = f.client()
        # Once answered, and once heard and answered again.
        for _ in range(2):
            f.ask(client, server, asked)
            peer = hear(server)
            server.sendto(b"answer", peer)
            f.expect_answer(client, asked)
            with second(f, kind) as sock:
                if kind.startswith("connected"):
                    sock.connect(peer)
                    expect("a client's local address", local(sock), f.seen(f.route))
                    sock.send(b"question")
                else:
                    sock.sendto(b"question", peer)
                expect("a client asks from", source(client), f.route)
                f.ask(client, sock, f.route, b"reply")
                expect("hears", hears(sock), b"reply")


def failed(kind):
    """What could not be sent has not asked the peer: its question is still handed over."""
    f = family("v4_secondary")
    client = far_client()
    server = f.server()
    one, other = second(f, kind), second(f, kind)
    f.ask(client, server, f.second)
    peer = hear(server)
    far_address("delete")
    for send in (lambda: one.sendto(b"question", peer), lambda: other.sendmsg([b"question"], [], 0, peer)):
        try:
            send()
            expect("it fails", False, True)
        except OSError as error:
            expect("it fails", error.errno, errno.ENETUNREACH)
    far_address("add")
    with second(f, "unbound") as sock:
        sock.sendto(b"answer", peer)
        expect("answered from", source(client), f.second, FAR)


if TOPICS[0] == "answered":
    not_handed_over(*TOPICS[1:])
elif TOPICS[0] == "failed":
    failed(TOPICS[1])
else:
    answers(*TOPICS)
end()
