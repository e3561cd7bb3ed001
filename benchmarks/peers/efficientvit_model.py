"""EfficientViT-SAM, the L models: an encoder of our own with the key names of the published checkpoints.

The prompt encoder and mask decoder are those of segment_anything, as in the official model. Architecture: Cai et al.
2023 (EfficientViT) and Zhang et al. 2024 (EfficientViT-SAM).

`efficientvit_model.py CASE_DIR` compares the encoder with a golden case of the official implementation.
"""

import json
import sys
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors.torch import load_file
from segment_anything.modeling import MaskDecoder, PromptEncoder, TwoWayTransformer
from segment_anything.modeling.common import LayerNorm2d
from torch import nn

EPS = 1e-6  # of every BatchNorm; the official code sets it after construction


class Architecture(NamedTuple):
    """Sizes of an L model; the defaults are those of L0."""

    widths: tuple = (32, 64, 128, 256, 512)
    depths: tuple = (1, 1, 1, 4, 4)
    head_dim: int = 32
    neck_width: int = 256
    neck_depth: int = 4
    embedding: int = 256
    grid: int = 64


class ConvLayer(nn.Module):
    """Convolution, then BatchNorm (or a bias instead), then GELU in its tanh form."""

    def __init__(self, wide_in, wide_out, kernel, *, stride=1, depthwise=False, norm=True, activation=True):
        super().__init__()
        groups = wide_in if depthwise else 1
        self.conv = nn.Conv2d(wide_in, wide_out, kernel, stride, kernel // 2, groups=groups, bias=not norm)
        self.norm = nn.BatchNorm2d(wide_out, EPS) if norm else None
        self.act = nn.GELU(approximate="tanh") if activation else None

    def forward(self, x):
        x = self.conv(x)
        x = x if self.norm is None else self.norm(x)
        return x if self.act is None else self.act(x)


class Block(nn.Module):
    """Named layers one after the other."""

    def __init__(self, **layers):
        super().__init__()
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, x):
        for layer in self.children():
            x = layer(x)
        return x


class Residual(nn.Module):
    """`main(x) + x`, or `main(x)` where the resolution changes."""

    def __init__(self, main, *, shortcut=True):
        super().__init__()
        self.main, self.shortcut = main, shortcut

    def forward(self, x):
        return self.main(x) + x if self.shortcut else self.main(x)


class Operations(nn.Module):
    """A list of operations under the published name."""

    def __init__(self, operations):
        super().__init__()
        self.op_list = nn.Sequential(*operations)

    def forward(self, x):
        return self.op_list(x)


def res_block(width):
    last = ConvLayer(width, width, 3, activation=False)
    return Residual(Block(conv1=ConvLayer(width, width, 3), conv2=last))


def fused_mb_block(wide_in, wide_out, expand, stride=1):
    """3×3 convolution that widens, 1×1 that narrows."""
    middle = wide_in * expand
    spatial = ConvLayer(wide_in, middle, 3, stride=stride)
    point = ConvLayer(middle, wide_out, 1, activation=False)
    return Residual(Block(spatial_conv=spatial, point_conv=point), shortcut=stride == 1)


def mb_block(wide_in, wide_out, expand, stride=1):
    """1×1 that widens, depthwise 3×3, 1×1 that narrows; only the last one has a norm."""
    middle = wide_in * expand
    inverted = ConvLayer(wide_in, middle, 1, norm=False)
    depth = ConvLayer(middle, middle, 3, stride=stride, depthwise=True, norm=False)
    point = ConvLayer(middle, wide_out, 1, activation=False)
    return Residual(Block(inverted_conv=inverted, depth_conv=depth, point_conv=point), shortcut=stride == 1)


class LinearAttention(nn.Module):
    """Multi-scale linear attention with a ReLU kernel: at one pixel, and on 5×5 aggregates of q, k and v."""

    def __init__(self, width, head_dim):
        super().__init__()
        self.head_dim = head_dim
        inner = 3 * width
        self.qkv = nn.Module()
        self.qkv.conv = nn.Conv2d(width, inner, 1, bias=False)
        depthwise = nn.Conv2d(inner, inner, 5, padding=2, groups=inner, bias=False)
        pointwise = nn.Conv2d(inner, inner, 1, groups=inner // head_dim, bias=False)
        self.aggreg = nn.ModuleList([nn.Sequential(depthwise, pointwise)])
        self.proj = ConvLayer(2 * width, width, 1, activation=False)

    def forward(self, x):
        batch, _, height, width = x.shape
        qkv = self.qkv.conv(x)
        qkv = torch.cat([qkv, *(scale(qkv) for scale in self.aggreg)], 1)
        q, k, v = qkv.view(batch, -1, 3 * self.head_dim, height * width).split(self.head_dim, 2)
        q, k = q.relu(), k.relu()
        # The row of ones gives the sum of weights that each output is divided by.
        v = nn.functional.pad(v, (0, 0, 0, 1), value=1.0)
        out = (v @ k.transpose(-1, -2)) @ q
        out = out[:, :, :-1] / (out[:, :, -1:] + 1e-15)
        return self.proj(out.reshape(batch, -1, height, width))


def attention_block(width, head_dim):
    local = mb_block(width, width, 6)
    return Block(context_module=Residual(LinearAttention(width, head_dim)), local_module=local)


class Backbone(nn.Module):
    """Five stages; the picture shrinks to a half in each."""

    def __init__(self, sizes):
        super().__init__()
        first = sizes.widths[0]
        stages = [[ConvLayer(3, first, 3, stride=2), *(res_block(first) for _ in range(sizes.depths[0]))]]
        for index in range(1, 5):
            wide_in, width, depth = sizes.widths[index - 1], sizes.widths[index], sizes.depths[index]
            if index < 3:
                stage = [fused_mb_block(wide_in, width, 16, stride=2)]
                stage += [fused_mb_block(width, width, 4) for _ in range(depth)]
            elif index == 3:
                stage = [mb_block(wide_in, width, 16, stride=2), *(mb_block(width, width, 4) for _ in range(depth))]
            else:
                stage = [mb_block(wide_in, width, 24, stride=2)]
                stage += [attention_block(width, sizes.head_dim) for _ in range(depth)]
            stages.append(stage)
        self.stages = nn.ModuleList([Operations(stage) for stage in stages])

    def forward(self, x):
        outputs = []
        for stage in self.stages:
            x = stage(x)
            outputs.append(x)
        return outputs


class Neck(nn.Module):
    """The last three stages, brought to one grid by bicubic interpolation and added."""

    def __init__(self, sizes):
        super().__init__()
        width, self.grid = sizes.neck_width, sizes.grid
        inputs = [Operations([ConvLayer(wide, width, 1, activation=False)]) for wide in sizes.widths[:1:-1]]
        self.input_ops = nn.ModuleList(inputs)
        self.middle = Operations([fused_mb_block(width, width, 1) for _ in range(sizes.neck_depth)])
        output = nn.Module()
        output.conv = nn.Conv2d(width, sizes.embedding, 1)
        self.output_ops = nn.ModuleList([Operations([output])])

    def forward(self, stages):
        side = (self.grid, self.grid)
        maps = [operation(x) for operation, x in zip(self.input_ops, stages[:1:-1], strict=True)]
        maps = [nn.functional.interpolate(x, side, mode="bicubic", align_corners=False) for x in maps]
        x = self.middle(maps[0] + maps[1] + maps[2])
        return self.output_ops[0].op_list[0].conv(x)


class ImageEncoder(nn.Module):
    """Picture [1, 3, 512, 512] → embedding [1, 256, 64, 64]."""

    def __init__(self, sizes):
        super().__init__()
        self.backbone, self.neck = Backbone(sizes), Neck(sizes)
        self.norm = LayerNorm2d(sizes.embedding, EPS)

    def forward(self, image):
        return self.norm(self.neck(self.backbone(image)))


class EfficientViTSam(nn.Module):
    """The whole model. Prompts live in a square of 1024 whatever the encoder's input size."""

    PROMPT_SIDE = 1024

    def __init__(self, sizes=Architecture()):  # noqa: B008 (immutable)
        super().__init__()
        width, grid = sizes.embedding, (sizes.grid, sizes.grid)
        self.image_encoder = ImageEncoder(sizes)
        self.prompt_encoder = PromptEncoder(width, grid, (self.PROMPT_SIDE, self.PROMPT_SIDE), 16)
        transformer = TwoWayTransformer(depth=2, embedding_dim=width, num_heads=8, mlp_dim=2048)
        self.mask_decoder = MaskDecoder(transformer_dim=width, transformer=transformer)

    def decode(self, embedding, boxes=None, points=None):
        """Logits [N, 1, 256, 256] and scores [N, 1] of `boxes` [N, 4] or `points` (coords, labels)."""
        sparse, dense = self.prompt_encoder(points=points, boxes=boxes, masks=None)
        positions = self.prompt_encoder.get_dense_pe()
        return self.mask_decoder(embedding, positions, sparse, dense, multimask_output=False)


@torch.inference_mode()
def check(folder):
    """Largest difference between our encoder and the official one on a golden case of an L model."""
    case = json.loads((folder / "case.json").read_text())
    config = case["config"]
    if config.get("kind") != "L":
        raise SystemExit(f"{folder}: not a case of an L model")
    sizes = Architecture(
        widths=tuple(config["widths"]),
        depths=tuple(config["depths"]),
        head_dim=config["qkv_dim"],
        neck_width=config["head_width"],
        neck_depth=config["head_depth"],
        embedding=config["dim"],
        grid=config["prompt_space"] // 16,
    )
    state = load_file(folder / "model.safetensors")
    prefix = "image_encoder."
    encoder = ImageEncoder(sizes).eval()
    encoder.load_state_dict({key.removeprefix(prefix): x for key, x in state.items() if key.startswith(prefix)})
    inputs, outputs = load_file(folder / "inputs.safetensors"), load_file(folder / "outputs.safetensors")
    for name in ("image0", "image_b"):
        wanted = outputs[f"{name}.image_embeddings"]
        difference = (encoder(inputs[f"{name}.image"].float()) - wanted).abs().max().item()
        allowed = case["suggested_atol_per_tensor"][f"{name}.image_embeddings"]
        print(f"{name}: largest difference {difference:.1e}, allowed {allowed:.1e}")
        if not difference <= allowed:
            raise SystemExit("the encoder is not that of the golden case")


if __name__ == "__main__":
    check(Path(sys.argv[1]))
