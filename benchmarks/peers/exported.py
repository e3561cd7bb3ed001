"""Exports of other tools in the worker of `maskline bench`: what the scripts share that measure them."""

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
WORKERS = HERE.parents[1] / "crates" / "maskline-bench" / "peers"
DROPPED = 2  # calls, which warm up

# Where the workers' own modules are found.
sys.path.insert(0, str(WORKERS))


class Worker:
    """The worker of `maskline bench` with a program of this folder; `ready` is what each part of its start took, in ms."""

    def __init__(self, task):
        names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
        environment = os.environ | dict.fromkeys(names, str(task["threads"])) | {"PYTHONPATH": str(HERE)}
        command = [sys.executable, str(WORKERS / "worker.py")]
        self.process = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.ready = self.ask(task)["ready"]

    def ask(self, message):
        self.process.stdin.write(json.dumps(message) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline() or '{"error": "the worker has ended"}')
        if "error" in answer:
            raise SystemExit(answer["error"])
        return answer

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def measure(worker, request, calls, dropped=DROPPED):
    """Median milliseconds of each stage and of the whole; the first calls warm up."""
    times = []
    for _ in range(dropped + calls):
        answer = worker.ask(request)
        times.append(answer["stages"] | {"total": answer["milliseconds"]})
    return {stage: statistics.median(row[stage] for row in times[dropped:]) for stage in times[0]}


def row(name, times):
    """A line of the table of `HEAD`."""
    stages = ", ".join(f"{stage} {ms:.1f}" for stage, ms in times.items() if stage != "total")
    return f"| {name} | {stages} | {times['total']:.1f} |"


HEAD = "| call | stages, median (ms) | whole, median (ms) |\n| --- | --- | ---: |"
