"""Mean IoU on pictures that were not trained on, beside what a filled box and a filled ellipse score."""

import argparse
import json

import cv2
import numpy as np
import torch

from . import coco, frames, predict, prompts
from .model import Nano

MIN_AREA = 32 * 32
CLICKS = (1, 2, 3, 4, 5)


def iou(a, b):
    union = np.count_nonzero(a | b)
    return np.count_nonzero(a & b) / union if union else 1.0


def ellipse(box, size):
    """The ellipse that fills a box, as a mask."""
    x = (np.arange(size[0]) + 0.5 - (box[0] + box[2]) / 2) / ((box[2] - box[0]) / 2)
    y = (np.arange(size[1]) + 0.5 - (box[1] + box[3]) / 2) / ((box[3] - box[1]) / 2)
    return x[None, :] ** 2 + y[:, None] ** 2 <= 1


def filled(box, size):
    mask = np.zeros((size[1], size[0]), bool)
    mask[int(box[1]) : int(box[3]), int(box[0]) : int(box[2])] = True
    return mask


def targets(scenes, limit=None, seed=0):
    """(levels, truth, size, is_thing) of every object that is large enough, or of some of them."""
    found = []
    for scene in scenes:
        levels = frames.pyramid(scene.picture)
        for number in np.unique(scene.labels):
            truth = scene.labels == number
            if number > 0 and truth.sum() >= MIN_AREA:
                found.append((levels, truth, scene.size, int(number) in scene.things))
    if limit and limit < len(found):
        chosen = np.random.default_rng(seed).choice(len(found), limit, replace=False)
        found = [found[i] for i in sorted(chosen)]
    return found


def masks(model, asked):
    answers = predict.segment_many(model, asked)
    return [frames.enlarge(logits, frame, size) > 0 for (logits, frame, _), (_, _, size) in zip(answers, asked)]


def score(model, objects, clicks=CLICKS):
    """IoU per object for a box and for 1, 2, ... clicks, each next one in the middle of the largest error: {name: [n]}."""
    model.eval()
    boxes = [prompts.bounds(truth) for _, truth, _, _ in objects]
    asked = [(levels, ([], box), size) for (levels, _, size, _), box in zip(objects, boxes)]
    scores = {"box": [iou(m, o[1]) for m, o in zip(masks(model, asked), objects)]}
    so_far = [[] for _ in objects]
    answers = [np.zeros_like(truth) for _, truth, _, _ in objects]
    for count in range(1, max(clicks, default=0) + 1):
        for made, answer, (_, truth, _, _) in zip(so_far, answers, objects):
            made.extend(filter(None, [prompts.next_click(truth, answer)]))
        answers = masks(model, [(levels, (made, None), size) for (levels, _, size, _), made in zip(objects, so_far)])
        if count in clicks:
            scores[f"{count} clicks"] = [iou(m, o[1]) for m, o in zip(answers, objects)]
    return {name: np.array(values) for name, values in scores.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", help="checkpoint.pt of a run")
    parser.add_argument("--data", default="../../shared/data/coco_train", help="folder with instances.json and images/")
    parser.add_argument("--trained", action="store_true", help="score the objects that were trained on instead")
    parser.add_argument("--limit", type=int, help="so many objects at most")
    options = parser.parse_args()
    torch.set_flush_denormal(True)
    model = Nano()
    model.load_state_dict(torch.load(options.checkpoint, weights_only=True)["average"])
    trained, held_out = coco.split(coco.load(options.data))
    objects = targets(trained if options.trained else held_out, options.limit)
    scores = score(model, objects)
    boxes = [prompts.bounds(truth) for _, truth, _, _ in objects]
    scores["filled box"] = np.array([iou(filled(b, o[2]), o[1]) for b, o in zip(boxes, objects)])
    scores["filled ellipse"] = np.array([iou(ellipse(b, o[2]), o[1]) for b, o in zip(boxes, objects)])
    error = {name: values.std() / len(values) ** 0.5 for name, values in scores.items()}
    print(json.dumps({"objects": len(objects)} | {n: [round(float(v.mean()), 4), round(float(error[n]), 4)] for n, v in scores.items()}))


if __name__ == "__main__":
    cv2.setNumThreads(1)
    main()
