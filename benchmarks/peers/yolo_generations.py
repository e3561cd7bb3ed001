"""Checkpoints and ONNX exports of YOLOv8, YOLO11 and YOLO26 with generated weights that find a few objects, as ultralytics writes them.

    python.sh yolo_generations.py PHOTO OUTPUT_DIR [--scales n,s] [--generations yolov8,yolo11,yolo26]

Speed does not depend on the weights, but for the number of objects: the bias of the class scores is set so that so many anchors of the photo are
above the usual threshold as `--anchors` says, at either head.
"""

import argparse
import tempfile
from pathlib import Path

import peer_setup

peer_setup.offline(Path(tempfile.gettempdir()) / "yolo-generations-config", 2)

import cv2  # noqa: E402  (the environment has to be set first)
import numpy as np  # noqa: E402
import torch  # noqa: E402
from ultralytics.data.augment import LetterBox  # noqa: E402

import lively_yolo  # noqa: E402

SIDE = 640
THRESHOLD = 0.25


def prepared(photo):
    """The photo as the network gets it, [1, 3, 640, 640]."""
    image = cv2.imread(str(photo))
    if image is None:
        raise SystemExit(f"{photo}: cannot be read as a picture")
    image = LetterBox((SIDE, SIDE), auto=False)(image=image)[..., ::-1]
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1), dtype=np.float32))[None] / 255


@torch.no_grad()
def calm(model, picture, anchors):
    """Shifts the class scores of each head until so many anchors are above the threshold."""
    head = model.model[-1]
    least = np.log(THRESHOLD / (1 - THRESHOLD))
    for branches in (head.cv3, getattr(head, "one2one_cv3", None)):
        if branches is None:
            continue
        best = []
        handles = [branch.register_forward_hook(lambda _layer, _x, y: best.append(y.amax(1).flatten())) for branch in branches]
        model(picture)
        for handle in handles:
            handle.remove()
        excess = torch.cat(best).topk(anchors + 1).values[-1] - least
        for branch in branches:
            branch[-1].bias.sub_(excess)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photo", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--scales", default="n,s")
    parser.add_argument("--generations", default="yolov8,yolo11,yolo26")
    parser.add_argument("--anchors", type=int, default=40)
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    picture = prepared(options.photo)
    for scale in options.scales.split(","):
        models = []
        for name in (generation + scale for generation in options.generations.split(",")):
            model = lively_yolo.lively("detect", lively_yolo.published(name), seed=len(models))
            # Numbers are to be of a trained network's size where they are measured.
            lively_yolo.measure(model, picture, torch.Generator().manual_seed(len(models)))
            calm(model, picture, options.anchors)
            checkpoint = options.output / f"{name}.pt"
            peer_setup.save_checkpoint(model, checkpoint, names=peer_setup.coco_names(), half=True)
            models += [checkpoint, peer_setup.export_onnx(checkpoint, options.output / f"{name}-export.onnx", simplify=False)]
        print(f"maskline bench {','.join(map(str, models))} --images {options.photo} --against ultralytics --time 30")


if __name__ == "__main__":
    main()
