"""Writes the averaged weights of a run as the file that maskline carries: folded, f16, with their origin in the metadata."""

import argparse
import subprocess
from pathlib import Path

import torch
from safetensors.torch import save_file

from .model import Nano


def commit():
    """The commit that trained, marked where files differ from it."""
    run = lambda *words: subprocess.run(["git", *words], capture_output=True, text=True, check=True).stdout.strip()
    changed = run("status", "--porcelain", "--untracked-files=no", "--", ".")
    return run("rev-parse", "HEAD") + ("+changes" if changed else "")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", help="checkpoint.pt of a run")
    parser.add_argument("output", help="safetensors file")
    options = parser.parse_args()
    saved = torch.load(options.checkpoint, weights_only=True, map_location="cpu")
    model = Nano()
    model.load_state_dict(saved["average"])
    tensors = {name: tensor.half().contiguous() for name, tensor in model.folded().state_dict().items()}
    metadata = {
        "model": "nano",
        "licence": "MIT OR Apache-2.0",
        "data": "80 pictures of COCO train2017 with panoptic annotations (CC BY 4.0; the pictures under their Flickr licences), "
        "combined and changed; scenes rendered by training/nano/rendered.py",
        "pretrained": "none",
        "seed": str(saved["seed"]),
        "prompts": str(saved["prompts"]),
        "commit": commit(),
    }
    save_file(tensors, options.output, metadata)
    print(f"{options.output}: {Path(options.output).stat().st_size} bytes, {sum(t.numel() for t in tensors.values())} parameters")


if __name__ == "__main__":
    main()
