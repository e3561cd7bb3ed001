"""The TinyViT of MobileSAM (Wu et al. 2022, Zhang et al. 2023), with the names of the published checkpoint, whose tensors tell the sizes."""

import torch
from segment_anything.modeling.common import LayerNorm2d
from torch import nn
from torch.nn.functional import gelu, pad, scaled_dot_product_attention


def count(state, prefix):
    """Number of the indexed entries under a prefix."""
    start = len(prefix) + 1
    return len({name[start:].split(".")[0] for name in state if name.startswith(f"{prefix}.")})


class ConvNorm(nn.Sequential):
    """Convolution and BatchNorm."""

    def __init__(self, state, prefix, stride=1):
        super().__init__()
        wide_out, of_group, kernel, _ = state[f"{prefix}.c.weight"].shape
        wide_in = wide_out if of_group == 1 else of_group
        self.add_module("c", nn.Conv2d(wide_in, wide_out, kernel, stride, kernel // 2, groups=wide_in // of_group, bias=False))
        self.add_module("bn", nn.BatchNorm2d(wide_out))


class Patches(nn.Module):
    def __init__(self, state, prefix):
        super().__init__()
        self.seq = nn.Sequential(ConvNorm(state, f"{prefix}.seq.0", 2), nn.GELU(), ConvNorm(state, f"{prefix}.seq.2", 2))

    def forward(self, x):
        return self.seq(x)


class Bottleneck(nn.Module):
    """A block of the first stage."""

    def __init__(self, state, prefix):
        super().__init__()
        self.conv1, self.conv2, self.conv3 = (ConvNorm(state, f"{prefix}.conv{index}") for index in (1, 2, 3))

    def forward(self, x):
        return gelu(x + self.conv3(gelu(self.conv2(gelu(self.conv1(x))))))


class Merge(nn.Module):
    """Between stages."""

    def __init__(self, state, prefix, stride):
        super().__init__()
        self.conv1, self.conv3 = ConvNorm(state, f"{prefix}.conv1"), ConvNorm(state, f"{prefix}.conv3")
        self.conv2 = ConvNorm(state, f"{prefix}.conv2", stride)

    def forward(self, x):
        return self.conv3(gelu(self.conv2(gelu(self.conv1(x)))))


class Attention(nn.Module):
    """Attention in a window; what two cells' distance adds to their score is stored per head."""

    def __init__(self, state, prefix):
        super().__init__()
        wide_out, width = state[f"{prefix}.qkv.weight"].shape
        self.heads, area = state[f"{prefix}.attention_biases"].shape
        self.window = round(area**0.5)
        self.norm = nn.LayerNorm(width)
        self.qkv, self.proj = nn.Linear(width, wide_out), nn.Linear(width, width)
        self.attention_biases = nn.Parameter(torch.zeros(self.heads, area))
        place = torch.arange(self.window)
        rows, columns = (axis.flatten() for axis in torch.meshgrid(place, place, indexing="ij"))
        down, across = ((axis[:, None] - axis[None]).abs() for axis in (rows, columns))
        self.register_buffer("distances", down * self.window + across, persistent=False)
        self.bias = None

    def forward(self, x):
        batch, cells, width = x.shape
        if self.bias is None:
            self.bias = self.attention_biases[:, self.distances]
        qkv = self.qkv(self.norm(x)).view(batch, cells, self.heads, -1)
        q, k, v = (part.transpose(1, 2) for part in qkv.chunk(3, -1))
        seen = scaled_dot_product_attention(q, k, v, attn_mask=self.bias)
        return self.proj(seen.transpose(1, 2).reshape(batch, cells, width))


class Mlp(nn.Module):
    def __init__(self, state, prefix):
        super().__init__()
        hidden, width = state[f"{prefix}.fc1.weight"].shape
        self.norm = nn.LayerNorm(width)
        self.fc1, self.fc2 = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, x):
        return self.fc2(gelu(self.fc1(self.norm(x))))


class Block(nn.Module):
    """Attention in windows, a convolution across their borders, an MLP: [B, rows, columns, width]."""

    def __init__(self, state, prefix):
        super().__init__()
        self.attn, self.mlp = Attention(state, f"{prefix}.attn"), Mlp(state, f"{prefix}.mlp")
        self.local_conv = ConvNorm(state, f"{prefix}.local_conv")

    def forward(self, x):
        x = x + self.windowed(x)
        x = self.local_conv(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return x + self.mlp(x)

    def windowed(self, x):
        side = self.attn.window
        batch, rows, columns, width = x.shape
        down, across = -(-rows // side), -(-columns // side)
        x = pad(x, (0, 0, 0, across * side - columns, 0, down * side - rows))
        x = x.view(batch, down, side, across, side, width).transpose(2, 3).reshape(-1, side * side, width)
        x = self.attn(x).view(batch, down, across, side, side, width).transpose(2, 3)
        return x.reshape(batch, down * side, across * side, width)[:, :rows, :columns]


class Stage(nn.Module):
    def __init__(self, state, prefix, index, stride):
        super().__init__()
        block = Bottleneck if index == 0 else Block
        self.channels_last = index > 0
        self.blocks = nn.ModuleList(block(state, f"{prefix}.blocks.{i}") for i in range(count(state, f"{prefix}.blocks")))
        self.downsample = Merge(state, f"{prefix}.downsample", stride) if stride else None

    def forward(self, x):
        if self.channels_last:
            x = x.permute(0, 2, 3, 1)
        for block in self.blocks:
            x = block(x)
        if self.channels_last:
            x = x.permute(0, 3, 1, 2)
        return x if self.downsample is None else self.downsample(x)


class TinyViT(nn.Module):
    """Picture [B, 3, S, S] → embedding [B, C, S / 16, S / 16]; the last merge keeps the resolution."""

    def __init__(self, state, prefix):
        super().__init__()
        self.patch_embed = Patches(state, f"{prefix}.patch_embed")
        stages = count(state, f"{prefix}.layers")
        strides = [2] * (stages - 2) + [1, 0]
        self.layers = nn.ModuleList(Stage(state, f"{prefix}.layers.{i}", i, stride) for i, stride in enumerate(strides))
        wide_out, wide_in, *_ = state[f"{prefix}.neck.0.weight"].shape
        self.neck = nn.Sequential(
            nn.Conv2d(wide_in, wide_out, 1, bias=False),
            LayerNorm2d(wide_out),
            nn.Conv2d(wide_out, wide_out, 3, padding=1, bias=False),
            LayerNorm2d(wide_out),
        )

    def forward(self, x):
        x = self.patch_embed(x)
        for layer in self.layers:
            x = layer(x)
        return self.neck(x)
