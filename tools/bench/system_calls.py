# SPDX-License-Identifier: MIT
"""System calls per request and reply, counted by strace: the difference between a long run and a short one."""
import tempfile
from pathlib import Path

from figures import at_most
from rows import ROWS

FEW = 320
# A call now and then, once in some hundred packets, is none for each of them.
ROUNDING = 0.005


def count(bench, row, subject, requests):
    """All calls, and those that wait at the gate."""
    with tempfile.TemporaryDirectory(prefix="multihome-bench-") as folder:
        row.run(bench, subject, requests, row.warm_up, ["strace", "-f", "-qq", "-o", f"{folder}/calls"])
        calls = Path(folder, "calls").read_text()
    return calls.count("\n"), calls.count(" read(0, ")


def for_each_request(bench, row, subject):
    requests = FEW if bench.quick else 2 * FEW
    few, few_waits = count(bench, row, subject, FEW)
    more, more_waits = count(bench, row, subject, FEW + requests)
    # A batch that a busy machine delivers in two parts takes the server twice around its loop: what counts is what one
    # time around costs.
    if row.server.get("gated"):
        requests = (more_waits - few_waits) * row.together
    return (more - few) / requests


def measure(bench):
    bench.figures.begin("System calls per request and reply (strace)")
    if not bench.can("system calls", "strace", "-o", "/dev/null", "true"):
        return
    for row in ROWS:
        if not row.counts_calls or not bench.is_wanted(row.name):
            continue
        calls = {subject: for_each_request(bench, row, subject) for subject in ("native", "bare", "shim")
                 if subject != "bare" or not bench.quick}
        bench.figures.add_all(row.name, "calls", calls, {"shim": at_most(calls["native"] + ROUNDING)})
