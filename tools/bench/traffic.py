# SPDX-License-Identifier: MIT
"""Whole requests and replies over loopback, against servers that run with and without the shim. Each turn has a server
of its own: where a program's memory happens to lie makes a difference of some percent that would stay with it for as
long as it runs."""
import re
import statistics
import tempfile
from operator import attrgetter, itemgetter
from pathlib import Path

from figures import Budget, readable, spread, sure
from programs import FOR_CLIENT, FOR_SERVER, SHARED, SUBJECTS, Outcome, Program

PEERS = 1_000_000
# What follows a case's name, the unit, and which value of an outcome it is.
RATE, TIME = ("", "answers/s", "rate"), (": processor time", "ns", "time")
PROFILE = [(": the program's own part", "ns", "user_time"), (": the kernel's part", "ns", "kernel_time")]


def counted(count, what):
    return f"{readable(count)} {what}{'' if count == 1 else 's'}"


# Cases by their names: the settings of the server and of the client.
def request_cases(title, window):
    return {f"{title}, {size} bytes, {counted(threads, 'thread')}{batches}":
            ({"calls": "batches" if batches else "plain", "threads": threads},
             {"size": size, "threads": threads, "window": window})
            for size in (32, 512, 1400) for threads in (1, 4) for batches in ("", ", batches")}


# Forked workers must not write to each other's cache lines either.
PROFILE_CASES = {
    "one thread": ({}, {"size": 512, "window": 32}),
    "two threads": ({"threads": 2}, {"size": 512, "threads": 2, "window": 32}),
    "two forked workers": ({"workers": 2}, {"size": 512, "threads": 2, "window": 32})}


def growth_cases(bench):
    """What a packet costs as clients become more. The native server keeps nothing for one, so what grows in it grows in
    the kernel."""
    return {counted(peers, "client") + ("" if peers == 1 else " in turn"):
            ({}, {"count": peers, "size": 32, "window": 32, "warm_up": peers + peers // 50})
            for peers in (10 ** exponent for exponent in range(6 if bench.quick else 7))}


def threads_of(process):
    """Those of its forked workers among them."""
    for task in Path(f"/proc/{process}/task").iterdir():
        yield int(task.name)
        for child in (task / "children").read_text().split():
            yield from threads_of(child)


def shared_memory(process):
    """The table lies in shared memory as nothing else of the server does. From the page tables: other counters are off
    by up to some hundred pages."""
    return int(re.search(r"Pss_Shmem: +(\d+)", Path(f"/proc/{process}/smaps_rollup").read_text())[1]) * 1024


def run_once(bench, subject, case, milliseconds, places=(FOR_SERVER, FOR_CLIENT), environment={}, sampled=False):
    milliseconds //= 2 if bench.quick else 1
    with (bench.server(subject, case[0], environment, places[0]) as server, tempfile.NamedTemporaryFile() as samples):
        port = server.line()
        memory = shared_memory(server.pid)
        threads = list(threads_of(server.pid))
        # By a timer, because virtual machines seldom have the processor's counters.
        sampling = ["perf", "record", "--quiet", "--event=cpu-clock", "--count=100000", f"--output={samples.name}",
                    "--tid=" + ",".join(map(str, threads)), "--"] if sampled else []
        client = bench.client(port, places[1], under=sampling, **{"warm_up": 1, **case[1]},
                              settle=milliseconds // 4, milliseconds=milliseconds, watch=threads)
        outcome = Outcome(client.finish())
        outcome.memory = shared_memory(server.pid) - memory
        outcome.time = outcome.server_time / outcome.answers
        if sampled:
            modes = Program(["perf", "script", f"--input={samples.name}", "--fields=misc"]).finish().split()
            outcome.user_time = outcome.time * modes.count("U") / len(modes)
            outcome.kernel_time = outcome.time - outcome.user_time
    return outcome


def measure_cases(bench, cases, columns, repetitions, **how):
    """The outcomes by case and subject, in the order of the repetitions."""
    def right(mine):
        return f"{spread([outcome.right_percent for outcome in mine]).low:.4g} % right"

    outcomes = bench.take_turns(bench.wanted(cases), SUBJECTS, repetitions,
                                lambda _, name, subject: run_once(bench, subject, cases[name], **how))
    for name, mine in outcomes.items():
        for what, unit, value in columns:
            bench.figures.compare(f"{name}{what}", unit, mine, attrgetter(value), "native", note=right)
    return outcomes


def add_mean(bench, group, outcomes):
    """One figure for all cases of a kind: the geometric mean of their ratios in each repetition, and the median of
    that. Here the noise of the single cases has averaged out."""
    for subject in SUBJECTS:
        ratios = [[mine.rate / native.rate for mine, native in zip(case[subject], case["native"])]
                  for case in outcomes.values()]
        means = [statistics.geometric_mean(repetition) for repetition in zip(*ratios)]
        bench.figures.add(group, subject, "of native's rate", spread(means), ratio=sure(means),
                          budget=Budget("ratio at least", 0.98) if subject == "shim" else None)


def measure_reading(bench):
    """A server under full load whose counters are read ten times a second, beside the same server unread, by turns."""
    row = "saturated, 512 bytes, 1 thread, read by multihomectl stats ten times a second"
    if not bench.wanted([row]):
        return
    with bench.server("shim", {}, processors=FOR_SERVER) as server:
        port = server.line()

        def rate():
            return Outcome(bench.client(port, FOR_CLIENT, size=512, window=32, warm_up=1000,
                                        milliseconds=300 if bench.quick else 1000).finish()).rate

        tool = Path(bench.library).with_name("multihomectl")
        turns = []
        for _ in range(3 if bench.quick else 21):
            # Unread, read, unread: what else the machine does comes and goes meanwhile.
            before = rate()
            with Program([tool, "stats", "--watch", "0.1", str(server.pid)]) as reader:
                while "PID" not in reader.line():
                    pass
                read = rate()
            turns.append((read, (before + rate()) / 2))
    bench.figures.add(row, "shim", "answers/s", spread([read for read, _ in turns]),
                      ratio=sure([read / unread for read, unread in turns]), budget=Budget("ratio at least", 0.99),
                      note="x: to the same server unread")


def measure(bench):
    bench.figures.begin("Requests and replies over loopback (x: to native, the median of the repetitions' ratios)")
    for title, window, *places in ("request and reply", 1, SHARED, SHARED), ("saturated", 32, FOR_SERVER, FOR_CLIENT):
        outcomes = measure_cases(bench, request_cases(title, window), [RATE, TIME], 21, milliseconds=60, places=places)
        if not bench.only.pattern:
            add_mean(bench, f"all {title} cases", outcomes)
    measure_reading(bench)
    bench.figures.begin("Where the server's processor time for an answer goes: saturated, 512 bytes (x: to native)")
    if bench.can("the processor time", "perf", "record", "--quiet", "--output=/dev/null", "true"):
        measure_cases(bench, PROFILE_CASES, PROFILE, 11, milliseconds=400, sampled=True)
    bench.figures.begin(f"Growth, with MULTIHOME_PEERS={PEERS}: the server's processor time for an answer "
                        "(x: to native)")
    outcomes = measure_cases(bench, growth_cases(bench), [TIME], 9, milliseconds=100,
                             environment={"MULTIHOME_PEERS": str(PEERS)})
    for name, mine in outcomes.items():
        bench.figures.add_all(f"{name}: the table's resident memory", "bytes", {"shim": mine["shim"][-1].memory})


# Where it is asked, what stands for the reference, what the shim is measured by, and the limits of the time and of the
# strays. Where the routing table chooses the address asked, nothing has to be steered: there, bare is the measure.
CONNECTIONS = {"asked where connect() would answer from": ("right", "plain", "bare", 1.2, 1.2),
               "steered to another address": ("steered", "reference", "reference", 2.0, 1.5)}


def measure_connections(bench):
    """How long it is from bind() to connect() where a server makes a socket for each client, and how many datagrams of
    others that socket takes meanwhile (strays), which are lost to them: bare, with the shim, and by the least that it
    takes to steer a connection to an address that the routing table would not choose (reference). The program is that
    of the tests connect.under_load."""
    bench.figures.begin("A socket for each client, bound to the server's port and connected (x: to the reference)")
    program = bench.program("connect")
    if not bench.can("connections", program, "right", "1", "plain"):
        return

    def run(_, title, kind):
        """Nanoseconds from bind to connect, and strays of a socket."""
        where, least = CONNECTIONS[title][:2]
        method = least if kind == "reference" else "shim"
        command = [program, where, "500" if bench.quick else "3000", method, "figures"]
        return list(map(float, Program(command, bench.environment(kind)).finish().split()))

    outcomes = bench.take_turns(bench.wanted(CONNECTIONS), ("reference", "bare", "shim"), 9, run)
    for title, mine in outcomes.items():
        measured_by, *limits = CONNECTIONS[title][2:]
        for column, what, unit in (0, "from bind to connect", "ns"), (1, "others' datagrams that it took", "strays"):
            bench.figures.compare(f"{title}: {what}", unit, mine, itemgetter(column), measured_by,
                                  {"shim": Budget("ratio at most", limits[column])})
    measure_many_connections(bench)


MANY_CONNECTIONS = "1,500 sockets of one port, each connected to a client"


def measure_many_connections(bench):
    """How long a datagram takes to a socket that is connected, as many others of that port are. With the shim they are
    steered to an address at which bare none of them would hear its client: bare the clients ask another one."""
    def run(_, __, kind):
        where = "steered" if kind == "shim" else "right"
        command = [bench.program("many-connected"), where, "1500"]
        return float(Program(command, bench.environment(kind)).finish())

    for title, mine in bench.take_turns(bench.wanted([MANY_CONNECTIONS]), ("bare", "shim"), 9, run).items():
        bench.figures.compare(f"{title}: a datagram to one of them", "ns", mine, float, "bare",
                              {"shim": Budget("ratio at most", 1.2)})
