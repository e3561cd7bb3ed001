"""SAM models as Python users run an ONNX export: Pillow and numpy before the encoder, OpenCV and pycocotools behind the decoder."""

import cv2
import numpy

import pictures
import promptable
from onnx_session import session

# Kinds of a prompt's tokens, as the decoder's graph numbers them.
PAD, NEGATIVE, POSITIVE, TOP_LEFT, BOTTOM_RIGHT = range(5)


class OnnxRuntime(promptable.Predictor):
    """`image_encoder` and `mask_decoder` of maskline's portable bundle, as its description says."""

    def __init__(self, task):
        super().__init__()
        cv2.setNumThreads(task["threads"])
        info = task["info"]
        self.input, self.side, self.head = info["input"], info["default_size"], info["output"]["promptable"]
        ((self.fit, self.statistics),) = info["preprocess"].items()
        self.encoder = session(task, "image_encoder")
        self.decoder = session(task, "mask_decoder")
        self.names = [output.name for output in self.encoder.get_outputs()]
        self.taken = {port.name for port in self.decoder.get_inputs()}

    def blank(self):
        return numpy.zeros((self.side, self.side, 3), numpy.uint8)

    def preprocess(self, image):
        prepare = pictures.stretched if self.fit == "stretch" else pictures.padded
        return prepare(image, self.side, self.statistics)

    def encode(self, pixels):
        embedding = dict(zip(self.names, self.encoder.run(None, {self.input: pixels}), strict=True))
        return {name: value for name, value in embedding.items() if name in self.taken}

    def kept(self, size):
        """Height and width that the picture has in the square of the prompts."""
        space = self.head["space"]
        return (space, space) if self.fit == "stretch" else pictures.fitted(size, space)

    def decode(self, embedding, size, group):
        coords, kinds = self.tokens(size, group)
        masks, scores = self.decoder.run(["masks", "scores"], embedding | {"coords": coords, "kinds": kinds})
        if group.several:
            chosen = 1 + scores[:, 1:].argmax(1)
        else:
            chosen = numpy.array([self.single(*answer) for answer in zip(masks, scores, strict=True)])
        rows = numpy.arange(len(masks))
        return self.unblock(masks[rows, chosen]), scores[rows, chosen]

    def tokens(self, size, group):
        """x, y and kind of each prompt's tokens: a box is two corners, a prompt without a box ends with a pad."""
        height, width = self.kept(size)
        scale = numpy.float32([width / size[1], height / size[0]])
        coords, kinds = [], []
        if group.boxes is not None:
            coords.append(group.boxes.reshape(-1, 2, 2) * scale)
            kinds.append(numpy.tile([TOP_LEFT, BOTTOM_RIGHT], (len(group.boxes), 1)))
        if group.points is not None:
            coords.append(group.points * scale)
            kinds.append(numpy.where(group.labels > 0, POSITIVE, NEGATIVE))
        if group.boxes is None or self.head["always_padded"]:
            count = len(coords[0])
            coords.append(numpy.zeros((count, 1, 2), numpy.float32))
            kinds.append(numpy.full((count, 1), PAD))
        return numpy.concatenate(coords, 1).astype(numpy.float32), numpy.concatenate(kinds, 1).astype(numpy.int64)

    def single(self, masks, scores):
        """The first mask, or in SAM 2 the best of the others where the first one is not stable."""
        rule = self.head["single"]
        if rule == "first" or len(scores) < 2:
            return 0
        delta, threshold = rule["stable"]["delta"], rule["stable"]["threshold"]
        union = (masks[0] > -delta).sum()
        is_stable = union == 0 or (masks[0] > delta).sum() / union >= threshold
        return 0 if is_stable else 1 + scores[1:].argmax()

    def unblock(self, masks):
        """[N, 16 g²] in the decoder's order (cell by cell, each two by two, twice) → [N, 1, 4 g, 4 g]."""
        grid = self.head["grid"]
        split = masks.reshape(-1, grid, grid, 2, 2, 2, 2).transpose(0, 1, 3, 5, 2, 4, 6)
        return split.reshape(-1, 1, 4 * grid, 4 * grid)

    def upscale(self, logits, size):
        height, width = size
        space, (rows, columns) = self.head["space"], self.kept(size)
        for mask in logits[:, 0]:
            if self.fit != "stretch":
                mask = cv2.resize(mask, (space, space))[:rows, :columns]
            yield cv2.resize(mask, (width, height)) > 0

    def threads(self):
        return self.encoder.get_session_options().intra_op_num_threads
