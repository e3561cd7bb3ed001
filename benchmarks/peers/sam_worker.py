"""One promptable peer in its own process: a line of JSON in on stdin, a line of JSON out on stdout.

`sam_worker.py MODULE:CLASS MODEL... --threads N`. The class is a `Predictor`; what is measured is here, once for all of
them: a task is a picture file and its prompts, the answer is one mask per prompt as COCO RLE, with the time of each
stage in milliseconds. The embedding of the last picture is kept.
"""

import argparse
import contextlib
import importlib
import json
import sys
import time

import numpy
from PIL import Image
from pycocotools import mask as coco


class Predictor:
    """What a peer has to bring. Boxes are [N, 4] and points [N, P, 2], float32, in pixels of the picture."""

    def __init__(self, models, threads):
        raise NotImplementedError

    def preprocess(self, image):
        """RGB uint8 [H, W, 3] → input of the network."""
        raise NotImplementedError

    def encode(self, pixels):
        """Network input → embedding, which is kept by the caller."""
        raise NotImplementedError

    def decode(self, embedding, size, boxes=None, points=None):
        """One mask per prompt: low-resolution logits [N, 1, h, w] and scores [N]. All points are positive clicks."""
        raise NotImplementedError

    def upscale(self, logits, size):
        """Logits → masks of the picture's `size` (height, width): an iterable of bool or uint8 [H, W]."""
        raise NotImplementedError

    def threads(self):
        """Number of threads that the backend really uses."""
        raise NotImplementedError


class Stages:
    """Sums of wall-clock time by stage."""

    def __init__(self):
        self.ms = {}
        self.start = time.perf_counter()

    @contextlib.contextmanager
    def stage(self, name):
        start = time.perf_counter()
        yield
        self.ms[name] = self.ms.get(name, 0.0) + (time.perf_counter() - start) * 1e3

    def total(self):
        return self.ms | {"total": (time.perf_counter() - self.start) * 1e3}


class Session:
    """A predictor, the embedding of a picture, and the clock."""

    def __init__(self, predictor):
        self.predictor = predictor
        self.embedding, self.size = None, None

    def boxes(self, photo, boxes):
        """Path in, one RLE per box out, all boxes in one call."""
        clock = Stages()
        with clock.stage("decode"):
            image = numpy.asarray(Image.open(photo).convert("RGB"))
        with clock.stage("preprocess"):
            pixels = self.predictor.preprocess(image)
        with clock.stage("image_encode"):
            self.embedding, self.size = self.predictor.encode(pixels), image.shape[:2]
        answer = self.answer(clock, boxes=numpy.float32(boxes))
        return clock.total(), answer

    def loop(self, photo, boxes):
        """One call per box on the embedding of `photo`, which is there already."""
        self.encode_first(photo)
        clock, answer = Stages(), []
        for box in boxes:
            answer += self.answer(clock, boxes=numpy.float32([box]))
        return clock.total(), answer

    def click(self, photo, point):
        """One positive click on the embedding of `photo`, which is there already."""
        self.encode_first(photo)
        clock = Stages()
        answer = self.answer(clock, points=numpy.float32([[point]]))
        return clock.total(), answer

    def encode_first(self, photo):
        if self.embedding is None:
            image = numpy.asarray(Image.open(photo).convert("RGB"))
            self.embedding, self.size = self.predictor.encode(self.predictor.preprocess(image)), image.shape[:2]

    def answer(self, clock, **prompts):
        with clock.stage("mask_decode"):
            logits, scores = self.predictor.decode(self.embedding, self.size, **prompts)
        with clock.stage("postprocess"):
            masks = [rle(mask) for mask in self.predictor.upscale(logits, self.size)]
        return [{"segmentation": mask, "score": float(score)} for mask, score in zip(masks, scores, strict=True)]


def rle(mask):
    encoded = coco.encode(numpy.asfortranarray(mask, dtype=numpy.uint8))
    return {"size": encoded["size"], "counts": encoded["counts"].decode()}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("predictor", help="MODULE:CLASS")
    parser.add_argument("models", nargs="+", help="checkpoint or ONNX files, as the class wants them")
    parser.add_argument("--threads", type=int, required=True)
    options = parser.parse_args()
    channel, sys.stdout = sys.stdout, sys.stderr  # whatever a library prints must not end up in the answers
    module, name = options.predictor.split(":")
    predictor = getattr(importlib.import_module(module), name)(options.models, options.threads)
    session = Session(predictor)
    for line in sys.stdin:
        task = json.loads(line)
        ms, objects = getattr(session, task["task"])(task["photo"], task["prompt"])
        print(json.dumps({"ms": ms, "objects": objects, "threads": predictor.threads()}), file=channel, flush=True)


if __name__ == "__main__":
    main()
