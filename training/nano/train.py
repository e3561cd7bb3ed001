"""Trains nano from scratch. `python -m nano.train --help`"""

import argparse
import csv
import os
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch.nn import functional as F
from torch.utils.data import DataLoader

from . import coco, evaluate, frames, prompts
from .model import Nano
from .optimiser import optimisers
from .predict import first_look, refined_look
from .prompts import Look
from .scenes import Scenes, objects_of

BATCH = 40
# Of each batch at most so many looks follow earlier ones.
FOLLOWING = 13
OBJECTS_PER_SCENE = 8
MAX_CLICKS = 6
PEAK_RATE = 2.5e-3
WARM_UP = 300
# The rate falls linearly to nothing over the last part of a run.
DECAY = 0.4
AVERAGE = 0.998
SAVE_EVERY = 250
JUDGE_EVERY = 500


@dataclass
class Task:
    """An object of a scene."""

    levels: list
    truth: np.ndarray
    size: tuple


def jittered(rng, box, size):
    """A box as people draw it: often exact, else a few percent off on each side."""
    if rng.random() < 0.6:
        return box
    sides = np.array([box[2] - box[0], box[3] - box[1]] * 2)
    low, high = np.array(box[:2]), np.array(box[2:])
    noise = rng.normal(0, 0.05, 4) * sides
    low, high = np.clip(low + noise[:2], 0, None), np.clip(high + noise[2:], None, size)
    return tuple(map(float, (*low, *high))) if (high - low > 4).all() else box


def first_click(rng, truth):
    """Mostly the middle of the object (found on every other pixel, which is four times as fast), else anywhere on it."""
    if rng.random() < 0.75 and truth[::2, ::2].any():
        x, y, _ = prompts.next_click(truth[::2, ::2], np.zeros_like(truth[::2, ::2]))
        return 2 * x - 0.5, 2 * y - 0.5, True
    rows, columns = np.nonzero(truth)
    i = rng.integers(len(rows))
    return columns[i] + 0.5, rows[i] + 0.5, True


class Annotator:
    """Asks the network about objects, and asks on where its answers were wrong."""

    def __init__(self, scenes, rng):
        self.scenes, self.rng = iter(scenes), rng
        self.used = 0
        self.fresh, self.following = deque(), deque()

    def refill(self):
        scene = next(self.scenes)
        self.used += 1
        numbers = objects_of(scene)
        if not numbers:
            return
        levels = frames.pyramid(scene.picture)
        for number in self.rng.permutation(numbers)[:OBJECTS_PER_SCENE]:
            task = Task(levels, scene.labels == number, scene.size)
            box = jittered(self.rng, prompts.bounds(task.truth), task.size)
            self.fresh.append((task, first_look(([], box), task.size)))
            if self.rng.random() < 0.55:
                self.fresh.append((task, first_look(([first_click(self.rng, task.truth)], None), task.size)))

    def batch(self):
        """Looks, and the arrays that the network takes for them."""
        chosen = [self.following.popleft() for _ in range(min(FOLLOWING, len(self.following)))]
        while len(chosen) < BATCH:
            while not self.fresh:
                self.refill()
            chosen.append(self.fresh.popleft())
        values = np.stack([prompts.channels(task.levels, look) for task, look in chosen])
        return chosen, (values, *targets(chosen))

    def follow(self, chosen, logits):
        """Queues what is asked after these answers."""
        for (task, look), values in zip(chosen, logits):
            if len(self.following) > 4 * FOLLOWING:
                return
            is_box = look.box is not None
            if look.frame.is_fovea:
                self.following.append((task, self.refined(task, look, values)))
            elif self.rng.random() < (0.12 if is_box else 0.5):
                if self.rng.random() < 0.3 and not is_box:
                    self.following.append((task, self.refined(task, look, values)))
                else:
                    self.correct(task, look, values)

    def refined(self, task, look, values):
        again = refined_look(look, 1 / (1 + np.exp(-values)), task.size)
        if self.rng.random() < 0.5:
            # Windows are not always centred on the object.
            axes = [frames.Axis(a.origin + self.rng.normal(0, 0.05) * a.extent, a.extent * np.exp(self.rng.normal(0.05, 0.12)), False)
                    for a in (again.frame.x, again.frame.y)]
            again.frame = frames.Frame(*axes)
        return again

    def correct(self, task, look, values):
        """One click more, where the answer was wrong."""
        answer = frames.enlarge(values, look.frame, task.size) > 0
        click = prompts.next_click(task.truth, answer)
        if click is None or len(look.clicks) >= MAX_CLICKS:
            return
        clicks = [*look.clicks, click]
        if look.box is not None:
            again = Look(look.frame, clicks, look.box)
        elif self.rng.random() < 0.4:
            again = first_look((clicks, None), task.size)
        else:
            again = self.refined(task, Look(look.frame, clicks), values)
        self.following.append((task, again))


def targets(chosen):
    """Share of the object in each output cell and the cell's pixels in the picture, both [B, OUTPUT, OUTPUT]."""
    truth = np.stack([frames.share(task.truth, look.frame) for task, look in chosen])
    areas = np.stack([look.frame.cell_areas(task.size) for task, look in chosen])
    inside = np.maximum(areas, 1e-9)
    # `share` counts what lies outside the picture as empty.
    whole = np.stack([np.outer(np.diff(look.frame.y.edges(frames.OUTPUT)), np.diff(look.frame.x.edges(frames.OUTPUT))) for _, look in chosen])
    return np.clip(truth * whole / inside, 0, 1) * (areas > 0), areas / areas.mean((1, 2), keepdims=True)


def losses(logits, scores, truth, areas):
    """Cross-entropy, the Jaccard metric loss for soft labels (Wang et al. 2023), and the error of the predicted IoU."""
    weights = areas.sqrt()
    entropy = (F.binary_cross_entropy_with_logits(logits, truth, reduction="none") * weights).sum((1, 2)) / weights.sum((1, 2))
    p = torch.sigmoid(logits)
    total, apart = (areas * (p + truth)).sum((1, 2)), (areas * (p - truth).abs()).sum((1, 2))
    jaccard = 1 - (total - apart + 1e-3) / (total + apart + 1e-3)
    with torch.no_grad():
        hard, right = (logits > 0).float(), truth
        both = (areas * hard * right).sum((1, 2))
        iou = both / ((areas * (hard + right)).sum((1, 2)) - both + 1e-6)
    score = F.binary_cross_entropy_with_logits(scores, iou.clamp(0, 1), reduction="none")
    return entropy.mean() + jaccard.mean() + 0.1 * score.mean(), iou


def rate_at(done, total):
    """The learning rate after `done` of `total` prompts."""
    return PEAK_RATE * min(1.0, (done + BATCH) / (WARM_UP * BATCH), max(0.0, (total - done) / (DECAY * total)))


@torch.no_grad()
def average(into, model):
    for kept, new in zip(into.state_dict().values(), model.state_dict().values()):
        if kept.dtype.is_floating_point:
            kept.lerp_(new, 1 - AVERAGE)
        else:
            kept.copy_(new)


class Run:
    """All that is needed to go on where a run was interrupted."""

    def __init__(self, folder, seed, device):
        self.folder, self.seed, self.device = Path(folder), seed, device
        torch.manual_seed(seed)
        self.model = Nano().to(device, memory_format=torch.channels_last)
        self.average = Nano().to(device, memory_format=torch.channels_last)
        self.average.load_state_dict(self.model.state_dict())
        self.optimisers = optimisers(self.model, PEAK_RATE)
        self.prompts = self.scenes = 0
        self.seconds = 0.0
        if self.path.exists():
            self.resume()

    @property
    def path(self):
        return self.folder / "checkpoint.pt"

    def resume(self):
        saved = torch.load(self.path, weights_only=True, map_location=self.device)
        assert saved["seed"] == self.seed, f"{self.path} was begun with seed {saved['seed']}, not {self.seed}"
        self.model.load_state_dict(saved["model"])
        self.average.load_state_dict(saved["average"])
        for optimiser, state in zip(self.optimisers, saved["optimisers"]):
            optimiser.load_state_dict(state)
        self.prompts, self.scenes, self.seconds = saved["prompts"], saved["scenes"], saved["seconds"]
        print(f"going on after {self.prompts} prompts")

    def save(self):
        state = {"model": self.model.state_dict(), "average": self.average.state_dict(), "seed": self.seed,
                 "optimisers": [o.state_dict() for o in self.optimisers],
                 "prompts": self.prompts, "scenes": self.scenes, "seconds": self.seconds}
        aside = self.path.with_suffix(".part")
        torch.save(state, aside)
        os.replace(aside, self.path)

    def step(self, arrays, total):
        inputs, truth, areas = (torch.from_numpy(a.astype(np.float32)).to(self.device) for a in arrays)
        inputs = inputs.to(memory_format=torch.channels_last)
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = rate_at(self.prompts, total)
        self.model.train()
        logits, scores = self.model(inputs)
        loss, iou = losses(logits, scores, truth, areas)
        for optimiser in self.optimisers:
            optimiser.zero_grad()
        loss.backward()
        for optimiser in self.optimisers:
            optimiser.step()
        average(self.average, self.model)
        self.prompts += len(inputs)
        return loss.item(), iou.cpu().numpy(), logits.detach().cpu().numpy()


def train(options):
    folder = Path(options.output)
    folder.mkdir(parents=True, exist_ok=True)
    run = Run(folder, options.seed, options.device)
    trained, held_out = coco.split(coco.load(options.data))
    objects = evaluate.targets(held_out, limit=120)
    loader = DataLoader(Scenes(trained, options.seed, run.scenes), batch_size=None, num_workers=options.workers, prefetch_factor=4)
    rng = np.random.default_rng([options.seed, run.prompts, 1])
    annotator = Annotator(loader, rng)
    before, start, steps, recent = run.scenes, time.time() - run.seconds, 0, deque(maxlen=200)
    curve = (folder / "curve.csv").open("a", newline="")
    rows = csv.writer(curve)
    if curve.tell() == 0:
        rows.writerow(["prompts", "seconds", "loss", "trained box IoU", "held-out box IoU", "held-out 1-click IoU", "held-out 3-click IoU"])
    beside = ThreadPoolExecutor(1)
    chosen, arrays = annotator.batch()
    while run.prompts < options.prompts:
        # The next batch is made beside the step; what follows these answers comes in the one after it.
        upcoming = beside.submit(annotator.batch)
        loss, iou, logits = run.step(arrays, options.prompts)
        answered, (chosen, arrays) = chosen, upcoming.result()
        annotator.follow(answered, logits)
        boxes = [value for value, (_, look) in zip(iou, answered) if look.box is not None and not look.clicks]
        recent.append((loss, np.mean(boxes or [np.nan])))
        steps += 1
        run.scenes, run.seconds = before + annotator.used, time.time() - start
        is_last = run.prompts >= options.prompts
        if steps % SAVE_EVERY == 0 or is_last:
            run.save()
        if steps % 50 == 0:
            print(f"{run.prompts} prompts, {run.seconds:.0f} s, loss {recent[-1][0]:.3f}", flush=True)
        if steps % JUDGE_EVERY == 0 or is_last:
            found = evaluate.score(run.average, objects, clicks=(1, 3))
            mean = np.nanmean(recent, axis=0)
            row = [run.prompts, f"{run.seconds:.0f}", *(f"{v:.4f}" for v in (*mean, *(v.mean() for v in found.values())))]
            rows.writerow(row)
            curve.flush()
            print(*row, flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="../../shared/data/coco_train", help="folder with instances.json and images/")
    parser.add_argument("--output", default="runs/nano", help="folder of the run: checkpoint.pt, curve.csv; a run that was interrupted goes on")
    parser.add_argument("--prompts", type=int, default=400_000, help="length of the run")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1, help="processes that make scenes")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()
    torch.set_flush_denormal(True)
    cv2.setNumThreads(1)
    train(options)


if __name__ == "__main__":
    main()
