# SPDX-License-Identifier: MIT
"""What the bench has found out: printed while it comes in, kept as JSON for the tables and the picture."""
import json
import math
import statistics
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Sample:
    """The middle of several repetitions, and how sure it is."""
    median: float
    low: float
    high: float


def spread(values):
    """With the quartiles, between which half of the repetitions lay. They do not move apart with more repetitions, as
    the extremes would."""
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return Sample(median, low, high)


def sure(values):
    """With the 95 % confidence interval of the median, by the order of the values alone: it holds whatever their
    distribution is."""
    # How many values lie below the true median is binomial; 1.96 standard deviations of that on either side.
    count = len(values)
    reach = 1.96 * math.sqrt(count) / 2
    low = max(0, math.floor(count / 2 - reach) - 1)
    high = min(count - 1, math.ceil(count / 2 + reach))
    return Sample(statistics.median(values), sorted(values)[low], sorted(values)[high])


@dataclass
class Budget:
    """What a figure has to keep to: "at most" or "at least" so much, or its "ratio at most" or "ratio at least"."""
    kind: str
    limit: float


def readable(value):
    """1234567 as "1.23 M"."""
    for start, unit, name, digits in (1e9, 1e9, "G", 2), (1e6, 1e6, "M", 2), (1e4, 1e3, "k", 1):
        if abs(value) >= start:
            return f"{value / unit:.{digits}f} {name}"
    digits = 0 if abs(value) >= 1000 or value == math.floor(value) else 1 if abs(value) >= 100 else 2
    return f"{value:.{digits}f}"


@dataclass
class Figure:
    part: str  # of the bench
    group: str  # what was measured: "one client, recvfrom, IPv4"
    subject: str  # of what: "native", "shim", "oneTBB"
    unit: str
    value: Sample
    # To the subject that the others of the group are compared with: of the ratios of each repetition.
    ratio: Sample = None
    budget: Budget = None
    note: str = ""

    @property
    def name(self):
        return f"{self.group}: {self.subject}"

    def is_within_budget(self):
        if not self.budget:
            return True
        value = self.ratio if self.budget.kind.startswith("ratio") else self.value
        median = value.median if value else 0
        return median <= self.budget.limit if self.budget.kind.endswith("at most") else median >= self.budget.limit

    def __str__(self):
        """As the tables have it."""
        text = f"{readable(self.value.median)} {self.unit}"
        if self.ratio and self.ratio.low != self.ratio.high:
            text += f" (x {self.ratio.median:.3f}, {self.ratio.low:.3f} to {self.ratio.high:.3f})"
        if self.budget:
            text += f", {self.budget.kind} {self.budget.limit:g}: {'met' if self.is_within_budget() else '**missed**'}"
        return text


class Figures:
    def __init__(self, machine):
        self.machine = machine  # "This processor, 2 processors; this kernel; this compiler; this libc"
        self.all = []
        self.skipped = []

    def begin(self, title):
        """Starts a part of the table."""
        print(f"\n{title}", flush=True)
        self.part, self.group = title, ""

    def add(self, group, subject, unit, value, **more):
        if group != self.group:
            print(f"  {group}")
        self.group = group
        if not isinstance(value, Sample):  # it repeats exactly
            value = Sample(value, value, value)
        figure = Figure(self.part, group, subject, unit, value, **more)
        self.all.append(figure)
        print(f"    {subject:<22} {figure}  {figure.note}", flush=True)

    def add_all(self, group, unit, values, budgets={}):
        """A figure for each subject, of values that repeat exactly."""
        for subject, value in values.items():
            self.add(group, subject, unit, value, budget=budgets.get(subject))

    def compare(self, group, unit, outcomes, value, reference, budgets={}, note=lambda outcomes: ""):
        """A figure for each subject: the `value` of its outcomes, which are in the order of the repetitions; ratios to
        the `reference`."""
        values = {subject: list(map(value, mine)) for subject, mine in outcomes.items()}
        for subject, mine in values.items():
            ratios = [one / other for one, other in zip(mine, values.get(reference, ())) if other]
            self.add(group, subject, unit, spread(mine), ratio=sure(ratios) if ratios else None,
                     budget=budgets.get(subject), note=note(outcomes[subject]))

    def skip(self, what, why):
        """Says why a part is missing."""
        print(f"  SKIP: {what}: {why}", flush=True)
        self.skipped.append(f"{what}: {why}")

    def are_within_budgets(self):
        """Prints the budgets that were missed, and how many there are."""
        missed = [figure for figure in self.all if not figure.is_within_budget()]
        if missed:
            print("\nMissed budgets", *(f"{figure.name}: {figure}" for figure in missed), sep="\n  ")
        budgets = sum(1 for figure in self.all if figure.budget)
        if budgets:
            print(f"{budgets - len(missed)} of {budgets} budgets met")
        return not missed

    def write(self, path):
        """As a file, a figure a line, so that a difference between two runs can be read."""
        def fields(each):
            """Those that are there. Six digits are more than any of the figures are worth."""
            return {name: float(f"{value:.6g}") if isinstance(value, (int, float)) else value
                    for name, value in vars(each).items() if value not in (None, "")}

        document = {"license": "SPDX-License-Identifier: MIT",
                    "low and high": "of a value: the quartiles of its repetitions; of a ratio: the 95 % confidence "
                                    "interval of the median of the repetitions' ratios",
                    "machine": self.machine, "figures": "@", "skipped": self.skipped}
        lines = ",\n    ".join(json.dumps(figure, default=fields, sort_keys=True, separators=(",", ":"))
                               for figure in self.all)
        Path(path).write_text(json.dumps(document, indent=2).replace('"@"', f"[\n    {lines}\n  ]") + "\n")

    @staticmethod
    def read(path):
        def known(fields):
            kinds = [kind for kind in (Sample, Budget, Figure) if fields.keys() <= kind.__annotations__.keys()]
            return kinds[0](**fields) if kinds else fields

        try:
            document = json.loads(Path(path).read_text(), object_hook=known)
            figures = Figures(document["machine"])
            figures.all, figures.skipped = document["figures"], document["skipped"]
        except (ValueError, KeyError, TypeError) as problem:
            raise RuntimeError(f"{path} holds no figures of --json: {problem!r}") from problem
        return figures
