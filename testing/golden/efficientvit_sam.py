"""EfficientViT-SAM (Zhang et al. 2024) at a toy size: an encoder with linear attention in front of the decoder of SAM 1."""

import numpy as np

import first_generation
from case import Weights
from layers import batch_norm, channel_norm, conv, gelu_tanh, relu, resize
from sam import norm

WIDTHS, DEPTHS = [4, 8, 8, 12, 16], [1, 1, 1, 1, 1]
HEAD, NECK = 8, 16
SIZE, SPACE, WIDTH = 64, 128, 32
EPSILON = 1e-6


def layer(weights, name, x, outputs, side=1, stride=1, groups=1, bias=False, normed=True, active=True):
    weight = weights.linear(f"{name}.conv.weight", (outputs, x.shape[1] // groups, side, side), 1.5)
    x = conv(x, weight, weights.bias(f"{name}.conv.bias", outputs) if bias else None, stride, side // 2, groups)
    x = batch_norm(weights, f"{name}.norm", x, EPSILON) if normed else x
    return gelu_tanh(x) if active else x


def residual(weights, name, x):
    y = layer(weights, f"{name}.conv1", x, x.shape[1], 3)
    return x + layer(weights, f"{name}.conv2", y, x.shape[1], 3, active=False)


def fused(weights, name, x, outputs, expand, stride=1):
    y = layer(weights, f"{name}.spatial_conv", x, expand * x.shape[1], 3, stride)
    return layer(weights, f"{name}.point_conv", y, outputs, active=False)


def inverted(weights, name, x, outputs, expand, stride=1):
    hidden = expand * x.shape[1]
    y = layer(weights, f"{name}.inverted_conv", x, hidden, bias=True, normed=False)
    y = layer(weights, f"{name}.depth_conv", y, hidden, 3, stride, hidden, bias=True, normed=False)
    return layer(weights, f"{name}.point_conv", y, outputs, active=False)


def linear_attention(weights, name, x):
    """Questions and keys without negative parts stand in for the softmax, so every cell sees all others at the cost of one sum."""
    batch, width, height, columns = x.shape
    qkv = conv(x, weights.linear(f"{name}.qkv.conv.weight", (3 * width, width, 1, 1), 1.5))
    near = conv(qkv, weights.linear(f"{name}.aggreg.0.0.weight", (3 * width, 1, 5, 5)), pad=2, groups=3 * width)
    near = conv(near, weights.linear(f"{name}.aggreg.0.1.weight", (3 * width, HEAD, 1, 1), 1.5), groups=3 * width // HEAD)
    both = np.concatenate([qkv, near], 1).reshape(batch, -1, 3, HEAD, height * columns)
    q, k, v = relu(both[:, :, 0]), relu(both[:, :, 1]), both[:, :, 2]
    weight = q.swapaxes(2, 3) @ k
    seen = (weight / (weight.sum(-1, keepdims=True) + 1e-15)) @ v.swapaxes(2, 3)
    seen = seen.swapaxes(2, 3).reshape(batch, 2 * width, height, columns)
    return layer(weights, f"{name}.proj", seen, width, active=False)


def encode(weights, picture):
    stages = "image_encoder.backbone.stages"
    x = layer(weights, f"{stages}.0.op_list.0", picture, WIDTHS[0], 3, 2)
    for i in range(DEPTHS[0]):
        x = residual(weights, f"{stages}.0.op_list.{i + 1}.main", x)
    maps = {}
    for stage in range(1, 5):
        expand, block = {1: (8, fused), 2: (8, fused), 3: (8, inverted), 4: (10, inverted)}[stage]
        x = block(weights, f"{stages}.{stage}.op_list.0.main", x, WIDTHS[stage], expand, 2)
        for i in range(DEPTHS[stage]):
            name = f"{stages}.{stage}.op_list.{i + 1}"
            if stage < 4:
                x = x + block(weights, f"{name}.main", x, WIDTHS[stage], 4)
            else:
                x = x + linear_attention(weights, f"{name}.context_module.main", x)
                x = x + inverted(weights, f"{name}.local_module.main", x, WIDTHS[stage], 6)
        maps[f"stage{stage}"] = x
    neck, grid = "image_encoder.neck", SIZE // 8
    x = 0
    for i, stage in enumerate((4, 3, 2)):
        side = layer(weights, f"{neck}.input_ops.{i}.op_list.0", maps[f"stage{stage}"], NECK, active=False)
        x = x + resize(side, grid, grid, cubic=True)
    for i in range(2):
        x = x + fused(weights, f"{neck}.middle.op_list.{i}.main", x, NECK, 1)
    x = layer(weights, f"{neck}.output_ops.0.op_list.0", x, WIDTH, bias=True, normed=False, active=False)
    return norm(weights, "image_encoder.norm", x, EPSILON, channel_norm), maps


def make(folder):
    weights = Weights(41)
    about = {"img": SIZE, "prompt_space": SPACE, "grid": SIZE // 8, "dim": WIDTH}
    # On maps of a few cells the quotient of the linear attention multiplies float32's rounding.
    about["tolerance"] = {"atol": 1e-4, "rtol": 1e-4}
    about["about"] = f"widths {WIDTHS} on {SIZE} pixels, prompts in a square twice as large"
    first_generation.make(folder / "efficientvit_sam", "efficientvit_sam", weights, lambda picture: encode(weights, picture), about)
