"""YOLO models with random weights that are alive: scores of both signs, varied boxes, no dead channels.

A freshly constructed model is no test: its BatchNorm statistics are 0 and 1 and its scores all sit near one value.
Here convolutions are fan-in scaled normals and the BatchNorm statistics are measured layer by layer on smooth noise
images, then jittered. Every weight is exactly representable in float16, as in published checkpoints.
"""

import copy
import math

import torch
from torch import nn
from ultralytics.nn import tasks
from ultralytics.nn.modules.head import Classify
from ultralytics.utils import ROOT, YAML

CLASSES = {
    "detect": tasks.DetectionModel,
    "segment": tasks.SegmentationModel,
    "pose": tasks.PoseModel,
    "obb": tasks.OBBModel,
    "classify": tasks.ClassificationModel,
}
SUFFIX = {"detect": "", "segment": "-seg", "pose": "-pose", "obb": "-obb", "classify": "-cls"}
FINAL_STD = {"cv2": 2.0, "cv3": 2.0, "cv4": 1.5}  # spread of the head's raw outputs


def architecture(task, depth, width, max_channels, classes, **head):
    """The published yaml of `task` at another scale; `head` may set `protos`, `proto_channels` or `kpt_shape`."""
    config = YAML.load(ROOT / "cfg" / "models" / "v8" / f"yolov8{SUFFIX[task]}.yaml")
    config.update(nc=classes, scale="t", scales={"t": [depth, width, max_channels]}, channels=3)
    if task == "segment":
        config["head"][-1][-1] = ["nc", head.get("protos", 32), head.get("proto_channels", 256)]
    if task == "pose":
        config["kpt_shape"] = list(head.get("kpt_shape", (17, 3)))
    return config


def published(name):
    """The configuration of a published detector, e.g. of `yolo26s`."""
    generation, scale = name[:-1], name[-1]
    folder = generation.removeprefix("yolo")
    config = YAML.load(ROOT / "cfg" / "models" / folder / f"{generation}.yaml")
    return config | {"scale": scale, "channels": 3}


def smooth_images(shape, generator):
    """Smooth noise in three octaves (blobs of 48, 16 and 5 pixels at every image size), uint8 [B, 3, H, W]."""
    batch, height, width = shape
    image = torch.zeros(batch, 3, height, width)
    for blob, strength in ((48, 1.0), (16, 0.6), (5, 0.3)):
        coarse = torch.rand(batch, 3, height // blob + 1, width // blob + 1, generator=generator)
        image += strength * nn.functional.interpolate(coarse, (height, width), mode="bicubic", align_corners=False)
    # Narrow random networks follow the mean colour more than anything else: every channel gets the same mean.
    image = (image - image.mean((2, 3), keepdim=True)) / image.std((2, 3), keepdim=True)
    return (image * 50 + 128).clamp(0, 255).round().to(torch.uint8)


def lively(task, config, seed, calibration=(8, 224, 224)):
    """The model of `config` in float32 and eval mode, with random weights that `seed` decides."""
    generator = torch.Generator().manual_seed(seed)
    model = CLASSES[task](copy.deepcopy(config), ch=3, nc=config["nc"], verbose=False).eval()
    model.task = task
    for module in model.modules():
        draw(module, generator)
    measure(model, smooth_images(calibration, generator).float() / 255, generator)
    with torch.no_grad():
        for tensor in model.state_dict().values():
            if tensor.is_floating_point():
                tensor.copy_(tensor.half().float())
    model.names = {index: f"class_{index}" for index in range(config["nc"])}
    return model


@torch.no_grad()
def draw(module, generator):
    """Random weights of one layer; the fixed integral of the box decoder (DFL) keeps its own."""

    def normal(tensor, std, mean=0.0):
        tensor.copy_(torch.randn(tensor.shape, generator=generator) * std + mean)

    if isinstance(module, (nn.Conv2d, nn.Linear)) and module.weight.requires_grad:
        normal(module.weight, math.sqrt(2.0 / module.weight[0].numel()))
    elif isinstance(module, nn.ConvTranspose2d):
        normal(module.weight, math.sqrt(1.0 / module.weight.shape[0]))
    elif isinstance(module, nn.BatchNorm2d):
        normal(module.weight, 0.25, 1.0)
        normal(module.bias, 0.2)
    if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)) and module.bias is not None:
        normal(module.bias, 0.15)


@torch.no_grad()
def measure(model, images, generator):
    """One forward pass that sets each BatchNorm from what reaches it, and scales the last layers of the head."""
    handles = []

    def statistics(layer, inputs):
        (x,) = inputs
        mean, std = x.mean((0, 2, 3)), x.std((0, 2, 3)) + 1e-3
        layer.running_mean.copy_(mean + 0.1 * std * torch.randn(mean.shape, generator=generator))
        layer.running_var.copy_((std * torch.exp(0.1 * torch.randn(std.shape, generator=generator))).square())

    def spread(target, offset):
        def hook(layer, _inputs, output):
            factor = target / output.std()
            centre = output.mean(tuple(i for i in range(output.ndim) if i != 1))
            layer.weight.mul_(factor)
            layer.bias.copy_((layer.bias - centre) * factor + offset)

        return hook

    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            handles.append(module.register_forward_pre_hook(statistics))
    head = model.model[-1]
    if isinstance(head, Classify):
        handles.append(head.linear.register_forward_hook(spread(1.5, 0.0)))
    else:
        # A class is the best one about as often with many classes as with few; plain distances are not to turn boxes inside out.
        offsets = {"cv2": 2.0 if head.reg_max == 1 else 0.0, "cv3": -2.0 - 0.8 * math.log(head.nc)}
        for name, std in FINAL_STD.items():
            branches = [*getattr(head, name, ()), *(getattr(head, f"one2one_{name}", None) or ())]
            std = 0.2 if name == "cv2" and head.reg_max == 1 else std
            for branch in branches:
                handles.append(branch[-1].register_forward_hook(spread(std, offsets.get(name, 0.0))))
    model(images)
    for handle in handles:
        handle.remove()
