"""Writes the golden case that holds maskline's nano to this one: `maskline verify FOLDER` compares."""

import argparse
import json
import os
from pathlib import Path

import cv2
import numpy as np
import torch
from safetensors.numpy import save_file

from . import frames, predict, prompts
from .model import Nano
from .rendered import render

SIZE = (330, 250)
SEED = 7


def cases(scene):
    """Prompts by name: (clicks, box). They meet every plane of the input, borders of the picture and all kinds of frames."""
    numbers = sorted(np.unique(scene.labels)[1:], key=lambda n: -(scene.labels == n).sum())
    first, second = (scene.labels == n for n in numbers[:2])
    box = prompts.bounds(first)
    inside = prompts.next_click(first, np.zeros_like(first))
    other = prompts.next_click(second, np.zeros_like(second))
    corner = (1.0, 2.0, True)
    return {
        "box": ([], box),
        "small_box": ([], (100.3, 80.7, 111.9, 96.2)),
        "wide_box": ([], (-30.0, 100.0, 400.0, 131.5)),
        "click": ([inside], None),
        "corner_click": ([corner], None),
        "clicks": ([inside, (*other[:2], False), (inside[0] + 7.25, inside[1] - 3.5, True)], None),
        "negative_click": ([(*inside[:2], False)], None),
        "box_and_click": ([(*inside[:2], False)], box),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", help="exported safetensors file")
    parser.add_argument("output", help="folder of the case")
    options = parser.parse_args()
    folder = Path(options.output)
    folder.mkdir(parents=True, exist_ok=True)
    model = Nano.shipped(options.weights)
    scene = render(np.random.default_rng(SEED), SIZE)
    cv2.imwrite(str(folder / "picture.png"), scene.picture[..., ::-1])
    levels = frames.pyramid(scene.picture)
    asked = cases(scene)
    outputs = {}
    for name, prompt in asked.items():
        [(logits, frame, score)] = predict.segment(model, levels, [prompt], scene.size)
        outputs[f"{name}.logits"] = logits
        outputs[f"{name}.score"] = np.array([score], np.float32)
        outputs[f"{name}.part"] = np.array([frame.x.edges(1)[0], frame.y.edges(1)[0], frame.x.edges(1)[1], frame.y.edges(1)[1]], np.float32)
        if name in ("wide_box", "clicks"):
            look = predict.first_look(prompt, scene.size)
            outputs[f"{name}.first_planes"] = prompts.channels(levels, look)
        if name == "clicks":
            first, _ = predict.answer(model, [(levels, look)])
            again = predict.refined_look(look, 1 / (1 + np.exp(-first[0])), scene.size)
            outputs[f"{name}.refined_planes"] = prompts.channels(levels, again)
    save_file({name: np.ascontiguousarray(value, np.float32) for name, value in outputs.items()}, folder / "outputs.safetensors")
    case = {
        "family": "nano",
        "made_by": "training/nano/golden.py",
        "external_checkpoint": {"path": os.path.relpath(options.weights, folder)},
        "prompts": {name: {"clicks": [[x, y, int(p)] for x, y, p in clicks], "box": box} for name, (clicks, box) in asked.items()},
    }
    (folder / "case.json").write_text(json.dumps(case, indent=1, default=float) + "\n")


if __name__ == "__main__":
    torch.set_flush_denormal(True)
    main()
