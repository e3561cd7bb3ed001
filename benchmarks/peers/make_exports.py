"""ONNX files as ultralytics exports them, with the outputs of ONNX Runtime on a known input, for reading tests.

    .venv/bin/python make_exports.py WEIGHTS.safetensors PHOTO OUTPUT_DIR

Detection uses the given YOLOv8n weights; the other tasks random ones (`lively_yolo.py`). Beside each `NAME.onnx` lie
`NAME.safetensors` (`images`, the photo stretched to the input size, and each output by its name) and `NAME.json` (options, metadata, inputs, outputs).
"""

import argparse
import json
import tempfile
from pathlib import Path

import peer_setup

peer_setup.offline(Path(tempfile.gettempdir()) / "exports-yolov8-config", 2)

import cv2  # noqa: E402  (the environment has to be set first)
import numpy as np  # noqa: E402
import onnxruntime  # noqa: E402
from safetensors.numpy import save_file  # noqa: E402

import lively_yolo  # noqa: E402

OTHER_TASKS = {"segment": 80, "pose": 1, "obb": 15, "classify": 1000}  # with their numbers of classes
FORMS = {
    "static": {},
    "dynamic": {"dynamic": True},
    "nms": {"nms": True},
    "half": {"half": True},
    "batch2": {"batch": 2},
    "rectangle": {"imgsz": (384, 640)},
    "plain": {"simplify": False},
    "opset12": {"opset": 12},
}
OTHER_FORMS = {
    "segment": ("static", "dynamic", "nms"),
    "pose": ("static", "dynamic", "nms"),
    "obb": ("static", "dynamic", "nms"),
}


def picture(photo, batch, height, width):
    """The photo stretched to [batch, 3, height, width], RGB, 0 to 1; mirrored for every second image."""
    image = cv2.resize(cv2.imread(str(photo)), (width, height))[..., ::-1]
    image = np.ascontiguousarray(image.transpose(2, 0, 1), dtype=np.float32) / 255
    return np.stack([image if index % 2 == 0 else image[..., ::-1] for index in range(batch)])


def describe(path, photo, options):
    """Runs the file once and writes what went in and out."""
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])
    (source,) = session.get_inputs()
    sides = [side if isinstance(side, int) else fallback for side, fallback in zip(source.shape, (1, 3, 320, 256))]
    image = picture(photo, sides[0], *sides[2:])
    image = image.astype(np.float16 if "float16" in source.type else np.float32)
    names = [output.name for output in session.get_outputs()]
    results = dict(zip(names, session.run(names, {source.name: image})))
    save_file(
        {source.name: image} | {k: np.ascontiguousarray(v) for k, v in results.items()},
        path.with_suffix(".safetensors"),
    )
    facts = {
        "options": options,
        "opset": {entry.domain: entry.version for entry in onnx_model(path).opset_import},
        "inputs": {source.name: {"shape": source.shape, "type": source.type}},
        "outputs": {
            o.name: {"shape": o.shape, "type": o.type, "ran": list(results[o.name].shape)}
            for o in session.get_outputs()
        },
        "metadata": session.get_modelmeta().custom_metadata_map,
    }
    path.with_suffix(".json").write_text(json.dumps(facts, indent=1))


def onnx_model(path):
    import onnx

    return onnx.load(path, load_external_data=False)


def export(checkpoint, destination, photo, options):
    peer_setup.export_onnx(checkpoint, destination, **options)
    describe(destination, photo, options)
    print(f"{destination.name}: {destination.stat().st_size >> 10} KiB", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path)
    parser.add_argument("photo", type=Path)
    parser.add_argument("output", type=Path)
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        checkpoint = Path(scratch) / "yolov8n.pt"
        peer_setup.save_checkpoint(peer_setup.yolov8n(options.weights), checkpoint, peer_setup.coco_names())
        for form, extra in FORMS.items():
            export(checkpoint, options.output / f"detect-{form}.onnx", options.photo, {"imgsz": 640} | extra)
        for task, classes in OTHER_TASKS.items():
            config = lively_yolo.architecture(task, 0.33, 0.25, 1024, classes)
            checkpoint = Path(scratch) / f"yolov8n-{task}.pt"
            peer_setup.save_checkpoint(lively_yolo.lively(task, config, 50), checkpoint, half=True)
            for form in OTHER_FORMS.get(task, ("static", "dynamic")):
                size = {"imgsz": 224 if task == "classify" else 320}
                export(checkpoint, options.output / f"{task}-{form}.onnx", options.photo, size | FORMS[form])


if __name__ == "__main__":
    main()
