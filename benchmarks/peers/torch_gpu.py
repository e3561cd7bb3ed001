"""The models of benchmarks/gpu.sh in PyTorch on a GPU, as their users run them fast: f16, channels last, compiled. Weights are generated.

    torch_gpu.py [--model NAME ...] [--device cuda] [--seconds 5] [--no-compile]

One JSON object per model and question, with the median in milliseconds; what cannot be run says why and does not end the others.
"""

import argparse
import json
import statistics
import time

import torch

BOXES = 47


def timed(call, seconds, device):
    """Median of calls, after those that compile and warm up."""
    synchronise = torch.cuda.synchronize if device == "cuda" else lambda: None
    for _ in range(3):
        call()
    synchronise()
    times, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < 5:
        start = time.perf_counter()
        call()
        synchronise()
        times.append((time.perf_counter() - start) * 1e3)
    return statistics.median(times)


def pixels(options, batch, side):
    x = torch.rand(batch, 3, side, side, device=options.device, dtype=options.dtype)
    return x.to(memory_format=torch.channels_last)


def prepared(model, options):
    model = model.eval().to(device=options.device, dtype=options.dtype).to(memory_format=torch.channels_last)
    return torch.compile(model) if options.compile else model


def sam2(options):
    """SAM 2.1 tiny: its encoder alone and in batches, a click and 47 boxes on a held embedding."""
    from transformers import Sam2Config, Sam2Model

    model = Sam2Model(Sam2Config()).eval().to(device=options.device, dtype=options.dtype)
    side = model.config.vision_config.backbone_config.image_size[0]
    encoder = prepared(model.vision_encoder, options)
    for batch in (1, 8, 32):
        x = pixels(options, batch, side)
        yield f"encoder, batch {batch}", timed(lambda: encoder(x), options.seconds, options.device), batch
    embedding = model.get_image_embeddings(pixels(options, 1, side))
    decoder = torch.compile(model) if options.compile else model
    click = {"input_points": torch.full((1, 1, 1, 2), 500.0), "input_labels": torch.ones(1, 1, 1, dtype=torch.int64)}
    boxes = {"input_boxes": torch.rand(1, BOXES, 4).sort(-1).values * side}
    for name, asked in (("click", click), (f"{BOXES} boxes", boxes)):
        asked = {key: value.to(options.device, options.dtype if value.is_floating_point() else None) for key, value in asked.items()}
        yield name, timed(lambda: decoder(image_embeddings=list(embedding), multimask_output=False, **asked), options.seconds, options.device), 1


def owlv2(options):
    """OWLv2 base: the picture's side."""
    from transformers import Owlv2Config, Owlv2Model

    model = Owlv2Model(Owlv2Config())
    vision = prepared(model.vision_model, options)
    side = model.config.vision_config.image_size
    x = pixels(options, 1, side)
    yield "vision tower", timed(lambda: vision(x), options.seconds, options.device), 1


def sam3(options):
    """SAM 3 at 1008: the picture's side."""
    from transformers import Sam3Config, Sam3Model

    model = Sam3Model(Sam3Config())
    vision = prepared(model.vision_encoder, options)
    x = pixels(options, 1, 1008)
    yield "vision encoder", timed(lambda: vision(x), options.seconds, options.device), 1


MODELS = {"sam2.1-tiny": sam2, "owlv2-base": owlv2, "sam3": sam3}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", nargs="+", default=list(MODELS), choices=list(MODELS))
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--no-compile", dest="compile", action="store_false")
    options = parser.parse_args()
    options.dtype = torch.float16 if options.device == "cuda" else torch.float32
    for name in options.model:
        try:
            with torch.inference_mode():
                for question, milliseconds, pictures in MODELS[name](options):
                    row = {"model": name, "question": question, "ms": round(milliseconds, 3), "pictures": pictures}
                    print(json.dumps(row | {"dtype": str(options.dtype).removeprefix("torch."), "compiled": options.compile}), flush=True)
        except Exception as error:  # noqa: BLE001: whatever one model fails with, the others are measured.
            print(json.dumps({"model": name, "failed": f"{type(error).__name__}: {error}"[:300]}), flush=True)


if __name__ == "__main__":
    main()
