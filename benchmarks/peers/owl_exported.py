"""OWL-ViT and OWLv2 as transformers' code exports them, on ONNX Runtime's Python package, with random weights.

`maskline bench --against onnxruntime-python` runs maskline's own graphs in Python; these are the other ones: the image side ends
in the class head, so that other phrases mean another run of it. They run in the worker of `maskline bench`. See README.md.
"""

import argparse
import os
import zlib
from pathlib import Path

from exported import HEAD, HERE, Worker, measure, row  # first of all: it finds the workers' modules

import cv2  # noqa: E402
import numpy  # noqa: E402
import onnx_owl  # noqa: E402
from onnx_session import session  # noqa: E402

CLIP = {"mean": [0.48145466, 0.4578275, 0.40821073], "std": [0.26862954, 0.26130258, 0.27577711]}
CONTEXT, START, END = 16, 49406, 49407
MODELS = ["owlvit-base-patch32", "owlvit-base-patch16", "owlvit-large-patch14", "owlv2-base", "owlv2-large"]


class Exported(onnx_owl.OnnxRuntime):
    """Both graphs: pictures are prepared, and boxes made, as with maskline's."""

    def read(self, tokens):
        # Texts end with their largest id; what comes behind is filled up.
        mask = numpy.arange(tokens.shape[1]) <= tokens.argmax(1)[:, None]
        (found,) = self.reader.run(["words"], {"input_ids": tokens, "attention_mask": mask.astype(numpy.int64)})
        return found

    def encode(self, pixels):
        """Nothing yet: the graph takes the phrases too."""
        return pixels

    def match(self, embedding, words):
        logits, boxes = self.encoder.run(["logits", "pred_boxes"], {"pixel_values": embedding, "words": words})
        return logits[0], boxes[0]


def stand_in(text):
    """Tokens of a phrase for weights that know no words: an id per word."""
    words = [zlib.crc32(word.encode()) % START for word in text.split()][: CONTEXT - 2]
    return ([START, *words, END] + [0] * CONTEXT)[:CONTEXT]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photo", type=Path)
    parser.add_argument("--model", choices=MODELS, default="owlv2-base")
    parser.add_argument("--phrases", nargs="+", default=["a photo of a cat", "a photo of a dog"])
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--calls", type=int, default=5, help="of each kind, beside the one that is dropped")
    parser.add_argument("--results", type=Path, default=HERE / "results", help="where exports are made")
    options = parser.parse_args()
    options.results.mkdir(parents=True, exist_ok=True)
    import owl_export

    files, side = owl_export.prepare(options.results, options.model)
    fit = "padded_square" if options.model.startswith("owlv2") else "stretch_levels"
    worker = Worker(
        {
            "module": "owl_exported",
            "class": "Exported",
            "needs": ["onnxruntime", "numpy", "PIL", "cv2"],
            "checkpoint": str(files["image_encoder"]),
            "parts": {part: str(files[part]) for part in ("image_encoder", "text_encoder")},
            "threads": options.threads,
            "detect": {"conf": 0.1},
            "info": {
                "input": "pixel_values",
                "default_size": side,
                "preprocess": {fit: CLIP},
                "output": {"words": {"context": CONTEXT}},
            },
        }
    )
    phrases = [{"text": text, "ids": stand_in(text)} for text in options.phrases]
    request = {"picture": str(options.photo.resolve()), "mode": "miss", "phrases": phrases}
    print(HEAD)
    print(row("start: `warm_up` is the first run", worker.ready | {"total": sum(worker.ready.values())}), flush=True)
    for name, words in (("picture and phrases", "miss"), ("picture, phrases known", "held")):
        print(row(name, measure(worker, request | {"words": words}, options.calls, dropped=1)), flush=True)
    worker.close()


if __name__ == "__main__":
    main()
