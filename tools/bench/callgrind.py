# SPDX-License-Identifier: MIT
"""User-space instructions, counted by callgrind. They repeat exactly where the machine's time does not."""
import itertools
import re
import shutil
import tempfile
from pathlib import Path

KEPT = itertools.count(1)


def count(bench, run, whole=False, options=()):
    """What `run` counts by events ("Ir": instructions) with the beginning of a command line that it is given; of the
    `whole` run, or from CALLGRIND_START_INSTRUMENTATION to CALLGRIND_DUMP_STATS."""
    with tempfile.TemporaryDirectory(prefix="multihome-bench-") as folder:
        # Its remarks are about caches that no processor has and the like.
        command = ["valgrind", "--quiet", "--tool=callgrind", f"--callgrind-out-file={folder}/callgrind.out",
                   f"--log-file={folder}/log", *options]
        if not whole:
            command.append("--instr-atstart=no")
        if bench.profiles:
            command += ["--dump-instr=yes", "--collect-jumps=yes"]
        run(command)
        counts = Path(folder) / ("callgrind.out" if whole else "callgrind.out.1")
        if bench.profiles:
            Path(bench.profiles).mkdir(parents=True, exist_ok=True)
            shutil.copy(counts, f"{bench.profiles}/callgrind.out.{next(KEPT)}")
        text = counts.read_text()
    events = re.search(r"^events: (.*)", text, re.MULTILINE)
    summary = re.findall(r"^summary: (.*)", text, re.MULTILINE)
    if not events or not summary:
        raise RuntimeError("callgrind counted nothing")
    return dict(zip(events[1].split(), map(int, summary[-1].split())))
