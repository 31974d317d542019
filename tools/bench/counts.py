# SPDX-License-Identifier: MIT
"""What repeats exactly where the machine's time does not: user-space instructions, counted by callgrind, the pages that
are touched, by lackey, and system calls, by strace; of the rows of rows.py and of a few more."""
import itertools
import os
import re
import shutil
import statistics
import subprocess
import tempfile
from pathlib import Path

from figures import at_most
from programs import SUBJECTS, Program
from rows import ROWS

PROFILES = itertools.count(1)
CALLS = 2000  # on other descriptors, two each time
NOT_OURS_LIMIT, START_LIMIT, FAULTS_LIMIT, SIZE_LIMIT = 12, 60_000, 10, 800
PAGE_BITS = 12
# A system call now and then, once in some hundred packets, is none for each of them.
ROUNDING = 0.005


def callgrind(bench, run, whole=False, options=()):
    """What `run` counts by events ("Ir": instructions) with the beginning of a command line that it is given; of the
    `whole` run, or from CALLGRIND_START_INSTRUMENTATION to CALLGRIND_DUMP_STATS."""
    with tempfile.TemporaryDirectory() as folder:
        # Its remarks are about caches that no processor has and the like.
        command = ["valgrind", "--quiet", "--tool=callgrind", f"--callgrind-out-file={folder}/callgrind.out",
                   f"--log-file={folder}/log", *options]
        if not whole:
            command.append("--instr-atstart=no")
        if bench.profiles:
            command += ["--dump-instr=yes", "--collect-jumps=yes"]
        run(command)
        counts = Path(folder, "callgrind.out" if whole else "callgrind.out.1")
        if bench.profiles:
            Path(bench.profiles).mkdir(parents=True, exist_ok=True)
            shutil.copy(counts, f"{bench.profiles}/callgrind.out.{next(PROFILES)}")
        text = counts.read_text()
    events, summary = (re.findall(f"^{what}: (.*)", text, re.MULTILINE) for what in ("events", "summary"))
    if not summary:
        raise RuntimeError("callgrind counted nothing")
    return dict(zip(events[0].split(), map(int, summary[-1].split())))


def instructions_of_row(bench, row, subject):
    requests = 3200 if row.clients > 1 else 960  # multiples of 32
    return callgrind(bench, lambda under: row.run(bench, subject, requests, row.warm_up, under))["Ir"] / requests


def above_bare(bench, group, unit, limit, measure):
    if bench.is_wanted(group):
        # A variable as long, because reading the environment costs instructions, too.
        bare, shim = (measure({name: bench.library}) for name in ("LD_NOTHING", "LD_PRELOAD"))
        bench.figures.add_all(group, unit, {"bare": bare, "shim": shim, "above bare": shim - bare},
                              {"above bare": at_most(limit)})


def instructions_of(bench, command, environment, whole=False):
    return callgrind(bench, lambda under: Program([*under, *command], environment).finish(), whole)["Ir"]


def page_faults(command, environment):
    """The least of many: what a busy machine takes away and brings back is not the library's."""
    def once():
        usage = os.wait4(os.posix_spawn(command[0], command, {**os.environ, **environment}), 0)[2]
        return usage.ru_minflt + usage.ru_majflt
    return min(once() for _ in range(100))


def library_size(bench):
    """A build keeps its debugging information; what is installed and loaded does not have it."""
    with tempfile.NamedTemporaryFile() as stripped:
        subprocess.run(["strip", "-o", stripped.name, bench.library], check=True)
        size = Path(stripped.name).stat().st_size / 1024
    bench.figures.add_all("the library, stripped", "KiB", {"shim": size}, {"shim": at_most(SIZE_LIMIT)})


def measure_instructions(bench):
    bench.figures.begin("User-space instructions (callgrind)")
    if not bench.can("instructions", "valgrind", "--version"):
        return
    known = {}
    for row in bench.wanted(ROWS):
        values = {}
        for subject in bench.subjects:
            # Who asks makes no difference to a program that looks no peer up: once for each way of calling.
            key = (subject, str(row.server), row.name if subject == "shim" else "")
            values[subject] = known[key] = known.get(key) or instructions_of_row(bench, row, subject)
        values["above native"] = values["shim"] - values["native"]
        bench.figures.add_all(row.name, "instructions", values, {"above native": row.budget})
    for kind in Program(bench.command("pass-on")).finish().splitlines():
        command = bench.command("pass-on", kind=kind, count=CALLS // 2)
        above_bare(bench, f"not ours: {kind}", "instructions", NOT_OURS_LIMIT,
                   lambda environment: instructions_of(bench, command, environment) / CALLS)
    command = [shutil.which("true")]
    above_bare(bench, "process start, true", "instructions", START_LIMIT,
               lambda environment: instructions_of(bench, command, environment, whole=True))
    above_bare(bench, "process start, true, page faults", "page faults", FAULTS_LIMIT,
               lambda environment: page_faults(command, environment))
    if bench.is_wanted("the library, stripped") and bench.can("the library's size", "strip", "--version"):
        library_size(bench)


def pages_of_row(bench, row, subject):
    """By kind. What costs time is not the instructions but the pages and lines that are cold after each system call."""
    counted = 4  # requests, or batches
    with tempfile.TemporaryDirectory() as folder:
        row.run(bench, subject, (counted + 2) * row.together, row.warm_up if row.clients > 100 else 64,
                ["valgrind", "--tool=lackey", "--trace-mem=yes", f"--log-file={folder}/trace"], marks=True)
        # Lines as "I  0403f0a0,3" and " S 1ffefff0,8". The server stores to a word of its own between two requests; the
        # last one has the program's end.
        requests = Path(folder, "trace").read_text().split(" S 10000000,4\n")[-counted - 1:-1]
    return {kind: statistics.mean(len({int(address, 16) >> PAGE_BITS for address in re.findall(line, request, re.M)})
                                  for request in requests)
            for kind, line in (("code", r"^I  (\w+),"), ("data", r"^ [SLM] (\w+),"))}


def measure_pages(bench):
    bench.figures.begin("Pages touched for a request and its reply (lackey)")
    if not bench.can("pages", "valgrind", "--version"):
        return
    for row in bench.wanted(ROWS):
        if row.counts_pages:
            pages = {subject: pages_of_row(bench, row, subject) for subject in SUBJECTS}
            what = "a batch" if row.together > 1 else "a request"
            for kind in "code", "data":
                bench.figures.add_all(f"{row.name}, {kind} for {what}", "pages",
                                      {subject: pages[subject][kind] for subject in SUBJECTS})


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


def measure_system_calls(bench):
    bench.figures.begin("System calls per request and reply (strace)")
    if not bench.can("system calls", "strace", "-o", "/dev/null", "true"):
        return
    for row in bench.wanted(ROWS):
        if row.counts_calls:
            calls = {subject: calls_of_row(bench, row, subject) for subject in bench.subjects}
            bench.figures.add_all(row.name, "calls", calls, {"shim": at_most(calls["native"] + ROUNDING)})
