# SPDX-License-Identifier: MIT
"""The figures as tables, and the main ones as a picture."""
import subprocess
import tempfile
from pathlib import Path

from figures import readable

HERE = Path(__file__).parent
BEGIN_MARK = "<!-- bench:begin -->\n"
END_MARK = "<!-- bench:end -->"

# gnuplot writes colours as attributes, which a style sheet overrules. Those for the dark are lighter.
STYLE = """\
<!-- SPDX-License-Identifier: MIT -->
<style>
  svg { background: #ffffff } text { font-family: sans-serif }
  @media (prefers-color-scheme: dark) {
    svg { background: #0d1117 } text { fill: #e6edf3 }
    [stroke='black'], [stroke='rgb( 31,  35,  40)'] { stroke: #9198a1 }
    [stroke='rgb(208, 215, 222)'] { stroke: #30363d }
    [fill='rgb(  0, 114, 178)'] { fill: #56b4e9 }
  }
</style>
"""


def cell(figure):
    text = f"{readable(figure.value.median)} {figure.unit}"
    ratio = figure.ratio
    if ratio and ratio.low != ratio.high:
        text += f" (x {ratio.median:.3f}, {ratio.low:.3f} to {ratio.high:.3f})"
    if figure.budget:
        text += f", {figure.budget}: {'met' if figure.is_within_budget() else '**missed**'}"
    return text


def table(part, figures):
    """A row for each group, a column for each subject."""
    cells = {(figure.group, figure.subject): cell(figure) for figure in figures}
    subjects = list(dict.fromkeys(figure.subject for figure in figures))
    lines = ["| | " + " | ".join(subjects) + " |", "| --- |" + " --- |" * len(subjects)]
    for group in dict.fromkeys(figure.group for figure in figures):
        lines.append(f"| {group} | " + " | ".join(cells.get((group, subject), "") for subject in subjects) + " |")
    return f"\n### {part}\n\n" + "\n".join(lines) + "\n"


def with_tables(document, figures):
    """A document with other words between the marks."""
    before, begin, rest = document.partition(BEGIN_MARK)
    _, end, after = rest.partition(END_MARK)
    if not end:
        raise RuntimeError("no marks bench:begin and bench:end in the file for the tables")
    tables = f"\nMeasured on {figures.machine}.\n"
    for part in dict.fromkeys(figure.part for figure in figures.all):
        tables += table(part, [figure for figure in figures.all if figure.part == part])
    return f"{before}{begin}{tables}\n{end}{after}"


def write_tables(path, figures):
    Path(path).write_text(with_tables(Path(path).read_text(), figures))


def has_tables(path, figures):
    document = Path(path).read_text()
    if document == with_tables(document, figures):
        return True
    print(f"{path} does not have these figures: see --tables")
    return False


def write_picture(path, figures):
    """Draws what picture.gp wants, for light and dark ground."""
    with tempfile.NamedTemporaryFile("w", prefix="multihome-bench-") as data:
        for figure in figures.all:
            data.write(f"{figure.group}\t{figure.subject}\t{figure.value.median:g}\n")
        data.flush()
        subprocess.run(["gnuplot", "-c", HERE / "picture.gp", data.name, path], check=True)
    picture = Path(path).read_text()
    Path(path).write_text(picture.replace("<desc>", STYLE + "<desc>", 1))
