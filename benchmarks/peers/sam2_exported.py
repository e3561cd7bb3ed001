"""SAM 2.1 tiny as exporters split it, on ONNX Runtime's Python package: what the graphs that maskline builds save.

`maskline bench --against onnxruntime-python` runs maskline's own graphs in Python; these are the other ones. They run in the
worker of `maskline bench`, on the boxes of `maskline bench --kind box`. See README.md for the commands of both.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
WORKERS = HERE.parents[1] / "crates" / "maskline-bench" / "peers"
sys.path.insert(0, str(WORKERS))

import cv2  # noqa: E402 (the workers' modules have to be found first)
import numpy  # noqa: E402
import promptable  # noqa: E402
from onnx_session import session  # noqa: E402
from PIL import Image  # noqa: E402

SIDE, LOW = 1024, 256
STATISTICS = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
BOXES = 47
DROPPED = 2  # calls, which warm up


class Exported(promptable.Predictor):
    """The exported encoder and decoder; Pillow and numpy before, OpenCV and pycocotools behind."""

    def __init__(self, task):
        super().__init__()
        cv2.setNumThreads(task["threads"])
        self.encoder, self.decoder = session(task, "image_encoder"), session(task, "mask_decoder")

    def blank(self):
        return numpy.zeros((SIDE, SIDE, 3), numpy.uint8)

    def preprocess(self, image):
        return promptable.stretched(image, SIDE, STATISTICS)

    def encode(self, pixels):
        names = [output.name for output in self.encoder.get_outputs()]
        return dict(zip(names, self.encoder.run(None, {"image": pixels}), strict=True))

    def decode(self, embedding, size, group):
        """The graph gives one mask per prompt, whatever is asked."""
        if group.boxes is not None:
            points, labels = group.boxes.reshape(-1, 2, 2), numpy.tile(numpy.float32([2, 3]), (len(group.boxes), 1))
        else:
            points, labels = group.points, group.labels
        height, width = size
        given = {
            "point_coords": points * numpy.float32([SIDE / width, SIDE / height]),
            "point_labels": labels,
            "mask_input": numpy.zeros((1, 1, LOW, LOW), numpy.float32),
            "has_mask_input": numpy.zeros(1, numpy.float32),
        }
        masks, scores = self.decoder.run(None, embedding | given)
        return masks, scores[:, 0]

    def upscale(self, logits, size):
        height, width = size
        return (cv2.resize(mask[0], (width, height)) > 0 for mask in logits)

    def threads(self):
        return self.encoder.get_session_options().intra_op_num_threads


class Worker:
    """The worker of `maskline bench` with these graphs."""

    def __init__(self, files, threads):
        names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
        environment = os.environ | dict.fromkeys(names, str(threads)) | {"PYTHONPATH": str(HERE)}
        command = [sys.executable, str(WORKERS / "worker.py")]
        self.process = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        parts = {"image_encoder": str(files["encoder"]), "mask_decoder": str(files["decoder"])}
        needs = ["onnxruntime", "numpy", "PIL", "cv2", "pycocotools"]
        self.ask({"module": "sam2_exported", "class": "Exported", "needs": needs, "parts": parts, "threads": threads})

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


def boxes(count, size):
    """The boxes of `maskline bench`: places of Roberts' R2 sequence, sides of an eighth to three eighths of the picture's."""
    width, height = size
    found = []
    for i in range(count):
        across, down = ((0.5 + step * i) % 1 for step in (0.7548776662466927, 0.5698402909980532))
        wide, high = (0.125 + 0.25 * (place * 7 % 1) for place in (across, down))
        left, top = across * (1 - wide) * width, down * (1 - high) * height
        found.append([left, top, left + wide * width, top + high * height])
    return found


def measure(worker, request, calls):
    """Median milliseconds of each stage and of the whole; the first calls warm up."""
    times = []
    for _ in range(DROPPED + calls):
        answer = worker.ask(request)
        times.append(answer["stages"] | {"total": answer["milliseconds"]})
    return {stage: statistics.median(row[stage] for row in times[DROPPED:]) for stage in times[0]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photo", type=Path)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--calls", type=int, default=12, help="of each kind, beside those that warm up")
    parser.add_argument("--results", type=Path, default=HERE / "results", help="where checkpoint and exports are made")
    options = parser.parse_args()
    options.results.mkdir(parents=True, exist_ok=True)
    import sam2_export

    files = sam2_export.prepare(options.results, options.photo)
    size = Image.open(options.photo).size
    many = [{"box": box} for box in boxes(BOXES, size)]
    (x1, y1, x2, y2) = many[0]["box"]
    click = [{"points": [[(x1 + x2) / 2, (y1 + y2) / 2]], "labels": [1]}]
    cases = {
        f"picture and {BOXES} boxes": {"mode": "miss", "prompts": many},
        f"{BOXES} boxes, embedding held": {"mode": "held", "prompts": many},
        "1 click, embedding held": {"mode": "held", "prompts": click},
    }
    worker = Worker(files, options.threads)
    print("| call | stages, median (ms) | whole, median (ms) |\n| --- | --- | ---: |")
    for name, case in cases.items():
        request = {"picture": str(options.photo.resolve()), "multimask": "off", **case}
        times = measure(worker, request, options.calls)
        whole = times.pop("total")
        print(f"| {name} | {', '.join(f'{stage} {ms:.1f}' for stage, ms in times.items())} | {whole:.1f} |", flush=True)
    worker.close()


if __name__ == "__main__":
    main()
