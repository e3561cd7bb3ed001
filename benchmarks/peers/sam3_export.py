"""SAM 3 with random weights, as ONNX files that transformers' own code gives.

`prepare(RESULTS, SIDE, LAYERS)` writes three graphs to RESULTS, once: the picture's encoder, the text encoder, and all that answers a
phrase. Speed does not depend on the weights, as long as they are numbers of a usual size.
"""

import hashlib
import json
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import exported  # noqa: F401 (it finds the workers' modules)
import torch
from torch import nn
from transformers import Sam3Model
from transformers.initialization import no_init_weights

import torch_sam3

OPSET = 17
SPREAD = 0.02  # of all weights but those of norms
MAPS = ["fine", "middle", "coarse", "positions"]
ANSWERS = ["scores", "boxes", "masks"]


def shared_files(results, name):
    """Where `prepare` puts what it makes."""
    files = {part: results / f"{name}-{part}.onnx" for part in ("image_encoder", "text_encoder", "concept_decoder")}
    return files | {"stamp": results / f"{name}-prepared.json"}


class Image(nn.Module):
    def __init__(self, model):
        super().__init__()
        self.encoder = model.vision_encoder

    def forward(self, pixels):
        """What the phrases look at: three maps, and the positions of the coarsest."""
        found = self.encoder(pixels)
        return *found.fpn_hidden_states[:3], found.fpn_position_encoding[2]


class Text(nn.Module):
    def __init__(self, model):
        super().__init__()
        self.encoder, self.projection = model.text_encoder, model.text_projection

    def forward(self, ids, mask):
        return self.projection(self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state)


class Concept(nn.Module):
    """One phrase and no example, but for the token that the official model has there."""

    def __init__(self, model):
        super().__init__()
        # Only what is called counts: the two encoders are no part of this graph.
        self.model = model

    def forward(self, fine, middle, coarse, positions, words, mask):
        maps = (fine, middle, coarse, coarse)
        places = (positions, positions, positions, positions)
        vision = SimpleNamespace(fpn_hidden_states=maps, fpn_position_encoding=places, hidden_states=None, attentions=None)
        answer = self.model(
            vision_embeds=vision,
            text_embeds=SimpleNamespace(pooler_output=words),
            attention_mask=mask,
            input_boxes=torch.full((1, 1, 4), 0.5),
            input_boxes_labels=torch.full((1, 1), torch_sam3.PADDING),
        )
        return answer.pred_logits.sigmoid() * answer.presence_logits.sigmoid(), answer.pred_boxes, answer.pred_masks


@torch.no_grad()
def random_model(side, layers):
    """The published model, but for the side of its picture and, where `layers` is not 0, only so many in each stack."""
    config = torch_sam3.configuration(Path("none"), side)
    if layers:
        config.vision_config.backbone_config.num_hidden_layers = layers
        config.vision_config.backbone_config.global_attn_indexes = [layers - 1]
        for part in (config.detr_encoder_config, config.detr_decoder_config, config.geometry_encoder_config):
            part.num_layers = min(part.num_layers, layers)
        config.text_config.num_hidden_layers = layers
    with no_init_weights():
        model = Sam3Model._from_config(config, attn_implementation="sdpa").eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(0)
    for name, parameter in model.named_parameters():
        if "norm" in name and name.endswith("weight"):
            parameter.fill_(1.0)
        else:
            parameter.normal_(0, SPREAD, generator=generator)
    return model


@torch.no_grad()
def export(side, layers, files):
    """The three ONNX files."""
    model = random_model(side, layers)
    options = {"opset_version": OPSET, "do_constant_folding": True, "dynamo": False}

    def written(part, module, given, inputs, outputs, axes=None):
        names = {"input_names": inputs, "output_names": outputs, "dynamic_axes": axes}
        torch.onnx.export(module, given, str(files[part]), **names, **options)

    pixels = torch.zeros(1, 3, side, side)
    written("image_encoder", Image(model), (pixels,), ["pixel_values"], MAPS)
    ids = torch.ones(2, model.config.text_config.max_position_embeddings, dtype=torch.int64)
    axes = {name: {0: "phrases"} for name in ("input_ids", "attention_mask", "words")}
    written("text_encoder", Text(model), (ids, ids), ["input_ids", "attention_mask"], ["words"], axes)
    given = (*Image(model)(pixels), Text(model)(ids[:1], ids[:1]), ids[:1])
    model.vision_encoder = model.text_encoder = None
    written("concept_decoder", Concept(model), given, [*MAPS, "words", "attention_mask"], ANSWERS)


def prepare(results, side, layers):
    """Makes the files, again when what they depend on has changed; where each of them is."""
    name = f"sam3-{side}" + (f"-{layers}-layers" if layers else "")
    files = shared_files(results, name)
    digest = hashlib.sha256(b"".join(Path(source).read_bytes() for source in (__file__, torch_sam3.__file__))).hexdigest()
    wanted = {"made_from": digest, "torch": version("torch"), "transformers": version("transformers"), "opset": OPSET}
    if all(file.exists() for file in files.values()) and json.loads(files["stamp"].read_text()) == wanted:
        return files
    files["stamp"].unlink(missing_ok=True)
    export(side, layers, files)
    files["stamp"].write_text(json.dumps(wanted, indent=1))
    return files
