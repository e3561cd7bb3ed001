"""MobileSAM (Zhang et al. 2023) at a toy size: a TinyViT (Wu et al. 2022) in front of the decoder of SAM 1."""

import numpy as np

import first_generation
from case import Weights
from layers import attention, batch_norm, channel_norm, conv, gelu
from sam import dense, norm

WIDTHS, DEPTHS, HEADS, WINDOWS = [8, 16, 20, 24], [1, 1, 2, 1], [0, 2, 5, 4], [0, 4, 3, 2]
SIZE, WIDTH = 80, 32


def conv_bn(weights, name, x, outputs, side=1, stride=1, groups=1):
    weight = weights.linear(f"{name}.c.weight", (outputs, x.shape[1] // groups, side, side), 1.4)
    return batch_norm(weights, f"{name}.bn", conv(x, weight, None, stride, side // 2, groups), 1e-5)


def convolutions(weights, name, x):
    width = x.shape[1]
    y = gelu(conv_bn(weights, f"{name}.conv1", x, 3 * width))
    y = gelu(conv_bn(weights, f"{name}.conv2", y, 3 * width, 3, groups=3 * width))
    return gelu(x + conv_bn(weights, f"{name}.conv3", y, width))


def merge(weights, name, x, outputs, stride):
    y = gelu(conv_bn(weights, f"{name}.conv1", x, outputs))
    y = gelu(conv_bn(weights, f"{name}.conv2", y, outputs, 3, stride, outputs))
    return conv_bn(weights, f"{name}.conv3", y, outputs)


def window_attention(weights, name, x, heads, window):
    """`x` is [cells of a window, width]: no mask, so cells that only fill the window up are looked at too."""
    width = x.shape[-1]
    x = norm(weights, f"{name}.norm", x)
    qkv = dense(weights, f"{name}.qkv", x, 3 * width).reshape(len(x), heads, 3, width // heads)
    q, k, v = qkv.transpose(2, 1, 0, 3)
    biases = weights.normal(f"{name}.attention_biases", (heads, window * window), 0.5)
    rows, columns = np.divmod(np.arange(window * window), window)
    index = np.abs(rows[:, None] - rows) * window + np.abs(columns[:, None] - columns)
    seen = attention(q, k, v, bias=biases[:, index]).swapaxes(0, 1).reshape(len(x), width)
    return dense(weights, f"{name}.proj", seen, width)


def block(weights, name, x, heads, window):
    _, width, height, columns = x.shape
    pad = lambda size: -size % window
    padded = np.pad(x[0].transpose(1, 2, 0), ((0, pad(height)), (0, pad(columns)), (0, 0)))
    seen = np.zeros_like(padded)
    for top in range(0, padded.shape[0], window):
        for left in range(0, padded.shape[1], window):
            place = np.s_[top : top + window, left : left + window]
            cells = padded[place].reshape(-1, width)
            seen[place] = window_attention(weights, f"{name}.attn", cells, heads, window).reshape(window, window, width)
    x = x + seen[:height, :columns].transpose(2, 0, 1)[None]
    x = conv_bn(weights, f"{name}.local_conv", x, width, 3, groups=width)
    cells = x.transpose(0, 2, 3, 1)
    y = gelu(dense(weights, f"{name}.mlp.fc1", norm(weights, f"{name}.mlp.norm", cells), 2 * width))
    return (cells + dense(weights, f"{name}.mlp.fc2", y, width)).transpose(0, 3, 1, 2)


def encode(weights, picture):
    scope = "image_encoder"
    x = gelu(conv_bn(weights, f"{scope}.patch_embed.seq.0", picture, WIDTHS[0] // 2, 3, 2))
    x = conv_bn(weights, f"{scope}.patch_embed.seq.2", x, WIDTHS[0], 3, 2)
    inner = {}
    for stage in range(4):
        layer = f"{scope}.layers.{stage}"
        for i in range(DEPTHS[stage]):
            name = f"{layer}.blocks.{i}"
            x = convolutions(weights, name, x) if stage == 0 else block(weights, name, x, HEADS[stage], WINDOWS[stage])
        if stage < 3:
            x = merge(weights, f"{layer}.downsample", x, WIDTHS[stage + 1], 1 if stage == 2 else 2)
        inner[f"stage{stage}"] = x.reshape(1, x.shape[1], -1).swapaxes(1, 2)
    x = conv(x, weights.linear(f"{scope}.neck.0.weight", (WIDTH, WIDTHS[3], 1, 1)))
    x = norm(weights, f"{scope}.neck.1", x, 1e-6, channel_norm)
    x = conv(x, weights.linear(f"{scope}.neck.2.weight", (WIDTH, WIDTH, 3, 3)), pad=1)
    return norm(weights, f"{scope}.neck.3", x, 1e-6, channel_norm), inner


def make(folder):
    weights = Weights(21)
    about = {"img": SIZE, "prompt_space": SIZE, "grid": SIZE // 16, "dim": WIDTH, "tolerance": {"atol": 5e-5, "rtol": 2e-5}}
    about["about"] = f"TinyViT of widths {WIDTHS} on {SIZE} pixels: 10x10 in windows of 4, 5x5 in windows of 3 and 2, all padded"
    first_generation.make(folder / "mobile_sam", "mobile_sam", weights, lambda picture: encode(weights, picture), about)
