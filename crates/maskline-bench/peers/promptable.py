"""Prompts in, masks out: what all promptable programs share. A predictor brings the network and what its users do around it."""

import hashlib
from typing import NamedTuple

import numpy
from PIL import Image, ImageOps
from pycocotools import mask as coco

KEPT = 8  # embeddings
TOGETHER = 64  # prompts of one call of the decoder, as in the published mask generators


class Group(NamedTuple):
    """Prompts of one form, in pixels of the picture: boxes [N, 4] or None, points [N, P, 2] and labels [N, P] or None."""

    boxes: numpy.ndarray | None
    points: numpy.ndarray | None
    labels: numpy.ndarray | None
    several: bool  # Of several masks the best one by score is wanted, instead of the single one.


class Predictor:
    """What a program has to bring."""

    def preprocess(self, image):
        """RGB uint8 [H, W, 3] → input of the network."""
        raise NotImplementedError

    def encode(self, pixels):
        """Input of the network → embedding."""
        raise NotImplementedError

    def decode(self, embedding, size, group):
        """One mask per prompt: logits [N, 1, h, w] of low resolution and scores [N]; `size` is height and width."""
        raise NotImplementedError

    def upscale(self, logits, size):
        """Logits → masks of the picture's size: an iterable of bool or uint8 [H, W]."""
        raise NotImplementedError

    def blank(self):
        """An empty picture of the network's size, RGB uint8 [H, W, 3]."""
        raise NotImplementedError

    def threads(self):
        """Number of threads that really are used."""
        raise NotImplementedError

    def __init__(self):
        self.embeddings = {}

    def warm_up(self):
        """The whole way once, on an empty picture and one box."""
        image = self.blank()
        size = image.shape[:2]
        box = numpy.float32([[0.25 * size[1], 0.25 * size[0], 0.75 * size[1], 0.75 * size[0]]])
        logits, _ = self.decode(self.encode(self.preprocess(image)), size, Group(box, None, None, False))
        list(self.upscale(logits, size))

    def answer(self, request, clock):
        mode, path = request["mode"], request["picture"]
        if mode == "miss":
            with clock.stage("decode"):
                image = read(path)
            with clock.stage("preprocess"):
                pixels = self.preprocess(image)
            with clock.stage("image_encode"):
                embedding = self.encode(pixels)
            return self.masks((embedding, image.shape[:2]), request, clock)
        if mode == "hit":
            self.keep(digest(read(path)), path)
            clock.restart()
            with clock.stage("decode"):
                image = read(path)
            with clock.stage("preprocess"):
                kept = self.embeddings[digest(image)]
            return self.masks(kept, request, clock)
        self.keep(path, path)
        clock.restart()
        return self.masks(self.embeddings[path], request, clock)

    def keep(self, key, path):
        """Makes sure, outside the measured time, that the embedding of a picture is there."""
        if key not in self.embeddings:
            image = read(path)
            while len(self.embeddings) >= KEPT:
                del self.embeddings[next(iter(self.embeddings))]
            self.embeddings[key] = (self.encode(self.preprocess(image)), image.shape[:2])

    def masks(self, encoded, request, clock):
        embedding, size = encoded
        prompts = request["prompts"]
        objects = [None] * len(prompts)
        for members, group in groups(prompts, request["multimask"]):
            with clock.stage("mask_decode"):
                logits, scores = self.decode(embedding, size, group)
            with clock.stage("postprocess"):
                for index, mask, score in zip(members, self.upscale(logits, size), scores, strict=True):
                    objects[index] = {"segmentation": rle(mask), "score": float(score)}
        return objects


def read(path):
    """RGB uint8 [H, W, 3], turned as the file says."""
    image = Image.open(path)
    return numpy.asarray(ImageOps.exif_transpose(image).convert("RGB"))


def digest(image):
    return hashlib.sha256(memoryview(numpy.ascontiguousarray(image)).cast("B")).digest() + bytes(str(image.shape), "ascii")


def rle(mask):
    encoded = coco.encode(numpy.asfortranarray(mask, dtype=numpy.uint8))
    return {"size": encoded["size"], "counts": encoded["counts"].decode()}


def form(prompt):
    return "box" in prompt, len(prompt.get("points", ()))


def groups(prompts, multimask):
    """Prompts that can go through a decoder together: their indices, and the arrays."""
    for wanted in dict.fromkeys(map(form, prompts)):
        all_members = [index for index, prompt in enumerate(prompts) if form(prompt) == wanted]
        has_box, clicks = wanted
        for start in range(0, len(all_members), TOGETHER):
            members = all_members[start : start + TOGETHER]
            column = lambda key: numpy.float32([prompts[index][key] for index in members])  # noqa: E731, B023
            boxes = column("box") if has_box else None
            points, labels = (column("points"), column("labels")) if clicks else (None, None)
            several = multimask == "auto" and clicks == 1 and not has_box
            yield members, Group(boxes, points, labels, several)


def best_of(logits, scores):
    """Of the masks [N, M, h, w] of each prompt that with the highest score [N, M], in PyTorch."""
    best = scores.argmax(1)
    rows = range(len(scores))
    return logits[rows, best][:, None], scores[rows, best]


def fitted(size, side):
    """Height and width whose longer one is `side`."""
    scale = side / max(size)
    return tuple(int(length * scale + 0.5) for length in size)


def stretched(image, side, statistics):
    """RGB uint8 [H, W, 3] → normalised float32 [1, 3, side, side], whatever the picture's sides.

    Scaled in floating point, as the official predictor of SAM 2 does.
    """
    planes = (Image.fromarray(plane).resize((side, side), Image.Resampling.BILINEAR) for plane in planes_of(image))
    return normalised(numpy.stack([numpy.asarray(plane) for plane in planes], 2), statistics)


def planes_of(image):
    return numpy.ascontiguousarray(image.transpose(2, 0, 1), dtype=numpy.float32)


def padded(image, side, statistics):
    """RGB uint8 [H, W, 3] → normalised float32 [1, 3, side, side]; right and bottom are 0 behind the normalisation."""
    height, width = fitted(image.shape[:2], side)
    pixels = numpy.zeros((1, 3, side, side), numpy.float32)
    small = Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR)
    pixels[:, :, :height, :width] = normalised(small, statistics)
    return pixels


def normalised(image, statistics):
    mean, std = numpy.float32(statistics["mean"]), numpy.float32(statistics["std"])
    values = (numpy.asarray(image, dtype=numpy.float32) / numpy.float32(255) - mean) / std
    return numpy.ascontiguousarray(values.transpose(2, 0, 1)[None])
