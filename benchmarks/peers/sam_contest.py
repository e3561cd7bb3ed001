"""Promptable models against their peers: the same picture, prompts, weights, cores and threads, in turns.

What a contest (`sam2_image.py`, `efficientvit_sam.py`) has in common: options, the picture and its boxes, the tools as
processes, and the rounds. A round is every task once per tool; the order of the tools turns by one each round.
"""

import argparse
import contextlib
import datetime
import importlib.metadata
import json
import os
import platform
import random
import shlex
import subprocess
import sys
import time
from pathlib import Path

import sam_report
from peer_setup import HERE
from yolov8 import lines_of, progress

ROOT = HERE.parents[1]
PHOTO = ROOT.parent / "shared" / "data" / "photos" / "truck.jpg"
WIDTH, HEIGHT, BOXES = 1800, 1200, 47
TASKS = ("boxes", "loop", "click")
PACKAGES = ("torch", "torchvision", "transformers", "segment-anything", "onnxruntime", "onnx", "numpy", "pycocotools")


class Peer:
    """A Python tool kept alive between rounds (`sam_worker.py`)."""

    def __init__(self, predictor, models, threads):
        self.command = [sys.executable, str(HERE / "sam_worker.py"), predictor, *map(str, models)]
        self.command += ["--threads", str(threads)]
        self.threads = threads
        self.process = None

    def round(self, photo, prompts):
        return {task: [self.measure(task, photo, prompt)] for task, prompt in prompts.items()}

    def measure(self, task, photo, prompt):
        answer = self.ask({"task": task, "photo": str(photo), "prompt": prompt})
        if answer["threads"] != self.threads:
            raise SystemExit(f"{shlex.join(self.command)}: ran on {answer['threads']} threads, not {self.threads}")
        return {"ms": answer["ms"], "objects": answer["objects"]}

    def ask(self, question):
        if self.process is None:
            names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
            switches = {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "CUDA_VISIBLE_DEVICES": ""}
            environment = os.environ | dict.fromkeys(names, str(self.threads)) | switches
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
            self.process = subprocess.Popen(self.command, env=environment, **pipes)
        try:
            self.process.stdin.write(json.dumps(question) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise SystemExit(f"stopped with exit code {self.process.wait()}: {shlex.join(self.command)}")
        return json.loads(line)

    def close(self):
        if self.process is not None:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.close()
            self.process.wait()


class Gemm(Peer):
    """The machine's float32 matrix multiplication rate, measured between the tools (`worker.py`)."""

    def __init__(self, results, threads):
        super().__init__("", [], threads)
        self.command = [sys.executable, str(HERE / "worker.py"), "gemm", "-", "--config", str(results / "config")]
        self.command += ["--threads", str(threads)]

    def round(self, _photo, _prompts):
        return {"gemm": [{"ms": {}, "rates": self.ask([])["images"][0]}]}


class Maskline:
    """`maskline run MODEL PHOTO --prompts FILE --json --repeat N`: one process per task and round.

    The first pass of a process is cold and reported apart. Should the later ones still hold the embedding of the
    picture, they count for the stages behind it only, and the first one for the whole.
    """

    STAGES = ("decode", "preprocess", "image_encode", "mask_decode", "postprocess", "other", "total")

    def __init__(self, options, model):
        self.program, self.model = str(options.maskline), str(options.maskline_model or model)
        self.folder = options.results
        # The peers ask for the single answer too.
        self.flags = ["--json", "--multimask", "off", "--threads", str(options.threads), "--repeat", str(options.repeat)]
        self.flags += shlex.split(options.maskline_args)
        self.repeat = options.repeat
        self.command = [self.program, "run", self.model, "PHOTO", "--prompts", "FILE", *self.flags]
        self.cold = []

    def round(self, photo, prompts):
        answers = {}
        if "boxes" in prompts:
            # Every pass encodes the picture anew.
            answers["boxes"] = self.measure(photo, "boxes.json", len(prompts["boxes"]), ["--embedding-cache", "0"])
        if "click" in prompts:
            passes = [one for one in self.measure(photo, "click.json", 1) if "first" not in one]
            # A peer's click has the embedding already: the same stages are compared.
            answers["click"] = [one | {"ms": behind_embedding(one["ms"])} for one in passes]
        return answers

    def measure(self, photo, prompts, count, more=()):
        command = [self.program, "run", self.model, str(photo), "--prompts", str(self.folder / prompts), *self.flags, *more]
        begin = time.perf_counter()
        lines, memory = lines_of(command)
        passes = [self.sample(json.loads(text), count) for _, text in lines]
        if len(passes) != self.repeat:
            raise SystemExit(f"{shlex.join(command)}: {len(passes)} lines for {self.repeat} passes")
        self.cold.append({"first_answer": (lines[0][0] - begin) * 1e3, "memory": memory, "ms": passes[0]["ms"]})
        if any(one["ms"].get("image_encode", 0.0) > 0.0 for one in passes[1:]):
            return passes[1:]
        return [passes[0] | {"first": True}, *passes[1:]]

    def sample(self, answer, count):
        if "error" in answer:
            raise SystemExit(f"maskline: {answer.get('image')}: {answer['error']}")
        objects = sorted(answer["objects"], key=lambda found: found.get("prompt", 0))
        if [found.get("prompt", 0) for found in objects] != list(range(count)):
            raise SystemExit(f"maskline: {len(objects)} objects for {count} prompts; one per prompt is expected")
        objects = [{"segmentation": found["segmentation"], "score": found["score"]} for found in objects]
        times = {name: value for name, value in answer["timings_ms"].items() if name in self.STAGES}
        if "mask_decode" not in times or "postprocess" not in times:
            raise SystemExit(
                f"maskline: timings_ms has {sorted(answer['timings_ms'])}, without mask_decode, postprocess"
            )
        return {"ms": times, "objects": objects}

    def close(self):
        pass


def behind_embedding(ms):
    kept = {name: ms[name] for name in ("mask_decode", "postprocess")}
    return kept | {"total": sum(kept.values())}


def parser_for(description, skippable):
    """Options that every contest has."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    cores = len(os.sched_getaffinity(0))
    parser.add_argument("--threads", type=int, default=min(2, cores), help="threads and cores per tool")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--warmup", type=int, default=1, help="rounds kept apart")
    parser.add_argument("--photo", type=Path, help="by default truck.jpg of the test data, else a generated picture")
    parser.add_argument("--results", type=Path, default=HERE / "results")
    parser.add_argument("--skip", action="append", choices=[*skippable, *TASKS], default=[])
    parser.add_argument("--maskline", type=Path, help="the binary, built with --profile dist; without it maskline is left out")
    parser.add_argument("--maskline-model", help="MODEL given to maskline; by default the checkpoint of the peers")
    parser.add_argument("--maskline-args", default="", help="further flags for `maskline run`, one string")
    parser.add_argument("--repeat", type=int, default=3, help="passes of maskline per process, the first not counted")
    return parser


def parsed(parser):
    """The checked options; binds this process and its children to as many cores as there are threads."""
    options = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    if not 1 <= options.threads <= len(cores):
        parser.error(f"--threads {options.threads}: {len(cores)} cores are available")
    if options.rounds < 1 or options.warmup < 1 or options.repeat < 2:
        parser.error("--rounds and --warmup must be at least 1, --repeat at least 2")
    if options.maskline is not None and not options.maskline.is_file():
        parser.error(f"--maskline {options.maskline}: no such file")
    os.sched_setaffinity(0, cores[: options.threads])
    options.results = options.results.resolve()
    options.results.mkdir(parents=True, exist_ok=True)
    options.photo = picture(options)
    return options


def picture(options):
    """The picture of the contest as PNG: the given one, else the test photo, else a generated one of the same size.

    JPEG decoders differ by a level here and there, which random weights amplify to other masks.
    """
    from PIL import Image

    photo = options.photo or PHOTO
    if photo.is_file():
        with Image.open(photo) as image:
            if image.size == (WIDTH, HEIGHT) or options.photo:
                lossless = options.results / f"{photo.stem}.png"
                image.convert("RGB").save(lossless)
                return lossless
    elif options.photo:
        raise SystemExit(f"--photo {photo}: no such file")
    generated = options.results / "gradient.png"
    channels = [Image.linear_gradient("L"), Image.radial_gradient("L"), Image.linear_gradient("L").rotate(90)]
    Image.merge("RGB", channels).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC).save(generated)
    return generated


def plausible_boxes(size, seed=47):
    """Boxes as a detector would give them on a busy picture: many small ones, a few large, [x1, y1, x2, y2]."""
    width, height = size
    generator, boxes = random.Random(seed), []
    for _ in range(BOXES):
        side = height * 0.04 * 15 ** generator.random()
        shape = 2 ** generator.uniform(-0.8, 0.8)
        box_width, box_height = min(side * shape, 0.9 * width), min(side / shape, 0.9 * height)
        x, y = generator.uniform(0, width - box_width), generator.uniform(0, height - box_height)
        boxes.append([round(value, 1) for value in (x, y, x + box_width, y + box_height)])
    return boxes


def write_prompts(options):
    """Writes `boxes.json` and `click.json` for maskline; the prompts of each task."""
    from PIL import Image

    with Image.open(options.photo) as image:
        size = image.size
    boxes, point = plausible_boxes(size), [round(size[0] * 0.43, 1), round(size[1] * 0.52, 1)]
    files = {
        "boxes.json": {"prompts": [{"box": box} for box in boxes]},
        "click.json": {"prompts": [{"points": [point], "labels": [1]}]},
    }
    for name, content in files.items():
        (options.results / name).write_text(json.dumps(content))
    prompts = {"boxes": boxes, "loop": boxes, "click": point}
    return {task: prompt for task, prompt in prompts.items() if task not in options.skip}, size


def rounds(tools, prompts, options):
    """Warm-up rounds and measured rounds by tool; each round is a list of samples by task."""
    samples = {name: {"warmup": [], "steady": []} for name in tools}
    names = list(tools)
    for turn in range(options.warmup + options.rounds):
        phase = "warmup" if turn < options.warmup else "steady"
        shift = turn % len(names)
        for name in names[shift:] + names[:shift]:
            samples[name][phase].append(tools[name].round(options.photo, prompts))
        progress(f"{phase} round {turn + 1}/{options.warmup + options.rounds}")
    return samples


def machine(options):
    """What the figures depend on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    models = [line.split(":", 1)[1].strip() for line in lines if "model name" in line]
    versions = {name: importlib.metadata.version(name) for name in PACKAGES} | {"python": platform.python_version()}
    if options.maskline:
        shown = subprocess.run([options.maskline, "--version"], capture_output=True, text=True, check=True)
        versions["maskline"] = shown.stdout.strip().removeprefix("maskline ")
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "cpu": models[0] if models else platform.processor() or "unknown",
        "cores": os.cpu_count(),
        "threads": options.threads,
        "system": platform.platform(),
        "versions": versions,
    }


def contest(name, title, tools, options, facts):
    """Runs the rounds, writes `<name>.json` and `<name>.md` to the results, prints the report.

    `facts` holds what is known of the model: `encoder_gflop`, `weights_sha256` and the like. The first Python tool is
    the reference of the comparison of masks.
    """
    prompts, size = write_prompts(options)
    record = machine(options) | {"photo": options.photo.name, "size": size, "model": facts, "boxes": BOXES}
    record["commands"] = {key: shlex.join(tool.command) for key, tool in tools.items()}
    record["load_before"] = os.getloadavg()
    everyone = tools | {"gemm": Gemm(options.results, options.threads)}
    try:
        samples = rounds(everyone, prompts, options)
    finally:
        for tool in everyone.values():
            tool.close()
    record["load_after"] = os.getloadavg()
    cold = [sample for tool in tools.values() for sample in getattr(tool, "cold", [])]
    measured = {"title": title, "machine": record, "samples": samples, "maskline_cold": cold}
    reference = next(key for key, tool in tools.items() if isinstance(tool, Peer))
    summary = sam_report.summary(measured, reference)
    text = sam_report.markdown(measured, summary, reference)
    sam_report.drop_masks(measured)
    (options.results / f"{name}.json").write_text(json.dumps(measured | {"summary": summary}, indent=1))
    (options.results / f"{name}.md").write_text(text)
    print(text)
