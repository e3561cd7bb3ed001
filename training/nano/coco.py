"""Annotated pictures in COCO's form: run lengths to label maps, and the split by picture."""

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

# Every fifth picture, by identifier, is never trained on.
HELD_OUT = 5


@dataclass
class Scene:
    """A picture [H, W, 3] u8 with a label map [H, W] i16: 0 where nothing is annotated, else the object's number."""

    picture: np.ndarray
    labels: np.ndarray
    things: frozenset = frozenset()

    @property
    def size(self):
        return self.labels.shape[1], self.labels.shape[0]


def runs_to_mask(segmentation):
    """Uncompressed run lengths, column by column, to a mask [H, W] bool."""
    height, width = segmentation["size"]
    counts = segmentation["counts"]
    values = np.arange(len(counts)) % 2 == 1
    return np.repeat(values, counts).reshape(width, height).T


def load(folder):
    """Scenes by picture identifier, with their annotations."""
    folder = Path(folder)
    data = json.loads((folder / "instances.json").read_text())
    by_picture = {}
    for annotation in data["annotations"]:
        by_picture.setdefault(annotation["image_id"], []).append(annotation)
    scenes = {}
    for image in sorted(data["images"], key=lambda image: image["id"]):
        picture = cv2.imread(str(folder / "images" / image["file_name"]), cv2.IMREAD_COLOR)[..., ::-1]
        labels = np.zeros(picture.shape[:2], np.int16)
        things = set()
        annotations = [a for a in by_picture.get(image["id"], []) if not a["iscrowd"]]
        for number, annotation in enumerate(annotations, start=1):
            labels[runs_to_mask(annotation["segmentation"])] = number
            if annotation["isthing"]:
                things.add(number)
        scenes[image["id"]] = Scene(np.ascontiguousarray(picture), labels, frozenset(things))
    return scenes


def split(scenes):
    """The scenes to train on and those held out, by picture."""
    ordered = sorted(scenes)
    held_out = set(ordered[HELD_OUT - 1 :: HELD_OUT])
    return [scenes[i] for i in ordered if i not in held_out], [scenes[i] for i in ordered if i in held_out]
