"""OWL-ViT and OWLv2 as Python users run an export: Pillow, OpenCV and numpy before the encoders, the product of both in numpy."""

import cv2
import numpy
from PIL import Image

import pictures
import words
from onnx_session import session

TINY = numpy.float32(1e-6)  # added to lengths before they divide


class OnnxRuntime(words.Finder):
    """`image_encoder` and `text_encoder` of maskline's portable bundle, as its description says."""

    def __init__(self, task):
        super().__init__(task)
        cv2.setNumThreads(task["threads"])
        info = task["info"]
        self.input, self.side, self.least = info["input"], info["default_size"], task["detect"]["conf"]
        ((self.fit, self.statistics),) = info["preprocess"].items()
        self.encoder, self.reader = session(task, "image_encoder"), session(task, "text_encoder")
        # This environment has no package that tokenizes.
        self.has_tokenizer = False

    def blank(self):
        return numpy.zeros((self.side, self.side, 3), numpy.uint8)

    def of_ids(self, ids):
        return numpy.int64(ids)

    def read(self, tokens):
        (found,) = self.reader.run(["words"], {"ids": tokens})
        return unit(found)

    def preprocess(self, image):
        if self.fit == "padded_square":
            return padded_square(image, self.side, self.statistics)
        small = Image.fromarray(image).resize((self.side, self.side), Image.Resampling.BICUBIC)
        return pictures.normalised(small, self.statistics)

    def encode(self, pixels):
        names = ["boxes", "classes", "shift", "scale"]
        return dict(zip(names, self.encoder.run(names, {self.input: pixels}), strict=True))

    def match(self, embedding, words):
        """Logits [patches, phrases], and the boxes."""
        column = lambda name: embedding[name].reshape(-1, 1)  # noqa: E731
        return (unit(embedding["classes"][0]) @ words.T + column("shift")) * column("scale"), embedding["boxes"][0]

    def boxes(self, matches, size):
        logits, boxes = matches
        labels = logits.argmax(1)
        # Below that a score is as good as nothing, and the power would overflow.
        best = numpy.maximum(logits[numpy.arange(len(logits)), labels], -80)
        scores = 1 / (1 + numpy.exp(-best))
        sure = scores > self.least
        centre, half = boxes[sure, :2], boxes[sure, 2:] / 2
        height, width = size
        # The square's side, or the sides that were stretched to it.
        scale = numpy.float32([max(size)] * 4 if self.fit == "padded_square" else [width, height] * 2)
        corners = numpy.hstack([centre - half, centre + half]) * scale
        return corners.tolist(), scores[sure].tolist(), labels[sure].tolist()

    def threads(self):
        return self.encoder.get_session_options().intra_op_num_threads


def unit(vectors):
    return vectors / (numpy.linalg.norm(vectors, axis=-1, keepdims=True) + TINY)


def padded_square(image, side, statistics):
    """RGB uint8 [H, W, 3] → normalised float32 [1, 3, side, side]: in the corner of a black square, blurred before it shrinks."""
    longest = max(image.shape[:2])
    square = numpy.zeros((longest, longest, 3), numpy.float32)
    square[: image.shape[0], : image.shape[1]] = image.astype(numpy.float32) / numpy.float32(255)
    sigma = (longest / side - 1) / 2
    if sigma > 0:
        reach = 2 * int(numpy.ceil(3 * sigma)) + 1
        square = cv2.GaussianBlur(square, (reach, reach), sigma, borderType=cv2.BORDER_REFLECT_101)
    small = cv2.resize(square, (side, side), interpolation=cv2.INTER_LINEAR)
    values = (small - numpy.float32(statistics["mean"])) / numpy.float32(statistics["std"])
    return numpy.ascontiguousarray(values.transpose(2, 0, 1)[None])
