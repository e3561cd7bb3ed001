"""SAM 2.1 tiny as exporters split it, on ONNX Runtime's Python package: what the graphs that maskline builds save.

`maskline bench --against onnxruntime-python` runs maskline's own graphs in Python; these are the other ones. They run in the
worker of `maskline bench`, on the boxes of `maskline bench --kind box`. See README.md for the commands of both.
"""

import argparse
import os
from pathlib import Path

from exported import HEAD, HERE, Worker, measure, row  # first of all: it finds the workers' modules

import cv2  # noqa: E402
import numpy  # noqa: E402
import pictures  # noqa: E402
import promptable  # noqa: E402
from onnx_session import session  # noqa: E402
from PIL import Image  # noqa: E402

SIDE, LOW = 1024, 256
STATISTICS = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
BOXES = 47


class Exported(promptable.Predictor):
    """The exported encoder and decoder; Pillow and numpy before, OpenCV and pycocotools behind."""

    def __init__(self, task):
        super().__init__()
        cv2.setNumThreads(task["threads"])
        self.encoder, self.decoder = session(task, "image_encoder"), session(task, "mask_decoder")

    def blank(self):
        return numpy.zeros((SIDE, SIDE, 3), numpy.uint8)

    def preprocess(self, image):
        return pictures.stretched(image, SIDE, STATISTICS)

    def encode(self, pixels):
        names = [output.name for output in self.encoder.get_outputs()]
        return dict(zip(names, self.encoder.run(None, {"image": pixels}), strict=True))

    def decode(self, embedding, size, group):
        """The graph gives one mask per prompt, whatever is asked."""
        if group.boxes is not None:
            points, labels = group.boxes.reshape(-1, 2, 2), numpy.tile(numpy.float32([2, 3]), (len(group.boxes), 1))
        else:
            points, labels = group.points, group.labels
        height, width = size
        given = {
            "point_coords": points * numpy.float32([SIDE / width, SIDE / height]),
            "point_labels": labels,
            "mask_input": numpy.zeros((1, 1, LOW, LOW), numpy.float32),
            "has_mask_input": numpy.zeros(1, numpy.float32),
        }
        masks, scores = self.decoder.run(None, embedding | given)
        return masks, scores[:, 0]

    def upscale(self, logits, size):
        height, width = size
        return (cv2.resize(mask[0], (width, height)) > 0 for mask in logits)

    def threads(self):
        return self.encoder.get_session_options().intra_op_num_threads


def boxes(count, size):
    """The boxes of `maskline bench`: places of Roberts' R2 sequence, sides of an eighth to three eighths of the picture's."""
    width, height = size
    found = []
    for i in range(count):
        across, down = ((0.5 + step * i) % 1 for step in (0.7548776662466927, 0.5698402909980532))
        wide, high = (0.125 + 0.25 * (place * 7 % 1) for place in (across, down))
        left, top = across * (1 - wide) * width, down * (1 - high) * height
        found.append([left, top, left + wide * width, top + high * height])
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photo", type=Path)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--calls", type=int, default=12, help="of each kind, beside those that warm up")
    parser.add_argument("--results", type=Path, default=HERE / "results", help="where checkpoint and exports are made")
    options = parser.parse_args()
    options.results.mkdir(parents=True, exist_ok=True)
    import sam2_export

    files = sam2_export.prepare(options.results, options.photo)
    size = Image.open(options.photo).size
    many = [{"box": box} for box in boxes(BOXES, size)]
    (x1, y1, x2, y2) = many[0]["box"]
    click = [{"points": [[(x1 + x2) / 2, (y1 + y2) / 2]], "labels": [1]}]
    cases = {
        f"picture and {BOXES} boxes": {"mode": "miss", "prompts": many},
        f"{BOXES} boxes, embedding held": {"mode": "held", "prompts": many},
        "1 click, embedding held": {"mode": "held", "prompts": click},
    }
    parts = {"image_encoder": str(files["encoder"]), "mask_decoder": str(files["decoder"])}
    needs = ["onnxruntime", "numpy", "PIL", "cv2", "pycocotools"]
    worker = Worker({"module": "sam2_exported", "class": "Exported", "needs": needs, "parts": parts, "threads": options.threads})
    print(HEAD)
    for name, case in cases.items():
        request = {"picture": str(options.photo.resolve()), "multimask": "off", **case}
        print(row(name, measure(worker, request, options.calls)), flush=True)
    worker.close()


if __name__ == "__main__":
    main()
