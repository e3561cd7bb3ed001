"""SAM 3 (Carion et al. 2025) at a toy size: a picture with words and boxes in, things of that kind out; and its clicks."""

from dataclasses import dataclass

import numpy as np

import sam3_picture
from case import Weights, smooth_picture, write_case
from layers import attention, gelu, layer_norm, relu, sigmoid
from owl import Tower, encoder, split
from sam import (
    HUGGING_FACE,
    Decoder,
    chosen,
    dense,
    norm,
    plain_conv,
    prompt_cases,
    tokens_of,
)
from sam3_picture import Picture

TOKENS, VOCABULARY = 8, 40
START, END = VOCABULARY - 2, VOCABULARY - 1
PADDING = -10
SCORE_LIMIT, PRESENCE_LIMIT = 12, 10
GROUPS = 8
TEMPERATURE = 10000.0


@dataclass
class Model:
    picture: Picture
    text: Tower
    heads: int
    mask_heads: int
    intermediate: int
    geometry_layers: int
    encoder_layers: int
    decoder_layers: int
    queries: int
    cells: int  # of a box, along a side

    @property
    def width(self):
        return self.picture.outputs


CONCEPT = Model(Picture(30, 6, 16, 2, 2, 24, 2, (1,), 3, 16), Tower(20, 1, 2, 24, activation=gelu), 2, 4, 24, 1, 1, 2, 4, 3)
CLICKS = Picture(36, 6, 16, 2, 2, 24, 4, (1,), 3, 32, 1e-5)
CLICK_MLP = 32


def mlp(weights, name, x, widths):
    """Layers with ReLU between them."""
    for index, width in enumerate(widths, 1):
        x = dense(weights, f"{name}.layer{index}", x, width, 1.4)
        x = relu(x) if index < len(widths) else x
    return x


def attend(weights, name, q, k, v, heads, bias=0):
    """[B, tokens, C] each; `bias` on the logits, [B, 1 or heads, 1 or queries, keys]."""
    width = q.shape[-1]
    parts = (split(dense(weights, f"{name}.{part}_proj", x, width, 1.5), heads) for part, x in (("q", q), ("k", k), ("v", v)))
    seen = attention(*parts, bias=bias).swapaxes(1, 2).reshape(q.shape)
    return dense(weights, f"{name}.o_proj", seen, width)


def hidden_keys(valid):
    """Bias that hides keys: `valid` [B, keys], or nothing where all are seen."""
    return 0 if valid is None else np.where(valid, 0, -np.inf)[:, None, None]


def feed(weights, name, x, intermediate):
    return dense(weights, f"{name}.fc2", relu(dense(weights, f"{name}.fc1", x, intermediate)), x.shape[-1])


def waves(at, count):
    """Sines and cosines by turns of one coordinate, [...] -> [..., count]."""
    index = np.arange(count)
    angles = at[..., None] / TEMPERATURE ** (2 * (index // 2) / count)
    return np.where(index % 2 == 0, np.sin(angles), np.cos(angles))


def map_positions(rows, columns, width):
    """[width, rows, columns], rows first; a map is a full turn wide."""
    along = lambda size: waves(np.arange(1, size + 1) / (size + 1e-6) * 2 * np.pi, width // 2)
    y = np.broadcast_to(along(rows)[:, None], (rows, columns, width // 2))
    x = np.broadcast_to(along(columns)[None], (rows, columns, width // 2))
    return np.concatenate([y, x], -1).transpose(2, 0, 1)


def corners(boxes):
    """Centre and size -> x1, y1, x2, y2."""
    return np.concatenate([boxes[..., :2] - boxes[..., 2:] / 2, boxes[..., :2] + boxes[..., 2:] / 2], -1)


def logit(x):
    return np.log(np.maximum(x, 1e-3) / np.maximum(1 - x, 1e-3))


def sampled(map, y, x):
    """Between four cells of [C, rows, columns]; nothing is seen more than a cell outside."""
    _, rows, columns = map.shape
    if not (-1 <= y <= rows and -1 <= x <= columns):
        return np.zeros(len(map))
    y, x = min(max(y, 0), rows - 1), min(max(x, 0), columns - 1)
    top, left = int(y), int(x)
    bottom, right = min(top + 1, rows - 1), min(left + 1, columns - 1)
    down, across = y - top, x - left
    above = map[:, top, left] * (1 - across) + map[:, top, right] * across
    below = map[:, bottom, left] * (1 - across) + map[:, bottom, right] * across
    return above * (1 - down) + below * down


def cells_of_box(map, box, count):
    """[C, count, count]: means of points in each cell of a box (He et al. 2017), as many as the box covers cells of the map."""
    x1, y1, x2, y2 = box
    # Boxes narrower than a cell are a cell wide.
    height, width = (max(b - a, 1) / count for a, b in ((y1, y2), (x1, x2)))
    down, across = int(np.ceil(height)), int(np.ceil(width))
    places = lambda start, size, cell, points: start + cell * size + (np.arange(points) + 0.5) * size / points
    mean = lambda i, j: np.mean([sampled(map, y, x) for y in places(y1, height, i, down) for x in places(x1, width, j, across)], 0)
    return np.array([[mean(i, j) for j in range(count)] for i in range(count)]).transpose(2, 0, 1)


def embed_phrases(weights, model, ids, mask):
    """[B, tokens, width]."""
    name, tower = "text_encoder.text_model", model.text
    words = weights.normal(f"{name}.embeddings.token_embedding.weight", (VOCABULARY, tower.width), 1.0)
    places = weights.normal(f"{name}.embeddings.position_embedding.weight", (TOKENS, tower.width), 0.5)
    before = np.tril(np.ones((TOKENS, TOKENS), bool))[None, None]
    allowed = before if mask is None else before & (mask != 0)[:, None, None]
    x = norm(weights, f"{name}.final_layer_norm", encoder(weights, name, words[ids] + places, tower, allowed), tower.epsilon)
    return dense(weights, "text_projection", x, model.width)


def embed_boxes(weights, model, boxes, labels, map):
    """[B, boxes, C] before any layer: coordinates, what is seen there, and where that is."""
    name, width, count = "geometry_encoder", model.width, model.cells
    size = np.array([map.shape[3], map.shape[2]] * 2)
    calm = norm(weights, f"{name}.vision_layer_norm", map.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    seen = np.array([[cells_of_box(calm[b], box, count) for box in row] for b, row in enumerate(corners(boxes) * size)])
    kernel = weights.linear(f"{name}.boxes_pool_project.weight", (width, width, count, count), 1.3)
    pooled = np.einsum("bncij,ocij->bno", seen, kernel) + weights.bias(f"{name}.boxes_pool_project.bias", width)
    turn = lambda i: waves(boxes[..., i] * 2 * np.pi, width // 2)
    place = np.concatenate([turn(1), turn(0), boxes[..., 3:], boxes[..., 2:3]], -1)
    kinds = weights.normal(f"{name}.label_embed.weight", (2, width), 0.7)
    direct = dense(weights, f"{name}.boxes_direct_project", boxes, width)
    return direct + pooled + dense(weights, f"{name}.boxes_pos_enc_project", place, width) + kinds[np.maximum(labels, 0)]


def embed_geometry(weights, model, boxes, labels, map):
    """[B, boxes + 1, C] and which are valid: a row's boxes, a token of its own behind them, then what fills up."""
    name, width = "geometry_encoder", model.width
    batch, most = labels.shape
    own = weights.normal(f"{name}.cls_embed.weight", (1, width), 0.7)
    tokens = np.concatenate([embed_boxes(weights, model, boxes, labels, map), np.zeros((batch, 1, width))], 1)
    counts = (labels != PADDING).sum(1)
    tokens[np.arange(batch), counts] = own[0]
    valid = np.arange(most + 1) <= counts[:, None]
    x = norm(weights, f"{name}.prompt_layer_norm", dense(weights, f"{name}.final_proj", tokens, width))
    image = flat(map)
    keys = image + flat(map_positions(*map.shape[2:], width)[None])
    for index in range(model.geometry_layers):
        layer = f"{name}.layers.{index}"
        y = norm(weights, f"{layer}.layer_norm1", x)
        x = x + attend(weights, f"{layer}.self_attn", y, y, y, model.heads, hidden_keys(valid))
        y = norm(weights, f"{layer}.layer_norm2", x)
        x = x + attend(weights, f"{layer}.cross_attn", y, np.broadcast_to(keys, image.shape), image, model.heads)
        x = x + feed(weights, f"{layer}.mlp", norm(weights, f"{layer}.layer_norm3", x), model.intermediate)
    return norm(weights, f"{name}.output_layer_norm", x), valid


def flat(map):
    """[B, C, rows, columns] -> [B, cells, C]."""
    return map.reshape(*map.shape[:2], -1).swapaxes(1, 2)


def encode_with_prompt(weights, model, map, prompt, valid):
    """[B, cells, C]: the picture, told what is looked for."""
    x, places = flat(map), flat(map_positions(*map.shape[2:], model.width)[None])
    for index in range(model.encoder_layers):
        layer = f"detr_encoder.layers.{index}"
        y = norm(weights, f"{layer}.layer_norm1", x)
        x = x + attend(weights, f"{layer}.self_attn", y + places, y + places, y, model.heads)
        y = norm(weights, f"{layer}.layer_norm2", x)
        x = x + attend(weights, f"{layer}.cross_attn", y, prompt, prompt, model.heads, hidden_keys(valid))
        x = x + feed(weights, f"{layer}.mlp", norm(weights, f"{layer}.layer_norm3", x), model.intermediate)
    return x


def nearness(weights, model, boxes, rows, columns):
    """Bias [B, heads, queries, cells] from how far a cell is from the sides of a query's box."""

    def along(name, size, sides):
        away = 8 * (np.arange(size) / size - sides[..., None]).swapaxes(-1, -2)
        return mlp(weights, f"detr_decoder.{name}", np.sign(away) * np.log2(np.abs(away) + 1) / 3, [model.width, model.heads])

    sides = corners(boxes)
    across = along("box_rpb_embed_x", columns, sides[..., 0::2])
    down = along("box_rpb_embed_y", rows, sides[..., 1::2])
    both = down[:, :, :, None] + across[:, :, None]
    return both.reshape(*both.shape[:2], rows * columns, -1).transpose(0, 3, 1, 2)


def decode(weights, model, encoded, shape, prompt, valid):
    """What every layer makes of the queries: states, boxes that it started from, and whether there is anything."""
    name, width, batch = "detr_decoder", model.width, len(encoded)
    repeat = lambda table: np.broadcast_to(table, (batch, *table.shape))
    queries = weights.normal(f"{name}.query_embed.weight", (model.queries, width), 0.7)
    boxes = sigmoid(repeat(weights.normal(f"{name}.reference_points.weight", (model.queries, 4), 1.0)))
    presence = weights.normal(f"{name}.presence_token.weight", (1, width), 0.7)
    x = np.concatenate([repeat(presence), repeat(queries)], 1)
    keys = encoded + flat(map_positions(*shape, width)[None])
    states, references, presences = [], [], []
    for index in range(model.decoder_layers):
        layer = f"{name}.layers.{index}"
        turns = [waves(boxes[..., i] * 2 * np.pi, width // 2) for i in (1, 0, 2, 3)]
        places = mlp(weights, f"{name}.ref_point_head", np.concatenate(turns, -1), [width, width])
        # The token for presence is nowhere: it has no place, and no cell is nearer to it.
        places = np.pad(places, ((0, 0), (1, 0), (0, 0)))
        near = np.pad(nearness(weights, model, boxes, *shape), ((0, 0), (0, 0), (1, 0), (0, 0)))
        q = x + places
        x = norm(weights, f"{layer}.self_attn_layer_norm", x + attend(weights, f"{layer}.self_attn", q, q, x, model.heads))
        seen = attend(weights, f"{layer}.text_cross_attn", x + places, prompt, prompt, model.heads, hidden_keys(valid))
        x = norm(weights, f"{layer}.text_cross_attn_layer_norm", x + seen)
        seen = attend(weights, f"{layer}.vision_cross_attn", x + places, keys, encoded, model.heads, near)
        x = norm(weights, f"{layer}.vision_cross_attn_layer_norm", x + seen)
        x = norm(weights, f"{layer}.mlp_layer_norm", x + feed(weights, f"{layer}.mlp", x, model.intermediate))
        states.append(norm(weights, f"{name}.output_layer_norm", x[:, 1:]))
        references.append(boxes)
        boxes = refined(weights, states[-1], boxes)
        there = mlp(weights, f"{name}.presence_head", norm(weights, f"{name}.presence_layer_norm", x[:, :1]), [width, width, 1])
        presences.append(np.clip(there[..., 0], -PRESENCE_LIMIT, PRESENCE_LIMIT))
    return {"decoder_hidden": np.array(states), "reference_boxes": np.array(references), "presence_all": np.array(presences)}, boxes


def refined(weights, state, boxes):
    width = state.shape[-1]
    return sigmoid(mlp(weights, "detr_decoder.box_head", state, [width, width, 4]) + logit(boxes))


def scores(weights, model, state, prompt, valid):
    """[B, queries]: how well a query's state goes with the mean of the prompt."""
    name, width = "dot_product_scoring", model.width
    x = prompt + mlp(weights, f"{name}.text_mlp", prompt, [model.intermediate, width])
    x = norm(weights, f"{name}.text_mlp_out_norm", x)
    shares = np.ones(x.shape[:2]) if valid is None else valid.astype(float)
    mean = (x * shares[..., None]).sum(1) / np.maximum(shares.sum(1), 1)[:, None]
    wanted = dense(weights, f"{name}.text_proj", mean, width, 2.0)
    found = dense(weights, f"{name}.query_proj", state, width, 4.0)
    return np.clip(np.einsum("bqc,bc->bq", found, wanted) / np.sqrt(width), -SCORE_LIMIT, SCORE_LIMIT)


def masks(weights, model, state, encoded, maps, prompt, valid):
    """Logits of every query and of the kind as a whole, at the finest map's size."""
    name, width = "mask_decoder", model.width
    y = norm(weights, f"{name}.prompt_cross_attn_norm", encoded)
    seen = attend(weights, f"{name}.prompt_cross_attn", y, prompt, prompt, model.mask_heads, hidden_keys(valid))
    x = (encoded + seen).swapaxes(1, 2).reshape(maps[-1].shape)
    for index, finer in enumerate(maps[-2::-1]):
        x = x.repeat(2, axis=2).repeat(2, axis=3) + finer
        x = plain_conv(weights, f"{name}.pixel_decoder.conv_layers.{index}", x, width, 3, pad=1)
        x = relu(group_norm(weights, f"{name}.pixel_decoder.norms.{index}", x))
    for index in range(2):
        state = relu(dense(weights, f"{name}.mask_embedder.layers.{index}", state, width, 1.4))
    kernels = dense(weights, f"{name}.mask_embedder.layers.2", state, width, 1.4)
    pixels = plain_conv(weights, f"{name}.instance_projection", x, width, 1)
    return np.einsum("bqc,bchw->bqhw", kernels, pixels), plain_conv(weights, f"{name}.semantic_projection", x, 1, 1)


def group_norm(weights, name, x):
    """Over groups of channels and all cells of [B, C, rows, columns]."""
    groups = x.reshape(len(x), GROUPS, -1)
    calm = layer_norm(groups, 1, 0, 1e-5).reshape(x.shape)
    along = lambda values: values[:, None, None]
    return calm * along(weights.scale(f"{name}.weight", x.shape[1])) + along(weights.normal(f"{name}.bias", (x.shape[1],), 0.2))


def answer(weights, model, given):
    ids, mask = given["input_ids"], given.get("attention_mask")
    hidden, maps = sam3_picture.encode(weights, model.picture, given["pixel_values"].astype(np.float64))
    words = embed_phrases(weights, model, ids, mask)
    inner = {"text_features": words}
    prompt, valid = words, None if mask is None else mask != 0
    if "input_boxes" in given:
        boxes, labels = given["input_boxes"].astype(np.float64), given["input_boxes_labels"]
        geometry, there = embed_geometry(weights, model, boxes, labels, maps[-1])
        inner |= {"geometry": geometry, "geometry_mask": there}
        known = np.ones(ids.shape, bool) if valid is None else valid
        prompt, valid = np.concatenate([words, geometry], 1), np.concatenate([known, there], 1)
    encoded = encode_with_prompt(weights, model, maps[-1], prompt, valid)
    decoded, boxes = decode(weights, model, encoded, maps[-1].shape[2:], prompt, valid)
    state = decoded["decoder_hidden"][-1]
    each, kind = masks(weights, model, state, encoded, maps, prompt, valid)
    found = {
        "pred_masks": each, "semantic_seg": kind, "pred_boxes": corners(boxes), "pred_logits": scores(weights, model, state, prompt, valid),
        "presence_logits": decoded["presence_all"][-1], "encoder": encoded,
    }  # fmt: skip
    # The finer maps are large, and the masks come from them.
    picture = {"vit": hidden, "fpn.2": maps[2], "fpn_pos.2": map_positions(*maps[2].shape[2:], model.width)[None]}
    return found | inner | decoded, picture


def phrases(rng, words, masked=True):
    ids = np.zeros((len(words), TOKENS), np.int64)
    for row, count in enumerate(words):
        ids[row, : count + 2] = [START, *rng.integers(1, START, count), END]
    return {"input_ids": ids} | ({"attention_mask": (ids != 0).astype(np.int64)} if masked else {})


def random_boxes(rng, labels):
    labels = np.array(labels)
    centre, size = rng.uniform(0.2, 0.8, (*labels.shape, 2)), rng.uniform(0.05, 0.5, (*labels.shape, 2))
    return {"input_boxes": np.concatenate([centre, size], -1).astype(np.float32), "input_boxes_labels": labels}


def concept_calls(rng, side):
    picture = lambda batch: (4 * smooth_picture(rng, (batch, 3, side, side)) - 2).astype(np.float16)
    outside = {"input_boxes": np.array([[[0.02, 0.9, 0.3, 0.5], [0.5, 0.4, 0.002, 0.0]]], np.float32), "input_boxes_labels": np.array([[0, 1]])}
    yield "text1", {"pixel_values": picture(1)} | phrases(rng, [2])
    yield "all_tokens", {"pixel_values": picture(2)} | phrases(rng, [TOKENS - 2, 0], masked=False)
    yield "text_boxes_posneg", phrases(rng, [1]) | random_boxes(rng, [[1, 0, 1]])
    yield "boxes_outside", phrases(rng, [1]) | outside
    unequal = random_boxes(rng, [[1, 0], [0, PADDING], [PADDING, PADDING]])
    yield "batch3_unequal", phrases(rng, [3, 1, 4]) | unequal


def concept_config(model):
    width = {"hidden_size": model.width, "num_attention_heads": model.heads}
    detr = width | {"intermediate_size": model.intermediate}
    text = {
        "model_type": "clip_text_model", "vocab_size": VOCABULARY, "hidden_size": model.text.width, "intermediate_size": model.text.intermediate,
        "num_hidden_layers": model.text.layers, "num_attention_heads": model.text.heads, "max_position_embeddings": TOKENS, "hidden_act": "gelu",
        "projection_dim": 4, "bos_token_id": START, "eos_token_id": END,
    }  # fmt: skip
    return {
        "model_type": "sam3", "architectures": ["Sam3Model"], "text_config": text, "vision_config": sam3_picture.config(model.picture, [4.0, 2.0, 1.0, 0.5]),
        "geometry_encoder_config": detr | {"num_layers": model.geometry_layers, "roi_size": model.cells},
        "detr_encoder_config": detr | {"num_layers": model.encoder_layers},
        "detr_decoder_config": detr | {"num_layers": model.decoder_layers, "num_queries": model.queries},
        "mask_decoder_config": width | {"num_attention_heads": model.mask_heads},
    }  # fmt: skip


def unused(weights, model):
    """What published files hold too, and nothing here asks for."""
    width, trunk = model.width, model.picture.width
    weights.linear("text_encoder.text_projection.weight", (4, model.text.width))
    last = "vision_encoder.neck.fpn_layers.3"
    weights.linear(f"{last}.proj1.weight", (width, trunk, 1, 1))
    weights.linear(f"{last}.proj2.weight", (width, width, 3, 3))
    weights.linear("mask_decoder.pixel_decoder.conv_layers.2.weight", (width, width, 3, 3))
    weights.scale("mask_decoder.pixel_decoder.norms.2.weight", width)
    for name in (f"{last}.proj1", f"{last}.proj2", "mask_decoder.pixel_decoder.conv_layers.2", "mask_decoder.pixel_decoder.norms.2"):
        weights.bias(f"{name}.bias", width)


def tolerances(outputs):
    """Masks are sums of many large products: rounding to float32 alone moves them by 7e-5."""
    return {"tolerance": {"atol": 1e-4, "rtol": 2e-5}, "suggested_atol_per_tensor": {name: 3e-4 for name in outputs if name.endswith("masks")}}


def make_concept(folder, model):
    weights, rng = Weights(61), np.random.default_rng(61)
    inputs, outputs, lines, first = {}, {}, [], None
    for name, given in concept_calls(rng, model.picture.side):
        first = given.get("pixel_values", first)[:1] if first is None else first
        inputs |= {f"{name}.{key}": value for key, value in given.items()}
        shown = given.get("pixel_values", np.repeat(first, len(given["input_ids"]), 0))
        found, picture = answer(weights, model, given | {"pixel_values": shown})
        outputs |= {f"{name}.{key}": value for key, value in (found | (picture if name == "text1" else {})).items()}
        lines.append({"name": name, "args": sorted(given)})
    unused(weights, model)
    about = (
        "5x5 patches in windows of 2 (padded), a table of 3x3 positions, 2 DETR heads and 4 of the mask decoder, text wider than all else; no mask of"
        " tokens, boxes outside and of no size, unequal numbers of boxes"
    )
    facts = {"family": "sam3_image", "case": "sam3", "about": about, "calls": lines} | tolerances(outputs)
    write_case(folder / "sam3", facts, weights, inputs, outputs, concept_config(model))


def clicks_config(picture):
    prompt = {"hidden_size": picture.outputs, "image_size": picture.side, "patch_size": picture.patch, "mask_input_channels": 4}
    decoder = {"hidden_size": picture.outputs, "mlp_dim": CLICK_MLP, "num_attention_heads": 8, "iou_head_hidden_dim": picture.outputs}
    return {
        "model_type": "sam3_tracker", "architectures": ["Sam3TrackerModel"], "vision_config": sam3_picture.config(picture, [4.0, 2.0, 1.0]),
        "prompt_encoder_config": prompt, "mask_decoder_config": decoder,
    }  # fmt: skip


def make_clicks(folder, picture):
    """SAM 2's decoder on this picture encoder. There are three maps: of four, transformers adds the embedding to one that nobody reads."""
    weights, rng = Weights(62), np.random.default_rng(62)
    decoder = Decoder(weights, HUGGING_FACE, picture.outputs, picture.grid, picture.side, high_resolution=True, mlp=CLICK_MLP)
    pixels = (4 * smooth_picture(rng, (1, 3, picture.side, picture.side)) - 2).astype(np.float16)
    _, maps = sam3_picture.encode(weights, picture, pixels.astype(np.float64))
    fine = plain_conv(weights, "mask_decoder.conv_s0", maps[0], picture.outputs // 8, 1)
    middle = plain_conv(weights, "mask_decoder.conv_s1", maps[1], picture.outputs // 4, 1)
    embedding = maps[2] + weights.normal("no_memory_embedding", (1, 1, picture.outputs), 0.5)[0, 0][:, None, None]
    inputs = {"image0.pixel_values": pixels}
    outputs = {f"image0.image_embeddings.{i}": map for i, map in enumerate((fine, middle, embedding))}
    lines = []
    stored = {"points": "input_points", "labels": "input_labels", "boxes": "input_boxes"}
    for name, multimask, prompt in prompt_cases(rng, picture.side, picture.grid):
        # Published tensors lead with the pictures; a mask has no axis for prompts.
        given = {stored[key]: value[None] for key, value in prompt.items() if key in stored}
        mask = prompt.get("masks")
        if mask is not None:
            given["input_masks"] = mask
        sparse = decoder.sparse(tokens_of(prompt, pads_boxes=True))
        logits, scores, seen = decoder(embedding, sparse, decoder.dense(None if mask is None else mask.astype(np.float64), len(sparse)), (middle, fine))
        masks, best = chosen(logits, scores, multimask, dynamic=True)
        inputs |= {f"{name}.{key}": value for key, value in given.items()}
        found = {"pred_masks": masks, "iou_scores": best, "object_score_logits": seen}
        outputs |= {f"{name}.{key}": value[None] for key, value in found.items()}
        lines.append({"name": name, "image": "image0", "multimask_output": multimask, "args": sorted(given)})
    weights.put("shared_image_embedding.positional_embedding", weights.tensors[HUGGING_FACE["positions"]])
    about = "6x6 patches in windows of 4 (padded), eps 1e-5, three maps of the neck"
    facts = {"family": "sam3_tracker", "case": "sam3_clicks", "about": about, "calls": lines} | tolerances(outputs)
    write_case(folder / "sam3_clicks", facts, weights, inputs, outputs, clicks_config(picture))


def make(folder):
    make_concept(folder, CONCEPT)
    make_clicks(folder, CLICKS)
