# SPDX-License-Identifier: MIT
"""The figures as tables, and the main ones as a picture."""
import re
import subprocess
import tempfile
from pathlib import Path

# gnuplot writes colours as attributes, which a style sheet overrules. Those for the dark are lighter.
TITLE = "What an answer costs: a program that uses IP_PKTINFO itself, any program with multihome, connection tracking"
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


def table(figures):
    """A row for each group, a column for each subject."""
    cells = {(figure.group, figure.subject): str(figure) for figure in figures}
    subjects = list(dict.fromkeys(figure.subject for figure in figures))
    lines = [f"| | {' | '.join(subjects)} |", "| --- |" + " --- |" * len(subjects)]
    for group in dict.fromkeys(figure.group for figure in figures):
        lines.append(f"| {group} | {' | '.join(cells.get((group, subject), '') for subject in subjects)} |")
    return "\n".join(lines) + "\n"


def write_tables(figures, path):
    """Puts them in the place of other words between the marks of a document."""
    text = f"\nMeasured on {figures.machine}.\n"
    for part in dict.fromkeys(figure.part for figure in figures.all):
        text += f"\n### {part}\n\n{table([figure for figure in figures.all if figure.part == part])}"
    document, places = re.subn("(?s)(?<=<!-- bench:begin -->\n).*(?=<!-- bench:end -->)", lambda _: f"{text}\n",
                               Path(path).read_text())
    if not places:
        raise RuntimeError("no marks bench:begin and bench:end in the file for the tables")
    Path(path).write_text(document)


def check_words(figures, path):
    """The page says by how much more processor time, in percent, multihome takes than a program that does it itself."""
    def more(groups):
        percent = [100 * figure.ratio.median - 100 for figure in figures.all
                   if figure.subject == "shim" and figure.unit in ("ns", "ns/answer") and re.search(groups, figure.group)]
        return round(min(percent)), round(max(percent))

    text = " ".join(Path(path).read_text().split())
    many = r"[\d.]+ [kM] clients in turn: processor time"
    for words in (f"an answer takes up to {more(f'^(?!{many}).*: processor time')[1]} percent more processor time",
                  "with 10,000 clients or more, {} to {}.".format(*more(f"^{many}")),
                  "Between two hosts both take {} to {} percent more.".format(*more("at 40000 requests a second"))):
        if words not in text:
            raise RuntimeError(f"{path} does not say, as the figures do: {words}")


def write_picture(figures, path):
    """Draws what picture.gp wants, for light and dark ground."""
    with tempfile.NamedTemporaryFile("w") as data:
        for figure in figures.all:
            data.write(f"{figure.group}\t{figure.subject}\t{figure.value.median:g}\n")
        data.flush()
        subprocess.run(["gnuplot", "-c", Path(__file__).with_name("picture.gp"), data.name, path], check=True)
    picture = Path(path).read_text().replace("<title>Gnuplot</title>", f"<title>{TITLE}</title>", 1)
    Path(path).write_text(picture.replace("<desc>", STYLE + "<desc>", 1))
