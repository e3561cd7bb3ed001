#!/usr/bin/env python3
"""Writes what transformers makes of OWL's outputs: boxes and logits in, objects out.

Random boxes and logits go through the image processors of both versions; what comes out is what
`crates/maskline/src/drivers/owl/objects.rs` must give. Needs torch and transformers.
"""

import argparse
import json
from pathlib import Path

import torch
from transformers import OwlViTImageProcessor, Owlv2ImageProcessor
from transformers.models.owlv2.modeling_owlv2 import Owlv2ObjectDetectionOutput, Owlv2ImageGuidedObjectDetectionOutput

OUT = Path(__file__).resolve().parents[2] / "crates/maskline/tests/cases/owl_answers.json"
PATCHES = 49
PROCESSORS = {"owlvit": OwlViTImageProcessor, "owlv2": Owlv2ImageProcessor}


def rounded(tensor, digits):
    return [[round(value, digits) for value in row] for row in tensor.tolist()]


def outputs(generator, queries):
    """Logits [patches, queries] and boxes [patches, 4] as centre and size, in clusters, some of which reach out of the frame."""
    centres = torch.rand(PATCHES // 4 + 1, 2, generator=generator).repeat_interleave(4, 0)[:PATCHES]
    centres = centres + 0.04 * torch.randn(PATCHES, 2, generator=generator)
    sizes = 0.05 + 0.3 * torch.rand(PATCHES, 2, generator=generator)
    boxes = torch.cat([centres.clamp(0.02, 0.98), sizes], 1)
    logits = 2 * torch.randn(PATCHES, queries, generator=generator) - 2
    return torch.tensor(rounded(logits, 3)), torch.tensor(rounded(boxes, 3))


def case(family, generator, options):
    size = options.pop("size")
    logits, boxes = outputs(generator, options.pop("queries", 1))
    processor = PROCESSORS[family]()
    sizes = torch.tensor([size[::-1]])
    if options["kind"] == "words":
        given = Owlv2ObjectDetectionOutput(logits=logits[None], pred_boxes=boxes[None])
        (found,) = processor.post_process_object_detection(given, threshold=options["threshold"], target_sizes=sizes)
    else:
        given = Owlv2ImageGuidedObjectDetectionOutput(logits=logits[None], target_pred_boxes=boxes[None])
        arguments = {"threshold": options["threshold"], "nms_threshold": options["overlap"], "target_sizes": sizes}
        (found,) = processor.post_process_image_guided_detection(given, **arguments)
    expected = {"scores": [round(score, 6) for score in found["scores"].tolist()], "boxes": rounded(found["boxes"], 3)}
    if found["labels"] is not None:
        expected["labels"] = found["labels"].tolist()
    return {"family": family, "size": size, **options, "logits": rounded(logits, 3), "boxes": rounded(boxes, 3), "expected": expected}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=OUT)
    out = parser.parse_args().out
    generator = torch.Generator().manual_seed(7)
    cases = []
    for family in PROCESSORS:
        cases += [case(family, generator, options) for options in (
            {"kind": "words", "queries": 3, "threshold": 0.1, "size": [640, 480]},
            {"kind": "words", "queries": 1, "threshold": 0.3, "size": [300, 500]},
            {"kind": "example", "threshold": 0.0, "overlap": 0.3, "size": [640, 480]},
            {"kind": "example", "threshold": 0.2, "overlap": 0.5, "size": [300, 500]},
            {"kind": "example", "threshold": 0.6, "overlap": 1.0, "size": [640, 480]},
        )]  # fmt: skip
    out.write_text(json.dumps({"made_by": "benchmarks/peers/make_owl_answers.py", "cases": cases}, separators=(",", ":")) + "\n")
    print(f"{out}: {len(cases)} cases")


if __name__ == "__main__":
    main()
