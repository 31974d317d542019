# SPDX-License-Identifier: MIT
"""The instruction counts that are kept in the repository (tests/bench/figures.txt), and what new ones may differ."""
import re
from dataclasses import dataclass, field
from pathlib import Path

ALLOWED_GROWTH = 1.10
# A count of ten or so must not fail for one instruction that another register allocation brings.
ALLOWED_ANYWAY = 1.5

HEADING = """\
# SPDX-License-Identifier: MIT
# Instructions that must not grow by more than a tenth, and what misses its budget, each with its reason: nothing
# else may (test bench.instructions). Where they do for a good reason:
#   build/multihome-bench instructions --quick --keep tests/bench/figures.txt
# keeps the reasons that are here, and asks for those that are missing. Other compilers, other versions of libc and
# other kinds of build skip the test.
"""
NO_REASON = "(say why)"


@dataclass
class Kept:
    made_by: str = ""
    values: dict = field(default_factory=dict)
    excused: dict = field(default_factory=dict)  # with the reason


def read(path):
    kept = Kept()
    for line in Path(path).read_text().splitlines():
        if line.startswith("made by "):
            kept.made_by = line.removeprefix("made by ")
        elif line.startswith("over its budget: "):
            name, _, reason = line.removeprefix("over its budget: ").partition(", because ")
            kept.excused[name] = reason
        elif found := re.match(r" *([\d.]+) +(.+)", line):
            kept.values[found[2]] = float(found[1])
    return kept


def guarded(figures):
    return [figure for figure in figures.all
            if figure.subject.startswith("above ") and figure.unit in ("instructions", "page faults")]


def keep(path, figures, made_by):
    """Writes the counts, and what misses its budget, with the reasons that are there already."""
    excused = read(path).excused
    lines = [f"{figure.value.median:10.1f}  {figure.name}" for figure in guarded(figures)]
    lines += [f"over its budget: {figure.name}, because {excused.get(figure.name, NO_REASON)}"
              for figure in guarded(figures) if not figure.is_within_budget()]
    Path(path).write_text(f"{HEADING}made by {made_by}\n" + "".join(line + "\n" for line in lines))


def is_comparable(path, made_by):
    """Where the counts were made by another compiler, libc or kind of build, other figures are to be expected."""
    kept = read(path).made_by
    if kept != made_by:
        print(f"SKIP the figures were made by {kept}, this is {made_by}")
    return kept == made_by


def problems(figure, kept):
    value = figure.value.median
    before = kept.values.get(figure.name)
    if before is None:
        yield "is not kept there"
    elif value > before * ALLOWED_GROWTH + ALLOWED_ANYWAY:
        yield f"{value:.1f}, GROWN from {before:.1f}"
    reason = kept.excused.get(figure.name)
    if reason is None and not figure.is_within_budget():
        yield f"{value:.1f}, {figure.budget}: OVER ITS BUDGET, and no excuse is kept"
    elif reason is not None and figure.is_within_budget():
        yield f"{value:.1f}, {figure.budget}: it is within its budget now, keep that"
    elif reason in ("", NO_REASON):
        yield "is over its budget without a reason"


def compare(path, figures, is_wanted):
    """Prints all that has grown, that exceeds a budget, and that is missing though it `is_wanted`. True: nothing."""
    kept = read(path)
    complaints = [f"{figure.name}: {problem}" for figure in guarded(figures) for problem in problems(figure, kept)]
    missing = kept.values.keys() - {figure.name for figure in figures.all}
    complaints += [f"{name}: was not measured" for name in sorted(missing) if is_wanted(name.rpartition(": ")[0])]
    print(f"\nAgainst {path}")
    for complaint in complaints:
        print(f"  {complaint}")
    return not complaints
