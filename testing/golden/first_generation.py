"""What cases of MobileSAM and EfficientViT-SAM have in common: one picture, prompts in all forms, the decoder of SAM 1."""

import numpy as np

from case import smooth_picture, write_case
from sam import OFFICIAL, Decoder, chosen, prompt_cases, tokens_of


def make(folder, family, weights, encode, about):
    """`encode` takes the picture [1, 3, S, S] and gives the embedding and inner maps by name."""
    size, space, grid, width = (about[key] for key in ("img", "prompt_space", "grid", "dim"))
    rng = np.random.default_rng(weights.seed)
    picture = (4 * smooth_picture(rng, (1, 3, size, size)) - 2).astype(np.float16)
    embedding, inner = encode(picture.astype(np.float64))
    decoder = Decoder(weights, OFFICIAL, width, grid, space)
    inputs = {"image0.image": picture}
    outputs = {"dense_pe": decoder.grid_positions(), "image0.image_embeddings": embedding}
    outputs |= {f"image0.{name}": value for name, value in inner.items()}
    calls = []
    for name, multimask, prompt in prompt_cases(rng, space, grid):
        stored = {"points": "point_coords", "labels": "point_labels", "boxes": "boxes", "masks": "mask_inputs"}
        inputs |= {f"{name}.{stored[key]}": value for key, value in prompt.items()}
        sparse = decoder.sparse(tokens_of(prompt, pads_boxes=False))
        mask = prompt.get("masks")
        dense = decoder.dense(None if mask is None else mask.astype(np.float64), len(sparse))
        masks, scores, _ = decoder(embedding, sparse, dense)
        masks, scores = chosen(masks, scores, multimask, dynamic=False)
        outputs |= {f"{name}.low_res_masks": masks, f"{name}.iou_predictions": scores, f"{name}.sparse": sparse}
        if mask is not None:
            outputs[f"{name}.dense"] = dense
        calls.append({"name": name, "image": "image0", "multimask_output": multimask})
    config = {key: about[key] for key in ("img", "prompt_space", "dim")}
    facts = {"family": family, "case": folder.name, "about": about["about"], "config": config, "calls": calls}
    write_case(folder, facts | {"tolerance": about["tolerance"]}, weights, inputs, outputs)
