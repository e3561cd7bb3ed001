"""OWL-ViT and OWLv2 of published sizes with random weights, as ONNX files that transformers' own code gives.

`prepare(RESULTS, MODEL)` writes `MODEL-image.onnx` (picture and embeddings of phrases → logits and boxes) and
`MODEL-text.onnx` (tokens → embeddings) to RESULTS, once. Speed does not depend on the weights.
"""

import hashlib
import json
from importlib.metadata import version
from pathlib import Path

import exported  # noqa: F401 (it finds the workers' modules)
import torch
from torch import nn
from transformers import OwlViTConfig, OwlViTForObjectDetection, Owlv2Config, Owlv2ForObjectDetection

import torch_owl

OPSET = 17
CLASSES = {"owlvit": (OwlViTConfig, OwlViTForObjectDetection), "owlv2": (Owlv2Config, Owlv2ForObjectDetection)}


def shared_files(results, name):
    """Where `prepare` puts what it makes."""
    return {
        "image_encoder": results / f"{name}-image.onnx",
        "text_encoder": results / f"{name}-text.onnx",
        "stamp": results / f"{name}-prepared.json",
    }


class Image(nn.Module):
    """All that `forward` does but for the text tower."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, pixels, words):
        map, _ = self.model.image_embedder(pixel_values=pixels)
        features = map.flatten(1, 2)
        logits, _ = self.model.class_predictor(features, words[None])
        boxes = self.model.box_predictor(features, map)
        if not hasattr(self.model, "objectness_head"):
            return logits, boxes
        return logits, boxes, self.model.objectness_predictor(features)


class Text(nn.Module):
    """Tokens to embeddings of length 1."""

    def __init__(self, towers):
        super().__init__()
        self.towers = towers

    def forward(self, ids, mask):
        found = self.towers.get_text_features(input_ids=ids, attention_mask=mask).pooler_output
        return found / found.norm(dim=-1, keepdim=True)


@torch.no_grad()
def export(name, files):
    """Both ONNX files; the side of the network's picture."""
    family = name.split("-")[0]
    config, model = CLASSES[family]
    config = config(**torch_owl.configuration({"checkpoint": "none/none", "architecture": name}))
    torch.manual_seed(0)
    model = model._from_config(config, attn_implementation="sdpa").eval().requires_grad_(False)
    side, width = config.vision_config.image_size, config.text_config.hidden_size
    options = {"opset_version": OPSET, "do_constant_folding": True, "dynamo": False}
    outputs = ["logits", "pred_boxes"] + ["objectness_logits"] * hasattr(model, "objectness_head")
    axes = {"words": {0: "phrases"}, "logits": {2: "phrases"}}
    given = (torch.zeros(1, 3, side, side), torch.randn(2, width))
    names = {"input_names": ["pixel_values", "words"], "output_names": outputs, "dynamic_axes": axes}
    torch.onnx.export(Image(model), given, str(files["image_encoder"]), **names, **options)
    ids = torch.ones(2, config.text_config.max_position_embeddings, dtype=torch.int64)
    axes = {name: {0: "phrases"} for name in ("input_ids", "attention_mask", "words")}
    names = {"input_names": ["input_ids", "attention_mask"], "output_names": ["words"], "dynamic_axes": axes}
    torch.onnx.export(Text(getattr(model, family)), (ids, ids), str(files["text_encoder"]), **names, **options)
    return side


def prepare(results, name):
    """Makes the files, again when what they depend on has changed; where each of them is, and the picture's side."""
    files = shared_files(results, name)
    digest = hashlib.sha256(b"".join(Path(source).read_bytes() for source in (__file__, torch_owl.__file__))).hexdigest()
    wanted = {"made_from": digest, "torch": version("torch"), "transformers": version("transformers")}
    if all(file.exists() for file in files.values()):
        known = json.loads(files["stamp"].read_text())
        if all(known.get(key) == value for key, value in wanted.items()):
            return files, known["side"]
    files["stamp"].unlink(missing_ok=True)
    side = export(name, files)
    files["stamp"].write_text(json.dumps(wanted | {"side": side, "opset": OPSET}, indent=1))
    return files, side
