#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Servers of many shapes, which Python's own library or a few lines make, and clients that stay at one of the server's
addresses for a while and then go over to another. They ask one question or two at once, as a name server's clients do.
Each answer has to leave from where its client has asked. Without the shim most do not.

    shapes.py SHAPE LIBRARY
"""
import asyncio
import ctypes
import os
import pickle
import queue
import random
import select
import signal
import socket
import socketserver
import subprocess
import sys
import threading

STRANGERS = 30  # who ask once, before the others: from them the shim learns whether this server answers late
CLIENTS = 4
STAYS = 8  # at an address, of each client
ADDRESSES = ["127.0.0.%d" % last for last in range(1, 5)]
SILENT = 120  # datagrams that nobody answers: more than a thread remembers


def open_server():
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("0.0.0.0", 0))
    return server


def tell_port(server):
    print(server.getsockname()[1], flush=True)


class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        data, server = self.request
        server.sendto(data, self.client_address)


def serve_by(kind):
    with kind(("0.0.0.0", 0), Echo) as server:
        tell_port(server.socket)
        server.serve_forever()


def forking():
    """A process for each request: the one that reads never sends."""
    serve_by(socketserver.ForkingUDPServer)


def threading_server():
    """A thread for each request."""
    serve_by(socketserver.ThreadingUDPServer)


def handing_over():
    """One thread reads, two others answer."""
    server = open_server()
    waiting = queue.Queue()

    def answer():
        while True:
            server.sendto(*waiting.get())

    for _ in range(2):
        threading.Thread(target=answer, daemon=True).start()
    tell_port(server)
    while True:
        waiting.put(server.recvfrom(99))


def pooling():
    """One process reads, and hands the requests to a worker, which it replaces now and then."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    server = open_server()
    tell_port(server)
    while True:
        request = server.recvfrom(99)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        if os.fork() == 0:
            ours.close()
            while message := theirs.recv(999):
                server.sendto(*pickle.loads(message))
            os._exit(0)
        theirs.close()
        for _ in range(40):
            ours.send(pickle.dumps(request))
            request = server.recvfrom(99)
        ours.send(pickle.dumps(request))
        ours.close()


def asynchronous():
    """One thread, which answers after a while, in any order."""

    class Later(asyncio.DatagramProtocol):
        def connection_made(self, transport):
            self.transport = transport

        def datagram_received(self, data, address):
            loop = asyncio.get_running_loop()
            loop.call_later(random.random() * 0.005, self.transport.sendto, data, address)

    async def run():
        server = open_server()
        await asyncio.get_running_loop().create_datagram_endpoint(Later, sock=server)
        tell_port(server)
        await asyncio.Event().wait()

    asyncio.run(run())


def relaying():
    """One thread, which asks another server for each, and answers when that one has: at once for some, and for others only
    after the next."""
    server = open_server()
    tell_port(server)
    held = []
    while True:
        if not select.select([server], [], [], 0.02)[0]:
            request, held = held[:1], held[1:]
        else:
            request = [server.recvfrom(99)]
            if random.random() < 0.5:
                request, held = held[:1], held[1:] + request
        for data, address in request:
            server.sendto(data, address)


def looking_first():
    """It looks, answers, and takes the datagram off, as GnuTLS's example of a DTLS server does with a first one."""
    server = open_server()
    tell_port(server)
    while True:
        data, address = server.recvfrom(99, socket.MSG_PEEK)
        server.sendto(data, address)
        server.recvfrom(99)


def collecting():
    """It receives much, and answers little."""
    server = open_server()
    tell_port(server)
    while True:
        data, address = server.recvfrom(99)
        if data != b"silent":
            server.sendto(data, address)


def boundless():
    """It calls recvfrom() with the greatest length that there is: its buffer is large enough for each datagram."""
    server = open_server()
    tell_port(server)
    libc = ctypes.CDLL(None)
    buffer = ctypes.create_string_buffer(65536)
    name = ctypes.create_string_buffer(128)
    while True:
        room = ctypes.c_uint(len(name))
        length = libc.recvfrom(server.fileno(), buffer, ctypes.c_size_t(-1), 0, name, ctypes.byref(room))
        libc.sendto(server.fileno(), buffer, ctypes.c_size_t(length), 0, name, room)


SHAPES = {
    "forking": forking,
    "threading": threading_server,
    "handing_over": handing_over,
    "pooling": pooling,
    "asynchronous": asynchronous,
    "relaying": relaying,
    "looking_first": looking_first,
    "collecting": collecting,
    "boundless": boundless,
}


def ask(client, numbers, address, port, silent):
    """Where the answers came from. All questions are under way at once."""
    for _ in range(silent):
        silent_one.sendto(b"silent", (ADDRESSES[0], port))
    waiting = {b"%d" % number for number in numbers}
    for question in waiting:
        client.sendto(question, (address, port))
    sources = []
    while waiting:
        data, server = client.recvfrom(99)
        if data in waiting:
            waiting.remove(data)
            sources.append(server[0])
    return sources


silent_one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)


def play(shape, port):
    """The answers of which each client is told, and those that came from elsewhere."""
    answers = []
    wrong = []

    def play_client(seed):
        choose = random.Random(seed)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(10)
            client.bind(("127.0.0.9", 0))
            number = 0
            for _ in range(STAYS):
                address = choose.choice(ADDRESSES)
                for _ in range(choose.randrange(1, 20)):
                    numbers = range(number + 1, number + choose.choice((2, 3)))
                    number = numbers[-1]
                    silent = SILENT if shape == "collecting" and seed == 0 and number % 4 == 0 else 0
                    for source in ask(client, numbers, address, port, silent):
                        answers.append(source)
                        if source != address:
                            wrong.append((seed, number, address, source))

    strangers = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(STRANGERS)]
    # A few at a time: where all ask at once, the server may have heard all before it answers one.
    for number, stranger in enumerate(strangers):
        stranger.settimeout(10)
        stranger.sendto(b"hello", (ADDRESSES[0], port))
        if number >= 3:
            strangers[number - 3].recvfrom(99)
    for stranger in strangers[-3:]:
        stranger.recvfrom(99)
    for stranger in strangers:
        stranger.close()
    clients = [threading.Thread(target=play_client, args=(seed,)) for seed in range(CLIENTS)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    return len(answers), wrong


def play_with(shape, library):
    environment = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
    if library:
        environment["LD_PRELOAD"] = library
    command = [sys.executable, __file__, shape]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as server:
        try:
            return play(shape, int(server.stdout.readline()))
        finally:
            os.killpg(server.pid, signal.SIGKILL)


def main():
    shape, library = sys.argv[1], sys.argv[2]
    expected, wrong = play_with(shape, None)
    print(f"{shape}: bare: {len(wrong)} of {expected} answers came from elsewhere")
    if not wrong:
        sys.exit("FAIL: the test shows nothing: without the shim all answers are right")
    count, wrong = play_with(shape, library)
    print(f"{shape}: with the shim: {len(wrong)} of {count}")
    for seed, number, address, source in wrong[:10]:
        print(f"  client {seed}, question {number}: asked {address}, answered from {source}")
    if wrong or count != expected:
        sys.exit("FAIL: not all answers came from where they were asked")


if len(sys.argv) == 2:
    SHAPES[sys.argv[1]]()
else:
    main()
