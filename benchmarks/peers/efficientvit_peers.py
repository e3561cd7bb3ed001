"""EfficientViT-SAM L0 in PyTorch as its official predictor runs it, on random weights in the published key names.

`efficientvit_peers.py RESULTS PHOTO` writes `efficientvit-sam-l0-random.pt` to RESULTS, once.
"""

import hashlib
import json
import sys
from importlib.metadata import version
from pathlib import Path

import numpy
import torch
from PIL import Image
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import efficientvit_model
import lively_sam
from efficientvit_model import EfficientViTSam
from sam_worker import Predictor

SEED = 512
SIDE = 512  # of the encoder's input
PROMPTS = EfficientViTSam.PROMPT_SIDE
MEAN, STD = numpy.float32([123.675, 116.28, 103.53]) / 255, numpy.float32([58.395, 57.12, 57.375]) / 255


def fitted(size, side):
    """Height and width whose longer one is `side`."""
    scale = side / max(size)
    return tuple(int(length * scale + 0.5) for length in size)


class PyTorch(Predictor):
    """Resize of the longer side, zeros at the bottom; masks go by way of the padded square."""

    def __init__(self, models, threads):
        torch.set_num_threads(threads)
        (path,) = models
        self.model = EfficientViTSam().eval()
        self.model.load_state_dict(torch.load(path, weights_only=True))

    def preprocess(self, image):
        return preprocessed(image)

    @torch.inference_mode()
    def encode(self, pixels):
        return self.model.image_encoder(pixels)

    @torch.inference_mode()
    def decode(self, embedding, size, boxes=None, points=None):
        height, width = fitted(size, PROMPTS)
        scale = torch.tensor([width / size[1], height / size[0]])
        if boxes is not None:
            masks, scores = self.model.decode(embedding, boxes=torch.from_numpy(boxes) * scale.repeat(2))
        else:
            clicks = torch.from_numpy(points) * scale, torch.ones(points.shape[:-1])
            masks, scores = self.model.decode(embedding, points=clicks)
        return masks, scores[:, 0]

    @torch.inference_mode()
    def upscale(self, logits, size):
        height, width = fitted(size, PROMPTS)
        masks = nn.functional.interpolate(logits, (PROMPTS, PROMPTS), mode="bilinear", align_corners=False)
        masks = masks[..., :height, :width]
        masks = nn.functional.interpolate(masks, tuple(size), mode="bilinear", align_corners=False)
        return (masks[:, 0] > 0).numpy()

    def threads(self):
        return torch.get_num_threads()


def preprocessed(image):
    """RGB uint8 [H, W, 3] → float32 [1, 3, 512, 512]; the padding is 0 behind the normalisation."""
    height, width = fitted(image.shape[:2], SIDE)
    small = Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR)
    values = (numpy.asarray(small, dtype=numpy.float32) / numpy.float32(255) - MEAN) / STD
    pixels = numpy.zeros((1, 3, SIDE, SIDE), numpy.float32)
    pixels[0, :, :height, :width] = values.transpose(2, 0, 1)
    return torch.from_numpy(pixels)


@torch.no_grad()
def lively(photo):
    """The model in eval mode with random weights, its norms and heads measured on the photo and on noise."""
    generator = torch.Generator().manual_seed(SEED)
    model = EfficientViTSam().eval()
    lively_sam.draw(model, generator)
    image = preprocessed(numpy.asarray(Image.open(photo).convert("RGB")))
    images = torch.cat([image, lively_sam.smooth_images((1, SIDE, SIDE), generator)])
    lively_sam.measure(model.image_encoder, lambda: model.image_encoder(images))
    upscaling = [model.mask_decoder.output_upscaling[index] for index in (0, 3)]
    lively_sam.calm([], upscaling)
    embeddings = model.image_encoder(images)
    corners = torch.rand(2, 8, 2, 2, generator=generator).sort(2).values * PROMPTS

    def run():
        for embedding, boxes in zip(embeddings, corners, strict=True):
            model.decode(embedding[None], boxes=boxes.flatten(1))

    lively_sam.balance(model.mask_decoder, run)
    return model


def encoder_flops():
    """Floating point operations of matrix products and convolutions in the encoder, two per multiply-add."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        EfficientViTSam().eval().to("meta").image_encoder(torch.empty(1, 3, SIDE, SIDE, device="meta"))
    return counter.get_total_flops()


def prepare(results, photo):
    """Makes the checkpoint, again when what it depends on has changed."""
    checkpoint, stamp = results / "efficientvit-sam-l0-random.pt", results / "efficientvit-prepared.json"
    sources = (photo, __file__, lively_sam.__file__, efficientvit_model.__file__)
    digest = hashlib.sha256(b"".join(Path(source).read_bytes() for source in sources)).hexdigest()
    wanted = {"made_from": digest, "torch": version("torch")}
    if checkpoint.exists() and stamp.exists() and wanted.items() <= json.loads(stamp.read_text()).items():
        return
    stamp.unlink(missing_ok=True)
    torch.save(lively(photo).state_dict(), checkpoint)
    weights = hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    stamp.write_text(json.dumps(wanted | {"weights_sha256": weights, "encoder_gflop": encoder_flops() / 1e9}, indent=1))


if __name__ == "__main__":
    folder, picture = sys.argv[1:]
    prepare(Path(folder), picture)
