"""Random weights for SAM and SAM 2 models that are alive: mask logits of both signs that follow prompts and picture.

A freshly constructed model is no test and no benchmark: its masks are flat and its normalisations do nothing. Here
weights are fan-in scaled normals, biases and norm parameters are non-zero, and the last layers of the mask head are
shifted and scaled until the logits of every mask token have both signs.
"""

import math

import torch
from torch import nn

MASK_STD = 4.0  # spread of the mask logits
SHARED = 0.15  # what is left of the part of a mask token that does not depend on the prompt
SCORE_STD, SCORE_MEAN = 0.35, 0.3  # spread and centre of the predicted scores, before any sigmoid


def smooth_images(shape, generator):
    """Smooth noise with mean 0 and standard deviation 1 per channel, exact in float16; float32 [B, 3, H, W]."""
    batch, height, width = shape
    image = torch.zeros(batch, 3, height, width)
    for blob, strength in ((48, 1.0), (16, 0.6), (5, 0.3)):
        coarse = torch.rand(batch, 3, height // blob + 2, width // blob + 2, generator=generator)
        image += strength * nn.functional.interpolate(coarse, (height, width), mode="bicubic", align_corners=False)
    image = (image - image.mean((2, 3), keepdim=True)) / image.std((2, 3), keepdim=True)
    return image.half().float()


@torch.no_grad()
def draw(model, generator):
    """Random weights for every parameter of a SAM or SAM 2 model, of transformers or of the official packages."""

    def normal(tensor, std, mean=0.0):
        tensor.copy_(torch.randn(tensor.shape, generator=generator) * std + mean)

    for module in model.modules():
        if isinstance(module, (nn.Linear, nn.Conv2d)):
            normal(module.weight, 1 / math.sqrt(module.weight[0].numel()))
        elif isinstance(module, nn.ConvTranspose2d):
            normal(module.weight, 1 / math.sqrt(module.weight.shape[0]))
        elif isinstance(module, (nn.LayerNorm, nn.BatchNorm2d)) or type(module).__name__ == "LayerNorm2d":
            normal(module.weight, 0.25, 1.0)
            normal(module.bias, 0.2)
        elif isinstance(module, nn.Embedding):
            normal(module.weight, 0.5)
        if isinstance(module, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)) and module.bias is not None:
            normal(module.bias, 0.15)
    for name, parameter in model.named_parameters():
        kind = name.rsplit(".", 1)[-1]
        if kind in ("pos_embed", "pos_embed_window"):
            normal(parameter, 0.5)
        elif kind in ("rel_pos_h", "rel_pos_w"):
            normal(parameter, 0.3)
        elif kind in ("no_memory_embedding", "no_memory_positional_encoding"):
            normal(parameter, 0.5)
    # A parameter or a buffer, once or twice; published copies are equal.
    tensors = [*model.named_parameters(), *model.named_buffers()]
    copies = [
        x for name, x in tensors if name.endswith(("positional_embedding", "positional_encoding_gaussian_matrix"))
    ]
    normal(copies[0], 1.0)
    for copy in copies[1:]:
        copy.copy_(copies[0])


@torch.no_grad()
def measure(model, run):
    """Sets the statistics of every BatchNorm to what reaches it in `run()`, in the order of the forward pass."""

    def take(module, inputs):
        (x,) = inputs
        module.running_mean.copy_(x.mean((0, 2, 3)))
        module.running_var.copy_(x.var((0, 2, 3), correction=0))

    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    handles = [module.register_forward_pre_hook(take) for module in norms]
    run()
    for handle in handles:
        handle.remove()


@torch.no_grad()
def calm(fine_layers, upscaling):
    """Makes masks less ragged than plain random weights do, for benchmarks: trained masks are of one piece.

    The layers that bring finer maps to the mask decoder are damped; the four pixels that a transposed convolution makes
    of one become nearly the same. The map of the picture itself stays: with less of it, masks are full or empty.
    """
    for parameter in (parameter for layer in fine_layers for parameter in layer.parameters()):
        parameter.mul_(0.1)
    for layer in upscaling:
        alike = layer.weight.mean((2, 3), keepdim=True) * 2
        layer.weight.copy_(alike + 0.02 * (layer.weight - alike))


@torch.no_grad()
def balance(decoder, run):
    """Shifts and scales the last layers of the mask and score heads.

    `decoder` is the mask decoder of a SAM or SAM 2 model, of transformers or of segment_anything. `run()` calls the
    model on some pictures and prompts; what reaches the last layers is watched from outside, so every mask token is
    balanced at once.
    """
    official = hasattr(decoder, "output_upscaling")
    upscaling = decoder.output_upscaling[3] if official else decoder.upscale_conv2
    seen = {"fine": [], "pixels": [], "tokens": {}, "scores": []}

    def decoder_called(_module, _positional, given):
        # SAM 2 adds features of the stride-4 map between the last transposed convolution and its activation.
        seen["fine"].append(given["high_resolution_features"][0] if "high_resolution_features" in given else 0)

    handles = [
        decoder.register_forward_pre_hook(decoder_called, with_kwargs=True),
        upscaling.register_forward_hook(lambda *call: seen["pixels"].append(call[2] + seen["fine"][-1])),
        decoder.iou_prediction_head.register_forward_hook(lambda *call: seen["scores"].append(call[2])),
    ]
    heads = decoder.output_hypernetworks_mlps
    for index, head in enumerate(heads):
        keep = seen["tokens"].setdefault(index, [])
        handles.append(head.register_forward_hook(lambda _m, _i, output, keep=keep: keep.append(output)))
    run()
    for handle in handles:
        handle.remove()
    pixels = [nn.functional.gelu(x).flatten(2) for x in seen["pixels"]]
    for index, head in enumerate(heads):
        centre_masks(last_layer(head), [x.flatten(0, -2) for x in seen["tokens"][index]], pixels)
    scores = torch.cat([x.flatten(0, -2) for x in seen["scores"]])
    sigmoid = getattr(decoder.iou_prediction_head, "sigmoid_output", False)
    centre_scores(last_layer(decoder.iou_prediction_head), scores.logit(1e-6) if sigmoid else scores)


def last_layer(head):
    return head.proj_out if hasattr(head, "proj_out") else head.layers[-1]


def centre_masks(layer, tokens, pixels):
    """Moves the mean logit of a mask token to 0 and its spread to `MASK_STD`.

    A logit is `token · pixel`, so adding d to the bias adds `d · pixel`. Random tokens are nearly the same for every
    prompt: most of what they share is taken away, and what is left of it stands for the mean pixel.
    """
    mean_pixel = torch.cat([x.mean(-1) for x in pixels]).mean(0)
    alike = (SHARED - 1) * torch.cat(tokens).mean(0)
    logits = torch.cat(
        [torch.einsum("pc,pcn->pn", t + alike, x).flatten() for t, x in zip(tokens, pixels, strict=True)]
    )
    shift = alike - logits.mean() * mean_pixel / mean_pixel.square().sum()
    moved = torch.cat([torch.einsum("pc,pcn->pn", t + shift, x).flatten() for t, x in zip(tokens, pixels, strict=True)])
    factor = MASK_STD / moved.std()
    layer.bias.copy_((layer.bias + shift) * factor)
    layer.weight.mul_(factor)


def centre_scores(layer, scores):
    """Gives every predicted score the mean `SCORE_MEAN` and the spread `SCORE_STD`; `scores` is [N, masks]."""
    factor = SCORE_STD / scores.std(0)
    layer.bias.copy_((layer.bias - scores.mean(0)) * factor + SCORE_MEAN)
    layer.weight.mul_(factor[:, None])
