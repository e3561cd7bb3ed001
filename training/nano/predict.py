"""How prompts are answered: the reference for every other implementation.

A box is one look through a window around it. Clicks are a look through a fovea around the first positive click, then `REFINEMENTS`
looks through windows around the answer so far, which is shown to the network as a prior.
"""

import numpy as np
import torch

from . import frames, prompts
from .prompts import Look

REFINEMENTS = 2


def first_look(prompt, size):
    """The first look for a prompt (clicks, box)."""
    clicks, box = prompt
    if box is not None:
        low, high = prompts.clipped(box[:2], box[2:], size)
        return Look(frames.window(low, high), clicks, (*low, *high))
    centre = next((click for click in clicks if click[2]), clicks[0])
    return Look(frames.fovea(centre, size), clicks)


def refined_look(look, probabilities, size):
    """The look after an answer."""
    low, high = prompts.clipped(*prompts.prior_bounds(probabilities, look.frame, look.clicks), size)
    return Look(frames.window(low, high), look.clicks, None, (probabilities, look.frame))


@torch.no_grad()
def answer(model, looks, batch=64):
    """Logits [n, OUTPUT, OUTPUT] and predicted IoUs [n] for (levels, look) pairs."""
    logits, scores = [], []
    for start in range(0, len(looks), batch):
        values = np.stack([prompts.channels(levels, look) for levels, look in looks[start : start + batch]])
        found, score = model(torch.from_numpy(values))
        logits.append(found.numpy())
        scores.append(torch.sigmoid(score).numpy())
    return np.concatenate(logits), np.concatenate(scores)


def segment(model, levels, asked, size):
    """Answers prompts (clicks, box) on one picture: a list of (logits, frame, predicted IoU)."""
    return segment_many(model, [(levels, prompt, size) for prompt in asked])


def segment_many(model, asked):
    """As `segment`, for (levels, (clicks, box), size) of many pictures."""
    looks = [first_look(prompt, size) for _, prompt, size in asked]
    logits, scores = answer(model, [(levels, look) for (levels, _, _), look in zip(asked, looks)])
    for _ in range(REFINEMENTS):
        again = [i for i, look in enumerate(looks) if look.box is None]
        if not again:
            break
        for i in again:
            looks[i] = refined_look(looks[i], 1 / (1 + np.exp(-logits[i])), asked[i][2])
        logits[again], scores[again] = answer(model, [(asked[i][0], looks[i]) for i in again])
    return [(logits[i], look.frame, scores[i]) for i, look in enumerate(looks)]
