"""The EfficientViT of EfficientViT-SAM (Cai et al. 2023, Zhang et al. 2024), with the names of the published checkpoints, whose tensors
tell the sizes.
"""

import torch
from segment_anything.modeling.common import LayerNorm2d
from torch import nn
from torch.nn.functional import interpolate, pad

EPSILON = 1e-6  # of every norm; the official code sets it after construction


def count(state, prefix):
    """Number of the indexed entries under a prefix."""
    start = len(prefix) + 1
    return len({name[start:].split(".")[0] for name in state if name.startswith(f"{prefix}.")})


class ConvLayer(nn.Module):
    """Convolution, then BatchNorm or a bias as the checkpoint has it, then GELU in its tanh form."""

    def __init__(self, state, prefix, stride=1, *, activated=True):
        super().__init__()
        wide_out, of_group, kernel, _ = state[f"{prefix}.conv.weight"].shape
        wide_in = wide_out if of_group == 1 else of_group
        has_bias, has_norm = (f"{prefix}.{name}" in state for name in ("conv.bias", "norm.weight"))
        groups = wide_in // of_group
        self.conv = nn.Conv2d(wide_in, wide_out, kernel, stride, kernel // 2, groups=groups, bias=has_bias)
        self.norm = nn.BatchNorm2d(wide_out, EPSILON) if has_norm else None
        self.act = nn.GELU(approximate="tanh") if activated else None

    def forward(self, x):
        x = self.conv(x)
        x = x if self.norm is None else self.norm(x)
        return x if self.act is None else self.act(x)


class Convolutions(nn.Module):
    """A block without attention; the first spatial convolution has the stride, the last one is not activated."""

    KINDS = (("conv1", "conv2"), ("spatial_conv", "point_conv"), ("inverted_conv", "depth_conv", "point_conv"))

    def __init__(self, state, prefix, stride=1):
        super().__init__()
        layers = next(kind for kind in self.KINDS if f"{prefix}.{kind[0]}.conv.weight" in state)
        strided = "depth_conv" if "depth_conv" in layers else layers[0]
        for name in layers:
            layer = ConvLayer(state, f"{prefix}.{name}", stride if name == strided else 1, activated=name != layers[-1])
            self.add_module(name, layer)

    def forward(self, x):
        for layer in self.children():
            x = layer(x)
        return x


class LinearAttention(nn.Module):
    """Multi-scale linear attention with a ReLU kernel: at one pixel, and on wider aggregates of q, k and v."""

    def __init__(self, state, prefix):
        super().__init__()
        inner, width, *_ = state[f"{prefix}.qkv.conv.weight"].shape
        self.size = state[f"{prefix}.aggreg.0.1.weight"].shape[1]
        self.qkv = nn.Module()
        self.qkv.conv = nn.Conv2d(width, inner, 1, bias=False)
        kernels = [state[f"{prefix}.aggreg.{i}.0.weight"].shape[2] for i in range(count(state, f"{prefix}.aggreg"))]
        self.aggreg = nn.ModuleList(self.gather(inner, kernel) for kernel in kernels)
        self.proj = ConvLayer(state, f"{prefix}.proj", activated=False)

    def gather(self, inner, kernel):
        depthwise = nn.Conv2d(inner, inner, kernel, padding=kernel // 2, groups=inner, bias=False)
        return nn.Sequential(depthwise, nn.Conv2d(inner, inner, 1, groups=inner // self.size, bias=False))

    def forward(self, x):
        batch, _, height, width = x.shape
        qkv = self.qkv.conv(x)
        qkv = torch.cat([qkv, *(scale(qkv) for scale in self.aggreg)], 1)
        q, k, v = qkv.view(batch, -1, 3 * self.size, height * width).split(self.size, 2)
        q, k = q.relu(), k.relu()
        # The row of ones gives the sum of weights that each output is divided by.
        v = pad(v, (0, 0, 0, 1), value=1.0)
        out = (v @ k.transpose(-1, -2)) @ q
        out = out[:, :, :-1] / (out[:, :, -1:] + 1e-15)
        return self.proj(out.reshape(batch, -1, height, width))


class Residual(nn.Module):
    """`main(x) + x`, or `main(x)` where the resolution changes."""

    def __init__(self, main, *, shortcut=True):
        super().__init__()
        self.main, self.shortcut = main, shortcut

    def forward(self, x):
        return self.main(x) + x if self.shortcut else self.main(x)


class AttentionBlock(nn.Module):
    def __init__(self, state, prefix):
        super().__init__()
        self.context_module = Residual(LinearAttention(state, f"{prefix}.context_module.main"))
        self.local_module = Residual(Convolutions(state, f"{prefix}.local_module.main"))

    def forward(self, x):
        return self.local_module(self.context_module(x))


def block(state, prefix, stride=1):
    if f"{prefix}.context_module.main.qkv.conv.weight" in state:
        return AttentionBlock(state, prefix)
    return Residual(Convolutions(state, f"{prefix}.main", stride), shortcut=stride == 1)


class Operations(nn.Module):
    """A list of operations under the published name."""

    def __init__(self, operations):
        super().__init__()
        self.op_list = nn.Sequential(*operations)

    def forward(self, x):
        return self.op_list(x)


class Backbone(nn.Module):
    """The stages; the picture shrinks to a half in each."""

    def __init__(self, state, prefix):
        super().__init__()
        stages = []
        for index in range(count(state, f"{prefix}.stages")):
            entries = f"{prefix}.stages.{index}.op_list"
            first = ConvLayer(state, f"{entries}.0", 2) if index == 0 else block(state, f"{entries}.0", 2)
            rest = (block(state, f"{entries}.{entry}") for entry in range(1, count(state, entries)))
            stages.append(Operations([first, *rest]))
        self.stages = nn.ModuleList(stages)

    def forward(self, x):
        outputs = []
        for stage in self.stages:
            x = stage(x)
            outputs.append(x)
        return outputs


class Neck(nn.Module):
    """The last stages, brought to one grid by bicubic interpolation and added."""

    def __init__(self, state, prefix, grid):
        super().__init__()
        self.grid = grid
        inputs = range(count(state, f"{prefix}.input_ops"))
        name = f"{prefix}.input_ops.{{}}.op_list.0"
        self.input_ops = nn.ModuleList(Operations([ConvLayer(state, name.format(i), activated=False)]) for i in inputs)
        middle = f"{prefix}.middle.op_list"
        self.middle = Operations([block(state, f"{middle}.{index}") for index in range(count(state, middle))])
        output = ConvLayer(state, f"{prefix}.output_ops.0.op_list.0", activated=False)
        self.output_ops = nn.ModuleList([Operations([output])])

    def forward(self, stages):
        side = (self.grid, self.grid)
        maps = [operation(x) for operation, x in zip(self.input_ops, reversed(stages), strict=False)]
        maps = [x if x.shape[-2:] == side else interpolate(x, side, mode="bicubic", align_corners=False) for x in maps]
        return self.output_ops[0](self.middle(sum(maps[1:], maps[0])))


class EfficientViT(nn.Module):
    """Picture [B, 3, S, S] → embedding [B, C, grid, grid]."""

    def __init__(self, state, prefix, grid):
        super().__init__()
        self.backbone, self.neck = Backbone(state, f"{prefix}.backbone"), Neck(state, f"{prefix}.neck", grid)
        self.norm = LayerNorm2d(state[f"{prefix}.norm.weight"].shape[0], EPSILON)

    def forward(self, image):
        return self.norm(self.neck(self.backbone(image)))
