#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Check the JSON of a subcommand of multihomectl against what multihomectl(8) states.

Usage: schema.py SUBCOMMAND MANUAL <JSON. The manual is the schema: its section "JSON" has a list of fields for each
subcommand, each line "NAME TYPE", indented below the list that it lies in. What the manual does not state is a fault, and
so is what it states and the output lacks.
"""
import json
import re
import sys

TYPES = {"string": str, "number": (int, float), "boolean": bool, "list": list, "object": dict}


def stated(manual, subcommand):
    """The fields between `.\\" schema SUBCOMMAND` and `.\\" end`, as {name: (types, fields below)}."""
    text = open(manual, encoding="utf-8").read()
    found = re.search(rf'^\.\\" schema {subcommand}\n(.*?)^\.\\" end\n', text, re.M | re.S)
    if not found:
        sys.exit(f"schema.py: {manual} states no schema for {subcommand}")
    fields, path = {}, []
    for line in found.group(1).splitlines():
        if line.startswith("."):
            continue
        line = line.replace("\\-", "-")
        depth = (len(line) - len(line.lstrip())) // 2
        name, types = line.split()[:2]
        path[depth:] = [{}]
        (path[depth - 1] if depth else fields)[name] = (types.split("|"), path[depth])
    return fields


def check(where, value, types, below):
    faults = []
    if value is None:
        return [] if "null" in types else [f"{where} is null"]
    if isinstance(value, bool) and "boolean" not in types:
        return [f"{where} is a boolean"]
    if not any(isinstance(value, TYPES[name]) for name in types if name != "null"):
        return [f"{where} is no {'|'.join(types)} but {value!r}"]
    for item in value if isinstance(value, list) else [value]:
        if below and not isinstance(item, dict):
            faults.append(f"{where} holds {item!r}")
        elif below:
            faults += check_fields(where, item, below)
    return faults


def check_fields(where, value, fields):
    faults = [f"{where}.{name} is not stated" for name in value if name not in fields]
    for name, (types, below) in fields.items():
        if name not in value:
            faults.append(f"{where}.{name} is missing")
        else:
            faults += check(f"{where}.{name}", value[name], types, below)
    return faults


def main():
    subcommand, manual = sys.argv[1:]
    faults = check_fields(subcommand, json.load(sys.stdin), stated(manual, subcommand))
    for fault in faults:
        print(f"FAIL: {fault}")
    sys.exit(1 if faults else 0)


main()
