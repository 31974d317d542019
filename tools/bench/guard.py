# SPDX-License-Identifier: MIT
"""The instruction counts that are kept in the repository (tests/bench/figures.txt), and how new ones may differ."""
import re
from pathlib import Path

ALLOWED_GROWTH = 1.10
# A count of ten or so must not fail for one instruction that another register allocation brings.
ALLOWED_ANYWAY = 1.5

NO_REASON = "(say why)"


class Kept:
    def __init__(self, path):
        text = Path(path).read_text()
        self.heading = re.match("(?:#.*\n)*", text)[0]
        self.made_by = "".join(re.findall("^made by (.*)", text, re.MULTILINE))
        self.values = {name: float(value) for value, name in re.findall(r"^ *([\d.]+)  (.*)", text, re.MULTILINE)}
        self.reasons = dict(re.findall("^over its budget: (.*?), because (.*)$", text, re.MULTILINE))

    def problems(self, figure):
        before = self.values.get(figure.name)
        if before is None:
            yield "is not kept there"
        elif figure.value.median > before * ALLOWED_GROWTH + ALLOWED_ANYWAY:
            yield f"GROWN from {before:.1f}"
        if figure.is_within_budget():
            if figure.name in self.reasons:
                yield "is within its budget now, keep that"
        elif self.reasons.get(figure.name, NO_REASON) == NO_REASON:
            yield "OVER ITS BUDGET, and no reason is kept"


def guarded(figures):
    return [figure for figure in figures.all
            if figure.subject.startswith("above ") and figure.unit in ("instructions", "page faults")]


def keep(figures, path):
    """Writes the counts, and what misses its budget, with the heading and the reasons that are there already."""
    kept = Kept(path)
    lines = [f"made by {figures.made_by}"]
    lines += [f"{figure.value.median:10.1f}  {figure.name}" for figure in guarded(figures)]
    lines += [f"over its budget: {figure.name}, because {kept.reasons.get(figure.name, NO_REASON)}"
              for figure in guarded(figures) if not figure.is_within_budget()]
    Path(path).write_text(kept.heading + "\n".join(lines) + "\n")


def is_comparable(path, made_by):
    """Where the counts were made by another compiler, libc or kind of build, other figures are to be expected."""
    kept = Kept(path).made_by
    if kept != made_by:
        print(f"SKIP: the figures were made by {kept}, this is {made_by}")
    return kept == made_by


def compare(figures, path, is_wanted):
    """Prints all that has grown, that exceeds a budget, and that is missing though it `is_wanted`. True: nothing."""
    kept = Kept(path)
    complaints = [f"{figure.name}: {figure}: {problem}" for figure in guarded(figures)
                  for problem in kept.problems(figure)]
    missing = kept.values.keys() - {figure.name for figure in figures.all}
    complaints += [f"{name}: was not measured" for name in sorted(missing) if is_wanted(name.rpartition(": ")[0])]
    print(f"\nAgainst {path}", *complaints, sep="\n  ")
    return not complaints
