"""Random weights for OWL-ViT and OWLv2 models that are alive: logits that follow picture and phrase, boxes that differ."""

import math

import torch
from torch import nn
from transformers import OwlViTConfig, OwlViTForObjectDetection, Owlv2Config, Owlv2ForObjectDetection

CLASSES = {1: (OwlViTConfig, OwlViTForObjectDetection), 2: (Owlv2Config, Owlv2ForObjectDetection)}
LOGIT_STD, LOGIT_MEAN = 2.0, -1.5  # spread and centre of the logits of drawn phrases


def constructed(version, config, attention="sdpa"):
    """A model of OWL-ViT (version 1) or OWLv2 (2) in eval mode; `config` is the content of its config.json."""
    configuration, model = CLASSES[version]
    return model._from_config(configuration(**config), attn_implementation=attention).eval()


def base(model):
    """The two towers."""
    return model.owlvit if hasattr(model, "owlvit") else model.owlv2


@torch.no_grad()
def draw(model, generator):
    """Random weights for every parameter."""

    def normal(tensor, std, mean=0.0):
        tensor.copy_(torch.randn(tensor.shape, generator=generator) * std + mean)

    for module in model.modules():
        if isinstance(module, (nn.Linear, nn.Conv2d)):
            normal(module.weight, 1 / math.sqrt(module.weight[0].numel()))
            if module.bias is not None:
                normal(module.bias, 0.15)
        elif isinstance(module, nn.LayerNorm):
            normal(module.weight, 0.25, 1.0)
            normal(module.bias, 0.2)
        elif isinstance(module, nn.Embedding):
            normal(module.weight, 0.5)
    normal(base(model).vision_model.embeddings.class_embedding, 0.5)
    # Words count for more than places, or all phrases would be alike.
    normal(base(model).text_model.embeddings.token_embedding.weight, 1.0)


@torch.no_grad()
def balance(model, pixels, ids):
    """Shifts and scales the class head until drawn phrases have logits of both signs that differ by phrase and patch."""
    head = model.class_head
    for layer in (head.logit_scale, head.logit_shift):
        layer.weight.mul_(0.2)
        layer.bias.zero_()
    logits = model(input_ids=ids, pixel_values=pixels).logits
    head.logit_scale.bias.fill_(LOGIT_STD / logits.std().item() - 1)
    head.logit_shift.bias.fill_(LOGIT_MEAN / LOGIT_STD * logits.std().item() - logits.mean().item())
