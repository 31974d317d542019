# SPDX-License-Identifier: MIT
"""The rows that are counted and not timed: how the server is written, who asks it, and what it may cost. To add a row,
add a line to one of the lists. The settings are those at the head of server.cpp and of client.cpp."""
from dataclasses import dataclass

from figures import Budget
from programs import MOST_CLIENTS

# Name, server, clients, and the most instructions above native, for IPv4 and for IPv6.
EACH_WAY_OF_CALLING = [
    ("one client", {}, {}, 100, 140),
    ("one client, memory on the heap", {"memory": "heap"}, {}, 130, 170),
    ("one client, static memory", {"memory": "fixed"}, {}, 130, 170),
    ("1,000 clients, one address", {}, {"count": 1000}, 200, 260),
    ("1,000 clients, three addresses", {}, {"count": 1000, "addresses": 3}, 200, 260),
    ("one client, three addresses in turn", {}, {"addresses": 3, "alternating": True}, 450, 520),
    ("100,000 clients, three addresses", {}, {"count": 100_000, "addresses": 3}, 420, 480),
    ("new clients", {}, {"count": MOST_CLIENTS}, None, None),  # none asks twice
]
BATCHES = [
    ("batches of 32, full, one address", {"gated": True}, {"count": 32, "window": 32}, 120, 150),
    ("batches of 32, full, three addresses", {"gated": True}, {"count": 32, "addresses": 3, "window": 32}, 160, 200),
    ("room for 32, one comes", {"room": 32}, {}, 500, None),
    ("room for 8, one comes", {"room": 8}, {}, 300, None),
    ("room for 1, one comes", {"room": 1}, {}, 200, None),
]
# Servers that answer nobody. Who asks again in the same quarter of a second, as the shim's clock counts, costs less.
RECEIVE_ONLY = [
    ("receive only, one sender", {}, {}, None, None),
    ("receive only, 1,000 senders now and then, three addresses", {}, {"count": 1000, "addresses": 3, "pause": 300},
     None, None),
]
# Rows that are also counted with IPv4 clients on an IPv6 socket.
ON_AN_IPV6_SOCKET = ("one client, recvfrom,", "1,000 clients, three addresses, recvfrom,")


@dataclass
class Row:
    name: str
    server: dict
    client: dict
    budget: Budget = None

    @property
    def clients(self):
        return self.client.get("count", 1)

    @property
    def together(self):
        """Requests that wait for the server at a time."""
        return self.client.get("window", 1)

    @property
    def warm_up(self):
        """So many requests that every client is known: each has been asked and answered twice. Whole batches."""
        return 320 if self.clients == MOST_CLIENTS else max(320, 2 * self.clients)

    # The slow tools do not get all of them.
    @property
    def counts_calls(self):
        return self.server.get("memory") != "fixed" and self.clients != 100_000

    @property
    def counts_pages(self):
        few = self.clients <= 32 if self.client.get("addresses", 1) == 1 else self.clients == 1000
        return self.server.get("memory", "stack") == "stack" and few

    def run(self, bench, subject, requests, warm_up, under, **settings):
        """Asks a server that ends by itself after `warm_up` requests and `requests` more, which runs under a tool."""
        counts = {"warm_up": warm_up, "requests": requests}
        with bench.server(subject, {**self.server, **counts, **settings}, under=under) as server:
            pipes = {"gate": True, "stdout": server.stdin} if self.server.get("gated") else {}
            if self.server["calls"] == "receive":
                pipes = {"bytes": True, "stdin": server.stdout}
            # A server inside valgrind on a busy machine is slow.
            bench.client(server.line(), **self.client, **counts, patience=20_000, exact=True,
                         right=subject != "bare" and "bytes" not in pipes, **pipes).finish()
            server.finish()


def rows_of(family):
    ipv6 = family != "IPv4"  # the server's socket
    from_where = {"address": "2001:db8::2", "first": "2001:db8:1::1"} if family == "IPv6" else {}
    for suffix, rows, settings in ((", recvfrom", EACH_WAY_OF_CALLING, {"calls": "plain"}),
                                   (", recvmsg", EACH_WAY_OF_CALLING, {"calls": "messages"}),
                                   ("", BATCHES, {"calls": "batches", "memory": "heap"}),
                                   (", on the stack", BATCHES, {"calls": "batches", "memory": "stack"}),
                                   ("", RECEIVE_ONLY, {"calls": "receive"})):
        for name, server, client, *limits in rows:
            yield Row(f"{name}{suffix}, {family}", {**settings, "ipv6": ipv6, **server}, {**from_where, **client},
                      Budget("at most", limits[ipv6]) if limits[ipv6] else None)


ROWS = {row.name: row for family in ("IPv4", "IPv6", "IPv4 on an IPv6 socket") for row in rows_of(family)
        if family != "IPv4 on an IPv6 socket" or row.name.startswith(ON_AN_IPV6_SOCKET)}
