"""Random pictures, phrases, boxes and clicks for SAM 3's golden cases, and what transformers answers to them."""

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

import lively_sam
from sam3_case_table import FULL

PADDING_BOX = -10


class Draws:
    """Random inputs of a case."""

    def __init__(self, case, generator):
        self.case, self.generator = case, generator

    def picture(self, batch=1):
        side = self.case["img"]
        return {"pixel_values": lively_sam.smooth_images((batch, side, side), self.generator)}

    def phrases(self, words, masked=True):
        """A phrase of so many words for each of `words`, between start and end."""
        tokens, vocabulary = self.case["ctx"], self.case["vocab"]
        ids = torch.zeros(len(words), tokens, dtype=torch.int64)
        for row, count in enumerate(min(count, tokens - 2) for count in words):
            inner = torch.randint(1, vocabulary - 2, (count,), generator=self.generator)
            ids[row, : count + 2] = torch.cat([torch.tensor([vocabulary - 2]), inner, torch.tensor([vocabulary - 1])])
        return {"input_ids": ids} | ({"attention_mask": (ids != 0).long()} if masked else {})

    def boxes(self, labels):
        """A box for each label, [B, boxes]."""
        labels = torch.tensor(labels)
        centre = 0.2 + 0.6 * torch.rand(*labels.shape, 2, generator=self.generator)
        extent = 0.05 + 0.35 * torch.rand(*labels.shape, 2, generator=self.generator)
        return {"input_boxes": torch.cat([centre, extent], -1), "input_boxes_labels": labels}

    def clicks(self, labels):
        """A point for each label, [1, prompts, points], in pixels."""
        labels = torch.tensor([labels])
        points = torch.randint(0, self.case["img"] * 8, (*labels.shape, 2), generator=self.generator) / 8.0
        return {"input_points": points, "input_labels": labels}

    def corners(self, count):
        """Boxes [1, count, xyxy] in pixels."""
        side = self.case["img"]
        corner = torch.rand(1, count, 2, generator=self.generator) * 0.55 * side
        extent = (0.15 + 0.3 * torch.rand(1, count, 2, generator=self.generator)) * side
        return {"input_boxes": torch.cat([corner, corner + extent], -1)}

    def mask(self, count=1):
        side = 4 * (self.case["img"] // self.case["patch"])
        coarse = torch.randn(count, 1, 7, 7, generator=self.generator)
        smooth = nn.functional.interpolate(coarse, (side, side), mode="bicubic", align_corners=False)
        return {"input_masks": (smooth * 6 / smooth.std()).half().float()}


def given_boxes(boxes, labels):
    return {"input_boxes": torch.tensor([boxes]), "input_boxes_labels": torch.tensor([labels])}


def concept_calls(draws, plan):
    """Words and boxes by call. A call without a picture uses that of `text1`, once per prompt."""
    phrases, boxes = draws.phrases, draws.boxes
    edge = given_boxes([[0.05, 0.5, 0.1, 0.98], [0.5, 0.06, 0.9, 0.12]], [1, 0])
    table = {
        "text1": draws.picture() | phrases([3]),
        "text_boxes_posneg": phrases([2]) | boxes([[1, 0, 1]]),
        "box_edge": phrases([1]) | edge,
        "no_mask": phrases([4], masked=False),
    }
    if plan != FULL:
        return table
    outside = [[0.02, 0.1, 0.3, 0.3], [0.95, 0.9, 0.2, 0.4], [0.5, 0.5, 1.4, 1.3], [1.2, 0.5, 0.2, 0.2]]
    tiny = [[0.3, 0.7, 0.001, 0.001], [0.8, 0.2, 0.0, 0.0], [0.5, 0.5, 0.004, 0.6], [0.999, 0.001, 0.002, 0.002]]
    unequal = boxes([[1, 0, 1, 1], [0, PADDING_BOX, PADDING_BOX, PADDING_BOX]])
    return table | {
        "prompts3_same_image": phrases([1, 5, 40]),
        "box1": phrases([1]) | boxes([[1]]),
        "batch2_boxes_padded": draws.picture(2) | phrases([2, 6]) | boxes([[1, 0], [1, PADDING_BOX]]),
        "batch2_unequal": draws.picture(2) | phrases([1, 3]) | unequal,
        "prompts3_some_with_boxes": phrases([1, 2, 3]) | boxes([[1, 1], [PADDING_BOX, PADDING_BOX], [0, PADDING_BOX]]),
        "no_mask_boxes": phrases([2], masked=False) | boxes([[1, 0]]),
        "negative_only": phrases([2]) | boxes([[0, 0, 0]]),
        "boxes20": phrases([2]) | boxes([[1, 0] * 10]),
        "boxes_outside": phrases([1]) | given_boxes(outside, [1, 1, 0, 1]),
        "boxes_tiny": phrases([1]) | given_boxes(tiny, [1, 0, 1, 1]),
        "box_whole": phrases([0]) | given_boxes([[0.5, 0.5, 1.0, 1.0]], [1]),
    }


def click_calls(draws):
    """Clicks, boxes and masks by call, and which of the calls want three masks."""
    clicks, corners, mask = draws.clicks, draws.corners, draws.mask
    return {
        "pt1_multi": clicks([[1]]),
        "pt1_single": clicks([[1]]),
        "pt3_multi": clicks([[1, 0, 1]]),
        "prompts12_single": clicks([[1, n % 2] for n in range(12)]),
        "prompts12_multi": clicks([[1] for _ in range(12)]),
        "box1_single": corners(1),
        "box7_multi": corners(7),
        "box_and_points_multi": corners(2) | clicks([[1, 1], [1, 0]]),
        "mask_only_multi": mask(),
        "mask_only_single": mask(),
        "mask_and_points_single": mask() | clicks([[1, 0]]),
        "mask_and_box_multi": mask() | corners(1),
        "padded_labels_multi": clicks([[1, 0, -1], [1, -1, -1]]),
        "no_prompt_multi": {},
    }


def calls(family, case, seed):
    """Inputs by name, `<call>.<argument>`, and the list of calls of case.json."""
    draws = Draws(case, torch.Generator().manual_seed(seed))
    if family != "sam3_tracker":
        table = concept_calls(draws, case["plan"])
        lines = [{"name": name, "args": sorted(given)} for name, given in table.items()]
        pictures = {}
    else:
        table = click_calls(draws)
        lines = [
            {"name": name, "image": "image0", "multimask_output": name.endswith("multi"), "args": sorted(given)}
            for name, given in table.items()
        ]
        pictures = {f"image0.{key}": value for key, value in draws.picture().items()}
    return pictures | {f"{name}.{key}": value for name, given in table.items() for key, value in given.items()}, lines


@torch.no_grad()
def run(model, inputs, lines):
    """All outputs of all calls by name, in the precision of the model."""
    given = {key: x.to(model.dtype) if x.is_floating_point() else x for key, x in inputs.items()}
    with sdpa_kernel(SDPBackend.MATH):
        return clicked(model, given, lines) if hasattr(model, "prompt_encoder") else found(model, given, lines)


def of_call(inputs, name):
    return {key.split(".")[1]: value for key, value in inputs.items() if key.split(".")[0] == name}


def found(model, inputs, lines):
    outputs = {}
    for line in lines:
        name = line["name"]
        given = of_call(inputs, name)
        prompts = given["input_ids"].shape[0]
        if "pixel_values" not in given:
            given["pixel_values"] = inputs["text1.pixel_values"].expand(prompts, -1, -1, -1)
        outputs |= {f"{name}.{key}": value for key, value in found_in_call(model, given, name == "text1").items()}
    return outputs


def found_in_call(model, given, debug):
    """The answer to one call and what the parts of the model hand to each other."""
    seen = {}

    def keep(key):
        return lambda _module, _inputs, output: seen.update({key: output})

    parts = {
        "text": model.text_projection,
        "geometry": model.geometry_encoder,
        "encoder": model.detr_encoder,
        "decoder": model.detr_decoder,
        "vision": model.vision_encoder,
    }
    handles = [part.register_forward_hook(keep(key)) for key, part in parts.items()]
    if debug and not hasattr(model.text_encoder, "text_projection"):
        layers = model.text_encoder.layers
        handles += [layer.register_forward_hook(keep(f"text_layer{n}")) for n, layer in enumerate(layers)]
    answer = model(**given)
    for handle in handles:
        handle.remove()
    names = ("pred_masks", "pred_boxes", "pred_logits", "presence_logits", "semantic_seg")
    result = {name: answer[name] for name in names} | {"text_features": seen["text"]}
    if "geometry" in seen:
        result["geometry"] = seen["geometry"].last_hidden_state
        result["geometry_mask"] = seen["geometry"].attention_mask.long()
    result |= {
        "decoder_hidden": seen["decoder"].intermediate_hidden_states,
        "reference_boxes": seen["decoder"].reference_boxes,
        "presence_all": seen["decoder"].presence_logits,
        "encoder": seen["encoder"].last_hidden_state,
    }
    if debug:
        vision = seen["vision"]
        result["vit"] = vision.last_hidden_state
        result |= {f"fpn.{level}": vision.fpn_hidden_states[level] for level in range(3)}
        result["fpn_pos.2"] = vision.fpn_position_encoding[2]
        result |= {key: value for key, value in seen.items() if key.startswith("text_layer")}
    return {key: value.clone() for key, value in result.items()}


def clicked(model, inputs, lines):
    embeddings = model.get_image_embeddings(inputs["image0.pixel_values"])
    outputs = {f"image0.image_embeddings.{level}": x.clone() for level, x in enumerate(embeddings)}
    for line in lines:
        name = line["name"]
        answer = model(image_embeddings=embeddings, multimask_output=line["multimask_output"], **of_call(inputs, name))
        outputs |= {f"{name}.{key}": answer[key].clone() for key in ("pred_masks", "iou_scores", "object_score_logits")}
    return outputs
