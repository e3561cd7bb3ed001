"""SAM 3 as transformers' code exports it, on ONNX Runtime's Python package, with random weights, beside the same code in PyTorch.

The three graphs are those that exporters make: picture, text, and what answers one phrase. They run in the worker of `maskline bench`, and
answer phrases one after the other. See README.md.
"""

import argparse
import os
import zlib
from pathlib import Path

from exported import HEAD, HERE, Worker, measure, row  # first of all: it finds the workers' modules

import numpy  # noqa: E402
import promptable  # noqa: E402
import words  # noqa: E402
from onnx_session import session  # noqa: E402
from PIL import Image  # noqa: E402

CONTEXT, START, END = 32, 49406, 49407
MAPS = ["fine", "middle", "coarse", "positions"]
LEAST = 0.5


class Exported(words.Finder):
    """Pillow before the graphs; masks are stretched by OpenCV behind them."""

    def __init__(self, task):
        super().__init__(task)
        import cv2

        cv2.setNumThreads(task["threads"])
        self.stretch, self.linear = cv2.resize, cv2.INTER_LINEAR
        self.side, self.least = task["info"]["default_size"], task["detect"]["conf"]
        self.encoder, self.reader, self.decoder = (session(task, part) for part in ("image_encoder", "text_encoder", "concept_decoder"))
        self.has_tokenizer = False

    def blank(self):
        return numpy.zeros((self.side, self.side, 3), numpy.uint8)

    def of_ids(self, ids):
        ids = numpy.int64(ids)
        # Texts end with their largest id; what comes behind is filled up.
        return ids, (numpy.arange(ids.shape[1]) <= ids.argmax(1)[:, None]).astype(numpy.int64)

    def read(self, tokens):
        ids, mask = tokens
        (found,) = self.reader.run(["words"], {"input_ids": ids, "attention_mask": mask})
        return found, mask

    def preprocess(self, image):
        small = Image.fromarray(image).resize((self.side, self.side), Image.Resampling.BILINEAR)
        levels = numpy.asarray(small, numpy.float32).transpose(2, 0, 1)[None]
        return (levels / numpy.float32(255) - numpy.float32(0.5)) / numpy.float32(0.5)

    def encode(self, pixels):
        return dict(zip(MAPS, self.encoder.run(MAPS, {"pixel_values": pixels}), strict=True))

    def match(self, embedding, words):
        rows = zip(*words, strict=True)
        asked = [embedding | {"words": row[None], "attention_mask": mask[None]} for row, mask in rows]
        return [self.decoder.run(["scores", "boxes", "masks"], given) for given in asked]

    def found(self, matches, size):
        height, width = size
        scale = numpy.float32([width, height, width, height])
        objects = []
        for label, (scores, boxes, masks) in enumerate(matches):
            for index in numpy.flatnonzero(scores[0] > self.least):
                mask = self.stretch(masks[0, index], (width, height), interpolation=self.linear) > 0
                about = {"box": (boxes[0, index] * scale).tolist(), "score": float(scores[0, index]), "class_id": label}
                objects.append(about | {"segmentation": promptable.rle(mask)})
        return objects

    def threads(self):
        return self.encoder.get_session_options().intra_op_num_threads


class PyTorch:
    """The bench's own program, on the weights that were exported."""

    def __new__(cls, task):
        import sam3_export
        import torch_sam3

        class Same(torch_sam3.Transformers):
            def __init__(self, task):
                words.Finder.__init__(self, task)
                torch_sam3.torch.set_num_threads(task["threads"])
                self.side, self.least = task["info"]["default_size"], task["detect"]["conf"]
                self.model = sam3_export.random_model(self.side, task["layers"])
                self.processor = torch_sam3.Sam3ImageProcessor(size={"height": self.side, "width": self.side})

        return Same(task)


def stand_in(text):
    """Tokens of a phrase for weights that know no words: an id per word."""
    told = [zlib.crc32(word.encode()) % START for word in text.split()][: CONTEXT - 2]
    return ([START, *told, END] + [0] * CONTEXT)[:CONTEXT]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photo", type=Path)
    parser.add_argument("--size", type=int, default=1008, help="side of the network's picture, e.g. 336 or 672")
    parser.add_argument("--layers", type=int, default=0, help="of each stack, to try it out; 0 for the published model")
    parser.add_argument("--phrases", nargs="+", default=["a red car on the road"])
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--calls", type=int, default=3, help="of each kind, beside the one that is dropped")
    parser.add_argument("--results", type=Path, default=HERE / "results", help="where exports are made")
    parser.add_argument("--only", choices=["pytorch", "exported"], help="one of the two programs")
    options = parser.parse_args()
    options.results.mkdir(parents=True, exist_ok=True)
    import sam3_export

    files = sam3_export.prepare(options.results, options.size, options.layers) if options.only != "pytorch" else {}
    task = {
        "module": "sam3_exported",
        "needs": ["onnxruntime", "numpy", "PIL", "cv2", "pycocotools"],
        "checkpoint": str(options.results / "none"),
        "parts": {part: str(file) for part, file in files.items() if part != "stamp"},
        "threads": options.threads,
        "layers": options.layers,
        "detect": {"conf": LEAST},
        "info": {"default_size": options.size, "output": {"concepts": {"context": CONTEXT}}},
    }
    phrases = [{"text": text, "ids": stand_in(text)} for text in options.phrases]
    request = {"picture": str(options.photo.resolve()), "phrases": phrases}
    print(HEAD)
    for name, program in (("pytorch", "PyTorch"), ("exported", "Exported")):
        if options.only not in (None, name):
            continue
        worker = Worker(task | {"class": program})
        print(row(f"{name}: start, `warm_up` is the first run", worker.ready | {"total": sum(worker.ready.values())}), flush=True)
        kinds = (("first phrases of a picture", "miss", "miss"), ("other phrases", "held", "miss"), ("the same phrases", "held", "held"))
        for kind, mode, known in kinds:
            times = measure(worker, request | {"mode": mode, "words": known}, options.calls, dropped=1)
            print(row(f"{name}: {kind}", times), flush=True)
        worker.close()


if __name__ == "__main__":
    main()
