"""The still life of render.py (CC0 1.0, see there): what every surface looks like and where things stand.

A paint is a function from local points p and normals n [3, n] to (albedo [3, n], roughness, mirror share at normal
incidence). A bump is a height that is added to a distance field for its normals alone.
"""

import numpy as np

import shapes
from shapes import F32, SEED, dots, fbm, lattice, mix, noise, ring, smooth, unit, vec


def paint_wood(p):
    plank = np.floor(p[2] / 1.15 + 0.32)
    seed = plank * 5.3
    x = p[0] + plank * 3.1
    warp = fbm(x * 0.22, seed, p[2] * 0.9)
    rings = p[2] * 2.2 + warp * 7
    late = rings - np.floor(rings)
    late = smooth(0.15, 0.85, late) * (1 - smooth(0.9, 1, late))
    fibre, pores = noise(x * 2.2, seed, p[2] * 34), noise(x * 3.5, seed + 4, p[2] * 60)
    shade = 0.45 * late + 0.4 * (fibre - 0.5) + 0.55 * (fbm(x * 0.5, seed + 2, p[2] * 2) - 0.5)
    colour = mix(vec(0.40, 0.235, 0.125), vec(0.19, 0.095, 0.045), np.clip(shade + 0.1, 0, 1))
    colour = colour * (1 - 0.4 * smooth(0.68, 0.85, pores)) * (0.86 + 0.28 * lattice(*[plank.astype(np.int32)] * 3))
    seam = p[2] / 1.15 + 0.32 - plank
    colour = colour * (1 - 0.75 * (1 - smooth(0.003, 0.010, np.minimum(seam, 1 - seam))))
    return colour, 0.17 + 0.12 * fibre + 0.05 * late, 0.035


def paint_wall(p):
    tone = 0.93 + 0.14 * fbm(p[0] * 1.1, p[1] * 1.1, 3.0, 4)
    return vec(0.37, 0.40, 0.385) * tone, 1.0, 0.0


def paint_cup(p, n):
    r, y = ring(p), p[1]
    edge = 0.245 + 0.05 * noise(p[0] * 4, 1.0, p[2] * 4)
    clay = vec(0.44, 0.30, 0.20) * (0.85 + 0.3 * noise(*(p * 40)))
    glaze = mix(vec(0.035, 0.13, 0.20), vec(0.07, 0.22, 0.28), fbm(*(p * vec(5, 9, 5))))
    rub = smooth(0.955, 1.0, y + 0.02 * noise(*(p * 15))) + 0.6 * dots(p, 19, 0.16, 0.6)
    glaze = mix(glaze, vec(0.30, 0.17, 0.09), np.clip(rub, 0, 0.85))
    bare = 1 - smooth(-0.004, 0.004, y - edge)
    coffee = (r < 0.405) & (np.abs(y - 0.74) < 0.012) & (n[1] > 0.9)
    colour = np.where(coffee, vec(0.035, 0.014, 0.006), mix(glaze, clay, bare))
    return colour, np.where(coffee, 0.01, 0.035 + 0.5 * bare), np.where(coffee, 0.025, 0.05 - 0.03 * bare)


def paint_apple(p, n):
    r, y = ring(p), p[1]
    x, z = p[0] / (r + 1e-6), p[2] / (r + 1e-6)
    streak, cloud = fbm(x * 13, y * 1.1, z * 13), fbm(*(p * 4))
    blush = smooth(-0.45, 0.55, 0.32 * x + 0.2 * z + 1.5 * (streak - 0.42) + 1.4 * (cloud - 0.42) + 0.9 * (r - 0.17))
    colour = mix(vec(0.62, 0.46, 0.09), vec(0.40, 0.018, 0.022), blush)
    colour = mix(colour, vec(0.30, 0.30, 0.07), 0.75 * (1 - smooth(0.05, 0.19, r + 0.06 * streak)) * (y > 0.35))
    return mix(colour, vec(0.72, 0.50, 0.26), 0.5 * dots(p, 19, 0.12, 0.7)), 0.11, 0.04


def paint_pear(p, n):
    tone = fbm(*(p * 6))
    colour = mix(vec(0.42, 0.42, 0.07), vec(0.55, 0.43, 0.09), tone)
    colour = mix(colour, vec(0.50, 0.14, 0.04), 0.65 * smooth(0.1, 0.8, 0.26 * n[0] - 0.96 * n[2] + 0.5 * (tone - 0.5)))
    colour = mix(colour, vec(0.26, 0.15, 0.06), 0.7 * smooth(0.86, 1.02, p[1] + 0.12 * tone))
    return colour * (1 - 0.5 * dots(p, 24, 0.16, 0.8)), 0.2, 0.035


def paint_lemon(p, n):
    colour = mix(vec(0.90, 0.51, 0.02), vec(0.92, 0.60, 0.04), fbm(*(p * 5)))
    return mix(colour, vec(0.50, 0.44, 0.05), 0.5 * smooth(0.36, 0.45, np.abs(p[0]))), 0.2, 0.04


def paint_orange(p, n):
    colour = mix(vec(0.80, 0.24, 0.012), vec(0.86, 0.33, 0.02), fbm(*(p * 5)))
    star = ring(p) * (1 + 0.25 * np.cos(5 * np.arctan2(p[2], p[0]))) + (p[1] < 0)
    return mix(colour, vec(0.20, 0.19, 0.05), 1 - smooth(0.045, 0.06, star)), 0.19, 0.04


def pores(p):
    return 0.0020 * dots(p, 29, 0.40) + 0.008 * noise(*(p * 8))


def paint_book(half_x, half_y, half_z, cloth):
    def paint(p, n):
        inner = (np.abs(p[0]) < half_x - 0.035) & (np.abs(p[1] - half_y) < half_y - 0.04) & (p[2] < half_z - 0.035)
        inner |= (np.abs(p[1] - half_y) < half_y - 0.043) & (p[2] < half_z - 0.02)
        paper = vec(0.66, 0.58, 0.45) * (0.72 + 0.35 * noise(p[0] * 0.7, p[1] * 95, p[2] * 0.7))
        weave = 0.88 + 0.24 * noise(*(p * 46))
        colour = cloth * weave
        x = np.abs(p[0])
        gilt = (np.abs(x - 0.80 * half_x) < 0.016) | (np.abs(x - 0.88 * half_x) < 0.010)
        title = (np.abs(p[1] - half_y) < 0.045) & (x < 0.33 * half_x) & (noise(p[0] * 24, 2.0, 5.0) > 0.42)
        gilt = (gilt | title) & (n[2] > 0.5)
        colour = np.where(gilt, vec(0.55, 0.36, 0.13), colour)
        return np.where(inner, paper, colour), np.where(gilt, 0.3, 0.75), np.where(gilt, 0.25, 0.02)

    return paint


def paint_pot(p, n):
    r = ring(p)
    clay = mix(vec(0.42, 0.155, 0.075), vec(0.52, 0.24, 0.14), fbm(*(p * 4)))
    clay = mix(clay, vec(0.60, 0.46, 0.38), 0.45 * smooth(0.55, 0.75, fbm(*(p * vec(3, 5, 3)), 4)))
    soil = vec(0.045, 0.03, 0.02) * (0.5 + noise(*(p * 25)))
    return np.where((r < 0.468) & (p[1] < 0.72), soil, clay), 0.8, 0.02


def paint_leaf(p, n):
    r = ring(p)
    angle = np.arctan2(p[2], p[0])
    veins = (1 - smooth(0.0, 0.10, np.abs(np.sin(3.5 * angle)) * (0.3 + 3 * r))) * smooth(0.02, 0.06, r)
    colour = mix(vec(0.045, 0.15, 0.035), vec(0.085, 0.23, 0.05), fbm(*(p * 7)))
    return mix(colour, vec(0.22, 0.36, 0.12), np.clip(0.4 * veins + 1 - smooth(0.01, 0.045, r), 0, 1)), 0.16, 0.045


def plain(red, green, blue, rough=0.6):
    return lambda p, n: (vec(red, green, blue) * (0.8 + 0.4 * noise(*(p * 20))), rough, 0.02)


class Part:
    """One surface: a distance field and a paint in a frame of its own, inside a bounding sphere."""

    def __init__(self, field, paint, at, bound, frame=None, bump=None, step=0.85, glow=0.0):
        self.field, self.paint, self.bump, self.step, self.glow = field, paint, bump, F32(step), glow
        self.at, self.frame = vec(*at), np.eye(3, dtype=F32) if frame is None else frame.astype(F32)
        self.middle, self.radius = self.at + self.frame @ vec(*bound[:3]), F32(bound[3])

    def normal(self, p):
        field = self.field if self.bump is None else lambda q: self.field(q) + self.bump(q)
        total = 0
        for sign in ((1, -1, -1), (-1, -1, 1), (-1, 1, -1), (1, 1, 1)):
            total = total + vec(*sign) * field(p + vec(*sign) * F32(0.0015))
        return unit(total)


def turned(yaw, pitch=0.0, roll=0.0):
    """The rotation by degrees about z (roll), then x (pitch), then y (yaw)."""
    (cy, cx, cz), (sy, sx, sz) = np.cos(np.radians([yaw, pitch, roll])), np.sin(np.radians([yaw, pitch, roll]))
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    return about_y @ about_x @ np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])


def plant(at, leaves=23):
    rng = np.random.default_rng(SEED + 4)
    parts = [Part(shapes.pot, paint_pot, at, (0, 0.4, 0, 0.72))]
    for k in range(leaves):
        share = (k + 0.5) / leaves
        turn, lean = 137.5 * k + rng.uniform(-14, 14), share**0.7  # lean: 0 in the middle and young, 1 outside
        way = np.array([np.sin(np.radians(turn)), 0, np.cos(np.radians(turn))])
        reach, height = 0.08 + 0.84 * lean * rng.uniform(0.8, 1.1), 1.72 - 0.72 * lean**1.6 * rng.uniform(0.75, 1.1)
        root = np.array(at) + way * 0.07 + [0, 0.62, 0]
        tip = np.array(at) + way * reach + [0, height, 0]
        knee = mix(root, tip, 0.55) + [0, 0.16, 0] - way * 0.08
        frame = turned(turn, 18 + 42 * lean + rng.uniform(-10, 10), rng.uniform(-10, 10))
        size = rng.uniform(0.20, 0.27) * (0.62 + 0.45 * lean)
        at_leaf, bound = tip + way * 0.3 * size, (0, -0.05 * size, 0, size * 1.14)
        parts.append(Part(shapes.leaf(size), paint_leaf, at_leaf, bound, frame, step=0.7, glow=0.4))
        for a, b in ((root, knee), (knee, tip)):
            middle, half = (a + b) / 2, (b - a) / 2
            stem = shapes.stick(-half, half, 0.014, 0.012)
            parts.append(Part(stem, plain(0.16, 0.17, 0.05), middle, (0, 0, 0, np.linalg.norm(half) + 0.02)))
    return parts


def fruit(field, paint, at, bound, frame=None, bump=None, stem=None, step=0.8):
    parts = [Part(field, paint, at, bound, frame, bump, step)]
    if stem:
        parts.append(Part(shapes.stick(*stem), plain(0.12, 0.07, 0.035), at, (*stem[1], 0.35), frame))
    return parts


def volume(half, at, yaw, cloth):
    bound = (0, half[1], 0, np.hypot(half[0], half[2]) + 0.1)
    return [Part(shapes.book(*half), paint_book(*half, vec(*cloth)), at, bound, turned(yaw))]


def gentle(p):
    return 0.004 * noise(*(p * 7))


THINGS = [  # name, parts
    ("cup", [Part(shapes.cup, paint_cup, (-0.12, 0, 0.05), (0.1, 0.5, 0, 0.84), turned(-18))]),
    ("apple", fruit(shapes.apple, paint_apple, (0.98, 0, 0.95), (0, 0.35, 0, 0.56), turned(20, 5, -7), None,
                    ((0, 0.46, 0), (0.07, 0.84, 0.02), 0.014, 0.024))),
    ("orange", fruit(shapes.orange, paint_orange, (-1.12, 0.36, 1.0), (0, 0, 0, 0.42), turned(0, 38, 20), pores)),
    ("lemon", fruit(shapes.lemon, paint_lemon, (0.02, 0.285, 1.65), (0, 0, 0, 0.50), turned(-32, 0, 3), pores)),
    ("pear", fruit(shapes.pear, paint_pear, (-1.25, 0.535, -0.75), (0, 0.5, 0, 0.66), turned(150), gentle,
                   ((0.05, 0.95, 0), (0.17, 1.24, 0.03), 0.017, 0.022))),
    ("book", volume((0.98, 0.15, 0.68), (-1.35, 0.0, -0.75), 9, (0.075, 0.12, 0.10))),
    ("book", volume((0.86, 0.11, 0.60), (-1.32, 0.302, -0.77), -5, (0.24, 0.045, 0.05))),
    ("potted plant", plant((1.50, 0, -0.75))),
]
PARTS = [(owner, part) for owner, (_, parts) in enumerate(THINGS) for part in parts]
TABLE, WALL = len(PARTS), len(PARTS) + 1


def around(parts):
    middle = np.mean([part.middle for part in parts], 0)
    return middle, F32(max(np.linalg.norm(part.middle - middle) + part.radius for part in parts))


BOUNDS = [around(parts) for _, parts in THINGS]
