# SPDX-License-Identifier: MIT
"""multihome-bench: what the shim costs, against what one would otherwise do. See README.md."""
import argparse
import os
import re
import subprocess
import sys
from pathlib import Path

import connect
import counts
import flood
import guard
import inside
import lab
import report
import traffic
from figures import Figures
from programs import Bench, enter_own_network

PARTS = {"instructions": counts.measure_instructions, "pages": counts.measure_pages,
         "system-calls": counts.measure_system_calls, "traffic": traffic.measure, "connect": connect.measure,
         "table": inside.measure, "flood": flood.measure, "lab": lab.measure}
SKIPPED = 77  # what a test ends with that had nothing to test

FILES = {
    "profiles": "keep callgrind's files in this folder",
    "json": "write the figures to this file",
    "from": "take the figures from this file, of --json, and measure nothing",
    "tables": "put them into this file, between its marks bench:begin and bench:end",
    "picture": "draw the main ones into this file, as SVG",
    "keep": "write the instruction counts to this file, for --guard",
    "guard": "fail where the instruction counts have grown by more than a tenth over this file, or a budget is exceeded "
             "that is not excused there",
}
SWITCHES = {
    "quick": "fewer and shorter repetitions; no instructions and calls of bare servers",
    "full": "also what takes minutes: 10 million peers in the tables",
    "enforce": "fail where a budget is exceeded",
}


def parse(built):
    parser = argparse.ArgumentParser(prog="multihome-bench", description="Measures what libmultihome.so costs.")
    parser.add_argument("parts", nargs="*", metavar="PART", choices=[*PARTS, "all"], default="all",
                        help=f"what to measure: {', '.join(PARTS)}")
    parser.add_argument("--only", default="", metavar="REGEX", type=lambda text: re.compile(text, re.IGNORECASE),
                        help="only rows whose names this regular expression matches, whatever their case")
    parser.add_argument("--library", default=f"{built}/libmultihome.so", help="the shim (%(default)s)")
    for name, text in FILES.items():
        parser.add_argument(f"--{name}", metavar="PATH", dest=f"{name}_path", help=text)
    for name, text in SWITCHES.items():
        parser.add_argument(f"--{name}", action="store_true", help=text)
    return parser.parse_args()


def machine(compiler):
    processor = re.search("^model name.*: (.*)", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    kernel = os.uname()
    return (f"{processor[1] if processor else 'unknown processor'}, {os.cpu_count()} processors; "
            f"{kernel.sysname} {kernel.release} {kernel.machine}; {compiler}; {os.confstr('CS_GNU_LIBC_VERSION')}")


def measure(options, built, compiler):
    """The figures; none where nothing can be measured."""
    # What the caller's shell has set must not decide what is measured.
    for name in [name for name in os.environ if name == "LD_PRELOAD" or name.startswith("MULTIHOME_")]:
        del os.environ[name]
    figures = Figures(machine(compiler))
    print(figures.machine)
    try:
        enter_own_network()
    except OSError as error:
        print(f"SKIP no network namespace can be made: {error}")
        return figures
    bench = Bench(figures, Path(built), str(Path(options.library).resolve(strict=True)), options.quick,
                  options.full, options.only, options.profiles_path)
    for part, measure_part in PARTS.items():
        if part in options.parts or "all" in options.parts:
            measure_part(bench)
    return figures


def run(built, compiler, build):
    options = parse(built)
    made_by = f"{compiler}, {os.confstr('CS_GNU_LIBC_VERSION')}, {build}"
    if options.guard_path and not guard.is_comparable(options.guard_path, made_by):
        return SKIPPED
    figures = Figures.read(options.from_path) if options.from_path else measure(options, built, compiler)
    if not figures.all:
        return SKIPPED
    if options.json_path:
        figures.write(options.json_path)
    if options.tables_path:
        report.write_tables(options.tables_path, figures)
    if options.picture_path:
        report.write_picture(options.picture_path, figures)
    if options.keep_path:
        guard.keep(options.keep_path, figures, made_by)
    good = figures.are_within_budgets() or not options.enforce
    if options.guard_path:
        good = guard.compare(options.guard_path, figures, options.only.search) and good
    return 0 if good else 1


def main(**built):
    try:
        return run(**built)
    except (OSError, RuntimeError, subprocess.SubprocessError) as error:
        print(f"multihome-bench: {error}", file=sys.stderr)
        return 1
