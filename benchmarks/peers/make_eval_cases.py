"""Cases for `maskline eval`: made-up ground truth and detections with the figures that pycocotools gives them.

    .venv/bin/python make_eval_cases.py            # writes crates/maskline-eval/tests/cases/coco (and the polygons of maskline-vision)

Everything is drawn from fixed seeds, no picture and no data set is involved. A case is NAME.truth.json, NAME.found.json and, in
expected.json, COCOeval's twelve figures for boxes and, where detections have masks, for masks. polygons.json has polygons with the
run lengths of pycocotools' rasteriser.
"""

import contextlib
import io
import json
from pathlib import Path

import numpy as np
from pycocotools import mask as masks
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

CRATES = Path(__file__).resolve().parents[2] / "crates"


def ellipse(size, box):
    """Pixels of an ellipse within a box x, y, width, height."""
    ys, xs = np.mgrid[: size[0], : size[1]] + 0.5
    x, y, width, height = box
    inside = ((xs - x - width / 2) / (width / 2)) ** 2 + ((ys - y - height / 2) / (height / 2)) ** 2 <= 1
    return np.asfortranarray(inside.astype(np.uint8))


def compressed(pixels):
    rle = masks.encode(pixels)
    return {"size": list(map(int, rle["size"])), "counts": rle["counts"].decode()}


def uncompressed(pixels):
    flat = pixels.ravel(order="F")
    ends = np.flatnonzero(np.diff(flat)) + 1
    counts = np.diff(np.concatenate([[0], ends, [flat.size]])).tolist()
    return {"size": list(pixels.shape), "counts": ([0] if flat[0] else []) + counts}


def polygon(box, corners, rng):
    x, y, width, height = box
    angles = np.sort(rng.uniform(0, 2 * np.pi, corners))
    radii = rng.uniform(0.6, 1, corners)
    xs, ys = x + width / 2 * (1 + radii * np.cos(angles)), y + height / 2 * (1 + radii * np.sin(angles))
    return np.stack([xs, ys], 1).round(2).ravel().tolist()


def random_box(size, rng, sides):
    width, height = (min(rng.choice(sides) * rng.uniform(0.8, 1.2), side - 2) for side in (size[1], size[0]))
    return [rng.uniform(0, size[1] - width), rng.uniform(0, size[0] - height), width, height]


def moved(box, rng, size, amount):
    x, y, width, height = box
    width, height = width * rng.uniform(1 - amount, 1 + amount), height * rng.uniform(1 - amount, 1 + amount)
    x, y = x + rng.normal(0, amount / 2) * width, y + rng.normal(0, amount / 2) * height
    x, y = np.clip(x, 0, size[1] - 3), np.clip(y, 0, size[0] - 3)
    return [x, y, min(max(width, 2), size[1] - x), min(max(height, 2), size[0] - y)]


def truth(seed, pictures, categories, objects, sides, crowds):
    """Ground truth; one picture in five is empty, and the last category never occurs."""
    rng = np.random.default_rng(seed)
    # Ids out of order: figures must not depend on the order of the file.
    ids = rng.permutation(np.arange(pictures) * 7 + 3).tolist()
    images = [{"id": i, "file_name": f"{i}.png", "width": int(rng.integers(150, 260)), "height": int(rng.integers(150, 260))} for i in ids]
    annotations = []
    for number, image in enumerate(images):
        size = (image["height"], image["width"])
        for _ in range(0 if number % 5 == 4 else int(rng.integers(1, objects))):
            box = random_box(size, rng, sides)
            is_crowd = rng.uniform() < crowds
            if is_crowd:
                segmentation = uncompressed(ellipse(size, box))
            elif rng.uniform() < 0.5:
                segmentation = [polygon(box, int(rng.integers(5, 12)), rng)]
            else:
                segmentation = compressed(ellipse(size, box))
            rle = segmentation
            if isinstance(rle, list):
                rle = masks.merge(masks.frPyObjects(rle, *size))
            elif is_crowd:
                rle = masks.frPyObjects(rle, *size)
            area = float(masks.area(rle))
            # Areas on both sides of a range's end, and exactly on it.
            if rng.uniform() < 0.1:
                area = float(rng.choice([1024, 9216]))
            annotations.append({
                "id": len(annotations) + 1, "image_id": image["id"], "category_id": int(rng.choice(categories[:-1])),
                "iscrowd": int(is_crowd), "area": area, "bbox": masks.toBbox(rle).tolist(), "segmentation": segmentation,
            })  # fmt: skip
    names = [{"id": int(c), "name": f"class {c}"} for c in categories]
    return {"images": images, "annotations": annotations, "categories": names}


def detections(seed, truth, with_masks, false_ones):
    """Moved, missed, repeated and made-up objects; scores in steps of 0.05, so that many are equal."""
    rng = np.random.default_rng(seed)
    categories = [c["id"] for c in truth["categories"]]
    sizes = {image["id"]: (image["height"], image["width"]) for image in truth["images"]}
    found = []

    def add(image, category, box):
        entry = {"image_id": image, "category_id": int(category), "score": round(float(rng.integers(1, 20)) * 0.05, 2)}
        if with_masks:
            entry["segmentation"] = compressed(ellipse(sizes[image], box))
        else:
            entry["bbox"] = [round(float(side), 2) for side in box]
        found.append(entry)

    for annotation in truth["annotations"]:
        image, category, box = annotation["image_id"], annotation["category_id"], annotation["bbox"]
        for _ in range(int(rng.choice([0, 1, 1, 2, 3]))):
            add(image, category, moved(box, rng, sizes[image], rng.choice([0.02, 0.1, 0.3])))
        if rng.uniform() < 0.2:
            # Equal overlaps, and the right place with the wrong class.
            add(image, category, box)
            add(image, rng.choice(categories), box)
    for _ in range(false_ones):
        image = int(rng.choice(list(sizes)))
        add(image, rng.choice(categories), random_box(sizes[image], rng, [12, 40, 90, 140]))
    order = rng.permutation(len(found))
    return [found[i] for i in order]


def figures(truth, found, kind):
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = json.loads(json.dumps(truth))
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(json.loads(json.dumps(found))), kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats.tolist()


def polygons(seed, count):
    """Polygons inside and outside of small pictures, in whole, half and odd coordinates, with crossings and rings in rings."""
    rng = np.random.default_rng(seed)
    cases = []
    for number in range(count):
        height, width = (int(side) for side in rng.integers(1, 60, 2))
        steps = [1, 2, 10, 100, 10**6][number % 5]
        lists = []
        for _ in range(int(rng.integers(1, 4))):
            corners = rng.uniform(-0.3, 1.3, (int(rng.integers(3, 12)), 2)) * [width, height]
            corners = np.round(corners * steps) / steps
            if rng.uniform() < 0.2:
                corners = np.repeat(corners, 2, 0)
            lists.append(corners.ravel().tolist())
        rle = masks.merge(masks.frPyObjects(lists, height, width))
        cases.append({"width": width, "height": height, "polygons": lists, "counts": rle["counts"].decode()})
    return cases


def write(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, separators=(",", ":")) + "\n")


def main():
    folder = CRATES / "maskline-eval/tests/cases/coco"
    # Name: seed, pictures, categories, objects, sides, share of crowds; are there masks, false detections.
    cases = {
        "masks": ((1, 14, [4, 1, 9, 17], 9, [12, 30, 60, 110], 0.12), True, 25),
        "boxes": ((2, 25, [2, 3, 5, 8, 40], 14, [10, 28, 34, 90, 100, 130], 0.1), False, 120),
        # More than a hundred of a class in a picture.
        "crowded": ((3, 2, [1, 2], 60, [10, 20, 34], 0.05), False, 420),
        "large_only": ((4, 6, [7, 8], 4, [120, 140], 0.0), False, 10),
    }
    expected = {}
    for name, (facts, with_masks, false_ones) in cases.items():
        known = truth(*facts)
        found = detections(facts[0] + 100, known, with_masks, false_ones)
        write(folder / f"{name}.truth.json", known)
        write(folder / f"{name}.found.json", found)
        expected[name] = {kind: figures(known, found, kind) for kind in (["bbox", "segm"] if with_masks else ["bbox"])}
    write(folder / "expected.json", expected)
    write(CRATES / "maskline-vision/tests/cases/polygons.json", polygons(5, 60))


if __name__ == "__main__":
    main()
