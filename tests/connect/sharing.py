# SPDX-License-Identifier: MIT
"""A server whose socket, or whose port, belongs to several processes."""
import os
import socket

from common import V4, disconnect, expect, free_port, in_child, local, run


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


def forked():
    """The parent hears, a child connects the socket that it inherited (socat UDP-LISTEN,fork)."""
    server = V4.server()
    client, peer = V4.meet(server, V4.first)

    def child():
        server.connect(peer)
        V4.expect_local(server, V4.first)
        V4.converse(server, client, V4.first)

    expect("the child's end", in_child(child), 0)


def connected_by_child(before):
    """A child connects the socket that it inherited to one client, the parent then to another: it does not know that
    the socket has an address, which connect() alone does not change. `before`: fresh, or steered, where the parent
    knows by then what the routing table chooses."""
    server = free_port(V4)
    if before == "steered":
        _, peer = V4.meet(server, V4.second)
        server.connect(peer)
        disconnect(server)
    _, for_child = V4.meet(server, V4.first)
    client, for_parent = V4.meet(server, V4.second)

    def child():
        server.connect(for_child)
        expect("local address in the child", local(server), V4.first, V4.route)

    expect("the child's end", in_child(child), 0)
    V4.expect_path(server)
    server.connect(for_parent)
    V4.expect_local(server, V4.second)
    V4.converse(server, client, V4.second)


run({"reuseport": reuseport, "forked": forked, "connected_by_child": connected_by_child})
