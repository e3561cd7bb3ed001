"""Vectors, noise and signed distance fields for render.py (CC0 1.0, see there).

Vectors are arrays [3, n]. A shape is a function from local points p [3, n] to signed distances [n], in decimetres.
"""

import numpy as np

SEED, F32 = 7, np.float32
LATTICE = np.random.default_rng(SEED).random(1 << 15).astype(F32)


def vec(*values):
    return np.array(values, F32)[:, None]


def dot(a, b):
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def unit(a):
    return a / np.sqrt(np.maximum(dot(a, a), F32(1e-12)))


def mix(a, b, t):
    return a + (b - a) * t


def smooth(lo, hi, x):
    t = np.clip((x - lo) / (hi - lo), 0, 1)
    return t * t * (3 - 2 * t)


def smooth_min(a, b, k):
    h = np.clip(0.5 + 0.5 * (b - a) / k, 0, 1)
    return mix(b, a, h) - k * h * (1 - h)


def lattice(i, j, k):
    return LATTICE[((i & 31) << 10) | ((j & 31) << 5) | (k & 31)]


def noise(x, y, z):
    """Smooth noise in 0..1 with one feature per unit."""
    cell, frac = [], []
    for value in np.broadcast_arrays(x, y, z):
        low = np.floor(value)
        step = value - low
        cell.append(low.astype(np.int32))
        frac.append(step * step * (3 - 2 * step))
    (i, j, k), (u, v, w) = cell, frac
    sheets = []
    for depth in (k, k + 1):
        left = mix(lattice(i, j, depth), lattice(i, j + 1, depth), v)
        sheets.append(mix(left, mix(lattice(i + 1, j, depth), lattice(i + 1, j + 1, depth), v), u))
    return mix(*sheets, w)


def fbm(x, y, z, octaves=3):
    total = 0
    for octave in range(octaves):
        total = total + noise(x * 2**octave + 7 * octave, y * 2**octave, z * 2**octave) * 0.5 ** (octave + 1)
    return total / (1 - 0.5**octaves)


def dots(p, scale, size, share=1.0):
    """Round speckles in a share of the cells of a grid: 1 at their centres, 0 from `size` (in cells) on."""
    q = p * F32(scale)
    low = np.floor(q)
    i, j, k = low.astype(np.int32)
    centre = np.stack([lattice(i, j, k), lattice(j + 9, k, i), lattice(k, i + 5, j + 3)]) * (1 - 2 * size) + size
    away = q - low - centre
    return (1 - smooth(0.4 * size, size, np.sqrt(dot(away, away)))) * (lattice(k + 3, j, i) <= share)


def ring(p):
    return np.sqrt(p[0] * p[0] + p[2] * p[2])


def segment(x, y, a, b):
    """Distance in the plane from (x, y) to the segment from a to b."""
    ux, uy = b[0] - a[0], b[1] - a[1]
    t = np.clip(((x - a[0]) * ux + (y - a[1]) * uy) / (ux * ux + uy * uy), 0, 1)
    return np.hypot(x - a[0] - t * ux, y - a[1] - t * uy)


def stick(a, b, thick, thicker=None):
    a, b = vec(*a), vec(*b)
    along, end = b - a, thick if thicker is None else thicker

    def distance(p):
        t = np.clip(dot(p - a, along) / dot(along, along), 0, 1)
        away = p - a - along * t
        return np.sqrt(dot(away, away)) - mix(thick, end, t * t)

    return distance


def box(half, edge, at=(0, 0, 0)):
    half, at = vec(*half), vec(*at)

    def distance(p):
        q = np.abs(p - at) - half + edge
        out = np.maximum(q, 0)
        return np.sqrt(dot(out, out)) + np.minimum(q.max(0), 0) - edge

    return distance


def cup(p):
    r, y = ring(p), p[1]
    side = np.minimum(segment(r, y, (0.36, 0.1), (0.43, 0.3)), segment(r, y, (0.43, 0.3), (0.42, 0.97)))
    body = smooth_min(side, segment(r, y, (0.0, 0.08), (0.34, 0.08)), 0.06) - 0.034
    body = np.minimum(body, np.maximum(r - 0.42, np.abs(y - 0.72) - 0.02))  # the coffee
    x, h = p[0] - 0.44, p[1] - 0.53
    h = h - np.clip(h, -0.09, 0.09)
    handle = np.hypot(np.hypot(x * 1.05, h) - 0.215, p[2] * 0.62) - 0.042
    return smooth_min(body, np.maximum(handle, 0.42 - r), 0.07)


def apple(p):
    y = p[1] - 0.35
    wobble = 0.012 * (np.sin(5 * np.arctan2(p[2], p[0])) * (0.3 - y) + 1.3 * p[0] * y)
    return np.hypot(ring(p) / (1 + 0.28 * y) - 0.2 + wobble, y * 0.80) - 0.255


def pear(p):
    q = np.stack([p[0] - 0.05 * p[1] ** 2, p[1], p[2]])
    low, high = q - vec(0, 0.36, 0), q - vec(0, 0.83, 0)
    dimple = np.maximum(0, 0.16 - ring(p)) * 0.25
    return smooth_min(np.sqrt(dot(low, low)) - 0.37, np.sqrt(dot(high, high)) - 0.17, 0.36) + dimple * (p[1] < 0.4)


def lemon(p):
    q = p * vec(0.74, 1, 1)
    body = np.sqrt(dot(q, q)) - 0.29
    tips = np.sqrt((np.abs(p[0]) - 0.385) ** 2 + p[1] ** 2 + p[2] ** 2) - np.where(p[0] > 0, 0.055, 0.04)
    return smooth_min(body, tips, 0.13)


def orange(p):
    q = p * vec(1, 1.05, 1)
    return np.sqrt(dot(q, q)) - 0.38 + 0.03 * np.exp(-60 * (p[0] ** 2 + p[2] ** 2)) * (p[1] > 0)


def book(half_x, half_y, half_z):
    """A closed book lying flat, its rounded spine towards +z; y from 0 to 2 half_y."""
    boards = box((half_x, 0.022, half_z), 0.012)
    pages = box((half_x - 0.045, half_y - 0.03, half_z - 0.03), 0.004, (0, half_y, -0.01))

    def distance(p):
        mirrored = np.stack([p[0], np.abs(p[1] - half_y) - half_y + 0.022, p[2]])
        bulge = 0.05 * (1 - ((p[1] - half_y) / half_y) ** 2)
        spine = np.maximum(np.abs(p[2] - half_z - bulge) - 0.02, np.abs(p[1] - half_y) - half_y)
        spine = np.maximum(spine, np.abs(p[0]) - half_x)
        return np.minimum(np.minimum(boards(mirrored), pages(p)), spine)

    return distance


def pot(p):
    r, y = ring(p), p[1]
    side = np.minimum(segment(r, y, (0.36, 0.09), (0.47, 0.62)), segment(r, y, (0.0, 0.09), (0.36, 0.09))) - 0.035
    rim = np.hypot(np.maximum(np.abs(r - 0.5) - 0.03, 0), np.maximum(np.abs(y - 0.68) - 0.085, 0)) - 0.018
    soil = np.maximum(r - 0.47, np.abs(y - 0.60) - 0.04) - 0.02
    return np.minimum(np.minimum(side, rim), soil)


def leaf(radius):
    def distance(p):
        r = ring(p)
        x, z = p[0] / radius, p[2] / radius
        square = x * x + z * z
        lift = p[1] + radius * (0.22 * square - 0.10 * np.exp(-6 * square) + 0.05 * np.sin(3 * x + 2 * z))
        return np.hypot(np.maximum(r - radius * (1 + 0.06 * x), 0), lift) - 0.010

    return distance
