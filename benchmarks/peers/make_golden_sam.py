"""Golden cases of SAM 1 (ViT encoder): small models with random weights, run through transformers and segment_anything.

`make_golden_sam.py OUTPUT_DIR [CASE...]` writes two folders per case, on the same weights, pictures and prompts:
`<case>_hf` (`config.json` and `model.safetensors` as transformers saves them, answers of `transformers.SamModel`) and
`<case>_official` (`sam_official.pth` and the same as `.safetensors` under the official key names, answers of the
`segment_anything` package). Each holds `case.json`, `inputs.safetensors` and `outputs.safetensors`. Tensors are named
and shaped as the official code takes and gives them, in both folders, so that one reader reads both.
"""

import argparse
import copy
import importlib.metadata
import json
import platform
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import SamModel

import lively_sam
from golden_case import described, difference, differences, largest, save_tensors, tolerance
from sam_forms import COPY, HuggingFace, Official, configuration, official_model, official_names, with_official_eps

CASES = {
    "tiny96": {
        "about": "6x6 map in window 5 (padded to 10); head dimension 16",
        "img": 96, "patch": 16, "hidden": 48, "heads": 3, "depth": 4, "win": 5, "glob": [1, 3],
        "dim": 32, "mlp_ratio": 4.0, "mlp": 128, "iou_hidden": 32, "mask_ch": 16, "both_copies": False,
    },
    "tiny128": {
        "about": "8x8 map in window 3 (padded to 9); head dimension 8; a neck wider than the encoder",
        "img": 128, "patch": 16, "hidden": 40, "heads": 5, "depth": 3, "win": 3, "glob": [2],
        "dim": 64, "mlp_ratio": 3.0, "mlp": 96, "iou_hidden": 48, "mask_ch": 8, "both_copies": True,
    },
    "pad320": {
        "about": "20x20 map in window 14 (padded to 28, as 64 to 70 in the published models)",
        "img": 320, "patch": 16, "hidden": 48, "heads": 3, "depth": 4, "win": 14, "glob": [1, 3],
        "dim": 32, "mlp_ratio": 4.0, "mlp": 128, "iou_hidden": 32, "mask_ch": 16, "both_copies": True,
    },
    "patch8": {
        "about": "patch 8, 14x14 map in window 5 (padded to 15); the first block is global",
        "img": 112, "patch": 8, "hidden": 64, "heads": 2, "depth": 4, "win": 5, "glob": [0, 2],
        "dim": 96, "mlp_ratio": 2.0, "mlp": 64, "iou_hidden": 48, "mask_ch": 8, "both_copies": True,
    },
    "one_window": {
        "about": "6x6 map smaller than its window 8 (padded, a single window)",
        "img": 96, "patch": 16, "hidden": 40, "heads": 5, "depth": 3, "win": 8, "glob": [2],
        "dim": 64, "mlp_ratio": 4.0, "mlp": 96, "iou_hidden": 64, "mask_ch": 16, "both_copies": False,
    },
    "divides": {
        "about": "8x8 map in window 4 (no padding), global blocks in the middle",
        "img": 128, "patch": 16, "hidden": 32, "heads": 4, "depth": 4, "win": 4, "glob": [1, 2],
        "dim": 64, "mlp_ratio": 3.0, "mlp": 128, "iou_hidden": 64, "mask_ch": 16, "both_copies": False,
    },
}  # fmt: skip
MEANING = {
    "image": "already normalised and padded image, NCHW float32 (random smooth; not a photo)",
    "point_coords": "[B,N,xy] in model-input pixels, no +0.5 applied yet",
    "point_labels": "[B,N] 1 positive, 0 negative, -1 not-a-point",
    "boxes": "[B,4] xyxy in model-input pixels",
    "mask_inputs": "[B,1,4*emb,4*emb] mask logits prompt",
    "patch_pos": "debug: patch embedding + position embedding, NHWC",
    "block": "debug: output of an encoder block, NHWC",
    "image_embeddings": "encoder output behind the neck, NCHW",
    "dense_pe": "positional encoding of the embedding grid",
    "low_res_masks": "[B,1 or 3,4*emb,4*emb] mask logits",
    "iou_predictions": "[B,1 or 3], no sigmoid",
    "sparse": "sparse prompt embeddings: points, a pad point (label -1) only if no box is given, then the box corners",
    "dense": "mask prompt embedding",
    "masks_orig": "postprocess_masks: bilinear to the padded square, crop to input_size, bilinear to original_size",
}
NOTES = [
    "decoder heads (8) are in config.json (hf), not in a state dict",
    "encoder heads and window of the official form follow from rel_pos_h: [2*window-1 or 2*map-1, head dimension]",
    "label -1 replaces the whole embedding by not_a_point_embed",
    "mask_only: no sparse token at all, five output tokens alone (SAM 1 does not pad here, unlike SAM 2 in HF)",
    "decoder norms: HF has layer_norm_eps of its config (1e-6) in the layers and 1e-5 in layer_norm_final_attn",
    "decoder norms: the official code has 1e-5 in all of them; other_form_max_abs_diff says what that makes",
    "encoder norms have eps 1e-6 in both forms, as have the channel norms of neck, mask embedding and upscaling",
    "windows are padded with zeros behind norm1: pads hold the qkv bias and take part in the softmax, unmasked",
    "relative positions come from the unscaled query",
    "HF: model.safetensors holds the position matrix once, or twice as prompt_encoder.shared_embedding (both_copies)",
    "pixel_mean/pixel_std are no part of the state dict",
]
IMAGES = ("image0", "image_b")
CHECKPOINTS = {
    HuggingFace: ["config.json", "model.safetensors"],
    Official: ["sam_official.pth", "sam_official.safetensors"],
}


def lively(case, seed):
    """The model of a case in float32 and eval mode, with random weights that `seed` decides."""
    generator = torch.Generator().manual_seed(seed)
    model = SamModel._from_config(configuration(case), attn_implementation="sdpa").eval()
    lively_sam.draw(model, generator)
    side = case["img"]
    images = lively_sam.smooth_images((4, side, side), generator)
    points = torch.rand(4, 6, 2, 2, generator=generator) * side
    labels = torch.randint(0, 2, (4, 6, 2), generator=generator)
    lively_sam.balance(model.mask_decoder, lambda: model(pixel_values=images, input_points=points, input_labels=labels))
    return model


class Prompts:
    """Random prompts in model-input pixels."""

    def __init__(self, case, generator):
        self.side, self.map = case["img"], case["img"] // case["patch"]
        self.generator = generator

    def points(self, labels):
        labels = torch.tensor(labels, dtype=torch.int32)
        coords = torch.randint(0, self.side * 8, (*labels.shape, 2), generator=self.generator) / 8.0
        return {"point_coords": coords, "point_labels": labels}

    def boxes(self, count):
        corner = torch.rand(count, 2, generator=self.generator) * 0.55 * self.side
        extent = (0.15 + 0.3 * torch.rand(count, 2, generator=self.generator)) * self.side
        return {"boxes": torch.cat([corner, corner + extent], -1)}

    def masks(self, count):
        coarse = torch.randn(count, 1, 7, 7, generator=self.generator)
        smooth = nn.functional.interpolate(coarse, (4 * self.map, 4 * self.map), mode="bicubic", align_corners=False)
        return {"mask_inputs": (smooth * 6 / smooth.std()).half().float()}


def calls(case, seed):
    """Inputs by name and the list of calls: tensors are named `<call>.<argument>`, pictures `<image>.image`."""
    generator = torch.Generator().manual_seed(seed)
    prompts = Prompts(case, generator)
    points, boxes, masks = prompts.points, prompts.boxes, prompts.masks
    # name, image, multimask_output, arguments
    table = [
        ("pt1_multi", "image0", True, points([[1]])),
        ("pt1_single", "image0", False, points([[1]])),
        ("pt3_multi", "image0", True, points([[1, 0, 1]])),
        ("pt3_single", "image0", False, points([[1, 0, 1]])),
        ("prompts5_multi", "image0", True, points([[1, 1], [1, 0], [0, 1], [1, 1], [0, 0]])),
        ("prompts5_single", "image0", False, points([[1], [1], [0], [1], [1]])),
        ("prompts3_padded", "image0", True, points([[1, 0, -1], [1, -1, -1], [1, 1, 0]])),
        ("box1_single", "image0", False, boxes(1)),
        ("box1_multi", "image0", True, boxes(1)),
        ("boxes5_single", "image0", False, boxes(5)),
        ("boxes5_multi", "image0", True, boxes(5)),
        ("box_and_points", "image0", True, boxes(2) | points([[1, 1], [1, 0]])),
        ("box_and_point_single", "image0", False, boxes(1) | points([[0]])),
        ("mask_only", "image0", True, masks(1)),
        ("mask_and_points", "image0", False, masks(1) | points([[1, 0]])),
        ("masks2_and_boxes2", "image0", False, masks(2) | boxes(2)),
        ("image_b_box", "image_b", True, boxes(1)),
    ]
    side = case["img"]
    inputs = {f"{name}.image": lively_sam.smooth_images((1, side, side), generator) for name in IMAGES}
    for name, _, _, arguments in table:
        inputs |= {f"{name}.{key}": value for key, value in arguments.items()}
    lines = [
        {"name": name, "image": image, "multimask_output": multimask, "args": sorted(arguments)}
        for name, image, multimask, arguments in table
    ]
    return inputs, lines


@torch.no_grad()
def run(form, inputs, lines, case):
    """All outputs of all calls by name, in the precision of the model in `form`."""
    outputs = {}
    dtype = next(form.model.parameters()).dtype
    inputs = {name: x.to(dtype) if x.is_floating_point() else x for name, x in inputs.items()}
    with sdpa_kernel(SDPBackend.MATH):
        for name in IMAGES:
            outputs |= encode(form, name, inputs[f"{name}.image"], debug=name == IMAGES[0])
        outputs["dense_pe"] = form.dense_pe()
        for line in lines:
            outputs |= decode(form, line, inputs, outputs[f"{line['image']}.image_embeddings"])
    sizes = postprocessing(case)
    outputs[f"{sizes['call']}.masks_orig"] = original_size(
        outputs[f"{sizes['call']}.low_res_masks"], case["img"], sizes
    )
    return outputs


def encode(form, name, image, debug):
    """Image embeddings, and for `debug` what comes out of every block."""
    seen, handles = {}, []
    if debug:
        first = form.blocks[0]
        handles.append(first.register_forward_pre_hook(lambda _m, args: seen.update({f"{name}.patch_pos": args[0]})))
        for index, block in enumerate(form.blocks):
            key = f"{name}.block{index}"
            handles.append(block.register_forward_hook(lambda _m, _i, out, key=key: seen.update({key: out})))
    embeddings = form.encode(image)
    for handle in handles:
        handle.remove()
    return {f"{name}.image_embeddings": embeddings, **seen}


def decode(form, line, inputs, embedding):
    """One call of the prompt encoder and mask decoder on a cached embedding."""
    name = line["name"]
    given = {key: inputs[f"{name}.{key}"] for key in line["args"]}
    masks, scores, sparse, dense = form.decode(embedding, given, line["multimask_output"])
    outputs = {f"{name}.low_res_masks": masks, f"{name}.iou_predictions": scores}
    if sparse is not None:
        outputs[f"{name}.sparse"] = sparse
    if "mask_inputs" in given:
        outputs[f"{name}.dense"] = dense
    return outputs


def postprocessing(case):
    """A picture higher than wide: its longer side fills the square."""
    side = case["img"]
    return {"call": "box1_single", "input_size": [side, side * 3 // 4], "original_size": [101, 76]}


def original_size(masks, side, sizes):
    """What the official predictor does between low-res logits and the threshold; [B, masks, H, W]."""
    height, width = sizes["input_size"]
    masks = nn.functional.interpolate(masks, (side, side), mode="bilinear", align_corners=False)
    masks = masks[..., :height, :width]
    return nn.functional.interpolate(masks, sizes["original_size"], mode="bilinear", align_corners=False)


def meaning(name):
    return MEANING[name.rsplit(".", 1)[-1].rstrip("0123456789")]


def spread(outputs):
    """Evidence that the case is alive."""
    masks, scores = outputs["prompts5_multi.low_res_masks"], outputs["prompts5_multi.iou_predictions"]
    positive = [(x > 0).float().mean((-1, -2)).flatten() for key, x in outputs.items() if key.endswith("low_res_masks")]
    embeddings = [outputs[f"{name}.image_embeddings"] for name in IMAGES]
    return {
        "mask_std": masks.std().item(),
        "mask_std_across_prompts": masks.std(0).mean().item(),
        "mask_std_across_positions": masks.std((-1, -2)).mean().item(),
        "positive_fraction": torch.cat(positive).mean().item(),
        "masks_of_both_signs": torch.cat([(x > 0.02) & (x < 0.98) for x in positive]).float().mean().item(),
        "iou_std": scores.std().item(),
        "emb_std_positions": embeddings[0].std((-1, -2)).mean().item(),
        "emb_change_between_images": difference(*embeddings),
    }


def save_hf(model, folder, case):
    """The Hugging Face folder."""
    model.save_pretrained(folder)
    file = folder / "model.safetensors"
    state = load_file(file)
    if case["both_copies"]:
        state[COPY] = state["shared_image_embedding.positional_embedding"].clone()
        save_file(state, file, metadata={"format": "pt"})
    if (COPY in state) != case["both_copies"]:
        raise SystemExit(f"{file}: transformers now saves tied weights differently")


def save_official(model, folder):
    """The official checkpoint, and the same names as safetensors."""
    state = official_names(model.state_dict())
    torch.save(state, folder / "sam_official.pth")
    save_file({key: x.contiguous() for key, x in state.items()}, folder / "sam_official.safetensors")


def write_form(name, folder, form, reload):
    """`inputs`, `outputs` and `case.json` beside a checkpoint that is already there; the outputs and a summary."""
    case, seed = CASES[name], seed_of(name)
    inputs, lines = calls(case, seed + 1000)
    outputs = run(form, inputs, lines, case)
    exact = run(type(form)(copy.deepcopy(form.model).double()), inputs, lines, case)
    noise = differences(outputs, exact)
    alive = spread(outputs)
    if alive["masks_of_both_signs"] < 0.8 or alive["mask_std_across_prompts"] < 0.3 or alive["iou_std"] < 0.05:
        raise SystemExit(f"{name}: a dead model, {alive}")
    stored = save_tensors(inputs, folder / "inputs.safetensors", half=(".image", ".mask_inputs"))
    save_tensors(outputs, folder / "outputs.safetensors")
    read = {
        key: x.float() if x.is_floating_point() else x for key, x in load_file(folder / "inputs.safetensors").items()
    }
    packages = ("torch", "transformers", "segment-anything", "numpy", "safetensors")
    record = {
        "family": "sam_vit",
        "case": folder.name,
        "about": case["about"],
        "cls": "transformers.SamModel" if isinstance(form, HuggingFace) else "segment_anything.modeling.Sam",
        "config": {"b": "vit", "seed": seed} | case,
        "checkpoint": CHECKPOINTS[type(form)],
        "calls": lines,
        "spread": alive,
        "notes": NOTES,
        "versions": {"python": platform.python_version()} | {key: importlib.metadata.version(key) for key in packages},
        "postprocess": postprocessing(case),
        "tolerance": {"atol": 2e-4, "rtol": 1e-4, "note": "float32 CPU; prefer suggested_atol_per_tensor"},
        "preprocessing": "none: tensors are given already normalised and padded",
        "inputs": described(stored, meaning),
        "outputs": described(outputs, meaning),
        "storage_note": "inputs stored as float16 are exact; cast them to float32 before use",
        "reproduce_max_abs_diff": largest(differences(outputs, run(reload(), read, lines, case))),
        "float32_vs_float64_max_abs_diff": largest(noise) | {"per_tensor": noise},
        "suggested_atol_per_tensor": {key: tolerance(value) for key, value in noise.items()},
    }
    return outputs, record


def seed_of(name):
    return 300 + list(CASES).index(name)


def write_case(name, output):
    """Makes both folders of a case and checks that each comes out the same when read back from disk."""
    case = CASES[name]
    folders = {HuggingFace: output / f"{name}_hf", Official: output / f"{name}_official"}
    for folder in folders.values():
        folder.mkdir(parents=True, exist_ok=True)
    model = lively(case, seed_of(name))
    save_hf(model, folders[HuggingFace], case)
    save_official(model, folders[Official])

    def reload_hf():
        return HuggingFace(SamModel.from_pretrained(folders[HuggingFace], attn_implementation="sdpa").eval())

    def reload_official():
        return Official(official_model(case, folders[Official] / "sam_official.pth"))

    answers, records = {}, {}
    for form, reload in ((HuggingFace(model), reload_hf), (reload_official(), reload_official)):
        kind = type(form)
        answers[kind], records[kind] = write_form(name, folders[kind], form, reload)
    between = largest(differences(answers[HuggingFace], answers[Official]))
    same_eps = run(HuggingFace(with_official_eps(model)), *calls(case, seed_of(name) + 1000), case)
    rest = largest(differences(same_eps, answers[Official]))
    if rest["value"] > 2e-4:
        raise SystemExit(f"{name}: transformers and segment_anything differ by more than eps: {rest}")
    for kind, record in records.items():
        record["other_form_max_abs_diff"] = between
        (folders[kind] / "case.json").write_text(json.dumps(record, indent=1))
        noise, again = record["float32_vs_float64_max_abs_diff"]["value"], record["reproduce_max_abs_diff"]["value"]
        print(f"{record['case']}: noise {noise:.1e}, reproduced to {again:.1e}", flush=True)
    print(f"{name}: between the forms {between['value']:.1e}, with equal eps {rest['value']:.1e}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("cases", nargs="*", help=f"of {', '.join(CASES)}; all by default")
    options = parser.parse_args()
    unknown = sorted(set(options.cases) - set(CASES))
    if unknown:
        parser.error(f"no such case: {', '.join(unknown)}; there are {', '.join(CASES)}")
    torch.set_num_threads(1)
    for name in options.cases or CASES:
        write_case(name, options.output)


if __name__ == "__main__":
    main()
