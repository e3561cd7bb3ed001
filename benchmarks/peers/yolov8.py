"""YOLOv8n on the CPU, photographs from disk: maskline against ultralytics (ONNX Runtime and PyTorch) in one run.

All tools use the same weights, threads, cores, photos and thresholds, and take turns: one round is every photo once
per tool. Run through `run.sh`, which makes the virtual environment. See README.md for how to read the figures.
"""

import argparse
import contextlib
import datetime
import importlib.metadata
import json
import os
import platform
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import peer_setup
import report

ROOT = peer_setup.HERE.parents[1]
SHARED = ROOT.parent / "shared" / "data"
MASKLINE, ONNX, PYTORCH, SESSION = "maskline", "ultralytics ONNX", "ultralytics PyTorch", "ONNX Runtime session only"
SKIPPABLE = {"maskline": MASKLINE, "onnx": ONNX, "pytorch": PYTORCH, "session": SESSION}


class Worker:
    """A Python tool kept alive between rounds (`worker.py`)."""

    def __init__(self, tool, model, options):
        self.command = [sys.executable, str(peer_setup.HERE / "worker.py"), tool, str(model)]
        self.command += ["--config", str(options.results / "config"), "--threads", str(options.threads)]
        self.command += ["--size", str(options.size)]
        self.threads = options.threads
        self.process = None

    def round(self, photos):
        if self.process is None:
            self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            self.process.stdin.write(json.dumps(photos) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise SystemExit(f"stopped with exit code {self.process.wait()}: {shlex.join(self.command)}")
        answer = json.loads(line)
        if answer["threads"] != self.threads:
            raise SystemExit(f"{shlex.join(self.command)}: ran on {answer['threads']} threads, not {self.threads}")
        return {"images": answer["images"], "outside": answer["wall"] / len(photos)}

    def once(self, photo):
        return [*self.command, "--once", photo]

    def close(self):
        if self.process is not None:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.close()
            self.process.wait()


class Maskline:
    """`maskline run MODEL PHOTOS... --json`: one process per round, every photo twice, the first pass dropped."""

    STAGES = ("decode", "preprocess", "postprocess", "other", "total")

    def __init__(self, options, checkpoint):
        self.program = options.maskline
        self.model = str(options.maskline_model or checkpoint)
        self.flags = ["--json", "--threads", str(options.threads), "--batch", "1", *shlex.split(options.maskline_args)]
        self.command = [str(self.program), "run", self.model, "PHOTOS...", *self.flags]
        self.first = []

    def once(self, photo):
        return [str(self.program), "run", self.model, photo, *self.flags]

    def round(self, photos):
        start = time.perf_counter()
        lines, _ = lines_of([str(self.program), "run", self.model, *photos, *photos, *self.flags])
        if len(lines) != 2 * len(photos):
            raise SystemExit(f"maskline answered {len(lines)} lines for {2 * len(photos)} photos")
        images = [self.image(json.loads(text)) for _, text in lines]
        arrival = [moment - start for moment, _ in lines]
        self.first.append({"process_to_first_answer": arrival[0] * 1e3, "first_photo": images[0]["total"]})
        second_pass = (arrival[-1] - arrival[len(photos) - 1]) * 1e3 / len(photos)
        buffered = arrival[-1] - arrival[0] < 0.1 * arrival[-1]
        return {"images": images[len(photos) :], "outside": None if buffered else second_pass}

    def image(self, answer):
        if "error" in answer:
            raise SystemExit(f"maskline: {answer.get('image')}: {answer['error']}")
        times = answer["timings_ms"]
        network = sum(value for name, value in times.items() if name not in self.STAGES)
        return {
            "total": times["total"],
            "preprocess": times.get("preprocess", 0.0),
            "inference": network,
            "postprocess": times.get("postprocess", 0.0),
            "timings_ms": times,
            "objects": answer["objects"],
        }

    def close(self):
        pass


def lines_of(command):
    """Runs `command`; its stdout lines with their arrival, and its peak memory in MiB. Stops on a failure."""
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        lines = [(time.perf_counter(), line) for line in process.stdout]
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0 or not lines:
            log.seek(0)
            raise SystemExit(f"exit code {process.returncode}: {shlex.join(command)}\n{log.read()[-2000:]}")
    return lines, usage.ru_maxrss / 1024


def second_starts(tools, photo, count):
    """Fresh process to first answer, `count` times per tool in turns, after one start that is not counted."""
    starts = {name: [] for name in tools}
    for turn in range(count + 1):
        for name, tool in tools.items():
            begin = time.perf_counter()
            lines, memory = lines_of(tool.once(photo))
            end = time.perf_counter()
            answer = json.loads(lines[0][1])
            sample = {"first_answer": (lines[0][0] - begin) * 1e3, "process": (end - begin) * 1e3, "memory": memory}
            if "cold_ms" in answer:
                sample["cold_ms"] = answer["cold_ms"]
            if turn > 0:
                starts[name].append(sample)
        progress(f"second start {turn}/{count}")
    return starts


def rounds(tools, photos, options):
    """Warm-up rounds and measured rounds; the order of the tools turns by one each round."""
    samples = {name: {"warmup": [], "steady": []} for name in tools}
    names = list(tools)
    for turn in range(options.warmup + options.rounds):
        phase = "warmup" if turn < options.warmup else "steady"
        shift = turn % len(names)
        for name in names[shift:] + names[:shift]:
            samples[name][phase].append(tools[name].round(photos))
        progress(f"{phase} round {turn + 1}/{options.warmup + options.rounds}")
    return samples


def progress(text):
    print(text, file=sys.stderr, flush=True)


def machine(options, digest):
    """What the figures depend on."""
    cpu = platform.processor() or "unknown"
    info = Path("/proc/cpuinfo")
    if info.exists():
        models = [line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if "model name" in line]
        cpu = models[0] if models else cpu
    packages = ("ultralytics", "torch", "torchvision", "onnxruntime", "onnx", "numpy", "opencv-python-headless")
    versions = {name: importlib.metadata.version(name) for name in packages} | {"python": platform.python_version()}
    if "maskline" not in options.skip:
        shown = subprocess.run([options.maskline, "--version"], capture_output=True, text=True, check=True)
        versions["maskline"] = shown.stdout.strip().removeprefix("maskline ")
        git = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
        versions["maskline commit"] = (
            subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip() or "unknown"
        )
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "cpu": cpu,
        "cores": os.cpu_count(),
        "affinity": sorted(os.sched_getaffinity(0)),
        "threads": options.threads,
        "load_before": os.getloadavg(),
        "system": platform.platform(),
        "versions": versions,
        "weights_sha256": digest,
    }


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--weights", type=Path, default=SHARED / "yolov8n" / "yolov8n.safetensors")
    parser.add_argument("--photos", type=Path, nargs="+", default=[SHARED / "photos"], help="files or folders")
    parser.add_argument("--size", type=int, default=640, help="side of the square network input")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="threads and cores per tool")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--warmup", type=int, default=2, help="rounds kept apart")
    parser.add_argument("--starts", type=int, default=10, help="fresh processes per tool; 0 leaves the table out")
    parser.add_argument("--skip", action="append", choices=SKIPPABLE, default=[])
    parser.add_argument("--results", type=Path, default=peer_setup.HERE / "results")
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    parser.add_argument("--maskline", type=Path, default=target / "dist" / "maskline", help="the binary, built with --profile dist")
    parser.add_argument("--maskline-model", help="MODEL given to maskline; by default the checkpoint of the peers")
    parser.add_argument("--maskline-args", default="", help="further flags for `maskline run`, one string")
    options = parser.parse_args()
    if not options.weights.exists():
        parser.error(f"{options.weights} is missing: name the YOLOv8n safetensors file with --weights")
    if "maskline" not in options.skip and not options.maskline.exists():
        parser.error(f"{options.maskline} is missing: build it, name it with --maskline, or use --skip maskline")
    if not 1 <= options.threads <= len(os.sched_getaffinity(0)):
        parser.error(f"--threads {options.threads}: {len(os.sched_getaffinity(0))} cores are available")
    if options.rounds < 1 or options.warmup < 1 or options.starts < 0:
        parser.error("--rounds and --warmup must be at least 1, --starts at least 0")
    return options


def photo_files(places):
    """The pictures among `places`, folders searched one level deep, in order of name."""
    files = [f for place in places for f in (sorted(place.iterdir()) if place.is_dir() else [place])]
    photos = [str(f.resolve()) for f in files if f.suffix.lower() in (".jpg", ".jpeg", ".png")]
    if not photos or not all(Path(photo).exists() for photo in photos):
        raise SystemExit(f"no .jpg, .jpeg or .png in {', '.join(map(str, places))}: use --photos")
    return photos


def main():
    options = arguments()
    options.results = options.results.resolve()
    options.results.mkdir(parents=True, exist_ok=True)
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.threads])  # inherited by every tool
    photos = photo_files(options.photos)
    # In a process of its own: the peak memory of a child is never less than that of the parent that started it.
    setup = [sys.executable, str(peer_setup.HERE / "peer_setup.py"), str(options.weights), str(options.results)]
    subprocess.run([*setup, str(options.size)], check=True, stdout=sys.stderr)
    files = peer_setup.shared_files(options.results, options.size)
    digest = json.loads(files["stamp"].read_text())["weights_sha256"]
    tools = {
        ONNX: Worker("ultralytics", files["onnx"], options),
        PYTORCH: Worker("ultralytics", files["checkpoint"], options),
        SESSION: Worker("onnxruntime", files["onnx"], options),
    }
    if "maskline" not in options.skip:
        tools = {MASKLINE: Maskline(options, files["checkpoint"])} | tools
    tools = {name: tool for name, tool in tools.items() if name not in [SKIPPABLE[key] for key in options.skip]}
    facts = machine(options, digest) | {"photos": len(photos), "size": options.size}
    facts["commands"] = {name: shlex.join(tool.command) for name, tool in tools.items()}
    gemm = Worker("gemm", "-", options)
    try:
        samples = rounds(tools | {"gemm": gemm}, photos, options)
    finally:
        for tool in [*tools.values(), gemm]:
            tool.close()
    starters = {name: tool for name, tool in tools.items() if name != SESSION}
    starts = second_starts(starters, photos[0], options.starts) if options.starts else {}
    facts["load_after"] = os.getloadavg()
    first = tools[MASKLINE].first if MASKLINE in tools else []
    measured = {"machine": facts, "samples": samples, "starts": starts, "maskline_first": first, "files": photos}
    text = report.markdown(measured, reference=PYTORCH)
    (options.results / "yolov8.json").write_text(json.dumps(measured | {"summary": report.summary(measured)}, indent=1))
    (options.results / "yolov8.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
