"""Golden cases for YOLOv8: small random models run through ultralytics, every tensor kept for comparison.

    .venv/bin/python make_golden_yolov8.py OUTPUT_DIR [CASE...]

A case is a folder with `case.json`, `inputs.safetensors`, `outputs.safetensors` and the checkpoint; `case.json` says
what each tensor means and how far apart float32 and float64 are.
"""

import argparse
import copy
import importlib.metadata
import json
import platform
import tempfile
from pathlib import Path

import peer_setup

peer_setup.offline(Path(tempfile.gettempdir()) / "golden-yolov8-config", 1)

import torch  # noqa: E402  (the environment has to be set first)
import torchvision  # noqa: E402, F401  (ultralytics then uses its NMS)
import yaml  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402
from ultralytics.utils import nms, ops  # noqa: E402

import lively_yolo  # noqa: E402

# task, depth, width, largest channel count, classes, shapes [B, H, W], form of the .pt, safetensors too?, extra
CASES = {
    "obb_narrow": ("obb", 0.33, 0.0625, 1024, 15, [(1, 256, 256), (2, 192, 256)], "final", True, {}),
    "obb_one_class": ("obb", 0.33, 0.25, 512, 1, [(1, 160, 224)], "ema", False, {}),
    "obb_many_classes": ("obb", 0.67, 0.125, 768, 80, [(3, 96, 224)], "final", False, {}),
    "detect_one_class": ("detect", 0.67, 0.25, 512, 1, [(3, 160, 96), (1, 128, 352)], "final", False, {}),
    "detect_300_classes": ("detect", 0.33, 0.0625, 1024, 300, [(1, 96, 320), (3, 96, 64)], "final", True, {}),
    "detect_deep": ("detect", 1.0, 0.125, 512, 20, [(3, 224, 160)], "ema", False, {}),
    "segment_24_protos": (
        "segment",
        0.33,
        0.125,
        512,
        6,
        [(1, 224, 160)],
        "final",
        True,
        {"protos": 24, "proto_channels": 512},
    ),
    "segment_8_protos": (
        "segment",
        0.67,
        0.0625,
        1024,
        1,
        [(3, 96, 160)],
        "ema",
        False,
        {"protos": 8, "proto_channels": 256},
    ),
    "pose_5x2": ("pose", 0.33, 0.125, 512, 2, [(1, 160, 128), (3, 96, 96)], "final", True, {"kpt_shape": (5, 2)}),
    "pose_4x3": ("pose", 0.67, 0.0625, 1024, 3, [(3, 64, 192)], "ema", False, {"kpt_shape": (4, 3)}),
    "classify_wide": ("classify", 0.33, 0.125, 1024, 1000, [(1, 224, 224), (3, 160, 96)], "final", True, {}),
    "classify_deep": ("classify", 0.67, 0.0625, 512, 3, [(3, 64, 64), (2, 96, 160)], "ema", False, {}),
}
NMS_CALLS = {
    "nms_default": {"conf_thres": 0.25, "iou_thres": 0.7},
    "nms_045_agnostic": {"conf_thres": 0.25, "iou_thres": 0.45, "agnostic": True},
    "nms_multilabel_max20": {"conf_thres": 0.1, "iou_thres": 0.6, "multi_label": True, "max_det": 20},
    "nms_classes": {"conf_thres": 0.15, "iou_thres": 0.5, "classes": [0, 2]},
}
MEANING = {
    "u8": "image batch NCHW uint8 RGB; the network input is u8/255 in float32",
    "prob": "softmax class probabilities",
    "logits": "class logits",
    "pred": "decoded head output [B, 4+nc(+extra), anchors]: xywh centre in input pixels, sigmoid class scores, then "
    "extras (mask coefficients, decoded keypoints, or angle in radians)",
    "raw_boxes": "[B,64,anchors] DFL logits",
    "raw_scores": "[B,nc,anchors] class logits",
    "mask_coefficient": "[B,protos,anchors]",
    "proto": "[B,protos,H/4,W/4]",
    "kpts_raw": "raw keypoint channels",
    "raw_angle": "[B,1,anchors] angle logits; angle = (sigmoid - 0.25) * pi",
    "angle": "[B,1,anchors] angle in radians, in [-pi/4, 3pi/4]; the last row of pred",
    "p5": "last feature map given to the head",
    "masks": "process_mask(..., upsample=True) uint8 at input size",
    "native_boxes": "scale_boxes of the same rows to native_shape",
    "masks_native": "process_mask_native at the stated shape, boxes scaled there with scale_boxes",
    "dets": "non_max_suppression output for image 0: x1 y1 x2 y2 conf cls (+extras), computed from the stored pred",
    "dets_obb": "non_max_suppression(rotated=True) output: xc yc w h conf cls angle (radians), computed from the stored "
    "pred; boxes are neither turned into corners nor regularised",
    "native_obb": "Results.obb.data of nms_default.b0 on a picture of native_shape: xc yc w h angle conf cls",
    "native_corners": "Results.obb.xyxyxyxy of the same rows: four corners x y",
    "regularized": "ops.regularize_rboxes of native_obb's xc yc w h angle: angle in [0, pi/2), w and h swapped where needed",
}
NOTES = [
    "BN eps 1e-3 (not stored in the state dict)",
    "in the .pt, weights and BN statistics are half; upcast to float32 before use (the .safetensors holds the upcast values)",
    "the .pt is a pickled module tree (classes ultralytics.nn.*): walk _modules/_parameters/_buffers; 'ema' first, else 'model'",
    "nn.Module attributes beyond tensors (stride, names, yaml, args, task) live in the pickle too",
]
OBB_NOTES = [
    "rotated NMS is Fast-NMS with probabilistic IoU (batch_probiou, eps 1e-7), not greedy NMS: a box goes if *any* "
    + "higher-scored box, kept or not, overlaps it by more than iou_thres",
    "classes are kept apart by adding class * 7680 to both centre coordinates (0 if agnostic)",
    "scale_boxes(xywh=True) moves the centre by the padding and divides by the gains; it does not clip",
]


def forward(model, u8):
    """All tensors of one forward pass by name, in the model's own precision."""
    dtype = next(model.parameters()).dtype
    image = u8.to(dtype) / 255
    head = model.model[-1]
    seen = {}
    watch = head.register_forward_pre_hook(lambda _module, inputs: seen.update(features=inputs[0]))
    with torch.no_grad():
        output = model(image)
    watch.remove()
    if model.task == "classify":
        return {"prob": output[0], "logits": output[1]}
    pred, raw = output
    tensors = {"raw_boxes": raw["boxes"], "raw_scores": raw["scores"], "p5": seen["features"][-1]}
    if model.task == "segment":
        pred, tensors["proto"] = pred
        tensors["mask_coefficient"] = raw["mask_coefficient"]
    elif model.task == "pose":
        tensors["kpts_raw"] = raw["kpts"]
    elif model.task == "obb":
        with torch.no_grad():
            logits = [branch(x).flatten(2) for branch, x in zip(head.cv4, seen["features"])]
        tensors |= {"raw_angle": torch.cat(logits, 2), "angle": raw["angle"]}
    return {"pred": pred, **tensors}


def native_shape(u8):
    """A picture that letterboxes to this input with a little padding at top and bottom."""
    height, width = u8.shape[-2:]
    return (height * 3 // 2 - 3, width * 3 // 2)


def postprocess(model, call, tensors, u8):
    """What ultralytics makes of the float32 predictions, and a line per call for `case.json`."""
    outputs, lines = {}, []
    rotated = model.task == "obb"
    for name, options in NMS_CALLS.items():
        # ultralytics gives up on the remaining images after a time limit: a reference must not depend on the clock.
        fixed = {"nc": len(model.names), "rotated": rotated, "max_time_img": 1e6}
        kept = nms.non_max_suppression(tensors["pred"].clone(), **fixed, **options)
        outputs |= {f"{call}.{name}.b{index}.dets": dets for index, dets in enumerate(kept)}
        lines.append({"call": f"{call}.{name}", **options, "rotated": rotated, "kept": [len(dets) for dets in kept]})
    best = outputs[f"{call}.nms_default.b0.dets"]
    shape, native = tuple(u8.shape[-2:]), native_shape(u8)
    if model.task == "segment" and len(best):
        best = best[:4]
        proto, coefficient = tensors["proto"][0], best[:, 6:]
        boxes = ops.scale_boxes(shape, best[:, :4].clone(), native)
        outputs[f"{call}.masks"] = ops.process_mask(proto, coefficient, best[:, :4].clone(), shape, upsample=True)
        outputs[f"{call}.native_boxes"] = boxes
        outputs[f"{call}.masks_native"] = ops.process_mask_native(proto, coefficient, boxes, native)
        lines.append({"call": f"{call}.masks", "note": "first 4 rows of nms_default.b0", "native_shape": native})
    if rotated and len(best):
        boxes = torch.cat([best[:, :4], best[:, -1:]], dim=-1)
        boxes[:, :4] = ops.scale_boxes(shape, boxes[:, :4], native, xywh=True)
        outputs[f"{call}.native_obb"] = torch.cat([boxes, best[:, 4:6]], dim=-1)
        outputs[f"{call}.native_corners"] = ops.xywhr2xyxyxyxy(boxes)
        outputs[f"{call}.regularized"] = ops.regularize_rboxes(boxes)
        lines.append({"call": f"{call}.native_obb", "note": "all rows of nms_default.b0", "native_shape": native})
    return outputs, lines


def run(model, inputs):
    """Outputs of all calls, their post-processing lines and the float32 against float64 differences."""
    outputs, lines, noise = {}, [], {}
    double = copy.deepcopy(model).double()
    for name, u8 in inputs.items():
        call = name.removesuffix(".u8")
        tensors = forward(model, u8)
        exact = forward(double, u8)
        outputs |= {f"{call}.{key}": tensor for key, tensor in tensors.items()}
        noise |= {f"{call}.{key}": (exact[key] - tensor).abs().max().item() for key, tensor in tensors.items()}
        if "pred" in tensors:
            extra, more = postprocess(model, call, tensors, u8)
            outputs |= extra
            lines += more
            noise |= {key: 0.0 for key, tensor in extra.items() if tensor.is_floating_point()}
    return outputs, lines, noise


def spread(task, outputs):
    """Evidence that the case is alive."""
    if task == "classify":
        return {"prob_std": outputs["x0.prob"].std().item(), "prob_max": outputs["x0.prob"].max().item()}
    pred, scores = outputs["x0.pred"], outputs["x0.raw_scores"]
    probability = scores.sigmoid()
    return {
        "score_logit_std": scores.std().item(),
        "score_std_positions": scores.std(-1).mean().item(),
        "max_score": probability.max().item(),
        "candidates_025": int((probability.amax(1) > 0.25).sum()),
        "box_w_min": pred[:, 2].min().item(),
        "box_w_max": pred[:, 2].max().item(),
        "anchors": pred.shape[-1],
    }


def described(tensors, task):
    """Shape, type, range and meaning of each tensor."""
    result = {}
    for name, tensor in tensors.items():
        kind = name.rsplit(".", 1)[-1]
        entry = {"shape": list(tensor.shape), "dtype": str(tensor.dtype).removeprefix("torch.")}
        if tensor.is_floating_point() and tensor.numel():
            entry |= {"min": tensor.min().item(), "max": tensor.max().item(), "std": tensor.std(correction=0).item()}
        entry["meaning"] = MEANING["dets_obb" if kind == "dets" and task == "obb" else kind]
        if kind == "dets":
            entry["meaning"] = entry["meaning"].replace("image 0", f"image {name.rsplit('.', 2)[1][1:]}")
        result[name] = entry
    return result


def tolerance(noise):
    """Ten times the rounding noise, at least 2e-5, to two digits."""
    return float(f"{max(10 * noise, 2e-5):.1e}")


def write_case(name, folder):
    """Makes one case and checks that it comes out the same when read back from disk."""
    task, depth, width, max_channels, classes, shapes, form, with_safetensors, head = CASES[name]
    seed = 100 + list(CASES).index(name)
    config = lively_yolo.architecture(task, depth, width, max_channels, classes, **head)
    model = lively_yolo.lively(task, config, seed)
    generator = torch.Generator().manual_seed(seed + 1000)
    inputs = {f"x{index}.u8": lively_yolo.smooth_images(shape, generator) for index, shape in enumerate(shapes)}
    outputs, lines, noise = run(model, inputs)
    alive = spread(task, outputs)
    if alive.get("candidates_025", 9) < 3 or alive.get("prob_std", 1) < 1e-4:
        raise SystemExit(f"{name}: a dead model, {alive}")
    folder.mkdir(parents=True, exist_ok=True)
    peer_setup.save_checkpoint(model, folder / "yolov8.pt", half=True, form=form)
    if with_safetensors:
        save_file({key: value.contiguous() for key, value in model.state_dict().items()}, folder / "model.safetensors")
    (folder / "model.yaml").write_text(yaml.safe_dump(config))
    save_file({key: value.contiguous() for key, value in inputs.items()}, folder / "inputs.safetensors")
    save_file({key: value.contiguous() for key, value in outputs.items()}, folder / "outputs.safetensors")
    again, _, _ = run(reloaded(folder, form), load_file(folder / "inputs.safetensors"))
    worst = max(outputs, key=lambda key: difference(outputs[key], again[key]))
    largest = max(noise, key=noise.get)
    packages = ("torch", "torchvision", "ultralytics", "numpy", "safetensors")
    case = {
        "family": "yolov8",
        "case": name,
        "about": f"{task}, depth {depth}, width {width}, {classes} classes"
        + "".join(f", {key} {value}" for key, value in head.items())
        + (
            ", training-style checkpoint ('ema' in half, 'model' None)"
            if form == "ema"
            else ", published-style checkpoint"
        ),
        "cls": f"ultralytics {type(model).__name__}",
        "config": {"seed": seed, "task": task, "depth": depth, "width": width, "maxc": max_channels, "nc": classes}
        | {"shapes": shapes, "pt": form, "pt_only": not with_safetensors, **head},
        "checkpoint": (["model.safetensors"] if with_safetensors else []) + ["yolov8.pt", "model.yaml"],
        "postprocess": lines,
        "spread": alive,
        "stride": [int(stride) for stride in getattr(model, "stride", [])],
        "notes": NOTES
        + ([] if task == "classify" else ["model.22.dfl.conv.weight = arange(16)"])
        + (OBB_NOTES if task == "obb" else []),
        "preprocessing": "u8/255, RGB, NCHW, no letterbox here",
        "tolerance": {"atol": 0.002, "rtol": 0.0001, "note": "boxes are in pixels; prefer suggested_atol_per_tensor"},
        "versions": {"python": platform.python_version()} | {key: importlib.metadata.version(key) for key in packages},
        "inputs": described(inputs, task),
        "outputs": described(outputs, task),
        "reproduce_max_abs_diff": {"value": difference(outputs[worst], again[worst]), "tensor": worst},
        "float32_vs_float64_max_abs_diff": {"value": noise[largest], "tensor": largest, "per_tensor": noise},
        "suggested_atol_per_tensor": {key: tolerance(value) for key, value in noise.items()},
    }
    (folder / "case.json").write_text(json.dumps(case, indent=1))
    return f"{name}: {alive}, noise {noise[largest]:.1e} ({largest}), reproduced to {case['reproduce_max_abs_diff']['value']}"


def reloaded(folder, form):
    """The model of the checkpoint on disk, in float32."""
    checkpoint = torch.load(folder / "yolov8.pt", weights_only=False)
    return checkpoint["ema" if form == "ema" else "model"].float().eval()


def difference(a, b):
    if a.shape != b.shape:
        return float("inf")
    return (a.double() - b.double()).abs().max().item() if a.numel() else 0.0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("cases", nargs="*", help=f"of {', '.join(CASES)}; all by default")
    options = parser.parse_args()
    torch.set_num_threads(1)
    for name in options.cases or CASES:
        print(write_case(name, options.output / name), flush=True)


if __name__ == "__main__":
    main()
