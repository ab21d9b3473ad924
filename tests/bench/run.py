#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tests/bench/run.py [--json] [NAME...] - runs the programs of tests/bench and puts each figure beside its limit.

A program prints lines of tab-separated fields, one a figure:
    figure  NAME  UNIT  better=higher|lower  limit=NAME:VALUE  target=RATIO-OR-VALUE  load=TEXT  V1 V2 V3 ...
with one value a run; the median is quoted, the spread is (max - min) / median. A figure that cannot be taken is left out
by its program, with a line "skip NAME: why" that is shown. Exit 0 when at least one figure was taken, 3 otherwise."""
import json
import os
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
PROGRAMS = ["appraise", "issue", "tls", "memory", "e2e", "broker", "page"]


def parse(line):
    parts = line.rstrip("\n").split("\t")
    row = {"name": parts[1], "unit": parts[2]}
    values = []
    for part in parts[3:]:
        if "=" in part:
            key, value = part.split("=", 1)
            if key == "limit":
                row["limit_name"], number = value.rsplit(":", 1)
                row["limit"] = float(number)
            elif key == "target":
                row["target"] = value
            else:
                row[key] = value
        else:
            values.append(float(part))
    row["value"] = statistics.median(values)
    row["runs"] = len(values)
    row["spread"] = round((max(values) - min(values)) / row["value"], 4) if row["value"] else 0.0
    row["ratio"] = round(row["value"] / row["limit"], 4) if row.get("limit") else None
    order = ["name", "value", "unit", "better", "limit_name", "limit", "ratio", "target", "runs", "spread", "load"]
    return {k: row.get(k) for k in order}


def main():
    words = [w for w in sys.argv[1:] if not w.startswith("--")]
    as_json = "--json" in sys.argv
    rows = []
    for program in PROGRAMS:
        path = os.path.join(HERE, program)
        if not os.path.exists(path):
            continue
        run = subprocess.run([path] + words, cwd=TOP, capture_output=True, text=True, check=False)
        if run.returncode != 0:
            print(f"bench: {program} ended with {run.returncode}: {run.stderr.strip()[-300:]}", file=sys.stderr)
        for line in run.stdout.splitlines():
            if line.startswith("figure\t"):
                row = parse(line)
                if words and not any(row["name"].startswith(w) for w in words):
                    continue
                rows.append(row)
                if as_json:
                    print(json.dumps(row), flush=True)
                else:
                    ratio = f"{row['ratio']:.2f} of {row['limit_name']} {row['limit']:g}" if row["ratio"] is not None else ""
                    print(f"{row['name']:22} {row['value']:>12.2f} {row['unit']:6} {ratio:46} target {row['target']}", flush=True)
            elif line.startswith("skip "):
                print(line, file=sys.stderr)
    return 0 if rows else 3


sys.exit(main())
