# SPDX-License-Identifier: MIT
"""A flood from spoofed addresses, ten times what the table holds, while a thousand honest clients are answered with a
delay, each now at one address and now at another. inside.cpp does the same to the table alone, where the delay is
exact."""
import sched
import socket
import struct
import sys
import time

from figures import Budget, readable
from programs import LONG, MOST_CLIENTS, Outcome, Program

DEFAULT_PEERS = 1 << 18  # shim/base/settings.hpp
HONEST = {"count": 1000, "addresses": 2, "alternating": True, "first": "127.1.0.0", "rate": 4000, "milliseconds": LONG}
SPOOFED = {"count": MOST_CLIENTS, "first": "127.128.0.0", "size": 1, "rate": 10_000_000, "milliseconds": LONG}


def serve(milliseconds, ignored):
    """Answers requests of four bytes so much later, and ends when it has had so many others."""
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("", 0))
    server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 0, 1000))
    print(server.getsockname()[1], flush=True)
    late = sched.scheduler()
    heard = 0
    while heard < ignored:
        try:
            data, peer = server.recvfrom(8)
        except BlockingIOError:
            data = b""
        if len(data) == 4:
            late.enter(milliseconds / 1000, 0, server.sendto, (data, peer))
        heard += len(data) == 1
        # The clock is asked only now and then.
        if not data or heard % 16 == 0:
            late.run(blocking=False)


def measure(bench):
    bench.figures.begin("A spoofed flood of ten times the table's size")
    # In a hurry, a table for a sixteenth of the peers and a delay that is as much shorter.
    delay, peers = (3, DEFAULT_PEERS // 16) if bench.quick else (50, DEFAULT_PEERS)
    datagrams = 10 * 2 * peers  # the table has room for twice as many as it is made for
    environment = {**bench.environment("shim"), "MULTIHOME_PEERS": str(peers), "MULTIHOME_LOG": "error"}
    with Program([sys.executable, "-B", __file__, str(delay), str(datagrams)], environment) as server:
        port = server.line()
        start = time.monotonic()
        with bench.client(port, **HONEST) as honest, bench.client(port, **SPOOFED):
            server.finish()  # it ends by itself when it has had its flood
            seconds = time.monotonic() - start
            honest.terminate()
            outcome = Outcome(honest.finish())
    bench.figures.add(f"end to end, a table for {readable(peers)} peers" + ("" if bench.quick else " (the default)"),
                      "1000 honest clients", "% right", outcome.right_percent,
                      budget=Budget("at least", 99.9),
                      note=f"{outcome.answers:.0f} answers, each {delay} ms late, while {readable(datagrams)} spoofed "
                           f"datagrams came at {readable(datagrams / seconds)}/s")


if __name__ == "__main__":
    serve(int(sys.argv[1]), int(sys.argv[2]))
