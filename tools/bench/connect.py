# SPDX-License-Identifier: MIT
"""How long it is from bind() to connect() where a server makes a socket for each client, and how many datagrams of
others that socket takes meanwhile (strays), which are lost to them, while others send tens of thousands a second: bare,
with the shim, and by the least that it takes to steer a connection to an address that the routing table would not
choose (reference)."""
import socket

from figures import Budget
from programs import FOR_CLIENT, LONG, Program

KINDS = ("reference", "bare", "shim")
# 127.0.0.1 is what the routing table would choose, so that nothing has to be steered: there, bare is the measure. The
# limits are those of the time and of the strays.
CASES = [("asked where connect() would answer from", "127.0.0.1", "bare", 1.2, 1.2),
         ("steered to another address", "127.0.0.2", "reference", 2.0, 1.5)]
OTHERS = {"first": "127.17.0.0", "count": 1000, "size": 1, "patience": 1, "window": 64, "milliseconds": LONG}


def ask(client, address, port):
    """Until there is an answer: the others may be in its way."""
    client.bind(("127.16.0.0", 0))
    client.settimeout(0.05)
    while True:
        client.sendto(b"ask?", (address, port))
        try:
            return client.recv(4)
        except TimeoutError:
            pass


def measure_once(bench, kind, address, count):
    """Nanoseconds from bind to connect, and strays of a connection."""
    steer = kind == "reference" and address != "127.0.0.1"
    command = bench.command("connector", count=count, information=kind == "reference", steer=steer)
    with (Program(command, bench.environment(kind)) as server,
          socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client):
        port = int(server.line())
        with bench.client(port, FOR_CLIENT, address=address, **OTHERS):
            ask(client, address, port)
            return [float(word) for word in server.line().split()]


def measure(bench):
    bench.figures.begin("A socket for each client, bound to the server's port and connected (x: to the reference)")
    for title, address, reference, *limits in CASES:
        if not bench.is_wanted(title):
            continue
        outcomes = {kind: [] for kind in KINDS}
        for _ in range(3 if bench.quick else 9):
            for kind in KINDS:
                outcomes[kind].append(measure_once(bench, kind, address, 500 if bench.quick else 3000))
        for column, (what, unit) in enumerate((("from bind to connect", "ns"),
                                               ("others' datagrams that it took", "strays"))):
            values = {kind: [outcome[column] for outcome in outcomes[kind]] for kind in KINDS}
            bench.figures.compare(f"{title}: {what}", unit, values, reference,
                                  {"shim": Budget("ratio at most", limits[column])})
