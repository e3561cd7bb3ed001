"""Keeps ultralytics quiet and on a given number of threads; makes checkpoints and exports as it writes them.

`offline` has to run before the first import of ultralytics or torch.
"""

import json
import os
from pathlib import Path


def offline(config_dir, threads=None):
    """No analytics, no downloads, no automatic installs, settings and working folders inside `config_dir`."""
    config_dir = Path(config_dir).resolve()
    settings = config_dir / "Ultralytics" / "settings.json"
    os.environ.update(
        YOLO_CONFIG_DIR=str(config_dir), YOLO_OFFLINE="true", YOLO_AUTOINSTALL="false", YOLO_VERBOSE="false"
    )
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    if threads:
        for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
            os.environ[name] = str(threads)
    if not settings.exists():
        settings.parent.mkdir(parents=True, exist_ok=True)
        folders = {f"{name}_dir": str(config_dir / name) for name in ("datasets", "weights", "runs")}
        switches = dict.fromkeys(
            ("sync", "clearml", "comet", "dvc", "mlflow", "raytune", "tensorboard", "wandb"), False
        )
        blank = {"settings_version": "0.0.8", "uuid": "", "api_key": "", "openai_api_key": ""}
        settings.write_text(json.dumps(blank | folders | switches | {"vscode_msg": False, "openvino_msg": False}))


def coco_names():
    """The 80 COCO class names that ship with ultralytics."""
    from ultralytics.utils import ROOT, YAML

    return YAML.load(ROOT / "cfg" / "datasets" / "coco.yaml")["names"]


def save_checkpoint(model, path, names=None, half=False, form="final"):
    """Writes `model` as an ultralytics checkpoint.

    `final` is the published layout (`model` set, `ema` None), `ema` that of a training run not yet stripped.
    """
    from copy import deepcopy

    import torch
    import ultralytics
    from ultralytics.utils import DEFAULT_CFG_DICT

    model = deepcopy(model).cpu().eval()
    model.args = {"task": model.task, "mode": "train", "imgsz": 640, "single_cls": False}
    model.names = names or model.names
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    model = model.half() if half else model
    checkpoint = {
        "date": "2026-01-01T00:00:00",
        "version": ultralytics.__version__,
        "license": "AGPL-3.0 License (https://ultralytics.com/license)",
        "docs": "https://docs.ultralytics.com",
        "epoch": -1,
        "best_fitness": None,
        "model": None if form == "ema" else model,
        "ema": model if form == "ema" else None,
        "updates": None,
        "optimizer": None,
        "train_args": DEFAULT_CFG_DICT | {"task": model.task},
        "train_metrics": {"fitness": 0.0},
        "train_results": {"epoch": [1]},
    }
    temporary = Path(path).with_suffix(".partial")
    torch.save(checkpoint, temporary)
    temporary.replace(path)


def yolov8n(weights):
    """`DetectionModel("yolov8n.yaml")` with the weights of a safetensors file in ultralytics names."""
    from safetensors.torch import load_file
    from ultralytics.nn.tasks import DetectionModel

    model = DetectionModel("yolov8n.yaml", verbose=False)
    model.task = "detect"
    missing, unexpected = model.load_state_dict(load_file(weights), strict=False)
    missing = [name for name in missing if not name.endswith("num_batches_tracked")]
    if missing or unexpected:
        raise SystemExit(
            f"{weights}: not YOLOv8n in ultralytics names: missing {missing[:4]}, unexpected {unexpected[:4]}"
        )
    return model


def export_onnx(checkpoint, destination, **options):
    """`YOLO(checkpoint).export(format="onnx", ...)`, moved to `destination`."""
    from ultralytics import YOLO

    written = Path(YOLO(str(checkpoint)).export(format="onnx", device="cpu", verbose=False, **options))
    written.replace(destination)
    return destination
