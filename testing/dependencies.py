#!/usr/bin/env python3
"""Checks licences, banned crates and sources of all dependencies against deny.toml: what cargo-deny would check, in a second.

Needs Python 3.11 and cargo. `cargo deny check licenses bans sources` says more; building it takes minutes.
"""

import json
import re
import subprocess
import sys
import tomllib
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
REGISTRY = re.compile(r"^registry\+")


def is_allowed(expression, allowed):
    """Whether an SPDX expression can be met with licences of a set; `/` is the old way to write OR."""
    words = re.findall(r"[()]|[^\s()]+", expression.replace("/", " OR "))

    def choice():
        met = both()
        while words and words[0] == "OR":
            words.pop(0)
            other = both()
            met = met or other
        return met

    def both():
        met = one()
        while words and words[0] == "AND":
            words.pop(0)
            other = one()
            met = met and other
        return met

    def one():
        name = words.pop(0)
        if name == "(":
            met = choice()
            words.pop(0)
            return met
        if words[:1] == ["WITH"]:
            words.pop(0)
            name = f"{name} WITH {words.pop(0)}"
        return name in allowed

    met = choice()
    if words:
        raise ValueError(f"cannot read the licence `{expression}`")
    return met


def problems(packages, rules):
    """Errors and remarks."""
    errors, remarks, versions = [], [], defaultdict(set)
    allowed = set(rules["licenses"]["allow"])
    banned = {entry["crate"] for entry in rules["bans"]["deny"]}
    for package in packages:
        name = f"{package['name']} {package['version']}"
        versions[package["name"]].add(package["version"])
        try:
            if not package["license"] or not is_allowed(package["license"], allowed):
                errors.append(f"{name}: the licence `{package['license']}` is not among those of deny.toml")
        except (IndexError, ValueError):
            errors.append(f"{name}: the licence `{package['license']}` cannot be read")
        if package["name"] in banned:
            errors.append(f"{name}: deny.toml bans it")
        if package["source"] is not None and not REGISTRY.match(package["source"]):
            errors.append(f"{name}: comes from {package['source']}, not from the registry")
        for need in package["dependencies"] if package["source"] is None else []:
            if need["req"] == "*" and need.get("path") is None:
                errors.append(f"{name}: any version of {need['name']} will do")
    for name, found in sorted(versions.items()):
        if len(found) > 1:
            remarks.append(f"{name} is built in {len(found)} versions: {', '.join(sorted(found))}")
    return errors, remarks


def main():
    rules = tomllib.loads((ROOT / "deny.toml").read_text())
    command = ["cargo", "metadata", "--format-version", "1", "--all-features", "--locked"]
    packages = json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout)["packages"]
    errors, remarks = problems(packages, rules)
    for text in remarks:
        print(f"remark: {text}")
    for text in errors:
        print(f"error: {text}", file=sys.stderr)
    print(f"{len(packages)} packages, {len(errors)} errors")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
