#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Mutation testing: small faults are put into the sources one at a time, and the unit tests must see each of them.

It works on a copy of the files that git knows, with the changes of the working tree, in a build directory of its own.
Prints for each file how many mutants there were, which of them survived, and the share that was killed. A survivor is
a question: a gap in the tests, or a change that nobody can tell from the outside (a hint to the replacement, a quick
look in front of a path that comes to the same)? Exit 0 where the run could be made, whatever it found. Stopped by
Ctrl-C or SIGTERM, it reports on what it has judged.

    tests/unit/mutate.py --sample 60 --seed 1
    tests/unit/mutate.py --files 'shim/packets/send.cpp' --tests '^transparency'
    tests/unit/mutate.py --files 'shim/peers/run.hpp' --list
"""
import argparse
import collections
import fnmatch
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time

Mutant = collections.namedtuple("Mutant", "file line start end text what")
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# Suites that wait or make many processes: the others come first, because most mutants fall to them.
SLOW = "conversation_table_races,stopped_writer,explorer,counters,log,false_match"

# Text by text, with blanks around: `<` without them is a template's.
SWAPS = [(" < ", " <= "), (" <= ", " < "), (" > ", " >= "), (" >= ", " > "), (" == ", " != "), (" != ", " == "),
         (" && ", " || "), (" || ", " && "), (" + ", " - "), (" - ", " + "), ("++", "--"), (" += ", " -= "),
         ("return true;", "return false;"), ("return false;", "return true;")]
NOT_CODE = re.compile(r"^\s*(#|static_assert|template|using|namespace|friend)|operator==")
LITERAL = re.compile(r"(?<![\w.'])(\d{1,4})(?=[UuLl]*\b)(?![\w']*')")
CONDITION = re.compile(r"\b(if|while) \(")
CALL = re.compile(r"^(\s+)(?!return\b|if\b|for\b|while\b|switch\b|case\b)[\w:]+(?:(?:\.|->)\w+|\[\w+\])*\(.*\);$")
# {} in place of the last four is the same program.
RETURN = re.compile(r"\breturn (?!true;|false;|\{\};|0;|nullptr;|local_by_route;)([^;]+);")


def blank_comments(text):
    """The text with comments and strings made blank, each character in its place."""
    pattern = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"', re.S)
    return pattern.sub(lambda match: re.sub(r"[^\n]", " ", match.group()), text)


def closing(text, opening):
    depth = 0
    for place in range(opening, len(text)):
        depth += {"(": 1, ")": -1}.get(text[place], 0)
        if depth == 0:
            return place
    return -1


def mutants_of_line(code, begin, line):
    """Yields (start, end, replacement, what) for one line that starts at `begin`."""
    for old, new in SWAPS:
        for match in re.finditer(re.escape(old), line):
            yield begin + match.start(), begin + match.end(), new, f"{old.strip()} -> {new.strip() or 'nothing'}"
    for match in LITERAL.finditer("" if "alignas(" in line else line):
        value = int(match.group(1))
        for other in {value + 1, max(value - 1, 0)} - {value}:
            yield begin + match.start(1), begin + match.end(1), str(other), f"{value} -> {other}"
    for match in CONDITION.finditer(line):
        opening = begin + match.end() - 1
        end = closing(code, opening)
        inner = code[opening + 1:end]
        # What is declared in a condition cannot be negated.
        if end > 0 and ";" not in inner and not re.match(r"[^=!<>]*[^=!<>]=[^=]", inner):
            yield opening, end + 1, f"(!{code[opening:end + 1]})", f"{match.group(1)}: negated"
    if match := CALL.match(line):
        yield begin + match.end(1), begin + len(line), ";", "call dropped"
    for match in RETURN.finditer(line):
        yield begin + match.start(1), begin + match.end(1), "{}", "return {}"


def mutants_of(root, file):
    with open(os.path.join(root, file), encoding="utf-8") as source:
        code = blank_comments(source.read())
    begin = 0
    for number, line in enumerate(code.split("\n"), 1):
        if not NOT_CODE.search(line):
            for start, end, text, what in mutants_of_line(code, begin, line):
                yield Mutant(file, number, start, end, text, what)
        begin += len(line) + 1


class Copy:
    """The sources in a directory of their own, where one file at a time is changed and built."""

    def __init__(self, directory, arguments):
        self.source = os.path.join(directory, "source")
        self.build = os.path.join(directory, "build")
        self.arguments = arguments
        self.targets = [] if arguments.tests else ["--target", "multihome_unit_tests"]

    def take(self):
        listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT,
                                check=True, stdout=subprocess.PIPE).stdout.decode().split("\0")
        for file in filter(None, listed):
            old, new = os.path.join(ROOT, file), os.path.join(self.source, file)
            if not os.path.isfile(old):
                continue
            os.makedirs(os.path.dirname(new), exist_ok=True)
            # One that is alike keeps its time, so that it is not compiled again.
            if not os.path.exists(new) or open(old, "rb").read() != open(new, "rb").read():
                shutil.copy(old, new)

    def configure(self):
        options = ["-DCMAKE_BUILD_TYPE=Debug", f"-DCMAKE_CXX_FLAGS_DEBUG={self.arguments.flags}"]
        if shutil.which("ccache"):
            options += ["-DCMAKE_C_COMPILER_LAUNCHER=ccache", "-DCMAKE_CXX_COMPILER_LAUNCHER=ccache"]
        if shutil.which("ninja"):
            options += ["-G", "Ninja"]
        subprocess.run(["cmake", "-S", self.source, "-B", self.build] + options, check=True,
                       stdout=subprocess.DEVNULL)

    def run(self, command, limit):
        """True, False, or None where the time was up. Children and all: a mutant may fork and wait for ever."""
        process = subprocess.Popen(command, cwd=self.build, start_new_session=True, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            return process.wait(limit) == 0
        except subprocess.TimeoutExpired:
            return None
        finally:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait()

    def compile(self):
        return self.run(["cmake", "--build", self.build, "-j", str(self.arguments.jobs)] + self.targets, 3600)

    def passes(self, limit):
        """None where the tests pass, else what saw the mutant."""
        program = os.path.join(self.build, "multihome_unit_tests")
        common = [program, "--abort-after=1", "--no-intro", "--no-version"]
        steps = [(common + [f"--test-suite-exclude={SLOW}"], "unit"), (common + [f"--test-suite={SLOW}"], "unit, slow")]
        if self.arguments.tests:
            steps.append((["ctest", "--test-dir", self.build, "-R", self.arguments.tests, "--stop-on-failure"],
                          "ctest"))
        for command, name in steps:
            passed = self.run(command, limit)
            if not passed:
                return name if passed is False else f"{name}, time limit"
        return None

    def put(self, file, text):
        with open(os.path.join(self.source, file), "w", encoding="utf-8") as target:
            target.write(text)

    def get(self, file):
        with open(os.path.join(self.source, file), encoding="utf-8") as source:
            return source.read()


def judge(copy, mutant, limit):
    """What became of the mutant: killed, survived, or invalid where it does not compile; and what saw it."""
    text = copy.get(mutant.file)
    copy.put(mutant.file, text[:mutant.start] + mutant.text + text[mutant.end:])
    try:
        if not copy.compile():
            return "invalid", None
        seen_by = copy.passes(limit)
        return ("killed", seen_by) if seen_by else ("survived", None)
    finally:
        copy.put(mutant.file, text)


def report(results):
    total = collections.Counter()
    for file in sorted({mutant.file for mutant, _ in results}):
        counts = collections.Counter(verdict for mutant, verdict in results if mutant.file == file)
        total += counts
        print(line_of(file, counts))
        for mutant, verdict in results:
            if mutant.file == file and verdict == "survived":
                print(f"    survived: {describe(mutant)}")
    print(line_of("all", total))


def line_of(name, counts):
    judged = counts["killed"] + counts["survived"]
    share = f"{100 * counts['killed'] / judged:.0f}%" if judged else "-"
    return f"{name}: {judged} mutants, {counts['killed']} killed, {counts['survived']} survived, {share} killed"


def describe(mutant):
    with open(os.path.join(ROOT, mutant.file), encoding="utf-8") as source:
        line = source.read().split("\n")[mutant.line - 1].strip()
    return f"{mutant.file}:{mutant.line}: {mutant.what}    {line}"


def is_meant(mutant, pattern):
    """A pattern is for a file's name, or for that and a line: shim/peers/run.hpp:56."""
    return fnmatch.fnmatch(mutant.file, pattern) or fnmatch.fnmatch(f"{mutant.file}:{mutant.line}", pattern)


def arguments_of():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", nargs="+", default=["shim/peers/*"], metavar="PATTERN",
                        help="the files to change, as in the shell, or FILE:LINE (default: shim/peers/*)")
    parser.add_argument("--sample", type=int, metavar="N", help="so many mutants, chosen at random (default: all)")
    parser.add_argument("--seed", type=int, default=1, help="of the sample (default: 1)")
    parser.add_argument("--list", action="store_true", help="print the mutants and do nothing")
    parser.add_argument("--tests", metavar="REGEX", help="what survives the unit tests meets these ctest tests, too")
    parser.add_argument("--build", default=os.path.join(ROOT, "build-mutants"), metavar="DIRECTORY",
                        help="where to work (default: build-mutants)")
    parser.add_argument("--flags", default="-O0 -g0 -w", help="of the compiler (default: -O0 -g0 -w)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="compilers at a time")
    parser.add_argument("--limit", type=float, metavar="SECONDS",
                        help="that a test program may take (default: ten times what it takes unchanged, 60 at least)")
    return parser.parse_args()


def main():
    sys.stdout.reconfigure(line_buffering=True)
    arguments = arguments_of()
    files = [file for file in subprocess.run(["git", "ls-files", "shim"], cwd=ROOT, check=True, text=True,
                                             stdout=subprocess.PIPE).stdout.split() if file.endswith((".cpp", ".hpp"))]
    mutants = [mutant for file in files for mutant in mutants_of(ROOT, file)
               if any(is_meant(mutant, pattern) for pattern in arguments.files)]
    if not mutants:
        sys.exit("mutate.py: no such files, or nothing in them to change")
    if arguments.sample is not None and arguments.sample < len(mutants):
        # In no order: so a run that is stopped has judged a fair sample, too.
        mutants = random.Random(arguments.seed).sample(mutants, arguments.sample)
    if arguments.list:
        print("\n".join(map(describe, sorted(mutants))))
        return
    copy = Copy(os.path.abspath(arguments.build), arguments)
    copy.take()
    copy.configure()
    if not copy.compile():
        sys.exit("mutate.py: the sources do not compile as they are")
    begun = time.monotonic()
    if seen_by := copy.passes(3600):
        sys.exit(f"mutate.py: the tests do not pass as they are ({seen_by})")
    limit = arguments.limit or max(60, 10 * (time.monotonic() - begun))
    # No mutant is compiled twice.
    os.environ["CCACHE_DISABLE"] = "1"
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    results = []
    try:
        for number, mutant in enumerate(mutants, 1):
            verdict, seen_by = judge(copy, mutant, limit)
            results.append((mutant, verdict))
            print(f"{number}/{len(mutants)} {verdict}{f' ({seen_by})' if seen_by else ''}: {describe(mutant)}")
    except KeyboardInterrupt:
        print(f"stopped after {len(results)} of {len(mutants)}")
    report(results)


if __name__ == "__main__":
    main()
