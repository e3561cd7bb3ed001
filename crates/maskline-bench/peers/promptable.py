"""Prompts in, masks out: what all promptable programs share. A predictor brings the network and what its users do around it."""

from typing import NamedTuple

import numpy
from pycocotools import mask as coco

import pictures

TOGETHER = 64  # prompts of one call of the decoder, as in the published mask generators


class Group(NamedTuple):
    """Prompts of one form, in pixels of the picture: boxes [N, 4] or None, points [N, P, 2] and labels [N, P] or None."""

    boxes: numpy.ndarray | None
    points: numpy.ndarray | None
    labels: numpy.ndarray | None
    several: bool  # Of several masks the best one by score is wanted, instead of the single one.


class Predictor(pictures.Encoder):
    """What a program has to bring."""

    def decode(self, embedding, size, group):
        """One mask per prompt: logits [N, 1, h, w] of low resolution and scores [N]; `size` is height and width."""
        raise NotImplementedError

    def upscale(self, logits, size):
        """Logits → masks of the picture's size: an iterable of bool or uint8 [H, W]."""
        raise NotImplementedError

    def blank(self):
        """An empty picture of the network's size, RGB uint8 [H, W, 3]."""
        raise NotImplementedError

    def warm_up(self):
        """The whole way once, on an empty picture and one box."""
        image = self.blank()
        size = image.shape[:2]
        box = numpy.float32([[0.25 * size[1], 0.25 * size[0], 0.75 * size[1], 0.75 * size[0]]])
        logits, _ = self.decode(self.encode(self.preprocess(image)), size, Group(box, None, None, False))
        list(self.upscale(logits, size))

    def objects(self, encoded, request, clock):
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
