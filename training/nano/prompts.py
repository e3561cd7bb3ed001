"""Prompts: what the network is told of an object, and a simulated annotator who clicks where an answer is wrong."""

from dataclasses import dataclass, field

import cv2
import numpy as np

from . import frames
from .frames import INPUT

# Standard deviation of a click's spot in input cells.
CLICK_SIGMA = 1.5


@dataclass
class Look:
    """One look of the network at a picture: a frame, and what is known of the object."""

    frame: frames.Frame
    clicks: list = field(default_factory=list)  # (x, y, is_positive) in pixels
    box: tuple | None = None
    prior: tuple | None = None  # (probabilities [OUTPUT, OUTPUT], their frame)


def spots(clicks, frame):
    """Clicks as spots of height 1 in the input cells: [2, INPUT, INPUT], positive and negative."""
    planes = np.zeros((2, INPUT, INPUT), np.float32)
    cells = np.arange(INPUT) + 0.5
    for x, y, is_positive in clicks:
        column, row = frame.x.locate(x) * INPUT, frame.y.locate(y) * INPUT
        spot = np.outer(np.exp(-0.5 * ((cells - row) / CLICK_SIGMA) ** 2), np.exp(-0.5 * ((cells - column) / CLICK_SIGMA) ** 2))
        plane = planes[0 if is_positive else 1]
        np.maximum(plane, spot, out=plane)
    return planes


def channels(levels, look):
    """The network's input for one look: [CHANNELS, INPUT, INPUT]."""
    planes = np.zeros((11, INPUT, INPUT), np.float32)
    planes[:4] = frames.look(levels, look.frame)
    planes[4:6] = spots(look.clicks, look.frame)
    if look.box is not None:
        planes[6] = frames.box_share(look.box, look.frame)
    if look.prior is not None:
        planes[7] = frames.blend(*look.prior, look.frame)
    if look.frame.is_fovea:
        planes[8] = 1.0
    ramp = ((np.arange(INPUT) + 0.5) / INPUT * 2 - 1).astype(np.float32)
    planes[9], planes[10] = ramp[None, :], ramp[:, None]
    return planes


def bounds(mask):
    """x1, y1, x2, y2 of a mask's pixels, the last two exclusive; None for an empty mask."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return None
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)


def middle(region):
    """The pixel of a region that is farthest from its border, as x, y of its centre."""
    depth = cv2.distanceTransform(np.pad(region.astype(np.uint8), 1), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    row, column = np.unravel_index(depth.argmax(), depth.shape)
    return column + 0.5, row + 0.5


def next_click(truth, answer):
    """A click in the middle of the largest region where the answer is wrong, or None where it is right."""
    best = None
    for wrong, is_positive in ((truth & ~answer, True), (answer & ~truth, False)):
        count, regions, statistics, _ = cv2.connectedComponentsWithStats(wrong.astype(np.uint8), connectivity=8)
        if count < 2:
            continue
        largest = 1 + int(statistics[1:, cv2.CC_STAT_AREA].argmax())
        area = statistics[largest, cv2.CC_STAT_AREA]
        if best is None or area > best[0]:
            x, y, width, height = statistics[largest, :4]
            best = area, regions[y : y + height, x : x + width] == largest, (x, y), is_positive
    if best is None:
        return None
    _, region, (left, top), is_positive = best
    x, y = middle(region)
    return x + left, y + top, is_positive


def prior_bounds(prior, frame, clicks):
    """Box of an earlier answer and of the positive clicks; of its likelier half where it is empty."""
    cut = min(0.5, 0.5 * float(prior.max()))
    box = bounds(prior > cut)
    points = [(x, y) for x, y, is_positive in clicks if is_positive]
    if box is not None:
        x, y = frame.x.edges(frames.OUTPUT), frame.y.edges(frames.OUTPUT)
        points += [(x[int(box[0])], y[int(box[1])]), (x[int(box[2])], y[int(box[3])])]
    return np.min(points, axis=0), np.max(points, axis=0)


def clipped(low, high, size):
    """A box within the picture."""
    return np.clip(low, 0.0, size), np.clip(high, 0.0, size)
