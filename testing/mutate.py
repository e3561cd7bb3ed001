#!/usr/bin/env python3
"""Gives maskline mutated checkpoints, exports, pictures and prompt files, and watches how it takes them.

Whatever comes in: no panic, no signal, a known exit code with a message, at most 2 GB and 10 s. README.md says how to run it.
"""

import argparse
import collections
import concurrent.futures
import dataclasses
import json
import os
import pathlib
import random
import resource
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
import time

import mutations
import seeds
from seeds import Seed

KNOWN_CODES = range(6)
# A message is read by people.
LONGEST_MESSAGE = 64 << 10
POLL = 0.005


@dataclasses.dataclass(frozen=True)
class Limits:
    seconds: float
    bytes: int


@dataclasses.dataclass
class Outcome:
    code: int
    seconds: float
    bytes: int
    stdout: str
    stderr: str
    # Why it was ended from outside.
    ended: str = ""

    def problem(self, limits: Limits) -> str:
        """What is wrong with how the program took its input; empty where nothing is."""
        if self.ended:
            return self.ended
        if self.code < 0:
            return f"signal {signal.Signals(-self.code).name}"
        if "panicked" in self.stderr or "overflowed its stack" in self.stderr:
            return "panic"
        if self.code not in KNOWN_CODES:
            return f"exit code {self.code}"
        if self.code != 0 and "error:" not in self.stderr:
            return f"exit code {self.code} without a message"
        if self.bytes > limits.bytes:
            return f"{self.bytes >> 20} MB"
        if self.seconds > limits.seconds:
            return f"{self.seconds:.1f} s"
        if len(self.stderr) > LONGEST_MESSAGE:
            return f"a message of {len(self.stderr)} characters"
        try:
            for line in self.stdout.splitlines():
                json.loads(line, parse_constant=lambda name: (_ for _ in ()).throw(ValueError(name)))
        except ValueError as error:
            return f"not JSON: {error}"
        return ""


class Maskline:
    """The program, and a folder for what it keeps."""

    def __init__(self, program: str, runtime: str, home: pathlib.Path):
        self.program = program
        self.home = home
        self.environment = dict(os.environ, MASKLINE_HOME=str(home), MASKLINE_ONNXRUNTIME=runtime, MASKLINE_OFFLINE="1")

    def run(self, arguments: list[str], folder: pathlib.Path, limits: Limits) -> Outcome:
        """Runs it in a folder, and ends it where it passes the limits."""
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            start = time.monotonic()
            process = subprocess.Popen(
                [self.program, *arguments], cwd=folder, env=self.environment, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                start_new_session=True,
            )
            status, usage, ended = watch(process.pid, limits)
            seconds = time.monotonic() - start
            process.returncode = os.waitstatus_to_exitcode(status)
            texts = []
            for file in (out, err):
                file.seek(0)
                texts.append(file.read().decode("utf-8", "replace"))
            return Outcome(process.returncode, seconds, usage.ru_maxrss * 1024, *texts, ended)

    def forget(self) -> None:
        """Removes the models that were built of mutated files."""
        subprocess.run([self.program, "cache", "prune", "--all"], env=self.environment, capture_output=True, check=False)


def watch(pid: int, limits: Limits) -> tuple[int, resource.struct_rusage, str]:
    """Waits for a process of its own group; what it used, and why it was ended."""
    start, ended = time.monotonic(), ""
    while True:
        waited, status, usage = os.wait4(pid, os.WNOHANG)
        if waited:
            return status, usage, ended
        if not ended:
            if time.monotonic() - start > limits.seconds:
                ended = f"longer than {limits.seconds:g} s"
            elif resident(pid) > limits.bytes:
                ended = f"more than {limits.bytes >> 20} MB"
            if ended:
                os.killpg(pid, signal.SIGKILL)
        time.sleep(POLL)


def resident(pid: int) -> int:
    """Bytes in memory; 0 where the system does not tell."""
    try:
        pages = int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return 0
    return pages * resource.getpagesize()


def lay(folder: pathlib.Path, seed: Seed, data: bytes) -> None:
    """Writes a case's files."""
    files = [(seeds.PICTURE, seeds.picture()), *seed.beside, (seed.name, data)]
    for name, content in files:
        (folder / name).write_bytes(content)


def tried(seed: Seed, maskline: Maskline, limits: Limits) -> Seed | None:
    """A seed that is read as it is, with the arguments that it needs; else `None`."""
    for extra in ((), ("--box", "10,10,60,60")):
        candidate = dataclasses.replace(seed, arguments=extra)
        with tempfile.TemporaryDirectory() as folder:
            lay(pathlib.Path(folder), candidate, seed.data)
            outcome = maskline.run(candidate.command(), pathlib.Path(folder), limits)
        if outcome.code == 0 and not outcome.problem(limits):
            return candidate
        if seed.kind not in seeds.MODELS or "expected prompts" not in outcome.stderr:
            break
    return None


@dataclasses.dataclass
class Failure:
    index: int
    seed: Seed
    problem: str


class Run:
    """All cases: which there are, and what came of them."""

    def __init__(self, options: argparse.Namespace, chosen: list[Seed], runtime: str, work: pathlib.Path):
        self.options = options
        self.limits = Limits(options.seconds, options.megabytes << 20)
        self.by_kind: dict[str, list[Seed]] = collections.defaultdict(list)
        for seed in chosen:
            self.by_kind[seed.kind].append(seed)
        self.kinds = sorted(self.by_kind)
        self.counts: dict[str, collections.Counter] = collections.defaultdict(collections.Counter)
        self.slowest: dict[str, float] = collections.defaultdict(float)
        self.largest: dict[str, int] = collections.defaultdict(int)
        self.failures: list[Failure] = []
        self.lock = threading.Lock()
        self.local = threading.local()
        self.runtime, self.work = runtime, work

    def maskline(self) -> Maskline:
        """A program per thread, so that one's cache is not emptied under another's feet."""
        if not hasattr(self.local, "maskline"):
            self.local.maskline = Maskline(self.options.maskline, self.runtime, self.work / f"home-{threading.get_ident()}")
        return self.local.maskline

    def case(self, index: int) -> tuple[Seed, bytes]:
        """The same for the same seed and number, whatever else is run."""
        rng = random.Random(f"{self.options.seed}:{index}")
        kind = self.kinds[index % len(self.kinds)]
        seed = rng.choice(self.by_kind[kind])
        return seed, mutations.mutate(kind, seed.data, rng)

    def one(self, index: int) -> None:
        seed, data = self.case(index)
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            lay(folder, seed, data)
            outcome = self.maskline().run(seed.command(), folder, self.limits)
        if seed.kind in seeds.MODELS:
            self.maskline().forget()
        problem = outcome.problem(self.limits)
        with self.lock:
            self.counts[seed.kind][outcome.code if not problem else "problem"] += 1
            self.slowest[seed.kind] = max(self.slowest[seed.kind], outcome.seconds)
            self.largest[seed.kind] = max(self.largest[seed.kind], outcome.bytes)
            if problem:
                self.failures.append(Failure(index, seed, problem))
                print(f"case {index}: {problem}: {seed.kind}, from {seed.name}", flush=True)
        if problem and self.options.output:
            self.keep(Failure(index, seed, problem), data, outcome)

    def keep(self, failure: Failure, data: bytes, outcome: Outcome) -> None:
        """Keeps a failing input with all that it needs, and what was said."""
        folder = self.options.output / f"{failure.index:05}-{failure.seed.kind}"
        folder.mkdir(parents=True, exist_ok=True)
        lay(folder, failure.seed, data)
        command = shlex.join(["maskline", *failure.seed.command()])
        (folder / "problem.txt").write_text(f"{failure.problem}\n{command}\nexit code {outcome.code}\n{outcome.stderr[-20000:]}\n")

    def table(self) -> str:
        """Cases by kind and exit code."""
        lines = [f"{'kind':12} {'cases':>6} {'fine':>6} {'refused':>8} {'failed (1)':>10} {'problems':>9} {'slowest':>9} {'largest':>9}"]
        for kind in self.kinds:
            counts = self.counts[kind]
            refused = sum(counts[code] for code in (2, 3, 4, 5))
            lines.append(
                f"{kind:12} {sum(counts.values()):6} {counts[0]:6} {refused:8} {counts[1]:10} {counts['problem']:9} "
                f"{self.slowest[kind]:7.2f} s {self.largest[kind] >> 20:6} MB"
            )
        return "\n".join(lines)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--maskline", default="maskline", help="the program")
    parser.add_argument("--seeds", type=pathlib.Path, action="append", default=[], help="folder of good files; may be given several times")
    parser.add_argument("--count", type=int, default=2000, help="cases")
    parser.add_argument("--seed", type=int, default=1, help="seed of all choices")
    parser.add_argument("--only", type=int, action="append", help="only the case of this number; may be given several times")
    parser.add_argument("--kind", action="append", help="only files of this kind")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=10, help="most seconds of a case")
    parser.add_argument("--megabytes", type=int, default=2048, help="most memory of a case")
    parser.add_argument("-o", "--output", type=pathlib.Path, help="folder for the inputs that fail")
    return parser.parse_args()


def runtime_of(program: str) -> str:
    """The ONNX Runtime that the program uses."""
    report = json.loads(subprocess.run([program, "doctor", "--json"], capture_output=True, check=True, text=True).stdout)
    if "path" not in report["runtime"]:
        raise SystemExit("ONNX Runtime is missing: run a model once, so that it is fetched")
    return report["runtime"]["path"]


def main() -> int:
    options = arguments()
    # A crash leaves no dump of gigabytes.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if os.sep in options.maskline:
        options.maskline = str(pathlib.Path(options.maskline).resolve())
    runtime = runtime_of(options.maskline)
    with tempfile.TemporaryDirectory(prefix="mutate-") as work:
        all_seeds = [seed for seed in seeds.found(options.seeds) + seeds.made() if not options.kind or seed.kind in options.kind]
        trial = Maskline(options.maskline, runtime, pathlib.Path(work) / "home-trial")
        limits = Limits(60, options.megabytes << 20)
        with concurrent.futures.ThreadPoolExecutor(options.workers) as pool:
            chosen = [seed for seed in pool.map(lambda seed: tried(seed, trial, limits), all_seeds) if seed]
        print(f"{len(chosen)} of {len(all_seeds)} good files are read as they are, and are mutated", flush=True)
        if not chosen:
            return 1
        run = Run(options, chosen, runtime, pathlib.Path(work))
        numbers = options.only or range(options.count)
        with concurrent.futures.ThreadPoolExecutor(options.workers) as pool:
            for _ in pool.map(run.one, numbers):
                pass
        print(run.table())
        print(f"{len(run.failures)} problems in {len(numbers)} cases, seed {options.seed}")
        return 1 if run.failures else 0


if __name__ == "__main__":
    sys.exit(main())
