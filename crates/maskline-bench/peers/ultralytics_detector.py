"""YOLO by ultralytics: through `YOLO.predict` (`Ultralytics`), and its PyTorch network alone with its own steps around (`PyTorch`)."""

import json
import os
from pathlib import Path

import weights


def settle(folder):
    """No analytics, no integrations, settings and folders inside `folder`: before the first import of ultralytics."""
    settings = Path(folder) / "Ultralytics" / "settings.json"
    if settings.exists():
        return
    settings.parent.mkdir(parents=True, exist_ok=True)
    folders = {f"{name}_dir": str(Path(folder) / name) for name in ("datasets", "weights", "runs")}
    switches = dict.fromkeys(("sync", "clearml", "comet", "dvc", "mlflow", "raytune", "tensorboard", "wandb"), False)
    blank = {"settings_version": "0.0.8", "uuid": "", "api_key": "", "openai_api_key": ""}
    text = json.dumps(blank | folders | switches | {"vscode_msg": False, "openvino_msg": False})
    # Whole or not at all: two workers may start at once.
    partial = settings.with_suffix(f".{os.getpid()}")
    partial.write_text(text)
    partial.replace(settings)


settle(os.environ["YOLO_CONFIG_DIR"])

import cv2  # noqa: E402
import numpy  # noqa: E402
import torch  # noqa: E402
from PIL import Image, ImageOps  # noqa: E402
from ultralytics import YOLO  # noqa: E402
from ultralytics.data.augment import LetterBox  # noqa: E402
from ultralytics.utils import ops, torch_utils  # noqa: E402
from ultralytics.utils.nms import non_max_suppression  # noqa: E402


def needless(task):
    """Parts of names of tensors that files hold or not: the integers from 0, and the one of two heads that does not answer."""
    return ".dfl.conv.weight", ".one2one_" if suppresses(task) else "model.23.cv"


def suppresses(task):
    """Whether boxes suppress each other; else a head answers that finds each object once."""
    return task["info"]["output"]["detector"]["selection"] == "suppression"


def pin(threads):
    """Left alone, ultralytics gives torch one thread less than there are processors."""
    torch_utils.NUM_THREADS = threads
    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)


def pin_onnx(threads):
    """Left alone, the ONNX backend of ultralytics takes all processors."""
    import onnxruntime
    from ultralytics.nn.backends import onnx

    original = onnx.ONNXBackend.__init__

    def with_threads(self, *arguments, **options):
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = threads
        options.setdefault("session_options", settings)
        original(self, *arguments, **options)

    onnx.ONNXBackend.__init__ = with_threads


def loaded(task):
    """`YOLO` with the task's weights: its own checkpoints and exports by itself, safetensors into the architecture."""
    path = weights.file_of(task["checkpoint"])
    if path.suffix == ".onnx":
        pin_onnx(task["threads"])
        return YOLO(str(path), task="detect")
    with path.open("rb") as file:
        if file.read(2) == b"PK":
            model = YOLO(str(path), task="detect")
            model.model.float()
            return model
    model = YOLO(f"{task['architecture']}.yaml", task="detect")
    classes = task["info"]["output"]["detector"]["classes"]
    if model.model.model[-1].nc != classes:
        model.model = type(model.model)(model.model.yaml, nc=classes, verbose=False)
    weights.fill(model.model, weights.read(task), needless(task))
    return model


def listed(boxes, scores, classes):
    columns = boxes.tolist(), scores.tolist(), classes.int().tolist()
    return [{"box": box, "score": score, "class_id": class_id} for box, score, class_id in zip(*columns, strict=True)]


class Ultralytics:
    """Path in, `Results` out."""

    def __init__(self, task):
        pin(task["threads"])
        self.model = loaded(task)
        detect = task["detect"]
        self.side = task["size"] or task["info"]["default_size"]
        self.options = {"imgsz": self.side, "conf": detect["conf"], "iou": detect["iou"], "max_det": detect["max_detections"]}
        self.options |= {"rect": False, "device": "cpu", "verbose": False}
        if not suppresses(task):
            self.options["nms"] = False

    def warm_up(self):
        self.model.predict(numpy.zeros((self.side, self.side, 3), numpy.uint8), **self.options)

    def answer(self, request, clock):
        (result,) = self.model.predict(request["picture"], **self.options)
        # Its own clock; decoding and what lies between is in none of its stages.
        for ours, theirs in (("preprocess", "preprocess"), ("network", "inference"), ("postprocess", "postprocess")):
            clock.stages[ours] = result.speed[theirs]
        boxes = result.boxes
        return listed(boxes.xyxy, boxes.conf, boxes.cls)

    def threads(self):
        session = getattr(getattr(self.model.predictor.model, "backend", None), "session", None)
        return session.get_session_options().intra_op_num_threads if session else torch.get_num_threads()


class PyTorch:
    """The fused network called directly: Pillow and ultralytics' letterbox before, its suppression behind."""

    def __init__(self, task):
        pin(task["threads"])
        self.detect = task["detect"]
        network = loaded(task).model.eval()
        network.end2end = not suppresses(task)
        self.model = network.fuse(verbose=False)
        self.side = task["size"] or task["info"]["default_size"]
        self.letterbox = LetterBox((self.side, self.side), auto=False)

    @torch.inference_mode()
    def warm_up(self):
        self.model(torch.zeros(1, 3, self.side, self.side))

    @torch.inference_mode()
    def answer(self, request, clock):
        with clock.stage("decode"):
            image = numpy.asarray(ImageOps.exif_transpose(Image.open(request["picture"])).convert("RGB"))
        with clock.stage("preprocess"):
            canvas = numpy.ascontiguousarray(self.letterbox(image=image).transpose(2, 0, 1)[None])
            pixels = torch.from_numpy(canvas).float() / 255
        with clock.stage("network"):
            answer = self.model(pixels)[0]
        with clock.stage("postprocess"):
            limits = {"conf_thres": self.detect["conf"], "iou_thres": self.detect["iou"], "max_det": self.detect["max_detections"]}
            (found,) = non_max_suppression(answer, **limits)
            boxes = ops.scale_boxes(pixels.shape[2:], found[:, :4], image.shape[:2])
        return listed(boxes, found[:, 4], found[:, 5])

    def threads(self):
        return torch.get_num_threads()
