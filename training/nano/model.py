"""The network: prompt channels and colours of a frame in, mask logits and a predicted IoU out."""

import copy

import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional as F

from .frames import INPUT, OUTPUT

# Normalised RGB, share in the picture, positive clicks, negative clicks, box, earlier mask, fovea, x, y.
CHANNELS = 11


def conv(inputs, outputs, stride=1, kernel=3):
    return nn.Sequential(nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(outputs))


class Residual(nn.Module):
    """Two 3 x 3 convolutions beside a path that changes nothing. Dense: on CPUs, depthwise ones run at a tenth of the rate."""

    def __init__(self, width):
        super().__init__()
        self.first = conv(width, width)
        self.second = conv(width, width)
        nn.init.zeros_(self.second[1].weight)

    def forward(self, x):
        return F.relu(x + self.second(F.relu(self.first(x))))


class Attention(nn.Module):
    """A transformer block (pre-norm) over the cells of a map."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.expand = nn.Linear(width, 2 * width)
        self.reduce = nn.Linear(2 * width, width)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.reduce.weight)

    def forward(self, tokens):
        batch, cells, width = tokens.shape
        qkv = self.qkv(self.norm1(tokens)).view(batch, cells, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(batch, cells, width)
        tokens = tokens + self.out(mixed)
        return tokens + self.reduce(F.relu(self.expand(self.norm2(tokens))))


class Nano(nn.Module):
    """A U-net over three scales (48, 24 and 12 cells a side) with attention at the coarsest.

    Takes f32 [B, CHANNELS, INPUT, INPUT]; gives mask logits [B, OUTPUT, OUTPUT] and the logit of the predicted IoU [B].
    """

    def __init__(self, fine=32, middle=64, coarse=128, depth=2, heads=4, dropout=0.1):
        super().__init__()
        # Whole channels: neighbouring cells know each other's values.
        self.drop = nn.Dropout2d(dropout)
        self.stem = conv(CHANNELS, fine, stride=2)
        self.fine = conv(fine, fine)
        self.down1 = conv(fine, middle, stride=2)
        self.encode = Residual(middle)
        self.down2 = conv(middle, coarse, stride=2)
        side = INPUT // 8
        self.position = nn.Parameter(0.02 * torch.randn(1, side * side, coarse))
        self.residuals = nn.ModuleList(Residual(coarse) for _ in range(depth))
        self.attentions = nn.ModuleList(Attention(coarse, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(coarse)
        self.iou = nn.Sequential(nn.Linear(coarse, coarse), nn.ReLU(), nn.Linear(coarse, 1))
        self.up1 = conv(coarse, middle, kernel=1)
        self.decode = Residual(middle)
        self.up2 = conv(middle, fine, kernel=1)
        self.merge = conv(2 * fine, fine)
        self.mask = nn.Conv2d(fine, 1, 3, padding=1)

    def forward(self, x):
        fine = F.relu(self.fine(F.relu(self.stem(x))))
        middle = self.encode(F.relu(self.down1(fine)))
        coarse = self.drop(F.relu(self.down2(middle)))
        batch, width, side, _ = coarse.shape
        for index, (residual, attention) in enumerate(zip(self.residuals, self.attentions)):
            tokens = residual(coarse).flatten(2).transpose(1, 2)
            if index == 0:
                tokens = tokens + self.position
            tokens = attention(tokens)
            coarse = tokens.transpose(1, 2).reshape(batch, width, side, side)
        tokens = self.norm(tokens)
        iou = self.iou(tokens.mean(1)).squeeze(1)
        coarse = tokens.transpose(1, 2).reshape(batch, width, side, side)
        up = F.interpolate(self.up1(coarse), scale_factor=2, mode="nearest")
        middle = self.drop(self.decode(F.relu(up + middle)))
        up = F.interpolate(F.relu(self.up2(middle)), scale_factor=2, mode="nearest")
        logits = self.mask(F.relu(self.merge(torch.cat([up, fine], 1)))).squeeze(1)
        assert logits.shape[1:] == (OUTPUT, OUTPUT)
        return logits, iou

    def folded(self):
        """The same network with its batch normalisation folded into the convolutions before it."""
        network = copy.deepcopy(self).cpu().eval()
        for module in list(network.modules()):
            if isinstance(module, nn.Sequential) and len(module) == 2 and isinstance(module[1], nn.BatchNorm2d):
                old, norm = module[0], module[1]
                factor = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
                new = nn.Conv2d(old.in_channels, old.out_channels, old.kernel_size, old.stride, old.padding)
                new.weight.data = (old.weight.double() * factor[:, None, None, None]).float()
                new.bias.data = (norm.bias.double() - norm.running_mean.double() * factor).float()
                module[0], module[1] = new, nn.Identity()
        return network

    @classmethod
    def shipped(cls, path):
        """The network of an exported file, in f32."""
        network = cls().folded()
        network.load_state_dict({name: tensor.float() for name, tensor in load_file(path).items()})
        return network.eval()
