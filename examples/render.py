"""Renders still-life.jpg and its ground truth still-life.json.

Both come from this script and its two modules alone (scene.py, shapes.py): no photograph, texture, mesh or other
third-party material is in them. Scripts, picture and ground truth are dedicated to the public domain under CC0 1.0.

A small path tracer over signed distance fields: every pixel averages random paths through a lens, lit by a window
(sky light and low sun) at the left of the room, with one diffuse and one mirrored bounce. Units are decimetres;
x points right, y up, z towards the camera. Needs numpy and Pillow: python render.py [--width 240 --samples 8 --out DIR]
"""

import argparse
import json
import pathlib

import numpy as np
from PIL import Image, ImageFilter

from scene import BOUNDS, PARTS, TABLE, THINGS, WALL, paint_wall, paint_wood
from shapes import F32, SEED, dot, mix, smooth, unit, vec

FAR = F32(1e9)
EYE, TARGET, FOV, LENS = (0.15, 3.3, 9.2), (0.1, 0.86, 0.0), 34.0, 0.05  # field of view: horizontal, degrees
WALL_Z, TABLE_END = -4.6, -2.3
WINDOW_X, WINDOW_Y, WINDOW_Z, PANES, BAR = -5.0, (1.2, 5.4), (-3.0, 3.2), (2, 3), 0.10  # panes: down, along
SKY, SUN = np.array([6.3, 7.0, 7.9], F32), np.array([10.5, 7.9, 5.0], F32)
TO_SUN = np.array([-0.80, 0.42, 0.33]) / np.linalg.norm([-0.80, 0.42, 0.33])


def sphere_span(o, d, middle, radius):
    away = middle - o
    along = dot(away, d)
    inside = radius * radius - dot(away, away) + along * along
    half = np.sqrt(np.maximum(inside, 0))
    return np.where(inside > 0, along - half, FAR), along + half


def march(part, o, d, t, end):
    """Distance along each ray to the part, FAR where it is missed before `end`."""
    found, rows = np.full(t.shape, FAR), np.arange(t.size)
    for _ in range(24):
        for _ in range(4):
            away = part.field(o + d * t)
            t = t + away * part.step
        hit = away < 0.0012
        found[rows[hit]] = t[hit]
        keep = ~hit & (t < end)
        o, d, t, end, rows = o[:, keep], d[:, keep], t[keep], end[keep], rows[keep]
        if not rows.size:
            break
    return found


def trace(o, d, shadow=False):
    """(distance, part) of the first hit; with `shadow` only whether a part is hit at all."""
    t, part_of = np.full(o.shape[1], FAR), np.full(o.shape[1], -1)
    if not shadow:
        down = -o[1] / np.minimum(d[1], -1e-6)
        table = (d[1] < 0) & (down > 1e-3) & (o[2] + d[2] * down > TABLE_END)
        back = (WALL_Z - o[2]) / np.minimum(d[2], -1e-6)
        wall = (d[2] < 0) & (back > 1e-3) & ~table
        t, part_of = np.where(table, down, np.where(wall, back, FAR)), np.where(table, TABLE, np.where(wall, WALL, -1))
    index = 0
    for (_, parts), bound in zip(THINGS, BOUNDS):
        near, far = sphere_span(o, d, *bound)
        group = np.flatnonzero((near < t) & (far > 0) & ~(shadow & (part_of >= 0)))
        group_o, group_d = o[:, group], d[:, group]
        for part in parts:
            near, far = sphere_span(group_o, group_d, part.middle, part.radius)
            some = np.flatnonzero((near < t[group]) & (far > 0) & ~(shadow & (part_of[group] >= 0)))
            if some.size:
                rows = group[some]
                local_o, local_d = part.frame.T @ (group_o[:, some] - part.at), part.frame.T @ group_d[:, some]
                found = march(part, local_o, local_d, np.maximum(near[some], 0), np.minimum(far[some], t[rows]))
                closer = found < t[rows]
                t[rows[closer]], part_of[rows[closer]] = found[closer], index
            index += 1
    return part_of >= 0 if shadow else (t, part_of)


def surface(p, part_of):
    """Normal, albedo, roughness, mirror share and translucency of the points p [3, n] on their parts."""
    n, albedo = np.zeros_like(p), np.zeros_like(p)
    rough, mirror, glow = np.ones(p.shape[1], F32), np.zeros(p.shape[1], F32), np.zeros(p.shape[1], F32)
    for index in np.unique(part_of):
        rows = np.flatnonzero(part_of == index)
        if index == TABLE:
            n[1, rows] = 1
            albedo[:, rows], rough[rows], mirror[rows] = paint_wood(p[:, rows])
        elif index == WALL:
            n[2, rows] = 1
            albedo[:, rows], rough[rows], mirror[rows] = paint_wall(p[:, rows])
        else:
            part = PARTS[index][1]
            local = part.frame.T @ (p[:, rows] - part.at)
            normal = part.normal(local)
            n[:, rows], glow[rows] = part.frame @ normal, part.glow
            albedo[:, rows], rough[rows], mirror[rows] = part.paint(local, normal)
    return n, albedo, rough, mirror, glow


def in_pane(y, z):
    down, along = (y - WINDOW_Y[0]) / np.ptp(WINDOW_Y), (z - WINDOW_Z[0]) / np.ptp(WINDOW_Z)
    open_ = (down > 0) & (down < 1) & (along > 0) & (along < 1)
    for share, count in ((down, PANES[0]), (along, PANES[1])):
        cell = share * count - np.floor(share * count)
        open_ &= (cell > BAR / 2) & (cell < 1 - BAR / 2)
    return open_


def sky(y):
    return SKY[:, None] * (0.75 + 0.5 * (y - WINDOW_Y[0]) / np.ptp(WINDOW_Y))


def room(o, d, window):
    """Light from where a ray meets nothing: the dim rest of the room and, if `window`, the panes."""
    light = mix(vec(0.17, 0.155, 0.14), vec(0.36, 0.35, 0.33), smooth(-0.2, 0.8, d[1]))
    if not window:
        return light
    s = (WINDOW_X - o[0]) / np.minimum(d[0], -1e-6)
    y, z = o[1] + s * d[1], o[2] + s * d[2]
    return np.where((d[0] < 0) & in_pane(y, z), sky(y), light)


def frame_of(n):
    side = np.where(np.abs(n[0]) > 0.7, vec(0, 1, 0), vec(1, 0, 0))
    a = unit(np.cross(n, side, axis=0))
    return a, np.cross(n, a, axis=0)


def disc(u, v):
    r, angle = np.sqrt(u), F32(2 * np.pi) * v
    return r * np.cos(angle), r * np.sin(angle)


def lit(p, n, to_light, glow):
    """Cosine of the light (some of it through a leaf), 0 where it is blocked."""
    cosine = dot(n, to_light)
    cosine = np.where(cosine > 0, cosine, -cosine * glow)
    rows = np.flatnonzero(cosine > 0)
    ahead = to_light[:, rows]
    start = p[:, rows] + n[:, rows] * np.where(dot(n[:, rows], ahead) > 0, 0.006, -0.045) + ahead * 0.004
    cosine[rows[trace(start, ahead, shadow=True)]] = 0
    return cosine


def direct(p, n, glow, u):
    """Diffuse light (irradiance over pi) from window and sun, and the sun's cosine; u [4, n] random in 0..1."""
    spots = [(np.floor(s * c) + BAR / 2 + (s * c - np.floor(s * c)) * (1 - BAR)) / c for s, c in zip(u, PANES)]
    y, z = WINDOW_Y[0] + spots[0] * np.ptp(WINDOW_Y), WINDOW_Z[0] + spots[1] * np.ptp(WINDOW_Z)
    way = np.stack([WINDOW_X - p[0], y - p[1], z - p[2]]).astype(F32)
    square = dot(way, way)
    way = way / np.sqrt(square)
    area = np.ptp(WINDOW_Y) * np.ptp(WINDOW_Z) * (1 - BAR) ** 2
    light = sky(y) * (lit(p, n, way, glow) * np.maximum(-way[0], 0) / square * area / np.pi)
    a, b = frame_of(TO_SUN[:, None])
    du, dv = disc(u[2], u[3])
    sun = unit(TO_SUN[:, None] + (a * du + b * dv) * 0.014).astype(F32)
    s = (WINDOW_X - p[0]) / sun[0]
    cosine, rows = np.zeros_like(square), np.flatnonzero(in_pane(p[1] + s * sun[1], p[2] + s * sun[2]))
    cosine[rows] = lit(p[:, rows], n[:, rows], sun[:, rows], glow[rows])
    return light + SUN[:, None] * (cosine / np.pi), cosine


def radiance(o, d, u, bounce=0):
    """Light along rays; u [16, n] random in 0..1. bounce: 0 seen by the lens, 1 mirrored, 2 diffuse."""
    t, part_of = trace(o, d)
    light = room(o, d, window=bounce < 2)
    rows = np.flatnonzero(part_of >= 0)
    o, d, u, p = o[:, rows], d[:, rows], u[:, rows], (o + d * np.where(t < FAR, t, 0))[:, rows]
    n, albedo, rough, mirror, glow = surface(p, part_of[rows])
    diffuse, sun = direct(p, n, glow, u[4:8] if bounce == 0 else u[[10 + 2 * bounce, 11 + 2 * bounce, 6, 7]])
    gloss = np.where(mirror > 0, mirror + (1 - mirror) * (1 - np.clip(-dot(n, d), 0, 1)) ** 5 * (1 - 0.7 * rough), 0)
    half = unit(TO_SUN[:, None].astype(F32) - d)
    spread = np.maximum(rough, 0.06) ** 2
    peak = spread / (np.pi * ((dot(n, half) ** 2) * (spread - 1) + 1) ** 2)
    shine = SUN[:, None] * (sun * np.minimum(peak, 60) * gloss / 4)
    a, b = frame_of(n)
    tilt = rough * np.sqrt(u[10] / (1.02 - u[10]))
    angle = 2 * np.pi * u[11]
    facet = unit(n + (a * np.cos(angle) + b * np.sin(angle)) * tilt)
    reflected = unit(d - 2 * dot(d, facet) * facet).astype(F32)
    reflected = reflected + n * np.maximum(0, 0.01 - dot(reflected, n))
    start = (p + n * 0.006).astype(F32)
    if bounce == 0:
        x, y = disc(u[8], u[9])
        scattered = (a * x + b * y + n * np.sqrt(np.maximum(1 - u[8], 0))).astype(F32)
        diffuse = diffuse + radiance(start, scattered, u, 2)
        some = np.flatnonzero(gloss > 0.004)
        shine[:, some] += gloss[some] * radiance(start[:, some], reflected[:, some], u[:, some], 1)
    else:
        diffuse = diffuse + 0.20
        if bounce == 1:
            shine = shine + gloss * room(start, reflected, True)
    light[:, rows] = albedo * (1 - gloss) * diffuse + shine
    return light


def camera_rays(x, y, width, height, lens):
    """Rays through image points (x, y) in pixels, from points of the lens (two coordinates in the unit disc)."""
    eye, target = vec(*EYE), vec(*TARGET)
    ahead = unit(target - eye)
    right = unit(np.cross(ahead, vec(0, 1, 0), axis=0))
    up = np.cross(right, ahead, axis=0)
    scale = np.tan(np.radians(FOV / 2)) * 2 / width
    way = ahead + right * ((x - width / 2) * scale) - up * ((y - height / 2) * scale)
    focus = eye + way * (np.linalg.norm(target - eye) - 0.5)
    o = eye + (right * lens[0] + up * lens[1]) * LENS + 0 * way
    return o.astype(F32), unit(focus - o).astype(F32)


def render(width, height, samples, band=160):
    """The picture in linear light [height, width, 3]."""
    steps = np.sqrt(np.array([2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53]))[:, None] % 1
    picture = np.zeros((height, width, 3), F32)
    rng = np.random.default_rng(SEED)
    for top in range(0, height, band):
        y, x = np.mgrid[top : min(top + band, height), 0:width].reshape(2, -1)
        shift, total = rng.random((16, x.size)), 0
        for sample in range(samples):
            u = ((shift + steps * sample) % 1).astype(F32)
            o, d = camera_rays(x + u[0], y + u[1], width, height, disc(u[2], u[3]))
            total = total + np.minimum(radiance(o, d, u), 12)
        picture[top : top + band] = (total.T / samples).reshape(-1, width, 3)
    return picture


def develop(picture):
    """Bloom, vignette, film curve and grain: linear light to 8 bit sRGB."""
    height, width, _ = picture.shape
    rng = np.random.default_rng(SEED)
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    light = picture * (1 - 0.13 * (x * x + y * y)[..., None]) * 1.05
    bright = np.clip((light - 0.9) / 3, 0, 1)
    glow = Image.fromarray((bright * 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(width / 110))
    light = light + 0.35 * np.asarray(glow, F32) / 255
    curve = light * (2.51 * light + 0.03) / (light * (2.43 * light + 0.59) + 0.14)
    tone = np.where(curve < 0.0031308, 12.92 * curve, 1.055 * np.maximum(curve, 1e-6) ** (1 / 2.4) - 0.055)
    grain = rng.normal(0, 0.008, (height, width, 1)) + rng.normal(0, 0.003, (height, width, 3))
    return (np.clip(tone + grain, 0, 1) * 255 + 0.5).astype(np.uint8)


def annotate(width, height):
    """COCO ground truth of what the pinhole camera sees at the pixels' centres."""
    y, x = np.mgrid[0:height, 0:width].reshape(2, -1)
    _, part_of = trace(*camera_rays(x + 0.5, y + 0.5, width, height, (0, 0)))
    owners = np.array([owner for owner, _ in PARTS] + [-1, -1, -1])[part_of].reshape(height, width)
    names = list(dict.fromkeys(name for name, _ in THINGS))
    annotations = []
    for owner, (name, _) in enumerate(THINGS):
        mask = owners == owner
        flat = np.concatenate([[0], mask.T.ravel(), [0]])
        edges = np.flatnonzero(np.diff(flat))
        counts = np.diff(np.concatenate([[0], edges, [mask.size]]))
        columns, lines = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
        x1, y1, x2, y2 = int(columns[0]), int(lines[0]), int(columns[-1]) + 1, int(lines[-1]) + 1
        print(f"{name:14} box {x1},{y1},{x2},{y2}  area {mask.sum()}")
        rle = {"size": [height, width], "counts": counts[: len(counts) - (counts[-1] == 0)].tolist()}
        row = {"id": owner + 1, "image_id": 1, "category_id": names.index(name) + 1, "bbox": [x1, y1, x2 - x1, y2 - y1]}
        annotations.append({**row, "area": int(mask.sum()), "iscrowd": 0, "segmentation": rle})
    image = {"id": 1, "file_name": "still-life.jpg", "width": width, "height": height}
    categories = [{"id": k + 1, "name": name} for k, name in enumerate(names)]
    return {"images": [image], "categories": categories, "annotations": annotations}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--width", type=int, default=960)
    parser.add_argument("--samples", type=int, default=48)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path(__file__).parent)
    parser.add_argument("--png", action="store_true", help="write a PNG too")
    options = parser.parse_args()
    width, height = options.width, options.width * 2 // 3
    truth = annotate(width, height)
    (options.out / "still-life.json").write_text(json.dumps(truth, separators=(",", ":")) + "\n")
    image = Image.fromarray(develop(render(width, height, options.samples)))
    image.save(options.out / "still-life.jpg", quality=88, optimize=True)
    if options.png:
        image.save(options.out / "still-life.png")


if __name__ == "__main__":
    main()
