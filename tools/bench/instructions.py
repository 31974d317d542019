# SPDX-License-Identifier: MIT
"""User-space instructions for a request and its reply, for calls that are none of the shim's business, and at process
start: callgrind counts from when the program has warmed up."""
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import callgrind
from figures import at_most, exactly
from programs import SUBJECTS, Program
from rows import ROWS


def count_request(bench, row, subject):
    requests = 3200 if row.clients > 1 else 960  # multiples of 32
    counts = callgrind.count(bench, lambda valgrind: row.run(bench, subject, requests, row.warm_up, valgrind))
    return counts["Ir"] / requests


def requests_and_replies(bench):
    known = {}
    for row in ROWS:
        if not bench.is_wanted(row.name):
            continue
        values = {}
        for subject in SUBJECTS[1:] if bench.quick else SUBJECTS:
            # Who asks makes no difference to a program that looks no peer up: once for each way of calling.
            key = (subject, str(row.server), row.name if subject == "shim" else "")
            if key not in known:
                known[key] = count_request(bench, row, subject)
            values[subject] = known[key]
            bench.figures.add(row.name, subject, "instructions", exactly(values[subject]))
        bench.figures.add(row.name, "above native", "instructions", exactly(values["shim"] - values["native"]),
                          budget=row.budget)


def above_bare(bench, group, unit, limit, measure):
    # A variable as long, because the environment is there from the start.
    bare = measure({"LD_NOTHING": bench.library})
    shim = measure({"LD_PRELOAD": bench.library})
    bench.figures.add(group, "bare", unit, exactly(bare))
    bench.figures.add(group, "shim", unit, exactly(shim))
    bench.figures.add(group, "above bare", unit, exactly(shim - bare), budget=at_most(limit))


def passed_on(bench):
    turns, calls = 1000, 2
    for kind in Program(bench.command("pass-on")).finish().splitlines():
        def measure(environment, command=tuple(bench.command("pass-on", kind=kind, count=turns))):
            counts = callgrind.count(bench, lambda valgrind: Program([*valgrind, *command], environment).finish())
            return counts["Ir"] / (turns * calls)
        if bench.is_wanted(f"not ours: {kind}"):
            above_bare(bench, f"not ours: {kind}", "instructions", 12, measure)


def process_start(bench):
    program = shutil.which("true")

    def instructions(environment):
        return callgrind.count(bench, lambda valgrind: Program([*valgrind, program], environment).finish(),
                               whole=True)["Ir"]

    def page_faults(environment):
        process = os.posix_spawn(program, [program], {**os.environ, **environment})
        usage = os.wait4(process, 0)[2]
        return usage.ru_minflt + usage.ru_majflt

    above_bare(bench, "process start, true", "instructions", 60_000, instructions)
    # The least of several: what a busy machine takes away and brings back is not the library's.
    above_bare(bench, "process start, true, page faults", "page faults", 10,
               lambda environment: min(page_faults(environment) for _ in range(100)))


def library_size(bench):
    """A build keeps its debugging information; what is installed and loaded does not have it."""
    if not bench.has("strip", "the library's size"):
        return
    with tempfile.NamedTemporaryFile(prefix="multihome-bench-") as stripped:
        subprocess.run(["strip", "-o", stripped.name, bench.library], check=True)
        size = Path(stripped.name).stat().st_size / 1024
    bench.figures.add("the library, stripped", "shim", "KiB", exactly(size), budget=at_most(800))


def measure(bench):
    bench.figures.begin("User-space instructions (callgrind)")
    if not bench.has("valgrind", "instructions"):
        return
    requests_and_replies(bench)
    passed_on(bench)
    if bench.is_wanted("process start"):
        process_start(bench)
    if bench.is_wanted("the library, stripped"):
        library_size(bench)
