"""Random weights for SAM 3 models that are alive: scores, presence, boxes and masks that follow picture and prompt.

As for the other families: fan-in scaled normals, biases and norm parameters that do something, and last layers that are
shifted and scaled until logits have both signs.
"""

import math

import torch
from torch import nn
from transformers import (
    Sam3Config,
    Sam3LiteTextConfig,
    Sam3LiteTextModel,
    Sam3Model,
    Sam3TrackerConfig,
    Sam3TrackerModel,
)

import lively_sam

CLASSES = {
    "sam3_image": (Sam3Config, Sam3Model),
    "sam3_lite_text": (Sam3LiteTextConfig, Sam3LiteTextModel),
    "sam3_tracker": (Sam3TrackerConfig, Sam3TrackerModel),
}
SCORE_STD, SCORE_MEAN = 1.5, -0.5  # spread of the scores of a prompt's queries, and the centre of all
SCORE_LIMIT = 3.5  # greatest spread of all scores: models clamp them at 12, and equal numbers show nothing
PRESENCE_STD, PRESENCE_MEAN = 1.2, 0.3  # of prompts


def constructed(family, config, attention="sdpa"):
    """A model of a family in eval mode; `config` is the content of its config.json."""
    configuration, model = CLASSES[family]
    return model._from_config(configuration(**config), attn_implementation=attention).eval()


@torch.no_grad()
def draw(model, generator):
    """Random weights for every parameter of a concept model (words to masks)."""

    def normal(tensor, std, mean=0.0):
        tensor.copy_(torch.randn(tensor.shape, generator=generator) * std + mean)

    for module in model.modules():
        if isinstance(module, nn.ConvTranspose2d):
            normal(module.weight, 1 / math.sqrt(module.weight.shape[0]))
        elif isinstance(module, (nn.Linear, nn.Conv2d)):
            normal(module.weight, 1 / math.sqrt(module.weight[0].numel()))
        elif isinstance(module, (nn.LayerNorm, nn.GroupNorm, nn.BatchNorm2d)):
            normal(module.weight, 0.25, 1.0)
            normal(module.bias, 0.2)
        elif isinstance(module, nn.Embedding):
            normal(module.weight, 1.0)
        if isinstance(module, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)) and module.bias is not None:
            normal(module.bias, 0.15)
    for name, parameter in model.named_parameters():
        kind = name.rsplit(".", 1)[-1]
        if kind in ("position_embeddings", "position_embedding"):
            normal(parameter, 0.5)
        elif kind == "layer_scale":
            normal(parameter, 0.2, 0.6)


@torch.no_grad()
def draw_tracker(model, generator):
    """Random weights for every parameter of a click model, which is SAM 2's head on SAM 3's picture encoder."""
    lively_sam.draw(model, generator)
    positions = model.vision_encoder.backbone.embeddings.position_embeddings
    positions.copy_(torch.randn(positions.shape, generator=generator) * 0.5)


@torch.no_grad()
def measure(model, run, generator):
    """Statistics for every BatchNorm of a text tower: what reaches it in `run()`, jittered."""
    lively_sam.measure(model, run)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            deviation = module.running_var.sqrt()
            module.running_mean.add_(torch.randn(deviation.shape, generator=generator) * 0.1 * deviation)
            module.running_var.mul_(0.8 + 0.4 * torch.rand(deviation.shape, generator=generator)).clamp_(min=1e-3)


@torch.no_grad()
def balance(model, run):
    """Shifts and scales the last layers of the score, presence and mask heads; `run()` calls the model on prompts."""
    seen = {}

    def keep(name):
        return lambda _module, _inputs, output: seen.setdefault(name, []).append(output)

    modules = {
        "query": model.dot_product_scoring.query_proj,
        "text": model.dot_product_scoring.text_proj,
        "presence": model.detr_decoder.presence_head,
        "mask": model.mask_decoder.mask_embedder,
        "pixels": model.mask_decoder.instance_projection,
    }
    handles = [module.register_forward_hook(keep(name)) for name, module in modules.items()]
    run()
    for handle in handles:
        handle.remove()
    centre_scores(model.dot_product_scoring, torch.cat([x[-1] for x in seen["query"]]), torch.cat(seen["text"]))
    # The presence head is asked once a layer; the last answer counts.
    layers = len(model.detr_decoder.layers)
    presence = torch.cat([x.flatten() for x in seen["presence"][layers - 1 :: layers]])
    head = model.detr_decoder.presence_head.layer3
    factor = PRESENCE_STD / presence.std()
    head.bias.copy_((head.bias - presence.mean()) * factor + PRESENCE_MEAN)
    head.weight.mul_(factor)
    tokens = [x.flatten(0, 1) for x in seen["mask"]]
    pixels = [x.flatten(2).repeat_interleave(t.shape[1], 0) for x, t in zip(seen["pixels"], seen["mask"], strict=True)]
    lively_sam.centre_masks(model.mask_decoder.mask_embedder.layers[-1], tokens, pixels)


def centre_scores(scoring, queries, texts):
    """A score is `query · text * scale`: moves the mean to `SCORE_MEAN`, the spread over queries to `SCORE_STD`.

    Random queries are nearly the same: most of what they share is taken away, or all queries of a prompt would agree.
    """
    alike = (lively_sam.SHARED - 1) * queries.mean((0, 1))
    scoring.query_proj.bias.add_(alike)
    queries = queries + alike
    scores = torch.einsum("pqc,pc->pq", queries, texts) * scoring.scale
    factor = min(SCORE_STD / scores.std(1).mean().item(), SCORE_LIMIT / scores.std().item())
    mean_text = texts.mean(0)
    shift = (SCORE_MEAN - factor * scores.mean()) * mean_text / (mean_text.square().sum() * scoring.scale)
    scoring.query_proj.weight.mul_(factor)
    scoring.query_proj.bias.copy_(scoring.query_proj.bias * factor + shift)
