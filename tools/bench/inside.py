# SPDX-License-Identifier: MIT
"""What runs inside one process: runs multihome-bench-inside (inside.cpp) and makes figures of its JSON."""
import json
import re

import callgrind
from figures import Budget, at_most, exactly, readable
from programs import Program

TABLES = ["shim", "oneTBB", "libcuckoo", "liburcu", "mutex and map"]
OPERATIONS = 20_000  # whose cache lines are counted


def command(bench, wanted, seconds):
    return [bench.built / "multihome-bench-inside", "--benchmark_format=json", f"--benchmark_filter=^{wanted}",
            f"--benchmark_min_time={seconds}"]


def run(bench, wanted, seconds):
    """The benchmarks of a run, by their names; none where the filter finds none."""
    output = Program(command(bench, wanted, seconds)).finish()
    return {each["name"]: each for each in json.loads(output)["benchmarks"]} if "{" in output else {}


def measure_rates(bench, tables, peers):
    """Operations a second, from fresh processes that take turns."""
    runs = {table: [] for table in tables}
    for _ in range(3 if bench.quick else 8):
        for table in tables:
            runs[table].append(run(bench, f"(look-ups|updates)/{table}/{peers}/", 0.01 if bench.quick else 0.03))
    size = f"{readable(peers)} peers"
    for group, unit, counter, budget in (("memory", "bytes/peer", "bytes/peer", at_most(32)),
                                         ("peers found", "%", "% found", None)):
        last = {table: runs[table][-1][f"updates/{table}/{peers}/real_time/threads:1"] for table in tables}
        bench.figures.add_all(f"{size}, {group}", unit, {table: last[table][counter] for table in tables},
                              {"shim": budget})
    for what in "look-ups", "updates":
        for threads in range(1, 5):
            rates = {table: [each[f"{what}/{table}/{peers}/real_time/threads:{threads}"]["items_per_second"]
                             for each in runs[table]] for table in tables}
            ours_is_ahead = peers == 1_000_000 and threads == 4
            budgets = {table: Budget("ratio at most", 1.0) for table in tables[1:]} if ours_is_ahead else {}
            bench.figures.compare(f"{size}, {what}, {threads} thread{'' if threads == 1 else 's'}", "/s", rates, "shim",
                                  budgets)


def measure_lines(bench, tables, peers):
    if not bench.can("cache lines", "valgrind", "--version"):
        return
    caches = ["--cache-sim=yes", "--D1=2048,32,64", "--I1=32768,8,64", "--LL=16777216,16,64"]
    for what in "look-ups", "updates":
        lines = {}
        for table in tables:
            program = command(bench, f"cache lines of {what}/{table}/{peers}/", 0.01)
            counts = callgrind.count(bench, lambda under: Program([*under, *program]).finish(), options=caches)
            lines[table] = (counts["D1mr"] + counts["D1mw"]) / OPERATIONS
        bench.figures.add_all(f"{readable(peers)} peers, cache lines of {what}", "lines", lines)


def measure_rest(bench):
    """What has but counters or a time."""
    bench.figures.begin("Inside the shim, and its table alone under a flood")
    for name, each in sorted(run(bench, "(hash|reading|flood)", 0.01 if bench.quick else 0.2).items()):
        group, subject = re.match("([^/]*)/([^/]*)", name).groups()
        unit, value = "ns", each["cpu_time"]
        for counter in "% right", "datagrams late":
            if counter in each:
                unit, value = counter, each[counter]
        bench.figures.add(group, subject, unit, exactly(value))


def measure(bench):
    bench.figures.begin("The table alone (x: to the shim's)")
    if not command(bench, "", 0)[0].exists():
        bench.figures.skip("table", "the bench was built without libbenchmark-dev")
        return
    tables = []
    for table in TABLES:
        if run(bench, f"look-ups/{table}/1000/real_time/threads:1", 0.001):
            tables.append(table)
        else:
            bench.figures.skip(table, "the bench was built without its library")
    # 10 million: more than the largest table is made for (8,388,608 peers, 128 MiB): what it does when it is over-full.
    for peers in [1000, 100_000, 1_000_000] + ([10_000_000] if bench.full else []):
        measure_rates(bench, tables, peers)
        measure_lines(bench, tables, peers)
    measure_rest(bench)
