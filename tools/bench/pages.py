# SPDX-License-Identifier: MIT
"""The pages of code and of data that the program touches for a request and its reply, libc's and the shim's among them.
What costs time is not the instructions but the pages and lines that are cold after each system call. valgrind's lackey
lists every access; the server stores to a word of its own between two requests."""
import re
import statistics
import tempfile
from pathlib import Path

from programs import SUBJECTS
from rows import ROWS

PAGE_BITS = 12
COUNTED = 4  # requests, or batches
MARK = " S 10000000,4\n"  # the store between two


def count_pages(trace):
    """By kind. Of a trace with lines as "I  0403f0a0,3" and " S 1ffefff0,8": the last requests alone, on average."""
    requests = trace.split(MARK)[-COUNTED - 1:-1]  # the last has the program's end
    if len(requests) < COUNTED:
        raise RuntimeError("lackey has traced no requests")
    return {kind: statistics.mean(len({int(address, 16) >> PAGE_BITS for address in re.findall(line, request, re.M)})
                                  for request in requests)
            for kind, line in (("code", r"^I  (\w+),"), ("data", r"^ [SLM] (\w+),"))}


def measure_pages(bench, row, subject):
    warm_up = row.warm_up if row.clients > 100 else 64
    with tempfile.TemporaryDirectory(prefix="multihome-bench-") as folder:
        row.run(bench, subject, (COUNTED + 2) * row.together, warm_up,
                ["valgrind", "--tool=lackey", "--trace-mem=yes", f"--log-file={folder}/trace"], marks=True)
        return count_pages(Path(folder, "trace").read_text())


def measure(bench):
    bench.figures.begin("Pages touched for a request and its reply (lackey)")
    if not bench.can("pages", "valgrind", "--version"):
        return
    for row in ROWS:
        if not row.counts_pages or not bench.is_wanted(row.name):
            continue
        pages = {subject: measure_pages(bench, row, subject) for subject in SUBJECTS}
        for kind in "code", "data":
            bench.figures.add_all(f"{row.name}, {kind} for {'a batch' if row.together > 1 else 'a request'}", "pages",
                                  {subject: pages[subject][kind] for subject in SUBJECTS})
