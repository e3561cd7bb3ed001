"""Checkpoints for PyTorch: safetensors or PyTorch files, float32, and nothing of them left out unseen."""

from pathlib import Path

import torch
from safetensors.torch import load_file

# Under which PyTorch files keep their tensors, where those are not at the top.
NESTED = ("model", "state_dict")
COUNTERS = "num_batches_tracked"


def file_of(path):
    """The file of a checkpoint that may be a directory."""
    path = Path(path)
    return path / "model.safetensors" if path.is_dir() else path


def read(task):
    """The tensors of the task's checkpoint by name, float32."""
    path = file_of(task["checkpoint"])
    with path.open("rb") as file:
        is_archive = file.read(2) == b"PK"
    if is_archive:
        state = torch.load(path, map_location="cpu", weights_only=True)
        state = next((state[key] for key in NESTED if isinstance(state.get(key), dict)), state)
    else:
        state = load_file(path)
    return {name: value.float() if value.is_floating_point() else value for name, value in state.items()}


def fill(model, state, known=()):
    """Gives the model all tensors of `state`; those whose names hold one of `known` are not looked for, nor missed."""
    missing, unexpected = model.load_state_dict(state, strict=False)
    known = (*known, COUNTERS)
    left = [name for name in (*missing, *unexpected) if not any(part in name for part in known)]
    if left:
        raise ValueError(f"the checkpoint does not fit: {len(missing)} tensors missing, {len(unexpected)} too many, such as {left[:3]}")
    return model.eval()
