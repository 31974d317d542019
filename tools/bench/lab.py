# SPDX-License-Identifier: MIT
"""Between two hosts: lab.sh measures in the network namespaces of the tests' lab, and says what it prints."""
from pathlib import Path

from figures import exactly
from programs import Outcome, Program

RATE = 40_000  # requests a second, which every subject can serve


def add_turns(bench, group, turns):
    """`turns` by subject, each in the order of the repetitions: as many requests as it takes, and RATE a second."""
    def compare(what, unit, value, note):
        bench.figures.compare(f"{group}, {what}", unit,
                              {subject: [value(*turn) for turn in mine] for subject, mine in turns.items()}, "native",
                              notes={subject: note(*mine[-1]) for subject, mine in turns.items()})

    compare("saturated", "answers/s", lambda much, steady, busy: much.rate,
            lambda much, steady, busy: f"{much.right_percent:.4g} % right")
    compare(f"the processor time of both ends at {RATE} requests a second", "ns/answer",
            lambda much, steady, busy: (steady.server_time + steady.processor_seconds * 1e9) / steady.answers,
            lambda *turn: "")
    compare(f"the whole machine's at {RATE} requests a second", "ns/answer",
            lambda much, steady, busy: busy * 1e6 / steady.answers,
            lambda *turn: "without what it does when nobody asks")


def measure(bench):
    bench.figures.begin("Between two hosts (network namespaces), against redirecting and connection tracking")
    bench.network.leave()
    script = Program(["bash", Path(__file__).with_name("lab.sh")],
                     {"MULTIHOME_LIBRARY": bench.library,
                      "MULTIHOME_BENCH_PROGRAMS": bench.command("")[0],
                      "MULTIHOME_BENCH_TURNS": "3" if bench.quick else "9", "MULTIHOME_BENCH_RATE": str(RATE)})
    lines = script.communicate()[0].splitlines()
    groups = {}
    others = []
    for kind, *words in (line.split("\t") for line in lines):
        if kind == "turn":
            group, subject, much, steady, busy = words
            turn = Outcome(much), Outcome(steady), float(busy)
            groups.setdefault(group, {}).setdefault(subject, []).append(turn)
        elif kind == "served":
            group, subject, client, note = words
            outcome = Outcome(client)
            others.append((group, subject, "% served", 100 * outcome.right / outcome.asked,
                           f"{outcome.asked:.0f} requests; {note}"))
        elif kind == "bytes":
            group, subject, value, note = words
            others.append((group, subject, "bytes", float(value), note))
    for group, turns in groups.items():
        add_turns(bench, group, turns)
    for group, subject, unit, value, note in others:
        bench.figures.add(group, subject, unit, exactly(value), note=note)
    if script.returncode != 0:
        last = lines[-1] if lines else ""
        bench.figures.skip("lab", last.removeprefix("SKIP: ") if last.startswith("SKIP: ") else
                           "tools/bench/lab.sh failed")
