"""Scenes that are rendered: textured shapes of one or several parts, shaded, over a textured ground."""

import cv2
import numpy as np

from .coco import Scene


def noise(rng, size, octaves):
    """Smooth noise in [0, 1]: sums of enlarged random grids."""
    width, height = size
    total = np.zeros((height, width), np.float32)
    for octave in octaves:
        grid = rng.random((2 + height * octave // 256, 2 + width * octave // 256), np.float32)
        total += cv2.resize(grid, size, interpolation=cv2.INTER_CUBIC) / octave**0.7
    low, high = total.min(), total.max()
    return (total - low) / (high - low + 1e-6)


def texture(rng, size):
    """A picture [H, W, 3] f32 of one material: flat, shaded, noisy, striped or checked."""
    width, height = size
    colour = rng.uniform(0, 255, 3)
    # Materials of one scene are often alike, so the second colour is near the first.
    other = np.clip(colour + rng.normal(0, rng.choice([12, 50, 110]), 3), 0, 255)
    kind = rng.choice(["flat", "shaded", "noise", "stripes", "checks"], p=[0.15, 0.25, 0.35, 0.15, 0.10])
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    angle = rng.uniform(0, np.pi)
    along = x * np.cos(angle) + y * np.sin(angle)
    if kind == "flat":
        weight = np.zeros((height, width), np.float32)
    elif kind == "shaded":
        weight = (along - along.min()) / (np.ptp(along) + 1e-6)
    elif kind == "noise":
        weight = noise(rng, size, [o for o in (2, 4, 8, 16, 32, 64, 128) if rng.random() < 0.5] or [8])
    else:
        period = rng.uniform(5, 60)
        weight = (np.sin(along * 2 * np.pi / period) > rng.uniform(-0.6, 0.6)).astype(np.float32)
        if kind == "checks":
            across = -x * np.sin(angle) + y * np.cos(angle)
            weight = np.abs(weight - (np.sin(across * 2 * np.pi / period) > 0))
    return colour + (other - colour) * weight[..., None]


def outline(rng, centre, radius):
    """A closed curve about a centre: an ellipse, a wobbling blob, a box or a star, turned at random. Points [n, 2] i32."""
    kind = rng.choice(["ellipse", "blob", "polygon", "box"], p=[0.2, 0.4, 0.2, 0.2])
    t = np.linspace(0, 2 * np.pi, 72, endpoint=False)
    if kind == "polygon":
        t = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(3, 8)))
        r = rng.uniform(0.5, 1.0, len(t))
    elif kind == "box":
        r = 1.0 / np.maximum(np.abs(np.cos(t)), np.abs(np.sin(t)))
    else:
        r = np.ones_like(t)
        if kind == "blob":
            for k in range(2, 7):
                r = r + rng.normal(0, 0.35 / k) * np.cos(k * t + rng.uniform(0, 2 * np.pi))
            r = np.maximum(r, 0.15)
    stretch = np.exp(rng.normal(0, 0.45))
    points = np.stack([r * np.cos(t) * stretch**0.5, r * np.sin(t) / stretch**0.5], 1) * radius
    turn = rng.uniform(0, 2 * np.pi)
    spin = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return (points @ spin.T + centre).round().astype(np.int32)


def paint(rng, picture, shape):
    """Fills a shape [H, W] bool of the picture [H, W, 3] f32 with a shaded material."""
    rows, columns = np.where(shape.any(1))[0], np.where(shape.any(0))[0]
    area = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    inside = shape[area]
    size = inside.shape[1], inside.shape[0]
    material = texture(rng, size)
    if rng.random() < 0.5:
        # Rounded: darker towards the border.
        depth = cv2.distanceTransform(np.pad(inside, 1).astype(np.uint8), cv2.DIST_L2, 3)[1:-1, 1:-1]
        material *= (1 - rng.uniform(0.2, 0.6) * np.exp(-depth / max(2.0, rng.uniform(0.1, 0.4) * depth.max())))[..., None]
    picture[area] = np.where(inside[..., None], material, picture[area])


def render(rng, size=(448, 336)):
    """A scene of up to a dozen objects, the later ones in front; some have parts of other materials or cast a shadow."""
    width, height = size
    picture = texture(rng, size).astype(np.float32)
    labels = np.zeros((height, width), np.int16)
    if rng.random() < 0.5:
        # A ground with a horizon counts as an object of its own.
        horizon = int(rng.uniform(0.3, 0.8) * height)
        shape = np.zeros((height, width), bool)
        shape[horizon:] = True
        paint(rng, picture, shape)
        labels[shape] = 1
    for number in range(2, 2 + rng.integers(2, 12)):
        centre = rng.uniform(0, 1, 2) * size
        radius = np.exp(rng.uniform(np.log(14), np.log(0.45 * height)))
        points = [outline(rng, centre, radius)]
        while rng.random() < 0.35 and len(points) < 4:
            points.append(outline(rng, centre + rng.normal(0, 0.6, 2) * radius, radius * rng.uniform(0.3, 0.8)))
        parts = [cv2.fillPoly(np.zeros((height, width), np.uint8), [p], 1).astype(bool) for p in points]
        whole = np.any(parts, axis=0)
        if whole.sum() < 100:
            continue
        if rng.random() < 0.4:
            shift = rng.normal(0, 0.15, 2) * radius
            moved = cv2.warpAffine(whole.astype(np.float32), np.float32([[1, 0, shift[0]], [0, 1, shift[1]]]), size)
            picture *= 1 - 0.5 * cv2.GaussianBlur(moved, (0, 0), 0.06 * radius + 1)[..., None]
        paint(rng, picture, whole)
        for part in parts[1:]:
            if rng.random() < 0.6 and part.any():
                paint(rng, picture, part)
        labels[whole] = number
    picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.3, 1.0)) + rng.normal(0, rng.uniform(0, 8), picture.shape)
    return Scene(np.clip(picture, 0, 255).astype(np.uint8), labels)
