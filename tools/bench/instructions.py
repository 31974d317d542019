# SPDX-License-Identifier: MIT
"""User-space instructions for a request and its reply, for calls that are none of the shim's business, and at process
start: callgrind counts from when the program has warmed up."""
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import callgrind
from figures import at_most
from programs import SUBJECTS, Program
from rows import ROWS

TURNS = 1000  # of two calls each
ROW_LIMIT, START_LIMIT, FAULTS_LIMIT, SIZE_LIMIT = 12, 60_000, 10, 800


def request_and_reply(bench, row, known):
    values = {}
    for subject in SUBJECTS[1:] if bench.quick else SUBJECTS:
        requests = 3200 if row.clients > 1 else 960  # multiples of 32
        # Who asks makes no difference to a program that looks no peer up: once for each way of calling.
        key = (subject, str(row.server), row.name if subject == "shim" else "")
        if key not in known:
            counts = callgrind.count(bench, lambda under: row.run(bench, subject, requests, row.warm_up, under))
            known[key] = counts["Ir"] / requests
        values[subject] = known[key]
    values["above native"] = values["shim"] - values["native"]
    bench.figures.add_all(row.name, "instructions", values, {"above native": row.budget})


def above_bare(bench, group, unit, limit, measure):
    # A variable as long, because reading the environment costs instructions, too.
    bare = measure({"LD_NOTHING": bench.library})
    shim = measure({"LD_PRELOAD": bench.library})
    bench.figures.add_all(group, unit, {"bare": bare, "shim": shim, "above bare": shim - bare},
                          {"above bare": at_most(limit)})


def count(bench, command, environment, whole=False):
    return callgrind.count(bench, lambda under: Program([*under, *command], environment).finish(), whole)["Ir"]


def page_faults(command, environment):
    """The least of many: what a busy machine takes away and brings back is not the library's."""
    def once():
        usage = os.wait4(os.posix_spawn(command[0], command, {**os.environ, **environment}), 0)[2]
        return usage.ru_minflt + usage.ru_majflt
    return min(once() for _ in range(100))


def library_size(bench):
    """A build keeps its debugging information; what is installed and loaded does not have it."""
    with tempfile.NamedTemporaryFile(prefix="multihome-bench-") as stripped:
        subprocess.run(["strip", "-o", stripped.name, bench.library], check=True)
        size = Path(stripped.name).stat().st_size / 1024
    bench.figures.add_all("the library, stripped", "KiB", {"shim": size}, {"shim": at_most(SIZE_LIMIT)})


def measure(bench):
    bench.figures.begin("User-space instructions (callgrind)")
    if not bench.can("instructions", "valgrind", "--version"):
        return
    known = {}
    for row in ROWS:
        if bench.is_wanted(row.name):
            request_and_reply(bench, row, known)
    for kind in Program(bench.command("pass-on")).finish().splitlines():
        command = bench.command("pass-on", kind=kind, count=TURNS)
        if bench.is_wanted(f"not ours: {kind}"):
            above_bare(bench, f"not ours: {kind}", "instructions", ROW_LIMIT,
                       lambda environment: count(bench, command, environment) / (2 * TURNS))
    if bench.is_wanted("process start"):
        command = [shutil.which("true")]
        above_bare(bench, "process start, true", "instructions", START_LIMIT,
                   lambda environment: count(bench, command, environment, whole=True))
        above_bare(bench, "process start, true, page faults", "page faults", FAULTS_LIMIT,
                   lambda environment: page_faults(command, environment))
    if bench.is_wanted("the library, stripped") and bench.can("the library's size", "strip", "--version"):
        library_size(bench)
