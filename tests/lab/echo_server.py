#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Plain UDP echo servers that know nothing of the address they were asked at, as most programs are written.

SIGUSR1 sends the last datagram to its peer once more and prints `sent BYTES` or `failed ERRNO`.
"""
import argparse
import errno
import os
import pickle
import select
import signal
import socket
import struct
import sys

IP_PKTINFO = 8
MCAST_JOIN_GROUP = 42


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--family", choices=("v4", "v6", "dual"), default="v4")
    parser.add_argument("--bind", help="address to bind (default: the wildcard)")
    parser.add_argument("--port", type=int, default=5300)
    parser.add_argument("--calls", choices=("recvfrom", "recvmsg"), default="recvfrom", help="recvfrom and sendto, or "
                        "recvmsg and sendmsg")
    parser.add_argument("--bind-to-device", metavar="INTERFACE")
    parser.add_argument("--join", nargs=2, action="append", default=[], metavar=("GROUP", "INTERFACE"))
    parser.add_argument("--fd", type=int, help="serve on this descriptor, which somebody else has bound")
    parser.add_argument("--exec-with", metavar="LIBRARY", help="bind, wait until a datagram is queued, and then exec "
                        "the real server with this LD_PRELOAD ('' for none)")
    parser.add_argument("--prefork", action="store_true", help="the parent receives, a forked child answers")
    parser.add_argument("--answer-from", choices=("connected", "another_port"), help="a socket that is made for each "
                        "answer: connected to the client, or on another port")
    parser.add_argument("--oracle", action="store_true", help="append what IP_PKTINFO says to each answer")
    return parser.parse_args()


def open_socket(options):
    if options.fd is not None:
        return socket.socket(fileno=options.fd)
    family = socket.AF_INET if options.family == "v4" else socket.AF_INET6
    server = socket.socket(family, socket.SOCK_DGRAM)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    if family == socket.AF_INET6:
        server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(options.family == "v6"))
    if options.bind_to_device:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, options.bind_to_device.encode())
    for group, interface in options.join:
        join(server, group, interface)
    if options.oracle:
        server.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
    if options.answer_from == "connected":
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind((options.bind or ("0.0.0.0" if family == socket.AF_INET else "::"), options.port))
    return server


def join(server, group, interface):
    """Protocol-independent join (struct group_req), so that an interface can be named for both families."""
    found = socket.getaddrinfo(group, 0, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST)[0]
    if found[0] == socket.AF_INET:
        address = struct.pack("=HH4s", found[0], 0, socket.inet_aton(group))
        level = socket.IPPROTO_IP
    else:
        address = struct.pack("=HHI16sI", found[0], 0, 0, socket.inet_pton(found[0], group), 0)
        level = socket.IPPROTO_IPV6
    request = struct.pack("@I4x128s", socket.if_nametoindex(interface), address)
    server.setsockopt(level, MCAST_JOIN_GROUP, request)


def oracle(ancillary):
    for level, kind, data in ancillary:
        if level == socket.IPPROTO_IP and kind == IP_PKTINFO:
            index, reply_from, header = struct.unpack_from("=i4s4s", data)
            return f" spec_dst={socket.inet_ntoa(reply_from)} addr={socket.inet_ntoa(header)} index={index}".encode()
    return b" spec_dst=unknown"


def receive(server, options):
    if options.oracle:
        data, ancillary, _, peer = server.recvmsg(65536, 512)
        return data + oracle(ancillary), peer
    if options.calls == "recvmsg":
        data, _, _, peer = server.recvmsg(65536)
        return data, peer
    return server.recvfrom(65536)


def answer_from_another(server, options, data, peer):
    with socket.socket(server.family, socket.SOCK_DGRAM) as made:
        if options.answer_from == "connected":
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind(server.getsockname())
            made.connect(peer)
            made.send(data)
        else:
            made.sendto(data, peer)


def answer(server, options, data, peer):
    if options.answer_from:
        answer_from_another(server, options, data, peer)
    elif options.calls == "recvmsg":
        server.sendmsg([data], [], 0, peer)
    else:
        server.sendto(data, peer)


def prefork(server):
    """Return a function that hands a datagram to a child process, which then answers it."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if os.fork() == 0:
        ours.close()
        while True:
            work = theirs.recv(1 << 17)
            if not work:
                os._exit(0)
            data, peer = pickle.loads(work)
            server.sendto(data, peer)
    theirs.close()
    return lambda data, peer: ours.send(pickle.dumps((data, peer)))


def exec_with(server, library):
    select.select([server], [], [])
    server.set_inheritable(True)
    environment = dict(os.environ)
    environment.pop("LD_PRELOAD", None)
    if library:
        environment["LD_PRELOAD"] = library
    os.execve(sys.executable, [sys.executable, os.path.abspath(__file__), "--fd", str(server.fileno())], environment)


def main():
    options = arguments()
    server = open_socket(options)
    if options.exec_with is not None:
        exec_with(server, options.exec_with)
    last = []

    def once_more(_signal, _frame):
        try:
            print("sent", server.sendto(*last), flush=True)
        except OSError as error:
            print("failed", errno.errorcode[error.errno], flush=True)

    signal.signal(signal.SIGUSR1, once_more)
    respond = prefork(server) if options.prefork else lambda data, peer: answer(server, options, data, peer)
    while True:
        data, peer = receive(server, options)
        last[:] = [data, peer]
        respond(data, peer)


if __name__ == "__main__":
    main()
