# SPDX-License-Identifier: MIT
"""What runs inside one process: runs multihome-bench-inside (inside.cpp) and makes figures of its JSON."""
import json

from counts import callgrind
from figures import Budget, readable
from programs import Program

TABLES = ["shim", "oneTBB", "libcuckoo", "liburcu", "mutex and map"]
OPERATIONS = 20_000  # whose cache lines are counted
CACHES = ["--cache-sim=yes", "--D1=2048,32,64", "--I1=32768,8,64", "--LL=16777216,16,64"]


def run(bench, wanted, seconds):
    """The benchmarks of a run; none where the filter finds none."""
    output = Program(bench.inside(wanted, f"--benchmark_min_time={seconds}")).finish()
    return json.loads(output)["benchmarks"] if "{" in output else []


def measure_tables(bench, tables, peers):
    """Operations a second, from fresh processes that take turns."""
    def run_table(_, peers, table):
        """By what is done, and the number of threads."""
        benchmarks = run(bench, f"(look-ups|updates)/{table}/{peers}/", 0.01 if bench.quick else 0.03)
        return {(each["name"].partition("/")[0], each["threads"]): each for each in benchmarks}

    outcomes = bench.take_turns([peers], tables, 8, run_table)[peers]
    size = f"{readable(peers)} peers"
    for group, unit, counter, budget in (("memory", "bytes/peer", "bytes/peer", Budget("at most", 32)),
                                         ("peers found", "%", "% found", None)):
        bench.figures.add_all(f"{size}, {group}", unit,
                              {table: outcomes[table][-1]["updates", 1][counter] for table in tables}, {"shim": budget})
    for what in "look-ups", "updates":
        for threads in range(1, 5):
            ours_is_ahead = peers == 1_000_000 and threads == 4
            budgets = {table: Budget("ratio at most", 1.0) for table in tables[1:]} if ours_is_ahead else {}
            bench.figures.compare(f"{size}, {what}, {threads} thread{'' if threads == 1 else 's'}", "/s", outcomes,
                                  lambda outcome: outcome[what, threads]["items_per_second"], "shim", budgets)
    if bench.can("cache lines", "valgrind", "--version"):
        for what in "look-ups", "updates":
            lines = {}
            for table in tables:
                program = bench.inside(f"cache lines of {what}/{table}/{peers}/")
                counts = callgrind(bench, lambda under: Program([*under, *program]).finish(), options=CACHES)
                lines[table] = (counts["D1mr"] + counts["D1mw"]) / OPERATIONS
            bench.figures.add_all(f"{size}, cache lines of {what}", "lines", lines)


def measure(bench):
    bench.figures.begin("The table alone (x: to the shim's)")
    tables = [table for table in TABLES if run(bench, f"look-ups/{table}/1000/real_time/threads:1", 0.001)]
    for table in TABLES:
        if table not in tables:
            bench.figures.skip(table, "the bench was built without its library")
    # 10 million: more than the largest table is made for (8,388,608 peers, 128 MiB): what it does when it is over-full.
    for peers in [1000, 100_000, 1_000_000] + ([10_000_000] if bench.full else []):
        measure_tables(bench, tables, peers)
    bench.figures.begin("Inside the shim, and its table alone under a flood")
    for each in sorted(run(bench, "(hash|reading|flood)", 0.01 if bench.quick else 0.2), key=lambda each: each["name"]):
        group, subject = each["name"].split("/")[:2]
        # Its counter, or its time.
        unit = next((counter for counter in ("% right", "datagrams late") if counter in each), "ns")
        bench.figures.add(group, subject, unit, each[unit if unit != "ns" else "cpu_time"])
