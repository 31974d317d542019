# SPDX-License-Identifier: MIT
"""Between two hosts, in the network namespaces of the tests' lab (lab.sh): the shim against the kernel engine, and
against what an administrator would do in the kernel: each datagram translated to the primary address, and connection
tracking to put the original one back on the answer, both by `multihomectl recipe`."""
import contextlib
import json
import os
import re
import subprocess
import time
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path

from programs import Outcome

RATE = 40_000  # requests a second, which every subject can serve
PEERS = 200_000
NEW_RATE, NEW_TIME = 100_000, 2000  # new peers a second, and for how many milliseconds
OLD, OLD_PORT = 2000, 40_000  # so many ask again meanwhile, from the port by which all old ones are known again
COLUMNS = [("saturated", "answers/s"),
           (f"the processor time of both ends at {RATE} requests a second", "ns/answer"),
           # Without what it does when nobody asks.
           (f"the whole machine's at {RATE} requests a second", "ns/answer")]


@dataclass(frozen=True)
class Subject:
    """Only what it needs is there while it has its turn: rules and routing policies cost every packet something."""
    name: str
    address: str  # that is asked: not the one that the routing table prefers
    within: str = ""  # a function of the tests that starts the server
    on: str = ":"
    off: str = ":"


ONE, TWO = "192.0.2.3", "198.51.100.2"
UNDO = "forget_flows; recipe one-interface --undo --quiet"
RULE = {"on": f"ip -n $LAB_SERVER rule add from {TWO} pref 42 lookup 42", "off": "ip -n $LAB_SERVER rule del pref 42"}
SHIM = Subject("shim", ONE, "with_shim")
ENGINE = Subject("kernel engine", ONE, "in_group", "engine_attach", "engine_detach")
REDIRECT = Subject("redirect", ONE, "", "apply_recipe one-interface --interface eth0 --quiet", UNDO)
GROUPS = {
    "addresses on one interface": [Subject("bare", ONE), Subject("native", ONE), SHIM, ENGINE, REDIRECT],
    # Table 42 has the gateway of the second interface.
    "addresses on two interfaces": [
        Subject("native", TWO, **RULE), Subject("shim", TWO, "with_shim", **RULE),
        Subject("DNAT and marks", TWO, "", "apply_recipe two-interfaces --interface eth1 --quiet", UNDO)]}


class Lab(subprocess.Popen):
    """Ends with its input, and then leaves nothing behind."""

    def __init__(self, bench):
        self.bench = bench
        super().__init__(["bash", Path(__file__).with_name("lab.sh")], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                         text=True, env={**os.environ, "MULTIHOME_LIBRARY": bench.library})
        self.port, self.client = self.run("echo $LAB_PORT $LAB_CLIENT").split()

    def run(self, command):
        """What it prints."""
        with contextlib.suppress(BrokenPipeError):  # what it has said is still to be read
            print(command, file=self.stdin, flush=True)
        lines = []
        while (line := self.stdout.readline()) != "done\n":
            if not line:
                raise RuntimeError(lines[-1].removeprefix("SKIP: ") if lines else "tools/bench/lab.sh failed")
            lines.append(line.rstrip())
        return "\n".join(lines)

    @contextlib.contextmanager
    def turn(self, subject):
        """A server of its own: where a program's memory happens to lie makes a difference of some percent."""
        settings = json.dumps({"port": int(self.port), "native": subject.name == "native"})
        self.run(f"{subject.within} start_server server {self.bench.program('server')} '{settings}'")
        self.run(subject.on)
        self.subject, self.server = subject, int(self.run("server_pid server"))
        yield
        self.run(subject.off)
        self.run("stop_server server")

    def ask(self, **settings):
        asking = {"address": self.subject.address, "first": "10.0.0.0", "count": 1000, "size": 512, **settings}
        return self.bench.client(self.port, under=["ip", "netns", "exec", self.client], **asking)

    def fill(self, peers, **settings):
        self.ask(count=peers, requests=peers, window=32, **settings).finish()

    def conntrack(self, name):
        return int(self.run(f"on_server cat /proc/sys/net/netfilter/nf_conntrack_{name} 2>/dev/null || echo 0"))

    def memory(self):
        """Kibibytes of the kernel's own objects, and of the server's memory."""
        text = Path("/proc/meminfo").read_text() + Path(f"/proc/{self.server}/smaps_rollup").read_text()
        return sum(map(int, re.findall(r"^(?:Slab|Rss): +(\d+)", text, re.MULTILINE)))


def busy():
    """Nanoseconds in which a processor of this machine had something to do. By what it has not been idle: the kernel
    accounts that exactly, and the rest by samples."""
    idle, waiting = map(int, Path("/proc/stat").read_text().split()[4:6])
    return os.cpu_count() * time.monotonic_ns() - (idle + waiting) * 1e9 / os.sysconf("SC_CLK_TCK")


def measure_turn(lab, subject):
    """Percent of right answers, and what COLUMNS has."""
    with lab.turn(subject):
        much = Outcome(lab.ask(window=32, milliseconds=300).finish())
        before = busy()
        steady = Outcome(lab.ask(rate=RATE, milliseconds=800, watch=[lab.server]).finish())
        used = busy() - before
    # What this machine does anyway, for as long as that took.
    before = busy()
    time.sleep(steady.seconds)
    anyway = busy() - before
    return [much.right_percent, much.rate, (steady.server_time + steady.processor_seconds * 1e9) / steady.answers,
            (used - anyway) / steady.answers]


def measure_group(bench, lab, group, subjects):
    turns = bench.take_turns([group], subjects, 9, lambda _, group, subject: measure_turn(lab, subject))[group]
    for column, (what, unit) in enumerate(COLUMNS, start=1):
        bench.figures.compare(f"{group}, {what}", unit, {subject.name: mine for subject, mine in turns.items()},
                              itemgetter(column), "native", note=lambda mine: f"{mine[-1][0]:.4g} % right")


def measure_memory(bench, lab, subject):
    with lab.turn(subject):
        before = lab.memory()
        lab.fill(PEERS)
        known = PEERS if subject is SHIM else lab.conntrack("count")  # as many as there is room for
        each = (lab.memory() - before) * 1024 // known
    bench.figures.add(f"memory for each of {PEERS} peers", subject.name, "bytes", each,
                      note="the server's and the kernel's memory, at the default size")


def measure_full(bench, lab, subject, limit, passes, who):
    """What becomes of peers when connection tracking has its table full of those that have asked `passes` times."""
    group = f"{NEW_RATE} new peers a second, nf_conntrack_max ({limit}) reached by peers that {who}"
    with lab.turn(subject):
        for turn in range(passes):
            # A flow that goes on for two seconds is one that connection tracking does not give up for another.
            time.sleep(2.1 if turn else 0)
            lab.fill(limit, own_port=OLD_PORT)
        old = lab.ask(count=OLD, own_port=OLD_PORT, rate=1000, milliseconds=NEW_TIME)
        new = lab.ask(first="10.128.0.0", count=NEW_RATE * NEW_TIME // 1000, rate=NEW_RATE, milliseconds=NEW_TIME)
        old, new = Outcome(old.finish()), Outcome(new.finish())
        note = f"connection tracking has {lab.conntrack('count')} flows"
    for ones, outcome in ("new", new), ("old", old):
        bench.figures.add(f"{group}, {ones} ones", subject.name, "% served",
                          100 * outcome.right / outcome.asked, note=f"{outcome.asked:.0f} requests; {note}")


def measure(bench):
    bench.figures.begin("Between two hosts (network namespaces), against redirecting and connection tracking")
    try:
        with Lab(bench) as lab:
            # Whether the engine can be had shows only when it is tried, which ends the shell where it cannot.
            missing = lab.run("(lab_end() { :; }; engine_start) 2>&1 || :")
            if missing:
                bench.figures.skip(ENGINE.name, missing)
            else:
                lab.run("engine_start")
            for group, subjects in GROUPS.items():
                measure_group(bench, lab, group, [each for each in subjects if not missing or each is not ENGINE])
            for subject in REDIRECT, SHIM:
                measure_memory(bench, lab, subject)
            # It is the host's and stays as it is: we fill the table that the namespace has.
            limit = lab.conntrack("max")
            if not 0 < limit <= 600_000:
                bench.figures.skip("a full table", f"nf_conntrack_max is {limit}")
                return
            # The kernel gives up flows of peers that asked once for new ones, but not those of peers that have gone on
            # for more than two seconds.
            for passes, who in (1, "asked once"), (2, "go on"):
                for subject in REDIRECT, SHIM:
                    measure_full(bench, lab, subject, limit, passes, who)
    except RuntimeError as error:
        bench.figures.skip("lab", str(error))
