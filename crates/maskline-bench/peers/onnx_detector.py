"""YOLO as Python users run an ONNX export: Pillow, OpenCV and numpy before, boxes and suppression in numpy behind."""

import cv2
import numpy
from PIL import Image, ImageOps

from onnx_session import session

GREY = 114
MOST_CANDIDATES = 30_000


class Detector:
    """The only part of maskline's bundle, or an existing export."""

    def __init__(self, task):
        cv2.setNumThreads(task["threads"])
        self.info, self.options = task["info"], task["detect"]
        self.head = self.info["output"]["detector"]
        self.side = task["size"] or self.info["default_size"]
        (part,) = task["parts"]
        self.session = session(task, part)

    def warm_up(self):
        self.run(numpy.zeros((1, 3, self.side, self.side), numpy.float32))

    def run(self, pixels):
        names = [output.name for output in self.session.get_outputs()]
        return dict(zip(names, self.session.run(names, {self.info["input"]: pixels}), strict=True))

    def answer(self, request, clock):
        with clock.stage("decode"):
            image = numpy.asarray(ImageOps.exif_transpose(Image.open(request["picture"])).convert("RGB"))
        with clock.stage("preprocess"):
            pixels, place = letterbox(image, self.side)
        with clock.stage("network"):
            outputs = self.run(pixels)
        with clock.stage("postprocess"):
            boxes, scores, classes = self.candidates(outputs)
            if self.head["selection"] == "suppression":
                kept = suppress(boxes, scores, classes, self.options)
            else:
                kept = numpy.argsort(-scores, kind="stable")[: self.options["max_detections"]]
            boxes = place(boxes[kept])
        columns = boxes.tolist(), scores[kept].tolist(), classes[kept].tolist()
        return [{"box": box, "score": score, "class_id": class_id} for box, score, class_id in zip(*columns, strict=True)]

    def candidates(self, outputs):
        """Boxes [N, 4] as corners in input pixels, scores and classes above the threshold."""
        least = self.options["conf"]
        if "decoded" in self.head["form"]:
            answer = outputs[self.head["form"]["decoded"]["predictions"]][0].T
            sure = answer[:, 4 : 4 + self.head["classes"]]
            above = sure.max(1) > least
            answer, sure = answer[above], sure[above]
            centre, half = answer[:, :2], answer[:, 2:4] / 2
            return numpy.hstack([centre - half, centre + half]), sure.max(1), sure.argmax(1)
        if "chosen" in self.head["form"]:
            answer = outputs[self.head["form"]["chosen"]["predictions"]][0]
            answer = answer[answer[:, 4] > least]
            return answer[:, :4], answer[:, 4], answer[:, 5].astype(numpy.int64)
        found = [self.level(outputs, stride, least) for stride in self.head["form"]["raw"]["strides"]]
        return tuple(numpy.concatenate(part) for part in zip(*found, strict=True))

    def level(self, outputs, stride, least):
        """One level's anchors above the threshold, their box sides as expected distances from the cell's centre."""
        bins = self.head["form"]["raw"]["reg_max"]
        logits, sides = outputs[f"scores_{stride}"][0], outputs[f"boxes_{stride}"][0]
        # A score is the sigmoid of its logit: the few above the threshold are found without it.
        limit = numpy.log(least / (1 - least))
        if self.head["selection"] == "suppression":
            best = logits.max(0)
            rows, columns = numpy.nonzero(best > limit)
            classes, scores = logits[:, rows, columns].argmax(0), 1 / (1 + numpy.exp(-best[rows, columns]))
        else:
            classes, rows, columns = numpy.nonzero(logits > limit)
            scores = 1 / (1 + numpy.exp(-logits[classes, rows, columns]))
        distances = sides[:, rows, columns].reshape(4, bins, -1)
        if bins > 1:
            weights = numpy.exp(distances - distances.max(1, keepdims=True))
            distances = (weights * numpy.arange(bins, dtype=numpy.float32)[:, None]).sum(1, keepdims=True) / weights.sum(1, keepdims=True)
        left, top, right, bottom = distances[:, 0]
        x, y = columns + 0.5, rows + 0.5
        corners = numpy.stack([x - left, y - top, x + right, y + bottom], 1)
        return (corners * stride).astype(numpy.float32), scores, classes

    def threads(self):
        return self.session.get_session_options().intra_op_num_threads


def letterbox(image, side):
    """The picture in the middle of a grey square as float32 [1, 3, side, side], and what brings boxes back."""
    height, width = image.shape[:2]
    scale = min(side / height, side / width)
    rows, columns = round(height * scale), round(width * scale)
    top, left = round((side - rows) / 2 - 0.1), round((side - columns) / 2 - 0.1)
    canvas = numpy.full((side, side, 3), GREY, numpy.uint8)
    small = image if (rows, columns) == (height, width) else cv2.resize(image, (columns, rows))
    canvas[top : top + rows, left : left + columns] = small
    pixels = canvas.transpose(2, 0, 1)[None].astype(numpy.float32) / numpy.float32(255)

    def place(boxes):
        # The sides are whole pixels, so that both axes are not scaled quite alike.
        factors = numpy.float32([width / columns, height / rows] * 2)
        moved = (boxes - numpy.float32([left, top, left, top])) * factors
        return moved.clip(0, numpy.float32([width, height, width, height]))

    return numpy.ascontiguousarray(pixels), place


def suppress(boxes, scores, classes, options):
    """Indices of the boxes that no better box of their class overlaps too much, by falling score."""
    order = numpy.argsort(-scores, kind="stable")[:MOST_CANDIDATES]
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    kept = []
    while len(order) and len(kept) < options["max_detections"]:
        best, rest = order[0], order[1:]
        kept.append(best)
        low, high = numpy.maximum(boxes[best, :2], boxes[rest, :2]), numpy.minimum(boxes[best, 2:], boxes[rest, 2:])
        shared = (high - low).clip(0).prod(1)
        overlap = shared / (area[best] + area[rest] - shared)
        order = rest[(overlap <= options["iou"]) | (classes[rest] != classes[best])]
    return numpy.array(kept, dtype=numpy.int64)
