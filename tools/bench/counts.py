# SPDX-License-Identifier: MIT
"""What repeats exactly where the machine's time does not: user-space instructions, counted by callgrind, the pages that
are touched, by lackey, and system calls, by strace; of the rows of rows.py and of a few more."""
import itertools
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from figures import Budget
from programs import SUBJECTS, Program
from rows import ROWS

PROFILES = itertools.count(1)
CALLS = 2000  # on other descriptors, see pass_on.cpp
# A system call now and then, once in some hundred packets, is none for each of them.
ROUNDING = 0.005


def callgrind(bench, run, whole=False, options=()):
    """What `run` counts by events ("Ir": instructions) with the beginning of a command line that it is given; of the
    `whole` run, or from CALLGRIND_START_INSTRUMENTATION to CALLGRIND_DUMP_STATS."""
    with tempfile.TemporaryDirectory() as folder:
        file = f"{bench.profiles_path or folder}/callgrind.out.{next(PROFILES)}"
        # Its remarks are about caches that no processor has and the like.
        run(["valgrind", "--quiet", "--tool=callgrind", "--dump-instr=yes", "--collect-jumps=yes",
             f"--instr-atstart={'yes' if whole else 'no'}", f"--callgrind-out-file={file}", f"--log-file={folder}/log",
             *options])
        text = Path(file if whole else f"{file}.1").read_text()
    events, summary = (re.findall(f"^{what}: (.*)", text, re.MULTILINE) for what in ("events", "summary"))
    if not summary:
        raise RuntimeError("callgrind counted nothing")
    return dict(zip(events[0].split(), map(int, summary[-1].split())))


def instructions_of_row(bench, row, subject):
    requests = 3200 if row.clients > 1 else 960  # multiples of 32
    return callgrind(bench, lambda under: row.run(bench, subject, requests, row.warm_up, under))["Ir"] / requests


def above_bare(bench, group, unit, limit, measure):
    if bench.wanted([group]):
        # A variable as long, because reading the environment costs instructions, too.
        bare, shim = (measure({name: bench.library}) for name in ("LD_NOTHING", "LD_PRELOAD"))
        bench.figures.add_all(group, unit, {"bare": bare, "shim": shim, "above bare": round(shim - bare, 3)},
                              {"above bare": Budget("at most", limit)})


def instructions_of(bench, command, environment, whole=False):
    return callgrind(bench, lambda under: Program([*under, *command], environment).finish(), whole)["Ir"]


def page_faults(command, environment):
    """The average of many: where the kernel places the mappings decides about three of them in either direction."""
    def once():
        usage = os.wait4(os.posix_spawn(command[0], command, {**os.environ, **environment}), 0)[2]
        return usage.ru_minflt + usage.ru_majflt
    return round(statistics.fmean(once() for _ in range(400)), 1)


def measure_instructions(bench):
    bench.figures.begin("User-space instructions (callgrind)")
    if not bench.can("instructions", "valgrind", "--version"):
        return
    known = {}
    for row in map(ROWS.get, bench.wanted(ROWS)):
        values = {}
        for subject in SUBJECTS[1:] if bench.quick else SUBJECTS:
            # Who asks makes no difference to a program that looks no peer up: once for each way of calling.
            key = (subject, str(row.server), row.name if subject == "shim" else "")
            values[subject] = known[key] = known.get(key) or instructions_of_row(bench, row, subject)
        values["above native"] = values["shim"] - values["native"]
        bench.figures.add_all(row.name, "instructions", values, {"above native": row.budget})
    for name in Program(bench.inside("not ours", "--benchmark_list_tests")).finish().splitlines():
        command = bench.inside(f"{name}$")
        above_bare(bench, name.partition("/")[0], "instructions", 12,
                   lambda environment: instructions_of(bench, command, environment) / CALLS)
    command = [shutil.which("true")]
    above_bare(bench, "process start, true", "instructions", 60_000,
               lambda environment: instructions_of(bench, command, environment, whole=True))
    above_bare(bench, "process start, true, page faults", "page faults", 10,
               lambda environment: page_faults(command, environment))
    if bench.wanted(["the library, stripped"]) and bench.can("the library's size", "strip", "--version"):
        # A build keeps its debugging information; what is installed and loaded does not have it.
        with tempfile.NamedTemporaryFile() as stripped:
            subprocess.run(["strip", "-o", stripped.name, bench.library], check=True)
            size = Path(stripped.name).stat().st_size / 1024
        bench.figures.add_all("the library, stripped", "KiB", {"shim": size}, {"shim": Budget("at most", 800)})


def pages_of_row(bench, row, subject):
    """By kind. What costs time is not the instructions but the pages and lines that are cold after each system call."""
    counted = 4  # requests, or batches
    with tempfile.TemporaryDirectory() as folder:
        row.run(bench, subject, (counted + 2) * row.together, row.warm_up if row.clients > 100 else 64,
                ["valgrind", "--tool=lackey", "--trace-mem=yes", f"--log-file={folder}/trace"], marks=True)
        # Lines as "I  0403f0a0,3" and " S 1ffefff0,8". The server stores to a word of its own between two requests; the
        # last one has the program's end.
        requests = Path(folder, "trace").read_text().split(" S 10000000,4\n")[-counted - 1:-1]
    return {kind: statistics.mean(len({int(address, 16) // 4096 for address in re.findall(line, request, re.M)})
                                  for request in requests)
            for kind, line in (("code", r"^I  (\w+),"), ("data", r"^ [SLM] (\w+),"))}


def measure_pages(bench):
    bench.figures.begin("Pages touched for a request and its reply (lackey)")
    if not bench.can("pages", "valgrind", "--version"):
        return
    for row in map(ROWS.get, bench.wanted(ROWS)):
        if row.counts_pages:
            pages = {subject: pages_of_row(bench, row, subject) for subject in SUBJECTS}
            for kind in "code", "data":
                group = f"{row.name}, {kind} for a {'batch' if row.together > 1 else 'request'}"
                bench.figures.add_all(group, "pages", {subject: pages[subject][kind] for subject in SUBJECTS})


def calls_of_row(bench, row, subject):
    """The difference between a long run and a short one."""
    def run(requests):
        """All calls, and those that wait at the gate."""
        with tempfile.NamedTemporaryFile("r") as calls:
            row.run(bench, subject, requests, row.warm_up, ["strace", "-f", "-qq", "-o", calls.name])
            text = calls.read()
        return text.count("\n"), text.count(" read(0, ")

    few, more = 320, 640 if bench.quick else 960
    (calls, waits), (more_calls, more_waits) = run(few), run(more)
    # A batch that a busy machine delivers in two parts takes the server twice around its loop: what counts is what one
    # time around costs.
    requests = (more_waits - waits) * row.together if row.server.get("gated") else more - few
    return (more_calls - calls) / requests


NEW_SOCKETS = """
import socket, sys
count, family, port = sys.argv[1:]
for _ in range(int(count)):
    with socket.socket(getattr(socket, family), socket.SOCK_DGRAM) as new:
        new.bind(("", int(port)))
"""


def calls_of_new_socket(environment, family, port):
    """The difference between many and few."""
    def run(count):
        with tempfile.NamedTemporaryFile("r") as calls:
            variables = [word for name, value in environment.items() for word in ("-E", f"{name}={value}")]
            Program(["strace", "-f", "-qq", "-o", calls.name, *variables, sys.executable, "-c", NEW_SOCKETS, str(count),
                     family, str(port)]).finish()
            return calls.read().count("\n")

    few, more = 20, 220
    return (run(more) - run(few)) / (more - few)


def measure_system_calls(bench):
    bench.figures.begin("System calls per request and reply (strace)")
    if not bench.can("system calls", "strace", "-o", "/dev/null", "true"):
        return
    for row in map(ROWS.get, bench.wanted(ROWS)):
        if row.counts_calls:
            subjects = SUBJECTS[1:] if bench.quick else SUBJECTS
            calls = {subject: calls_of_row(bench, row, subject) for subject in subjects}
            bench.figures.add_all(row.name, "calls", calls, {"shim": Budget("at most", calls["native"] + ROUNDING)})
    bench.figures.begin("System calls of a new socket, made, bound to the wildcard and closed (strace)")
    for name, family in ("IPv4", "AF_INET"), ("IPv6", "AF_INET6"):
        for which, port in ("port 5300", 5300), ("any port", 0):
            above_bare(bench, f"a new socket, {which}, {name}", "calls", 2 + ROUNDING,
                       lambda environment: calls_of_new_socket(environment, family, port))
