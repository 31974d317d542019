# SPDX-License-Identifier: MIT
"""How long it is from bind() to connect() where a server makes a socket for each client, and how many datagrams of
others that socket takes meanwhile (strays), which are lost to them: bare, with the shim, and by the least that it takes
to steer a connection to an address that the routing table would not choose (reference). It is the program of the tests
connect.under_load that does it."""
from operator import itemgetter

from figures import Budget
from programs import Program, take_turns

# Where it is asked, what stands for the reference, what the shim is measured by, and the limits of the time and of the
# strays. Where the routing table chooses the address asked, nothing has to be steered: there, bare is the measure.
CASES = [("asked where connect() would answer from", "right", "plain", "bare", 1.2, 1.2),
         ("steered to another address", "steered", "reference", "reference", 2.0, 1.5)]


def measure(bench):
    bench.figures.begin("A socket for each client, bound to the server's port and connected (x: to the reference)")
    program = str(bench.built / "multihome-bench-connect")
    if not bench.can("connections", program, "right", "1", "plain"):
        return
    for title, where, least, measure_of_it, *limits in CASES:
        if not bench.is_wanted(title):
            continue

        def run(_, kind):
            """Nanoseconds from bind to connect, and strays of a socket."""
            method = least if kind == "reference" else "shim"
            command = [program, where, "500" if bench.quick else "3000", method, "figures"]
            return list(map(float, Program(command, bench.environment(kind)).finish().split()))

        outcomes = take_turns([title], ("reference", "bare", "shim"), 3 if bench.quick else 9, run)[title]
        for column, what, unit in (0, "from bind to connect", "ns"), (1, "others' datagrams that it took", "strays"):
            bench.figures.compare(f"{title}: {what}", unit, outcomes, itemgetter(column), measure_of_it,
                                  {"shim": Budget("ratio at most", limits[column])})
