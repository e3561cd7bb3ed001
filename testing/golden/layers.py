"""Layers in numpy and float64, as the papers have them: nothing here is fast, folded or fused."""

import math

import numpy as np

erf = np.vectorize(math.erf, otypes=[np.float64])


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def silu(x):
    return x * sigmoid(x)


def relu(x):
    return np.maximum(x, 0)


def gelu(x):
    return 0.5 * x * (1 + erf(x / math.sqrt(2)))


def gelu_tanh(x):
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def conv(x, weight, bias=None, stride=1, pad=0, groups=1):
    """[B, C, H, W] with [O, C / groups, k, k]: a sum over the kernel's places."""
    side = weight.shape[2]
    x = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    batch, channels, height, width = x.shape
    rows, columns = (height - side) // stride + 1, (width - side) // stride + 1
    x = x.reshape(batch, groups, channels // groups, height, width)
    kernel = weight.reshape(groups, weight.shape[0] // groups, channels // groups, side, side)
    out = np.zeros((batch, groups, kernel.shape[1], rows, columns))
    for i in range(side):
        for j in range(side):
            seen = x[:, :, :, i : i + stride * (rows - 1) + 1 : stride, j : j + stride * (columns - 1) + 1 : stride]
            out += np.einsum("goc,bgchw->bgohw", kernel[..., i, j], seen)
    out = out.reshape(batch, -1, rows, columns)
    return out if bias is None else out + bias[:, None, None]


def transposed_conv(x, weight, bias):
    """Kernel 2, stride 2: every cell becomes four. [B, C, H, W] with [C, O, 2, 2]."""
    batch, _, height, width = x.shape
    spread = np.einsum("bchw,coij->bohiwj", x, weight)
    return spread.reshape(batch, weight.shape[1], 2 * height, 2 * width) + bias[:, None, None]


def max_pool(x, side, stride, pad=0):
    x = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)), constant_values=-np.inf)
    rows, columns = (x.shape[2] - side) // stride + 1, (x.shape[3] - side) // stride + 1
    places = [(i, j) for i in range(side) for j in range(side)]
    return np.max([x[:, :, i : i + stride * (rows - 1) + 1 : stride, j : j + stride * (columns - 1) + 1 : stride] for i, j in places], axis=0)


def nearest_twice(x):
    return x.repeat(2, axis=2).repeat(2, axis=3)


def layer_norm(x, scale, bias, epsilon):
    """Over the last axis."""
    mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return (x - mean) / np.sqrt(variance + epsilon) * scale + bias


def channel_norm(x, scale, bias, epsilon):
    """Over the channels of [B, C, H, W]."""
    return layer_norm(x.transpose(0, 2, 3, 1), scale, bias, epsilon).transpose(0, 3, 1, 2)


def attention(q, k, v, scale=None, bias=0):
    """[..., heads, tokens, width of a head]."""
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    return softmax(q @ k.swapaxes(-1, -2) * scale + bias) @ v


def resize_matrix(old, new, cubic):
    """[new, old]: what each new cell takes of the old ones; half-pixel centres, no antialiasing, borders repeated."""
    matrix = np.zeros((new, old))
    for i in range(new):
        at = (i + 0.5) * old / new - 0.5
        if not cubic:
            at = max(at, 0)
        base = math.floor(at)
        t = at - base
        if cubic:
            near = lambda d: (1.25 * d - 2.25) * d * d + 1
            far = lambda d: ((-0.75 * d + 3.75) * d - 6) * d + 3
            shares = {-1: far(t + 1), 0: near(t), 1: near(1 - t), 2: far(2 - t)}
        else:
            shares = {0: 1 - t, 1: t}
        for step, share in shares.items():
            matrix[i, min(max(base + step, 0), old - 1)] += share
    return matrix


def resize(x, rows, columns, cubic=False):
    return resize_matrix(x.shape[2], rows, cubic) @ x @ resize_matrix(x.shape[3], columns, cubic).T


def batch_norm(weights, name, x, epsilon):
    """Statistics are those of the first picture that comes by, so that values stay of one size through the depth."""
    size = x.shape[1]
    scale, bias = weights.scale(f"{name}.weight", size), weights.normal(f"{name}.bias", (size,), 0.2)
    if f"{name}.running_mean" not in weights.tensors:
        weights.put(f"{name}.running_mean", x.mean((0, 2, 3)))
        weights.put(f"{name}.running_var", x.var((0, 2, 3)) + 0.25)
    mean, variance = weights.tensors[f"{name}.running_mean"], weights.tensors[f"{name}.running_var"]
    along = lambda v: v[:, None, None]
    return (x - along(mean)) / np.sqrt(along(variance) + epsilon) * along(scale) + along(bias)
