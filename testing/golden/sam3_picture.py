"""SAM 3's picture encoder at a toy size: a plain transformer (Li et al. 2022, ViTDet) with rotary positions, and a pyramid."""

from dataclasses import dataclass

import numpy as np

from layers import attention, conv, gelu, transposed_conv
from owl import split
from sam import dense, norm, plain_conv
from sam2 import in_windows

THETA = 10000.0


@dataclass
class Picture:
    """`positions`: side of the table of positions, in patches; `everywhere`: blocks that see the whole picture."""

    side: int
    patch: int
    width: int
    heads: int
    layers: int
    intermediate: int
    window: int
    everywhere: tuple
    positions: int
    outputs: int
    epsilon: float = 1e-6

    @property
    def grid(self):
        return self.side // self.patch


def rotated(x, side, step):
    """[B, heads, side * side, width]: neighbouring pairs turn, in the first half by the column, in the second by the row."""
    quarter = x.shape[-1] // 4
    speeds = THETA ** (-np.arange(quarter) / quarter)
    rows, columns = np.divmod(np.arange(side * side), side)
    angles = np.concatenate([np.outer(columns * step, speeds), np.outer(rows * step, speeds)], -1)
    even, odd = x[..., 0::2], x[..., 1::2]
    cos, sin = np.cos(angles), np.sin(angles)
    return np.stack([even * cos - odd * sin, odd * cos + even * sin], -1).reshape(x.shape)


def block(weights, name, x, model, sees_all):
    """One layer on [B, rows, columns, C]."""

    def attend(cells):
        batch, side = cells.shape[0], cells.shape[1]
        flat = cells.reshape(batch, side * side, model.width)
        q, k, v = (split(dense(weights, f"{name}.attention.{part}_proj", flat, model.width, 1.5), model.heads) for part in "qkv")
        step = model.window / side
        seen = attention(rotated(q, side, step), rotated(k, side, step), v).swapaxes(1, 2).reshape(cells.shape)
        return dense(weights, f"{name}.attention.o_proj", seen, model.width)

    y = norm(weights, f"{name}.layer_norm1", x, model.epsilon)
    seen = attend(y) if sees_all else in_windows(y, model.window, attend)
    x = x + seen[:, : x.shape[1], : x.shape[2]]
    y = gelu(dense(weights, f"{name}.mlp.fc1", norm(weights, f"{name}.layer_norm2", x, model.epsilon), model.intermediate))
    return x + dense(weights, f"{name}.mlp.fc2", y, model.width)


def trunk(weights, model, picture):
    """[B, rows, columns, C]; the table of positions is repeated, not stretched."""
    name = "vision_encoder.backbone"
    kernel = weights.linear(f"{name}.embeddings.patch_embeddings.projection.weight", (model.width, 3, model.patch, model.patch))
    x = conv(picture, kernel, stride=model.patch).transpose(0, 2, 3, 1)
    table = weights.normal(f"{name}.embeddings.position_embeddings", (1, model.positions**2, model.width), 0.5)
    times = -(-model.grid // model.positions)
    tiled = np.tile(table.reshape(model.positions, model.positions, -1), (times, times, 1))[: model.grid, : model.grid]
    x = norm(weights, f"{name}.layer_norm", x + tiled, model.epsilon)
    for index in range(model.layers):
        x = block(weights, f"{name}.layers.{index}", x, model, index in model.everywhere)
    return x


def level(weights, name, x, outputs, scale):
    """A map of `scale` times the grid, [B, outputs, rows, columns]."""

    def enlarged(x, layer):
        width = x.shape[1] // 2
        weight = weights.linear(f"{name}.scale_layers.{layer}.weight", (x.shape[1], width, 2, 2), 2.0)
        return transposed_conv(x, weight, weights.bias(f"{name}.scale_layers.{layer}.bias", width))

    if scale == 4:
        x = enlarged(gelu(enlarged(x, 0)), 2)
    elif scale == 2:
        x = enlarged(x, 0)
    x = plain_conv(weights, f"{name}.proj1", x, outputs, 1)
    return plain_conv(weights, f"{name}.proj2", x, outputs, 3, pad=1)


def encode(weights, model, picture, scales=(4, 2, 1)):
    """The trunk's last state [B, cells, C], and maps, finest first."""
    hidden = trunk(weights, model, picture)
    map = hidden.transpose(0, 3, 1, 2)
    maps = [level(weights, f"vision_encoder.neck.fpn_layers.{i}", map, model.outputs, scale) for i, scale in enumerate(scales)]
    return hidden.reshape(len(hidden), -1, model.width), maps


def config(model, scales):
    grid = model.grid
    backbone = {
        "model_type": "sam3_vit_model", "hidden_size": model.width, "intermediate_size": model.intermediate, "num_hidden_layers": model.layers,
        "num_attention_heads": model.heads, "image_size": model.side, "patch_size": model.patch, "window_size": model.window,
        "global_attn_indexes": list(model.everywhere), "pretrain_image_size": model.positions * model.patch, "layer_norm_eps": model.epsilon,
        "hidden_act": "gelu", "rope_parameters": {"rope_theta": THETA, "rope_type": "axial"},
    }  # fmt: skip
    return {
        "model_type": "sam3_vision_model", "backbone_config": backbone, "fpn_hidden_size": model.outputs, "scale_factors": scales,
        "backbone_feature_sizes": [[4 * grid] * 2, [2 * grid] * 2, [grid] * 2],
    }  # fmt: skip
