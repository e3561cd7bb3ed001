"""Frames: what the network sees of a picture for one prompt.

A frame is a grid of cells on the picture, given by its edges along x and along y in pixels. The network sees the mean of the picture
in each of `INPUT` x `INPUT` cells and answers for each of `OUTPUT` x `OUTPUT` cells. Two kinds:

* a *window*: a rectangle with cells of one size, for boxes and for masks that are to be refined;
* a *fovea*: cells that grow with the distance from a click (edges at R sinh(a u) / sinh(a), u in [-1, 1]), so that one look covers
  the whole picture, and an object of any size spans a similar number of cells.
"""

from dataclasses import dataclass

import numpy as np

INPUT = 96
OUTPUT = 48

# Growth of the fovea's cells; its radius is the picture's longer side. The central cells span 0.2 % of that side.
FOVEA_GROWTH = 4.5
# Foveas look at the first level of the pyramid whose longer side is at most this.
FOVEA_SIDE = 1024

# Room around a box, on each side, as a share of the box.
BOX_MARGIN = 0.2
# No cell is more than this many times as wide as it is high, or the other way round.
MAX_STRETCH = 2.0
# Windows are at least this many pixels wide and high.
MIN_WINDOW = 8.0

MEAN = np.array([0.47, 0.45, 0.41], np.float32)
STD = np.array([0.27, 0.27, 0.28], np.float32)


@dataclass(frozen=True)
class Axis:
    """One axis of a frame: `origin` is the low edge of a window or the centre of a fovea, `extent` its length or radius."""

    origin: float
    extent: float
    is_fovea: bool

    def edges(self, cells):
        """Edges of `cells` cells in pixels of the picture, `cells + 1` numbers."""
        u = np.linspace(0.0, 1.0, cells + 1)
        if not self.is_fovea:
            return self.origin + self.extent * u
        return self.origin + self.extent * np.sinh(FOVEA_GROWTH * (2.0 * u - 1.0)) / np.sinh(FOVEA_GROWTH)

    def centres(self, cells):
        """The points that the cells stand for: the images of the cells' middles."""
        u = (np.arange(cells) + 0.5) / cells
        if not self.is_fovea:
            return self.origin + self.extent * u
        return self.origin + self.extent * np.sinh(FOVEA_GROWTH * (2.0 * u - 1.0)) / np.sinh(FOVEA_GROWTH)

    def locate(self, x):
        """Pixels to positions in [0, 1] along the axis; outside of it beyond."""
        if not self.is_fovea:
            return (np.asarray(x) - self.origin) / self.extent
        return 0.5 + 0.5 * np.arcsinh((np.asarray(x) - self.origin) * np.sinh(FOVEA_GROWTH) / self.extent) / FOVEA_GROWTH


@dataclass(frozen=True)
class Frame:
    x: Axis
    y: Axis

    @property
    def is_fovea(self):
        return self.x.is_fovea

    def cell_areas(self, size):
        """Pixels of the picture of `size` (width, height) in each output cell: [OUTPUT, OUTPUT]."""
        spans = []
        for axis, length in ((self.y, size[1]), (self.x, size[0])):
            edges = np.clip(axis.edges(OUTPUT), 0.0, length)
            spans.append(np.diff(edges))
        return np.outer(*spans).astype(np.float32)


def window(low, high, margin=BOX_MARGIN):
    """The window around a box from `low` (x, y) to `high`, stretched by at most `MAX_STRETCH`."""
    centre = [(a + b) / 2 for a, b in zip(low, high)]
    sides = [max((b - a) * (1.0 + 2.0 * margin), MIN_WINDOW) for a, b in zip(low, high)]
    width = max(sides[0], sides[1] / MAX_STRETCH)
    height = max(sides[1], sides[0] / MAX_STRETCH)
    axes = [Axis(c - side / 2, side, False) for c, side in zip(centre, (width, height))]
    return Frame(*axes)


def fovea(click, size):
    """The fovea of a picture of `size` (width, height) around a click."""
    radius = float(max(size))
    return Frame(Axis(float(click[0]), radius, True), Axis(float(click[1]), radius, True))


def pyramid(picture):
    """The picture [H, W, 3] u8 and its halves: means of 2 x 2 pixels, rounded half up; an odd last row or column stands alone."""
    levels = [picture]
    while max(levels[-1].shape[:2]) > INPUT:
        last = levels[-1]
        pad = last.shape[0] % 2, last.shape[1] % 2
        if any(pad):
            last = np.pad(last, ((0, pad[0]), (0, pad[1]), (0, 0)), mode="edge")
        wide = last.astype(np.uint16)
        levels.append(((wide[::2, ::2] + wide[1::2, ::2] + wide[::2, 1::2] + wide[1::2, 1::2] + 2) // 4).astype(np.uint8))
    return levels


def coverage(axis, cells, length, scale=1.0):
    """Share of each pixel in each cell's mean: [cells, n] for the pixels first..first+n, and first.

    Cells narrower than a pixel are widened to one about their centre, which makes the mean a linear blend. `length` is the number of
    pixels along the axis, each `scale` pixels of the picture long. Pixels outside the picture count with value 0.
    """
    edges = axis.edges(cells) / scale
    low, high = edges[:-1], edges[1:]
    centre, half = (low + high) / 2, np.maximum(high - low, 1.0) / 2
    low, high = centre - half, centre + half
    first = int(np.clip(np.floor(low[0]), 0, length - 1))
    last = int(np.clip(np.ceil(high[-1]), first + 1, length))
    pixel = np.arange(first, last)
    shared = np.minimum(high[:, None], pixel + 1) - np.maximum(low[:, None], pixel)
    return (np.maximum(shared, 0.0) / (high - low)[:, None]).astype(np.float32), first


def level_of(frame, levels):
    """Index of the level that a frame looks at: one with cells of one to two pixels for windows, a small picture for foveas."""
    if frame.is_fovea:
        return next(i for i, level in enumerate(levels) if max(level.shape[:2]) <= FOVEA_SIDE or i == len(levels) - 1)
    step = min(frame.x.extent, frame.y.extent) / INPUT
    return min(int(np.floor(np.log2(max(step, 1.0)))), len(levels) - 1)


def look(levels, frame):
    """What the network sees: [4, INPUT, INPUT], normalised RGB and the share of each cell that lies in the picture."""
    index = level_of(frame, levels)
    level = levels[index]
    scale = float(2**index)
    rows, top = coverage(frame.y, INPUT, level.shape[0], scale)
    columns, left = coverage(frame.x, INPUT, level.shape[1], scale)
    part = level[top : top + rows.shape[1], left : left + columns.shape[1]].astype(np.float32)
    down = (rows @ part.reshape(len(part), -1)).reshape(INPUT, -1, 3)
    mean = (columns @ down.transpose(1, 0, 2).reshape(columns.shape[1], -1)).reshape(INPUT, INPUT, 3).transpose(1, 0, 2)
    inside = np.outer(rows.sum(1), columns.sum(1))[..., None]
    colours = (mean / 255.0 - inside * MEAN) / STD
    return np.concatenate([colours, inside], axis=2).transpose(2, 0, 1)


def share(mask, frame, cells=OUTPUT):
    """Share of a mask [H, W] in each cell of the frame: [cells, cells]."""
    rows, top = coverage(frame.y, cells, mask.shape[0])
    columns, left = coverage(frame.x, cells, mask.shape[1])
    part = mask[top : top + rows.shape[1], left : left + columns.shape[1]].astype(np.float32)
    return rows @ part @ columns.T


def box_share(box, frame):
    """Share of a box x1, y1, x2, y2 in each input cell."""
    spans = []
    for axis, low, high in ((frame.y, box[1], box[3]), (frame.x, box[0], box[2])):
        edges = axis.edges(INPUT)
        spans.append(np.maximum(np.minimum(edges[1:], high) - np.maximum(edges[:-1], low), 0.0) / np.diff(edges))
    return np.outer(*spans).astype(np.float32)


def linear(positions):
    """Weights [n, OUTPUT] that blend a row of output cells at positions in cells; 0.0 is the middle of the first."""
    return np.maximum(1.0 - np.abs(np.asarray(positions)[:, None] - np.arange(OUTPUT)), 0.0).astype(np.float32)


def blend(grid, source, frame):
    """Values of a grid [OUTPUT, OUTPUT] on one frame, blended linearly, at the input cells of another; falls to 0 outside the source."""
    rows = linear(source.y.locate(frame.y.centres(INPUT)) * OUTPUT - 0.5)
    columns = linear(source.x.locate(frame.x.centres(INPUT)) * OUTPUT - 0.5)
    return rows @ grid.astype(np.float32) @ columns.T


def enlarge(logits, frame, size):
    """Logits [OUTPUT, OUTPUT] at every pixel of a picture of `size` (width, height), blended linearly; very low outside the frame."""
    x, y = (axis.locate(np.arange(length) + 0.5) for axis, length in zip((frame.x, frame.y), size))
    rows, columns = (linear(np.clip(u * OUTPUT - 0.5, 0, OUTPUT - 1)) for u in (y, x))
    full = rows @ logits.astype(np.float32) @ columns.T
    full[:, (x < 0) | (x >= 1)] = -32.0
    full[(y < 0) | (y >= 1)] = -32.0
    return full
