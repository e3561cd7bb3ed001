"""Golden cases of SAM 3 on pictures: small models with random weights, run through transformers.

`make_golden_sam3.py OUTPUT_DIR [FAMILY/CASE...]` writes a folder per case, `OUTPUT_DIR/FAMILY/CASE`: the checkpoint as
transformers saves it, `case.json`, `inputs.safetensors` and `outputs.safetensors`. Families are sam3_image (words and
boxes), sam3_tracker (clicks) and sam3_lite_text (another text tower). Tensors are named `<call>.<tensor>`.

`make_golden_sam3.py --check CASE_FOLDER...` says how far transformers is from the outputs of cases that others made.
"""

import argparse
import copy
import importlib.metadata
import json
import platform
from pathlib import Path

import torch
from safetensors.torch import load_file

import lively_sam
import lively_sam3
from golden_case import described, differences, largest, save_tensors, tolerance
from sam3_calls import Draws, calls, run
from sam3_case_table import FAMILIES, PICKLE, SAFETENSORS, SHARDS, configuration

LARGEST_SHARD = "150KB"
MEANING = {
    "pixel_values": "preprocessed image NCHW",
    "input_ids": "[B,ctx]; start = vocab-2, end = vocab-1, then padding id 0",
    "attention_mask": "1 = valid token; without it no token is masked",
    "input_boxes": "[B,boxes,4] cxcywh in 0..1 (tracker: xyxy in model-input pixels)",
    "input_boxes_labels": "1 positive, 0 negative, -10 padding box (masked out)",
    "input_points": "[image batch, prompts, points, xy] in model-input pixels, no +0.5 applied yet",
    "input_labels": "1 positive, 0 negative, -1 not-a-point",
    "input_masks": "[prompts, 1, 4*grid, 4*grid] mask logits prompt",
    "pred_masks": "[B,queries,4g,4g] logits (tracker: [image batch, prompts, masks, 4g, 4g], unclamped)",
    "pred_boxes": "[B,queries,4] xyxy in 0..1",
    "pred_logits": "[B,queries] dot-product score logits (clamped +-12)",
    "presence_logits": "[B,1] (clamped +-10); score = sigmoid(logit)*sigmoid(presence)",
    "semantic_seg": "[B,1,4g,4g]",
    "text_features": "projected text features [B,ctx,d]; rows at padding are not used later",
    "geometry": "geometry encoder output; a row's valid boxes, then its CLS token, then padding",
    "geometry_mask": "valid geometry tokens",
    "decoder_hidden": "[layers,B,q,d] after output norm",
    "reference_boxes": "[layers,B,q,4] cxcywh used in each layer",
    "presence_all": "presence logits of every layer",
    "encoder": "DETR encoder output, flattened",
    "vit": "ViT last hidden state",
    "fpn": "map of the neck: level 0 is four times the grid, 1 twice, 2 the grid",
    "fpn_pos": "sine position encoding of level 2",
    "image_embeddings": "0: conv_s0(level 0), 1: conv_s1(level 1), 2: level 2",
    "iou_scores": "after sigmoid",
    "object_score_logits": "raw logit",
}
NOTES = {
    "sam3_image": [
        "all prompts of a call are a batch; a call without its own pixel_values uses text1's, repeated per prompt",
        "norms: the ViT and the text tower have the eps of their configurations; all others 1e-5, whatever theirs say",
        "presence logits are clamped here, which the official code does not do",
        "text_encoder.text_projection, the last scale factor and the third convolution of the pixel decoder are not used",
        "the ViT's layer_scale_init_value is not applied",
    ],
    "sam3_tracker": [
        "no_memory_embedding is added to the last map of the neck: with four scale factors that is the half-size map, which"
        " is dropped, so the embedding has no effect; with three it counts",
    ],
}  # fmt: skip
NOTES["sam3_lite_text"] = NOTES["sam3_image"][:3] + [
    "positions are interpolated bilinearly when the length differs; RepMixer layers are not masked; BatchNorm eps 1e-5",
]


def lively(family, case, seed):
    """The model of a case in float32 and eval mode, with random weights that `seed` decides."""
    generator = torch.Generator().manual_seed(seed)
    model = lively_sam3.constructed(family, configuration(family, case))
    draws = Draws(case, generator)
    if family == "sam3_tracker":
        lively_sam3.draw_tracker(model, generator)
        pixels = draws.picture(4)["pixel_values"]
        points = torch.rand(4, 6, 2, 2, generator=generator) * case["img"]
        labels = torch.randint(0, 2, (4, 6, 2), generator=generator)

        def clicked():
            for picture, at, kinds in zip(pixels.split(1), points.split(1), labels.split(1), strict=True):
                model(pixel_values=picture, input_points=at, input_labels=kinds)

        lively_sam.balance(model.mask_decoder, clicked)
    else:
        lively_sam3.draw(model, generator)
        given = draws.picture(6) | draws.phrases([1, 2, 3, 5, 8, 40]) | draws.boxes([[1, 0]] * 6)
        lively_sam3.measure(model, lambda: model(**given), generator)
        words = {key: given[key] for key in ("pixel_values", "input_ids", "attention_mask")}

        def both():
            model(**given)
            model(**words)

        lively_sam3.balance(model, both)
    if case.get("half"):
        # What is stored alone: rotary frequencies are computed, in float32.
        model.load_state_dict(
            {key: x.half().float() if x.is_floating_point() else x for key, x in model.state_dict().items()}
        )
    return model


def spread(outputs):
    """Evidence that the case is alive."""
    masks = [x for key, x in outputs.items() if key.endswith("pred_masks")]
    positive = torch.cat([(x > 0).float().flatten() for x in masks]).mean().item()
    alive = {"mask_std": torch.cat([x.flatten() for x in masks]).std().item(), "positive_fraction": positive}
    logits = [x for key, x in outputs.items() if key.endswith("pred_logits")]
    if logits:
        presence = [x for key, x in outputs.items() if key.endswith("presence_logits")]
        alive |= {
            "mask_std_across_queries": masks[0].std(1).mean().item(),
            "logit_std_across_queries": torch.cat([x.std(1) for x in logits]).mean().item(),
            "logit_std_across_prompts": torch.cat(logits).std(0).mean().item(),
            "positive_logits": (torch.cat(logits) > 0).float().mean().item(),
            "box_std_across_queries": outputs["text1.pred_boxes"].std(1).mean().item(),
            "presence": [round(x, 3) for x in torch.cat(presence).flatten().tolist()],
        }
        if alive["logit_std_across_queries"] < 0.3 or alive["box_std_across_queries"] < 0.05:
            raise SystemExit(f"a dead model: {alive}")
    if not 0.05 < positive < 0.95 or alive["mask_std"] < 0.5:
        raise SystemExit(f"dead masks: {alive}")
    return alive


def save(model, folder, store):
    """The checkpoint; its files, and what of it maskline is given where that is no listed file."""
    if store in (SAFETENSORS, SHARDS):
        model.save_pretrained(folder, **({"max_shard_size": LARGEST_SHARD} if store == SHARDS else {}))
    else:
        model.config.architectures = [type(model).__name__]
        model.config.save_pretrained(folder)
        torch.save(dict(model.state_dict()), folder / "pytorch_model.bin")
    own = {"case.json", "inputs.safetensors", "outputs.safetensors"}  # of an earlier run
    files = sorted({file.name for file in folder.iterdir()} - own)
    entry = {PICKLE: "pytorch_model.bin", SHARDS: "model.safetensors.index.json"}.get(store)
    if entry is None:
        return {"checkpoint": files}
    if entry not in files:
        raise SystemExit(f"{folder}: no {entry} among {files}")
    return {"checkpoint": ["config.json"], "checkpoint_files": files, "external_checkpoint": {"path": entry}}


def reloaded(model, folder, store):
    """The model of the checkpoint on disk, in float32."""
    if store == PICKLE:
        again = copy.deepcopy(model)
        again.load_state_dict(torch.load(folder / "pytorch_model.bin", weights_only=True))
        return again
    return type(model).from_pretrained(folder, attn_implementation="sdpa", dtype=torch.float32).eval()


def write_case(family, name, folder):
    """Makes a case and checks that it comes out the same when read back from disk."""
    case = FAMILIES[family][name]
    origin = case.get("like", name)
    seed = 1500 + 100 * list(FAMILIES).index(family) + list(FAMILIES[family]).index(origin)
    model = lively(family, FAMILIES[family][origin], seed)
    if origin != name:
        weights = model.state_dict()
        model = lively_sam3.constructed(family, configuration(family, case))
        model.load_state_dict(weights)
    folder.mkdir(parents=True, exist_ok=True)
    stored_as = copy.deepcopy(model).half() if case.get("half") else model
    checkpoint = save(stored_as, folder, case["store"])
    inputs, lines = calls(family, case, seed + 1000)
    outputs = run(model, inputs, lines)
    noise = differences(outputs, run(copy.deepcopy(model).double(), inputs, lines))
    alive = spread(outputs)
    stored = save_tensors(inputs, folder / "inputs.safetensors", half=("pixel_values", "input_masks"))
    save_tensors(outputs, folder / "outputs.safetensors")
    read = {
        key: x.float() if x.is_floating_point() else x for key, x in load_file(folder / "inputs.safetensors").items()
    }
    again = largest(differences(outputs, run(reloaded(model, folder, case["store"]), read, lines)))
    if again["value"] > 0:
        raise SystemExit(f"{family}/{name}: another model was read: {again}")
    packages = ("torch", "torchvision", "transformers", "numpy", "safetensors")
    record = {
        "family": family,
        "case": name,
        "about": case["about"],
        "cls": f"transformers.{type(model).__name__}",
        "config": {"seed": seed} | case,
        **checkpoint,
        "calls": lines,
        "spread": alive,
        "notes": NOTES[family],
        "preprocessing": "none: pixel_values are given",
        "tolerance": {"atol": 5e-4, "rtol": 1e-4, "note": "use suggested_atol_per_tensor"},
        "versions": {"python": platform.python_version()} | {key: importlib.metadata.version(key) for key in packages},
        "inputs": described(stored, meaning),
        "outputs": described(outputs, meaning),
        "storage_note": "inputs stored as float16 are exact; cast them to float32 before use",
        "reproduce_max_abs_diff": again,
        "float32_vs_float64_max_abs_diff": largest(noise) | {"per_tensor": noise},
        "suggested_atol_per_tensor": {
            key: tolerance(value) for key, value in noise.items() if outputs[key].is_floating_point()
        },
    }
    (folder / "case.json").write_text(json.dumps(record, indent=1))
    print(f"{family}/{name}: noise {largest(noise)}, {alive}", flush=True)


def meaning(name):
    kind = name.split(".")[1]
    return "output of that text layer" if kind.startswith("text_layer") else MEANING[kind]


def check(folder):
    """Prints the largest differences between a case's outputs and what transformers computes on its checkpoint."""
    record = json.loads((folder / "case.json").read_text())
    _, model = lively_sam3.CLASSES[record["family"]]
    model = model.from_pretrained(folder, attn_implementation="sdpa", dtype=torch.float32).eval()
    inputs, golden = (load_file(folder / f"{name}.safetensors") for name in ("inputs", "outputs"))
    inputs = {key: x.float() if x.is_floating_point() else x for key, x in inputs.items()}
    computed = run(model, inputs, record["calls"])
    shared = sorted(golden.keys() & computed.keys())
    apart = differences({key: golden[key] for key in shared}, {key: computed[key] for key in shared})
    worst = sorted(apart, key=apart.get, reverse=True)[:4]
    rest = sorted(golden.keys() - computed.keys())
    print(
        f"{folder}: {len(apart)} tensors, {', '.join(f'{name} {apart[name]:.1e}' for name in worst)}; not computed {rest}"
    )


def main():
    every = [f"{family}/{name}" for family, cases in FAMILIES.items() for name in cases]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path, nargs="?")
    parser.add_argument("cases", nargs="*", help=f"of {', '.join(every)}; all by default")
    parser.add_argument("--check", type=Path, nargs="+", default=[], metavar="CASE_FOLDER")
    options = parser.parse_args()
    unknown = sorted(set(options.cases) - set(every))
    if unknown:
        parser.error(f"no such case: {', '.join(unknown)}; there are {', '.join(every)}")
    if (options.output is None) == (not options.check):
        parser.error("name a folder to write to, or cases to --check")
    torch.set_num_threads(1)
    for folder in options.check:
        check(folder)
    if options.check:
        return
    for case in options.cases or every:
        family, name = case.split("/")
        write_case(family, name, options.output / family / name)


if __name__ == "__main__":
    main()
