"""One measured tool in its own process: a line of JSON in on stdin, a line of JSON out on stdout.

Separate processes keep the thread pools of torch and ONNX Runtime from spinning against each other. An idle worker
waits on stdin and costs nothing. `--once` is the second start: import, load, one photo, one answer.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import peer_setup


class Ultralytics:
    """Path in, `Results` out, through `YOLO.predict`."""

    def __init__(self, model, arguments):
        peer_setup.pin_torch(arguments.threads)
        if model.endswith(".onnx"):
            peer_setup.pin_onnx(arguments.threads)
        from ultralytics import YOLO

        self.model = YOLO(model, task="detect")
        self.options = {"imgsz": arguments.size, "conf": arguments.conf, "iou": arguments.iou}
        self.options |= {"rect": False, "device": "cpu", "verbose": False}

    def photo(self, path):
        start = time.perf_counter()
        (result,) = self.model.predict(path, **self.options)
        total = (time.perf_counter() - start) * 1e3
        stages = {name: result.speed[name] for name in ("preprocess", "inference", "postprocess")}
        boxes = result.boxes
        answer = [
            {"box": box, "score": score, "class_id": int(class_id)}
            for box, score, class_id in zip(boxes.xyxy.tolist(), boxes.conf.tolist(), boxes.cls.tolist())
        ]
        return {"total": total, **stages, "objects": answer}

    def round(self, photos):
        return [self.photo(path) for path in photos]

    def check(self):
        """Number of threads that the backend really uses."""
        import torch

        session = getattr(self.model.predictor.model.backend, "session", None)
        return session.get_session_options().intra_op_num_threads if session else torch.get_num_threads()


class OnnxRuntime:
    """The exported network alone, on one fixed input: what no tool around it can be faster than."""

    def __init__(self, model, arguments):
        import numpy
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = arguments.threads
        self.session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        (self.input,) = self.session.get_inputs()
        shape = (1, 3, arguments.size, arguments.size)
        self.image = numpy.random.default_rng(0).random(shape, dtype=numpy.float32)

    def round(self, photos):
        return [{"total": self.run()} for _ in photos]

    def run(self):
        start = time.perf_counter()
        self.session.run(None, {self.input.name: self.image})
        return (time.perf_counter() - start) * 1e3

    def check(self):
        return self.session.get_session_options().intra_op_num_threads


class Gemm:
    """Float32 matrix multiplication rate of the machine, GFLOP/s: the better of numpy (OpenBLAS) and torch (MKL)."""

    SIDE = 1536

    def __init__(self, _model, arguments):
        import numpy
        import torch

        torch.set_num_threads(arguments.threads)
        a = numpy.random.default_rng(0).random((self.SIDE, self.SIDE), dtype=numpy.float32)
        self.sides = {"numpy": (numpy.matmul, a), "torch": (torch.matmul, torch.from_numpy(a))}
        self.threads = arguments.threads

    def round(self, _photos):
        return [{f"{name}_gflops": max(self.rate(*side) for _ in range(3)) for name, side in self.sides.items()}]

    def rate(self, multiply, a):
        start = time.perf_counter()
        multiply(a, a)
        return 2e-9 * self.SIDE**3 / (time.perf_counter() - start)

    def check(self):
        import torch

        return torch.get_num_threads()


TOOLS = {"ultralytics": Ultralytics, "onnxruntime": OnnxRuntime, "gemm": Gemm}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tool", choices=TOOLS)
    parser.add_argument("model", help="checkpoint or ONNX file; '-' for gemm")
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--size", type=int, default=640)
    parser.add_argument("--conf", type=float, default=0.25)
    parser.add_argument("--iou", type=float, default=0.7)
    parser.add_argument("--once", metavar="PHOTO")
    return parser.parse_args()


def main():
    options = arguments()
    peer_setup.offline(options.config, options.threads)
    channel, sys.stdout = sys.stdout, sys.stderr  # whatever a library prints must not end up in the answers
    tool = TOOLS[options.tool](options.model, options)
    if options.once:
        print(json.dumps(tool.photo(options.once)), file=channel, flush=True)
        return
    for line in sys.stdin:
        photos = json.loads(line)
        start = time.perf_counter()
        images = tool.round(photos)
        wall = (time.perf_counter() - start) * 1e3
        print(json.dumps({"images": images, "wall": wall, "threads": tool.check()}), file=channel, flush=True)


if __name__ == "__main__":
    main()
