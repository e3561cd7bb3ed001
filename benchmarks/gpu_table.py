#!/usr/bin/env python3
"""The table of benchmarks/gpu.sh, from the reports in its folder."""

import json
import pathlib
import sys


def rows_of(report, name):
    """Setting, median and sound of each row of a report of `maskline bench`; of several callers, answers a second."""
    for row in report["steady"]:
        summary = row["summary"]
        # Few calls have a mean only.
        told = f"{summary['p50_ms']['value']:.2f}" if summary["p50_ms"] else f"{summary['mean_ms']['value']:.2f} (mean of {summary['n']})"
        yield name, row["name"], told
    for row in report["loads"]:
        for point in row["points"]:
            yield name, f"{row['name']}, {point['offered']:.0f}", f"{point['achieved_per_second']:.1f} answers a second"


def reports(folder):
    for path in sorted(folder.glob("*.txt")):
        text = path.read_text()
        start = text.find("{")
        if start < 0 or '"maskline-bench/' not in text:
            continue
        try:
            yield path.stem, json.loads(text[start:])
        except json.JSONDecodeError:
            yield path.stem, None


def main():
    folder = pathlib.Path(sys.argv[1])
    for name in ("card-before", "card-after"):
        path = folder / f"{name}.txt"
        if path.exists():
            print(f"{name}: {path.read_text().strip()}")
    print("\n| measured | setting | median ms |\n|---|---|---|")
    for name, report in reports(folder):
        if report is None:
            print(f"| {name} | broken report | – |")
            continue
        for cells in rows_of(report, name):
            print("| " + " | ".join("–" if cell is None else str(cell) for cell in cells) + " |")
    pytorch = folder / "pytorch.txt"
    if pytorch.exists():
        for line in pytorch.read_text().splitlines():
            row = json.loads(line)
            said = row.get("failed") or row["question"]
            print(f"| pytorch {row['model']} {row.get('dtype', '')} | {said} | {row.get('ms', '–')} |")


if __name__ == "__main__":
    main()
