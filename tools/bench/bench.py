# SPDX-License-Identifier: MIT
"""multihome-bench: what the shim costs, against what one would otherwise do. See README.md."""
import argparse
import os
import re
import subprocess
import sys
from pathlib import Path

import connect
import flood
import guard
import inside
import instructions
import lab
import pages
import report
import system_calls
import traffic
from figures import Figures
from programs import Bench, Network

PARTS = {"instructions": instructions.measure, "pages": pages.measure, "system-calls": system_calls.measure,
         "traffic": traffic.measure, "connect": connect.measure, "table": inside.measure, "flood": flood.measure,
         "lab": lab.measure}
SKIPPED = 77  # what a test ends with that had nothing to test


def part(name):
    if name not in PARTS:
        raise argparse.ArgumentTypeError(f"{name} is none of {', '.join(PARTS)}")
    return name


def existing_file(name):
    if not Path(name).is_file():
        raise argparse.ArgumentTypeError(f"there is no file {name}")
    return name


def parse(built):
    parser = argparse.ArgumentParser(prog="multihome-bench", description="Measures what libmultihome.so costs.")
    parser.add_argument("parts", nargs="*", type=part, metavar="PART", help=f"what to measure: {', '.join(PARTS)}")
    parser.add_argument("--only", type=lambda text: re.compile(text, re.IGNORECASE), default=re.compile(""),
                        metavar="REGEX",
                        help="only rows whose names this regular expression matches, whatever their case")
    parser.add_argument("--library", type=existing_file, default=f"{built}/libmultihome.so",
                        help="the shim (%(default)s)")
    parser.add_argument("--quick", action="store_true",
                        help="fewer and shorter repetitions; no instructions and calls of bare servers")
    parser.add_argument("--full", action="store_true",
                        help="also what takes minutes: 10 million peers in the tables")
    parser.add_argument("--profiles", metavar="FOLDER", help="keep callgrind's files in this folder")
    parser.add_argument("--json", metavar="FILE", help="write the figures to this file")
    parser.add_argument("--from", dest="source", type=existing_file, metavar="FILE",
                        help="take the figures from this file, of --json, and measure nothing")
    parser.add_argument("--tables", type=existing_file, metavar="FILE",
                        help="put them into this file, between its marks bench:begin and bench:end")
    parser.add_argument("--check-tables", type=existing_file, metavar="FILE",
                        help="fail where others are between the marks of this file")
    parser.add_argument("--picture", metavar="FILE", help="draw the main ones into this file, as SVG")
    parser.add_argument("--keep", type=existing_file, metavar="FILE",
                        help="write the instruction counts to this file, for --guard")
    parser.add_argument("--guard", type=existing_file, metavar="FILE",
                        help="fail where the instruction counts have grown by more than a tenth over this file, or a "
                             "budget is exceeded that is not excused there")
    parser.add_argument("--enforce", action="store_true", help="fail where a budget is exceeded")
    return parser.parse_args()


def machine(compiler):
    processor = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            processor = line.partition(": ")[2]
    kernel = os.uname()
    return (f"{processor}, {os.cpu_count()} processors; {kernel.sysname} {kernel.release} {kernel.machine}; "
            f"{compiler}; {os.confstr('CS_GNU_LIBC_VERSION')}")


def forget_environment():
    """What the caller's shell has set must not decide what is measured."""
    for name in list(os.environ):
        if name == "LD_PRELOAD" or name.startswith("MULTIHOME_"):
            del os.environ[name]


def measure(options, built, compiler):
    """The figures, or nothing where nothing can be measured."""
    figures = Figures(machine(compiler))
    print(figures.machine)
    bench = Bench(figures, Path(built), str(Path(options.library).resolve()), options.quick, options.full,
                  options.only, options.profiles)
    try:
        bench.network = Network()
    except OSError as error:
        print(f"SKIP no network namespace can be made: {error}")
        return None
    for name in options.parts or PARTS:
        PARTS[name](bench)
    return figures


def run(built, compiler, build):
    options = parse(built)
    forget_environment()
    made_by = f"{compiler}, {os.confstr('CS_GNU_LIBC_VERSION')}, {build}"
    if options.guard and not guard.is_comparable(options.guard, made_by):
        return SKIPPED
    figures = Figures.read(options.source) if options.source else measure(options, built, compiler)
    if figures is None:
        return SKIPPED
    if options.json:
        figures.write(options.json)
    if options.tables:
        report.write_tables(options.tables, figures)
    if options.picture:
        report.write_picture(options.picture, figures)
    if options.keep:
        guard.keep(options.keep, figures, made_by)
    if options.check_tables:
        return 0 if report.has_tables(options.check_tables, figures) else 1
    if not figures.all:
        return SKIPPED
    good = figures.are_within_budgets() or not options.enforce
    if options.guard:
        good = guard.compare(options.guard, figures, options.only.search) and good
    return 0 if good else 1


def main(**built):
    try:
        return run(**built)
    except (OSError, RuntimeError, subprocess.SubprocessError) as error:
        print(f"multihome-bench: {error}", file=sys.stderr)
        return 1
