"""The endless sequence of scenes that is trained on: annotated pictures, changed and combined, and rendered ones."""

import cv2
import numpy as np
from torch.utils.data import IterableDataset

from .coco import Scene
from .rendered import render

RENDERED = 0.25
# Parts smaller than this are no object any more.
MIN_AREA = 24 * 24


def objects_of(scene):
    """Numbers of the objects that are large enough."""
    areas = np.bincount(scene.labels.ravel())
    return [int(n) for n in np.flatnonzero(areas >= MIN_AREA) if n > 0]


def moved(rng, scene):
    """The scene mirrored, turned, sheared and scaled, in a frame of its own size."""
    width, height = scene.size
    turn, scale = rng.normal(0, 18), np.exp(rng.normal(0, 0.35))
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), turn, scale)
    matrix[:, :2] = matrix[:, :2] @ np.array([[np.exp(rng.normal(0, 0.2)), rng.normal(0, 0.15)], [0, 1]])
    centre = np.array([width, height]) * rng.uniform(0.35, 0.65, 2)
    matrix[:, 2] = centre - matrix[:, :2] @ (np.array([width, height]) / 2)
    # Beyond the picture lies grey: a reflection would show objects that the labels do not have.
    picture = cv2.warpAffine(scene.picture, matrix, scene.size, flags=cv2.INTER_LINEAR, borderValue=(117, 117, 117))
    labels = cv2.warpAffine(scene.labels, matrix, scene.size, flags=cv2.INTER_NEAREST)
    return Scene(picture, labels, scene.things)


def bent(rng, scene):
    """The scene bent smoothly, by up to a tenth of its side: outlines that no picture had."""
    width, height = scene.size
    shifts = rng.normal(0, rng.uniform(0.01, 0.035) * min(scene.size), (2, 5, 5)).astype(np.float32)
    x, y = (cv2.resize(shift, scene.size, interpolation=cv2.INTER_CUBIC) for shift in shifts)
    x += np.arange(width, dtype=np.float32)
    y += np.arange(height, dtype=np.float32)[:, None]
    picture = cv2.remap(scene.picture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    labels = cv2.remap(scene.labels, x, y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
    return Scene(picture, labels, scene.things)


def mirrored(scene):
    return Scene(np.ascontiguousarray(scene.picture[:, ::-1]), np.ascontiguousarray(scene.labels[:, ::-1]), scene.things)


def recoloured(rng, picture):
    """Brightness, contrast, saturation, tint and tone curve of another camera; sometimes grey, blurred or noisy."""
    if rng.random() < 0.85:
        grey = np.tile(np.array([0.299, 0.587, 0.114]), (3, 1))
        colour = 0.0 if rng.random() < 0.15 else np.exp(rng.normal(0, 0.4))
        contrast = np.exp(rng.normal(0, 0.2))
        mix = contrast * (colour * np.eye(3) + (1 - colour) * grey) + rng.normal(0, 0.1, (3, 3))
        shift = 128 * (1 - contrast) + rng.normal(0, 18) + rng.normal(0, 7, 3)
        picture = cv2.transform(picture, np.column_stack([mix, shift]))
        curve = 255 * (np.arange(256) / 255) ** np.exp(rng.normal(0, 0.2))
        picture = cv2.LUT(picture, curve.round().astype(np.uint8))
    if rng.random() < 0.12:
        picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.4, 1.6))
    if rng.random() < 0.12:
        grain = rng.standard_normal(picture.shape, np.float32) * rng.uniform(2, 10)
        picture = np.clip(picture + grain, 0, 255).astype(np.uint8)
    return picture


def repainted(rng, scene):
    """Some objects in other colours, so that what belongs together is not known by its colour."""
    for number in rng.permutation(objects_of(scene))[: rng.integers(1, 4)]:
        shape = scene.labels == number
        rows, columns = np.where(shape.any(1))[0], np.where(shape.any(0))[0]
        area = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        part = scene.picture[area]
        scene.picture[area] = np.where(shape[area][..., None], recoloured(rng, part), part)


def paste(rng, scene, source):
    """An object of another scene in front of this one, mirrored, turned and scaled."""
    candidates = [n for n in objects_of(source) if n in source.things] or objects_of(source)
    if not candidates:
        return
    shape = source.labels == rng.choice(candidates)
    rows, columns = np.where(shape.any(1))[0], np.where(shape.any(0))[0]
    area = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    width, height = scene.size
    wanted = np.exp(rng.uniform(np.log(40), np.log(0.6 * max(scene.size))))
    part = shape[area]
    scale = np.clip(wanted / max(part.shape), 0.25, 2.0)
    matrix = cv2.getRotationMatrix2D((part.shape[1] / 2, part.shape[0] / 2), rng.normal(0, 12), scale)
    if rng.random() < 0.5:
        matrix[:, 0] *= -1
        matrix[:, 2] -= matrix[:, 0] * part.shape[1]
    matrix[:, 2] += rng.uniform(0, 1, 2) * (width, height) - np.array([part.shape[1], part.shape[0]]) / 2
    alpha = cv2.warpAffine(part.astype(np.float32), matrix, scene.size)
    if (alpha > 0.5).sum() < MIN_AREA:
        return
    colours = cv2.warpAffine(recoloured(rng, source.picture[area]), matrix, scene.size, borderMode=cv2.BORDER_REPLICATE)
    blended = scene.picture + alpha[..., None] * (colours.astype(np.float32) - scene.picture)
    scene.picture = blended.astype(np.uint8)
    scene.labels = np.where(alpha > 0.5, scene.labels.max() + 1, scene.labels).astype(np.int16)


def weights_of(sources):
    """How often each picture is chosen: the more objects, the more often."""
    weights = np.array([len(objects_of(scene)) ** 0.7 for scene in sources])
    return weights / weights.sum()


def make(rng, sources, weights):
    """One scene."""
    if rng.random() < RENDERED:
        return render(rng)
    source = sources[rng.choice(len(sources), p=weights)]
    scene = Scene(source.picture.copy(), source.labels.copy(), source.things)
    if rng.random() < 0.5:
        scene = mirrored(scene)
    if rng.random() < 0.7:
        scene = moved(rng, scene)
    if rng.random() < 0.5:
        scene = bent(rng, scene)
    if rng.random() < 0.3:
        repainted(rng, scene)
    for _ in range(rng.choice([0, 1, 2, 3, 4], p=[0.3, 0.25, 0.2, 0.15, 0.1])):
        paste(rng, scene, sources[rng.integers(len(sources))])
    scene.picture = recoloured(rng, scene.picture)
    return scene


class Scenes(IterableDataset):
    """Scene `i` depends on the seed and `i` alone, so that a run goes on where it was interrupted."""

    def __init__(self, sources, seed, start):
        self.sources, self.seed, self.start = sources, seed, start

    def __iter__(self):
        cv2.setNumThreads(1)
        index, weights = self.start, weights_of(self.sources)
        while True:
            yield make(np.random.default_rng([self.seed, index]), self.sources, weights)
            index += 1
