"""Seeded weights, safetensors files and case folders, in the layout that `maskline verify` reads."""

import json
import struct
import zlib
from pathlib import Path

import numpy as np

DTYPES = {"float16": "F16", "float32": "F32", "uint8": "U8", "int64": "I64"}


def as_stored(array):
    """What a float16 file gives back, in float64."""
    return np.asarray(array, np.float16).astype(np.float64)


class Weights:
    """A checkpoint that grows while a forward pass asks for tensors: each is drawn from a seed of its own name.

    So the reference says every name and shape once, where it uses the tensor. Values are exact in float16.
    """

    def __init__(self, seed):
        self.seed = seed
        self.tensors = {}

    def rng(self, name):
        return np.random.default_rng([self.seed, zlib.crc32(name.encode())])

    def put(self, name, value):
        if name not in self.tensors:
            self.tensors[name] = as_stored(value)
        return self.tensors[name]

    def linear(self, name, shape, gain=1.0):
        """A weight whose first axis is the output: normal, scaled by the number of its inputs."""
        if name in self.tensors:
            return self.tensors[name]
        spread = gain / np.sqrt(np.prod(shape[1:]))
        return self.put(name, self.rng(name).normal(0, spread, shape))

    def normal(self, name, shape, spread, mean=0.0):
        if name in self.tensors:
            return self.tensors[name]
        return self.put(name, self.rng(name).normal(mean, spread, shape))

    def bias(self, name, size):
        return self.normal(name, (size,), 0.15)

    def scale(self, name, size):
        return self.normal(name, (size,), 0.2, 1.0)


def smooth_picture(rng, shape):
    """Noise with structure at several scales, [B, 3, H, W] in 0..1."""
    batch, channels, height, width = shape
    total = np.zeros(shape)
    for cell in (32, 16, 8, 4):
        rows, columns = -(-height // cell), -(-width // cell)
        coarse = rng.random((batch, channels, rows, columns))
        total += np.kron(coarse, np.ones((1, 1, cell, cell)))[:, :, :height, :width]
    total += 0.5 * rng.random(shape)
    return (total - total.min()) / (total.max() - total.min())


def write_safetensors(path, tensors):
    header, chunks, offset = {"__metadata__": {"format": "pt"}}, [], 0
    # Wide types first, so that every tensor is aligned.
    for name in sorted(tensors, key=lambda name: (-tensors[name].dtype.itemsize, name)):
        array = np.asarray(tensors[name], order="C")
        data = array.tobytes()
        header[name] = {"dtype": DTYPES[array.dtype.name], "shape": list(array.shape), "data_offsets": [offset, offset + len(data)]}
        chunks.append(data)
        offset += len(data)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(chunks))


def write_case(folder, facts, weights, inputs, outputs, config=None):
    """A whole case: `facts` is case.json, `config` the config.json beside the weights where the layout has one."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    listed = ["model.safetensors"] if config is None else ["config.json", "model.safetensors"]
    about = {"made_by": "testing/golden/make.py: random weights, a plain float64 reference", "checkpoint": listed}
    (folder / "case.json").write_text(json.dumps(facts | about, indent=1) + "\n")
    if config is not None:
        (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    write_safetensors(folder / "model.safetensors", {name: value.astype(np.float16) for name, value in weights.tensors.items()})
    write_safetensors(folder / "inputs.safetensors", inputs)
    write_safetensors(folder / "outputs.safetensors", {name: np.asarray(value, np.float32) for name, value in outputs.items()})
    size = sum(file.stat().st_size for file in folder.iterdir())
    print(f"{folder}: {size // 1024} KB, {len(outputs)} tensors")
