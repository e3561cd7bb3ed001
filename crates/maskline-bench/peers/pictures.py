"""Pictures in, embeddings kept: what all programs share that encode a picture before they are asked about it."""

import hashlib

import numpy
from PIL import Image, ImageOps

KEPT = 8  # embeddings


class Encoder:
    """What a program has to bring."""

    def preprocess(self, image):
        """RGB uint8 [H, W, 3] → input of the network."""
        raise NotImplementedError

    def encode(self, pixels):
        """Input of the network → embedding."""
        raise NotImplementedError

    def objects(self, encoded, request, clock):
        """The answer on an embedding and the height and width of its picture."""
        raise NotImplementedError

    def threads(self):
        """Number of threads that really are used."""
        raise NotImplementedError

    def __init__(self):
        self.embeddings = {}

    def answer(self, request, clock):
        mode, path = request["mode"], request["picture"]
        if mode == "miss":
            with clock.stage("decode"):
                image = read(path)
            with clock.stage("preprocess"):
                pixels = self.preprocess(image)
            with clock.stage("image_encode"):
                embedding = self.encode(pixels)
            return self.objects((embedding, image.shape[:2]), request, clock)
        if mode == "hit":
            self.keep(digest(read(path)), path)
            clock.restart()
            with clock.stage("decode"):
                image = read(path)
            with clock.stage("preprocess"):
                kept = self.embeddings[digest(image)]
            return self.objects(kept, request, clock)
        self.keep(path, path)
        clock.restart()
        return self.objects(self.embeddings[path], request, clock)

    def keep(self, key, path):
        """Makes sure, outside the measured time, that the embedding of a picture is there."""
        if key not in self.embeddings:
            image = read(path)
            while len(self.embeddings) >= KEPT:
                del self.embeddings[next(iter(self.embeddings))]
            self.embeddings[key] = (self.encode(self.preprocess(image)), image.shape[:2])


def read(path):
    """RGB uint8 [H, W, 3], turned as the file says."""
    image = Image.open(path)
    return numpy.asarray(ImageOps.exif_transpose(image).convert("RGB"))


def digest(image):
    return hashlib.sha256(memoryview(numpy.ascontiguousarray(image)).cast("B")).digest() + bytes(str(image.shape), "ascii")


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
