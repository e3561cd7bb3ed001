"""Runs Triton's perf_analyzer against a server on both protocols, and fails where it does not complete.

The binary is the one inside PyPI's tritonclient 2.51.0 (the separate package is empty on systems with a glibc before
2.38). It wants libb64 (Debian: libb64-0d) and a CUDA runtime library, which it never uses; PyPI's
nvidia-cuda-runtime-cu12 is put on its path.

    perf_analyzer.py --http 127.0.0.1:8000 --grpc 127.0.0.1:8001 --model identity_fp32 --shape INPUT:16
    perf_analyzer.py --http 127.0.0.1:8000 --grpc 127.0.0.1:8001 --picture-model nano
"""

import argparse
import base64
import csv
import importlib.util
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import pictures


@dataclass
class Run:
    """What perf_analyzer is told."""

    address: str
    protocol: str
    model: str
    shapes: list[str] = field(default_factory=list)
    data: Path | None = None
    concurrency: str = "1:2"
    interval_ms: int = 1000


def binary():
    """Where perf_analyzer lies: beside this Python, or on the path."""
    found = shutil.which("perf_analyzer", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if found is None:
        raise SystemExit("perf_analyzer is not there: pip install -r requirements.txt")
    return found


def environment():
    """The environment with the CUDA runtime of PyPI's package on the library path."""
    spec = importlib.util.find_spec("nvidia.cuda_runtime")
    folders = [str(Path(folder) / "lib") for folder in (spec.submodule_search_locations if spec else [])]
    if already := os.environ.get("LD_LIBRARY_PATH"):
        folders.append(already)
    return os.environ | {"LD_LIBRARY_PATH": ":".join(folders)}


def picture_data(folder):
    """A data file with a picture, a click and its label: BYTES as base64 with their lengths, as perf_analyzer wants them."""
    of = pictures.picture()
    encoded = base64.b64encode(struct.pack("<I", len(of.encoded)) + of.encoded).decode()
    row = {
        "image": {"b64": encoded, "shape": [1]},
        "points": {"content": [float(of.x), float(of.y)], "shape": [1, 2]},
        "point_labels": {"content": [1], "shape": [1]},
    }
    path = Path(folder) / "picture.json"
    path.write_text(json.dumps({"data": [row]}))
    return path


def measure(run):
    """Runs it, and gives the rows of its table; raises `RuntimeError` with its last words where it does not complete."""
    with tempfile.TemporaryDirectory(prefix="perf-analyzer-") as scratch:
        table = Path(scratch) / "table.csv"
        command = [binary(), "-m", run.model, "-u", run.address, "-i", run.protocol, "-f", table]
        command += ["--concurrency-range", run.concurrency, "--measurement-interval", str(run.interval_ms)]
        # Two shared cores are never as steady as it would like; what counts here is that it completes.
        command += ["--stability-percentage", "999", "--max-trials", "4"]
        for shape in run.shapes:
            command += ["--shape", shape]
        if run.data:
            command += ["--input-data", run.data]
        done = subprocess.run(
            [str(part) for part in command], env=environment(), capture_output=True, text=True, timeout=240, check=False
        )
        said = (done.stdout + done.stderr).strip()
        if done.returncode != 0 or not table.exists():
            raise RuntimeError(f"perf_analyzer ended with {done.returncode}: {said[-600:]}")
        with open(table) as rows:
            found = list(csv.DictReader(rows))
    if not found or any(float(row["Inferences/Second"]) <= 0 for row in found):
        raise RuntimeError(f"perf_analyzer measured nothing: {said[-600:]}")
    return found


def tell(run, rows):
    """One line per concurrency."""
    for row in rows:
        quantiles = ", ".join(f"{name[:3]} {float(row[f'{name} latency']) / 1e3:.2f} ms" for name in ("p50", "p99"))
        server = float(row.get("Server Queue", 0)) + sum(
            float(row.get(f"Server Compute {part}", 0)) for part in ("Input", "Infer", "Output")
        )
        print(
            f"{run.model} {run.protocol} concurrency {row['Concurrency']}: {float(row['Inferences/Second']):.0f}/s, "
            f"{quantiles}, server {server / 1e3:.2f} ms"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--http", default="127.0.0.1:8000")
    parser.add_argument("--grpc", default="127.0.0.1:8001")
    parser.add_argument("--model", help="a model of tensors")
    parser.add_argument("--shape", action="append", default=[], metavar="NAME:SIZES", help="for sizes that are free")
    parser.add_argument("--picture-model", help="a high-level model, asked with a picture and a click")
    parser.add_argument("--concurrency", default="1:2", help="FROM:TO (default %(default)s)")
    parser.add_argument("--interval", type=int, default=1000, metavar="MS")
    arguments = parser.parse_args()
    if not arguments.model and not arguments.picture_model:
        parser.error("--model or --picture-model")
    failures = 0
    with tempfile.TemporaryDirectory() as scratch:
        for protocol, address in (("http", arguments.http), ("grpc", arguments.grpc)):
            options = {"concurrency": arguments.concurrency, "interval_ms": arguments.interval}
            runs = []
            if arguments.model:
                runs.append(Run(address, protocol, arguments.model, shapes=arguments.shape, **options))
            if arguments.picture_model:
                runs.append(Run(address, protocol, arguments.picture_model, data=picture_data(scratch), **options))
            for run in runs:
                try:
                    tell(run, measure(run))
                except (RuntimeError, subprocess.TimeoutExpired) as error:
                    print(f"{run.model} {protocol}: FAIL: {error}")
                    failures += 1
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
