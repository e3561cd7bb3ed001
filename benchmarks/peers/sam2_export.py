"""SAM 2.1 tiny with random weights: the Hugging Face folder, and ONNX files as exporters of SAM 2 write them.

`sam2_export.py RESULTS PHOTO` writes `sam2.1-tiny-random/` (`config.json`, `model.safetensors`), `sam2-encoder.onnx` and
`sam2-decoder.onnx` to RESULTS, once. The exports have the inputs and outputs that exporters have settled on; the
decoder takes any number of prompts and points and gives one mask per prompt, chosen as the official predictor does.
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
from transformers import Sam2Config, Sam2Model

import lively_sam

SEED = 2100
SIDE = 1024
MEAN, STD = numpy.float32([0.485, 0.456, 0.406]), numpy.float32([0.229, 0.224, 0.225])
OPSET = 17
ENCODER_OUTPUTS = ["high_res_feats_0", "high_res_feats_1", "image_embed"]
DECODER_INPUTS = ["image_embed", "high_res_feats_0", "high_res_feats_1", "point_coords", "point_labels"]
DECODER_INPUTS += ["mask_input", "has_mask_input"]


def shared_files(results):
    """Where `prepare` puts what it makes."""
    return {
        "model": results / "sam2.1-tiny-random",
        "encoder": results / "sam2-encoder.onnx",
        "decoder": results / "sam2-decoder.onnx",
        "stamp": results / "sam2-prepared.json",
    }


def pixels(photo):
    """The picture squashed to the model's square and normalised, float32 [1, 3, side, side]."""
    image = Image.open(photo).convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    values = (numpy.asarray(image, dtype=numpy.float32) / 255 - MEAN) / STD
    return torch.from_numpy(values.transpose(2, 0, 1)[None].astype(numpy.float32))


def lively(photo):
    """The model in float32 and eval mode, its mask head balanced on the photo and on noise."""
    generator = torch.Generator().manual_seed(SEED)
    model = Sam2Model._from_config(Sam2Config(), attn_implementation="sdpa").eval()
    lively_sam.draw(model, generator)
    decoder = model.mask_decoder
    upscaling = [decoder.upscale_conv1, decoder.upscale_conv2]
    lively_sam.calm([decoder.conv_s0, decoder.conv_s1], upscaling)
    images = [pixels(photo), lively_sam.smooth_images((1, SIDE, SIDE), generator)]
    corners = torch.rand(2, 8, 2, 2, generator=generator).sort(2).values * SIDE

    def run():
        for image, boxes in zip(images, corners, strict=True):
            model(pixel_values=image, input_boxes=boxes.flatten(1)[None])

    lively_sam.balance(decoder, run)
    return model


class Encoder(nn.Module):
    """Picture to what the decoder needs of it."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, image):
        features = self.model.vision_encoder(image, return_dict=True).fpn_hidden_states
        fine = self.model.mask_decoder.conv_s0(features[0])
        middle = self.model.mask_decoder.conv_s1(features[1])
        return fine, middle, features[2] + self.model.no_memory_embedding.view(1, -1, 1, 1)


class Decoder(nn.Module):
    """Prompts to mask logits: the batch axis is that of the prompts, all on one picture."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, embed, fine, middle, coords, labels, mask, has_mask):
        prompts = self.model.prompt_encoder
        sparse = prompts._embed_points(coords[:, None], labels[:, None].long(), pad=True)
        no_mask = prompts.no_mask_embed.weight.view(1, -1, 1, 1)
        dense = has_mask * prompts.mask_embed(mask) + (1 - has_mask) * no_mask
        count = coords.shape[0]
        masks, scores, _, _ = self.model.mask_decoder(
            image_embeddings=embed.expand(count, -1, -1, -1),
            image_positional_embeddings=self.model.get_image_wide_positional_embeddings().expand(count, -1, -1, -1),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=False,
            high_resolution_features=[fine, middle],
        )
        return masks[:, 0].clamp(-32, 32), scores[:, 0]


@torch.no_grad()
def export(model, files, image):
    """Both ONNX files."""
    encoder, decoder = Encoder(model), Decoder(model)
    options = {"opset_version": OPSET, "do_constant_folding": True, "dynamo": False}
    names = {"input_names": ["image"], "output_names": ENCODER_OUTPUTS}
    torch.onnx.export(encoder, (image,), str(files["encoder"]), **names, **options)
    fine, middle, embed = encoder(image)
    coords, labels = torch.rand(2, 3, 2) * SIDE, torch.tensor([[1.0, 0.0, -1.0], [2.0, 3.0, 1.0]])
    given = (embed, fine, middle, coords, labels, torch.zeros(1, 1, 256, 256), torch.zeros(1))
    axes = {"point_coords": {0: "num_labels", 1: "num_points"}, "point_labels": {0: "num_labels", 1: "num_points"}}
    axes |= {"mask_input": {0: "num_masks"}, "has_mask_input": {0: "num_flags"}}
    axes |= {"masks": {0: "num_labels"}, "iou_predictions": {0: "num_labels"}}
    names = {"input_names": DECODER_INPUTS, "output_names": ["masks", "iou_predictions"], "dynamic_axes": axes}
    torch.onnx.export(decoder, given, str(files["decoder"]), **names, **options)


def prepare(results, photo):
    """Makes the files, again when what they depend on has changed; where each of them is."""
    files = shared_files(results)
    sources = (photo, __file__, lively_sam.__file__)
    digest = hashlib.sha256(b"".join(Path(source).read_bytes() for source in sources)).hexdigest()
    wanted = {"made_from": digest, "torch": version("torch"), "transformers": version("transformers")}
    if all(file.exists() for file in files.values()):
        known = json.loads(files["stamp"].read_text())
        if all(known.get(key) == value for key, value in wanted.items()):
            return files
    files["stamp"].unlink(missing_ok=True)
    model = lively(photo)
    model.save_pretrained(files["model"])
    export(model, files, pixels(photo))
    weights = hashlib.sha256((files["model"] / "model.safetensors").read_bytes()).hexdigest()
    known = wanted | {"weights_sha256": weights, "opset": OPSET}
    files["stamp"].write_text(json.dumps(known, indent=1))
    return files


if __name__ == "__main__":
    folder, picture = sys.argv[1:]
    prepare(Path(folder), picture)
