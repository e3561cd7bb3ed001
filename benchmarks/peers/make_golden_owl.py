"""Golden cases of OWL-ViT and OWLv2: small models with random weights, run through transformers.

`make_golden_owl.py OUTPUT_DIR [CASE...]` writes a folder per case: the checkpoint as transformers saves it, `case.json`,
`inputs.safetensors` and `outputs.safetensors`. Tensors are named `<call>.<tensor>`, as transformers names them.

`make_golden_owl.py --check CASE_FOLDER...` says how far transformers is from the outputs of cases that others made.
"""

import argparse
import copy
import importlib.metadata
import json
import platform
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch.nn.attention import SDPBackend, sdpa_kernel

import lively_owl
import lively_sam
from golden_case import described, differences, largest, save_tensors, tolerance

SAFETENSORS, HALF, PICKLE, SHARDS = "safetensors", "half", "pickle", "shards"
# Sizes as [width, layers, heads, intermediate]; `other` are pictures of other sizes than trained ones, [height, width].
CASES = {
    "owlvit_patch32": {
        "about": "head width 64, patch 32, 5x5 patches, text wider than vision",
        "version": 1, "image": 160, "patch": 32, "vision": [64, 3, 1, 256], "text": [72, 2, 3, 200],
    },
    "owlvit_patch14": {
        "about": "head width 24, patch 14 on 100 pixels (2 left over), eps 1e-6, pytorch_model.bin with position_ids",
        "version": 1, "image": 100, "patch": 14, "vision": [72, 3, 3, 200], "text": [64, 3, 1, 100], "eps": 1e-6,
        "store": PICKLE,
    },
    "owlvit_patch8": {
        "about": "head width 8, patch 8, 8x8 patches, shards with an index",
        "version": 1, "image": 64, "patch": 8, "vision": [40, 4, 5, 72], "text": [48, 2, 2, 192], "store": SHARDS,
    },
    "owlvit_other_sizes": {
        "about": "interpolated positions: smaller, larger, not square, and pictures that patches do not fill",
        "version": 1, "image": 96, "patch": 16, "vision": [48, 3, 2, 96], "text": [32, 2, 2, 64],
        "other": [[64, 64], [144, 144], [80, 128], [96, 80], [107, 95], [16, 48]],
    },
    "owlv2_patch14": {
        "about": "head width 64, patch 14, 9x9 patches",
        "version": 2, "image": 126, "patch": 14, "vision": [128, 3, 2, 512], "text": [80, 3, 5, 320],
    },
    "owlv2_patch32": {
        "about": "head width 24, patch 32 on 150 pixels (22 left over), 4x4 patches, pytorch_model.bin",
        "version": 2, "image": 150, "patch": 32, "vision": [48, 3, 2, 100], "text": [32, 3, 4, 80], "store": PICKLE,
    },
    "owlv2_patch8": {
        "about": "patch 8 on 60 pixels (4 left over), eps 1e-4, weights in float16 (cast to float32), in shards",
        "version": 2, "image": 60, "patch": 8, "vision": [96, 2, 4, 160], "text": [56, 2, 7, 224], "eps": 1e-4,
        "half": True, "store": SHARDS,
    },
    "owlv2_half": {
        "about": "weights in float16 (cast to float32), other vocabulary and 12 tokens a phrase",
        "version": 2, "image": 112, "patch": 16, "vision": [64, 2, 2, 256], "text": [64, 2, 2, 256], "half": True,
        "vocabulary": 777, "tokens": 12,
    },
    "owlv2_other_sizes": {
        "about": "interpolated positions: smaller, larger, not square, and pictures that patches do not fill",
        "version": 2, "image": 112, "patch": 16, "vision": [48, 3, 3, 112], "text": [32, 3, 4, 80],
        "other": [[64, 64], [176, 176], [96, 160], [112, 80], [119, 105], [48, 16]],
    },
    "owlv2_patch14_other_sizes": {
        "about": "interpolated positions, patch 14, trained on 9x9 patches of 130 pixels (4 left over)",
        "version": 2, "image": 130, "patch": 14, "vision": [60, 2, 5, 90], "text": [40, 2, 4, 120],
        "other": [[126, 126], [70, 70], [196, 196], [140, 98]],
    },
    "owlv2_gelu": {
        "about": "hidden_act gelu in both towers (published models have quick_gelu)",
        "version": 2, "image": 96, "patch": 16, "vision": [48, 2, 4, 96], "text": [32, 2, 2, 64], "act": "gelu",
    },
    "owlv2_projection": {
        "about": "projection_dim 40 beside a text width of 32: transformers answers no phrases here, only pictures",
        "version": 2, "image": 96, "patch": 16, "vision": [48, 2, 4, 96], "text": [32, 2, 2, 64], "projection": 40,
    },
}  # fmt: skip
MEANING = {
    "pixel_values": "preprocessed image NCHW",
    "query_pixel_values": "preprocessed query image NCHW",
    "input_ids": "[image batch * queries, tokens]; a query whose first id is 0 is padding and gets masked logits",
    "attention_mask": "1 for real tokens (pad tokens are 0)",
    "logits": "[B, patches, queries] raw logits ((cos sim + shift) * (elu(scale)+1))",
    "pred_boxes": "[B, patches, 4] cxcywh in 0..1",
    "objectness_logits": "[B, patches]",
    "text_embeds": "[B, queries, dim] L2-normalised projected text features",
    "image_embeds": "[B,h,w,C] patch tokens * class token, then layer_norm",
    "class_embeds": "[B, patches, text dim] image class embeddings after dense0, normalised (+1e-6)",
    "vision_last_hidden": "last hidden state of the vision tower before post_layernorm (class token first)",
    "text_last_hidden": "text tower output after final_layer_norm",
    "target_pred_boxes": "boxes on the target image",
    "query_pred_boxes": "boxes on the query image",
    "query_image_embeds": "query feature map",
    "query_embeds": "class embedding chosen as query (not normalised)",
    "best_box_index": "index of the chosen patch",
    "query_objectness_logits": "[B, patches] of the query image",
}
NOTES = [
    "text_embeds are L2-normalised without epsilon by the base model, then normalised again with +1e-6 in the class head",
    "class token multiplies patch tokens after post_layernorm",
    "EOT position = argmax of input_ids",
    "box_bias is computed in float32",
    "image-guided: v1 picks by IoU with the full frame and least similarity to the mean; v2 picks top objectness",
    "calls with interpolate_pos_encoding: bicubic (a -0.75), align_corners false, no antialias; exact where height = width"
    " and the number of patches is that of the training",
]
LARGEST_SHARD = "150KB"


def configuration(case):
    """The content of config.json."""

    def tower(sizes):
        width, layers, heads, intermediate = sizes
        return {
            "hidden_size": width,
            "num_hidden_layers": layers,
            "num_attention_heads": heads,
            "intermediate_size": intermediate,
            "layer_norm_eps": case.get("eps", 1e-5),
            "hidden_act": case.get("act", "quick_gelu"),
        }

    vocabulary = case.get("vocabulary", 600)
    words = {
        "vocab_size": vocabulary,
        "max_position_embeddings": case.get("tokens", 16),
        "bos_token_id": vocabulary - 2,
        "eos_token_id": vocabulary - 1,
    }
    return {
        "text_config": tower(case["text"]) | words,
        "vision_config": tower(case["vision"]) | {"image_size": case["image"], "patch_size": case["patch"]},
        "projection_dim": case.get("projection", case["text"][0]),
    }


class Draws:
    """Random pictures and phrases."""

    def __init__(self, case, generator):
        self.vocabulary, self.tokens = case.get("vocabulary", 600), case.get("tokens", 16)
        self.side, self.generator = case["image"], generator

    def pictures(self, batch, size=None):
        height, width = size or (self.side, self.side)
        return lively_sam.smooth_images((batch, height, width), self.generator)

    def phrases(self, count, padding=()):
        """Ids and mask of `count` phrases of 0 words up to all that fit; those at `padding` are padding."""
        ids = torch.zeros(count, self.tokens, dtype=torch.int64)
        for row in set(range(count)) - set(padding):
            most = self.tokens - 2
            # The first phrase fills all tokens; the third is " ", of which nothing is left.
            words = {0: most, 2: 0}.get(row, int(torch.randint(1, most, (1,), generator=self.generator)))
            inner = torch.randint(1, self.vocabulary - 2, (words,), generator=self.generator)
            ids[row, : words + 2] = torch.cat(
                [torch.tensor([self.vocabulary - 2]), inner, torch.tensor([self.vocabulary - 1])]
            )
        return {"input_ids": ids, "attention_mask": (ids != 0).long()}


def calls(case, seed):
    """Inputs by name, and the list of calls."""
    draws = Draws(case, torch.Generator().manual_seed(seed))

    def text(queries, batch=1, size=None, padding=()):
        line = {"kind": "text", "queries": queries, "interpolate_pos_encoding": size is not None}
        return line, {"pixel_values": draws.pictures(batch, size)} | draws.phrases(batch * queries, padding)

    def image(batch, size=None, query=None):
        given = {"pixel_values": draws.pictures(batch, size), "query_pixel_values": draws.pictures(batch, query or size)}
        return {"kind": "image", "interpolate_pos_encoding": size is not None}, given

    table = {"image_guided": image(1), "image_guided_batch2": image(2)}
    if "projection" not in case:
        table |= {"text1": text(1), "text20": text(20), "text_batch3": text(4, batch=3, padding=(5, 6, 7, 11))}
    for size in case.get("other", []):
        table[f"text_{size[0]}x{size[1]}"] = text(3, size=size)
    if other := case.get("other"):
        table["text_other_batch2"] = text(2, batch=2, size=other[2], padding=(3,))
        table["image_guided_other"] = image(1, size=other[0], query=other[1])
    inputs = {f"{name}.{key}": value for name, (_, given) in table.items() for key, value in given.items()}
    lines = []
    for name, (line, _) in table.items():
        if not line["interpolate_pos_encoding"]:
            del line["interpolate_pos_encoding"]
        lines.append({"name": name} | line)
    return inputs, lines


@torch.no_grad()
def run(model, inputs, lines):
    """All outputs of all calls by name, in the precision of the model."""
    outputs = {}
    with sdpa_kernel(SDPBackend.MATH):
        for line in lines:
            name = line["name"]
            given = {key.split(".")[1]: value for key, value in inputs.items() if key.split(".")[0] == name}
            given = {key: x.to(model.dtype) if x.is_floating_point() else x for key, x in given.items()}
            called = text_call if line["kind"] == "text" else image_call
            found = called(model, given, line.get("interpolate_pos_encoding", False))
            outputs |= {f"{name}.{key}": value for key, value in found.items()}
    return outputs


def text_call(model, given, interpolate):
    answer = model(**given, interpolate_pos_encoding=interpolate)
    names = ["logits", "pred_boxes", "text_embeds", "image_embeds", "class_embeds"]
    if hasattr(model, "objectness_head"):
        names.append("objectness_logits")
    hidden = {
        "vision_last_hidden": answer.vision_model_output.last_hidden_state,
        "text_last_hidden": answer.text_model_output.last_hidden_state,
    }
    return {name: answer[name] for name in names} | hidden


def image_call(model, given, interpolate):
    answer = model.image_guided_detection(**given, interpolate_pos_encoding=interpolate)
    names = ["logits", "target_pred_boxes", "query_pred_boxes", "image_embeds", "query_image_embeds", "class_embeds"]
    features = answer.query_image_embeds.flatten(1, 2)
    embeds, index, _ = model.embed_image_query(features, answer.query_image_embeds, interpolate)
    found = {name: answer[name] for name in names} | {"query_embeds": embeds, "best_box_index": index}
    if hasattr(model, "objectness_head"):
        found["query_objectness_logits"] = model.objectness_predictor(features)
    return found


def spread(outputs):
    """Evidence that the case is alive."""
    boxes = outputs["image_guided.target_pred_boxes"]
    alive = {"box_size_std": boxes[..., 2:].std(1).mean().item()}
    if (logits := outputs.get("text20.logits")) is not None:
        alive |= {
            "logit_std": logits.std().item(),
            "logit_std_across_queries": logits.std(-1).mean().item(),
            "logit_std_across_patches": logits.std(1).mean().item(),
            "positive_logits": (logits > 0).float().mean().item(),
            "text_embed_std_across_queries": outputs["text20.text_embeds"].std(1).mean().item(),
        }
        if alive["logit_std_across_queries"] < 0.3 or alive["logit_std_across_patches"] < 0.3:
            raise SystemExit(f"a dead model: {alive}")
    return alive


def save(model, folder, store):
    """The checkpoint; its files, and what of it maskline is given where that is no listed file."""
    if store in (SAFETENSORS, SHARDS):
        model.save_pretrained(folder, **({"max_shard_size": LARGEST_SHARD} if store == SHARDS else {}))
    else:
        model.config.architectures = [type(model).__name__]
        model.config.save_pretrained(folder)
        torch.save(with_position_ids(model), folder / "pytorch_model.bin")
    own = {"case.json", "inputs.safetensors", "outputs.safetensors"}  # of an earlier run
    files = sorted({file.name for file in folder.iterdir()} - own)
    entry = {PICKLE: "pytorch_model.bin", SHARDS: "model.safetensors.index.json"}.get(store)
    if entry is None:
        return {"checkpoint": files}
    if entry not in files:
        raise SystemExit(f"{folder}: no {entry} among {files}")
    return {"checkpoint": ["config.json"], "checkpoint_files": files, "external_checkpoint": {"path": entry}}


def with_position_ids(model):
    """The weights as older versions of transformers published them: with the buffers that count positions."""
    prefix = "owlvit" if hasattr(model, "owlvit") else "owlv2"
    towers = lively_owl.base(model)
    return dict(model.state_dict()) | {
        f"{prefix}.{tower}.embeddings.position_ids": getattr(towers, tower).embeddings.position_ids.clone()
        for tower in ("text_model", "vision_model")
    }


def reloaded(model, folder, store):
    """The model of the checkpoint on disk, in float32."""
    if store == PICKLE:
        again = copy.deepcopy(model)
        state = torch.load(folder / "pytorch_model.bin", weights_only=True)
        again.load_state_dict({key: x for key, x in state.items() if not key.endswith("position_ids")})
        return again
    return type(model).from_pretrained(folder, attn_implementation="sdpa", dtype=torch.float32).eval()


def lively(case, seed):
    """The model of a case in float32 and eval mode, with random weights that `seed` decides."""
    generator = torch.Generator().manual_seed(seed)
    model = lively_owl.constructed(case["version"], configuration(case))
    lively_owl.draw(model, generator)
    if "projection" not in case:
        draws = Draws(case, generator)
        lively_owl.balance(model, draws.pictures(2), draws.phrases(20)["input_ids"])
    if case.get("half"):
        # Parameters alone: the bias of boxes is computed, in float32.
        for parameter in model.parameters():
            parameter.data = parameter.data.half().float()
    return model


def write_case(name, folder):
    """Makes a case and checks that it comes out the same when read back from disk."""
    case, seed = CASES[name], 700 + list(CASES).index(name)
    store = case.get("store", SAFETENSORS)
    model = lively(case, seed)
    folder.mkdir(parents=True, exist_ok=True)
    stored_as = copy.deepcopy(model).half() if case.get("half") else model
    checkpoint = save(stored_as, folder, store)
    inputs, lines = calls(case, seed + 1000)
    outputs = run(model, inputs, lines)
    exact = run(copy.deepcopy(model).double(), inputs, lines)
    masked = torch.finfo(torch.float32).min  # in float64 another one, which is no noise
    noise = differences(outputs, {key: x.where(outputs[key] != masked, masked) for key, x in exact.items()})
    alive = spread(outputs)
    stored = save_tensors(inputs, folder / "inputs.safetensors", half=("pixel_values",))
    save_tensors(outputs, folder / "outputs.safetensors")
    read = {
        key: x.float() if x.is_floating_point() else x for key, x in load_file(folder / "inputs.safetensors").items()
    }
    again = largest(differences(outputs, run(reloaded(model, folder, store), read, lines)))
    exactly = {key: value for key, value in noise.items() if outputs[key].dtype == torch.int64}
    if any(exactly.values()) or again["value"] > 0:
        raise SystemExit(f"{name}: chosen queries depend on rounding {exactly}, or another model was read: {again}")
    packages = ("torch", "transformers", "numpy", "safetensors")
    record = {
        "family": "owlvit" if case["version"] == 1 else "owlv2",
        "case": name,
        "about": case["about"],
        "cls": f"transformers.{type(model).__name__}",
        "config": {"seed": seed, "v": case["version"]} | case,
        **checkpoint,
        "calls": lines,
        "spread": alive,
        "notes": NOTES,
        "preprocessing": "none: pixel_values are given",
        "tolerance": {"atol": 1e-4, "rtol": 1e-4, "note": "masked logits are float32 min"},
        "versions": {"python": platform.python_version()} | {key: importlib.metadata.version(key) for key in packages},
        "inputs": described(stored, lambda key: MEANING[key.split(".")[1]]),
        "outputs": described(outputs, lambda key: MEANING[key.split(".")[1]]),
        "storage_note": "inputs stored as float16 are exact; cast them to float32 before use",
        "reproduce_max_abs_diff": again,
        "float32_vs_float64_max_abs_diff": largest(noise) | {"per_tensor": noise},
        "suggested_atol_per_tensor": {
            key: tolerance(value) for key, value in noise.items() if outputs[key].is_floating_point()
        },
    }
    (folder / "case.json").write_text(json.dumps(record, indent=1))
    print(f"{name}: noise {largest(noise)}, {alive}", flush=True)


def check(folder):
    """Prints the largest differences between a case's outputs and what transformers computes on its checkpoint."""
    record = json.loads((folder / "case.json").read_text())
    _, model = lively_owl.CLASSES[2 if record["family"] == "owlv2" else 1]
    model = model.from_pretrained(folder, attn_implementation="sdpa", dtype=torch.float32).eval()
    inputs, golden = (load_file(folder / f"{name}.safetensors") for name in ("inputs", "outputs"))
    inputs = {key: x.float() if x.is_floating_point() else x for key, x in inputs.items()}
    apart = differences(golden, run(model, inputs, record["calls"]))
    worst = sorted(apart, key=apart.get, reverse=True)[:4]
    print(f"{folder}: {len(apart)} tensors, {', '.join(f'{name} {apart[name]:.1e}' for name in worst)}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path, nargs="?")
    parser.add_argument("cases", nargs="*", help=f"of {', '.join(CASES)}; all by default")
    parser.add_argument("--check", type=Path, nargs="+", default=[], metavar="CASE_FOLDER")
    options = parser.parse_args()
    unknown = sorted(set(options.cases) - set(CASES))
    if unknown:
        parser.error(f"no such case: {', '.join(unknown)}; there are {', '.join(CASES)}")
    if (options.output is None) == (not options.check):
        parser.error("name a folder to write to, or cases to --check")
    torch.set_num_threads(1)
    for folder in options.check:
        check(folder)
    if options.check:
        return
    for name in options.cases or CASES:
        write_case(name, options.output / name)


if __name__ == "__main__":
    main()
