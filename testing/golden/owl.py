"""OWL-ViT (Minderer et al. 2022) and OWLv2 (Minderer et al. 2023) at a toy size: CLIP's two towers, and heads on every patch."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from case import Weights, smooth_picture, write_case
from layers import attention, conv, gelu, resize, sigmoid
from sam import dense, norm

TOKENS, VOCABULARY = 16, 60
START, END = VOCABULARY - 2, VOCABULARY - 1
MASKED = np.finfo(np.float32).min
# How far a choice between patches must be from the next best, so that rounding cannot turn it.
MARGIN = 1e-3


def quick_gelu(x):
    return x * sigmoid(1.702 * x)


@dataclass
class Tower:
    width: int
    layers: int
    heads: int
    intermediate: int
    epsilon: float = 1e-5
    activation: Callable = quick_gelu


@dataclass
class Model:
    family: str
    seed: int
    side: int
    patch: int
    vision: Tower
    text: Tower

    @property
    def grid(self):
        return self.side // self.patch


MODELS = [
    Model("owlvit", 51, 44, 8, Tower(24, 2, 2, 60), Tower(20, 2, 5, 48)),
    Model("owlv2", 52, 40, 10, Tower(20, 2, 4, 72, 1e-4), Tower(24, 2, 3, 40, 1e-6)),
]


def normalised(x, epsilon=0.0):
    return x / (np.linalg.norm(x, axis=-1, keepdims=True) + epsilon)


def split(x, heads):
    """[B, T, C] -> [B, heads, T, C / heads]."""
    return x.reshape(*x.shape[:2], heads, -1).swapaxes(1, 2)


def allowed_attention(q, k, v, allowed):
    """Attention to the allowed keys alone; who may see none sees zero."""
    hidden = ~allowed.any(-1)
    seen = attention(q, k, v, bias=np.where(allowed | hidden[..., None], 0, -np.inf))
    return np.where(hidden[..., None], 0, seen)


def encoder(weights, name, x, tower, allowed):
    """Pre-norm layers; `allowed` [B, 1, T, T] says which keys a token sees."""
    for index in range(tower.layers):
        layer = f"{name}.encoder.layers.{index}"
        y = norm(weights, f"{layer}.layer_norm1", x, tower.epsilon)
        q, k, v = (split(dense(weights, f"{layer}.self_attn.{part}_proj", y, tower.width, 1.5), tower.heads) for part in "qkv")
        seen = allowed_attention(q, k, v, allowed).swapaxes(1, 2).reshape(x.shape)
        x = x + dense(weights, f"{layer}.self_attn.out_proj", seen, tower.width)
        y = dense(weights, f"{layer}.mlp.fc1", norm(weights, f"{layer}.layer_norm2", x, tower.epsilon), tower.intermediate)
        y = tower.activation(y)
        x = x + dense(weights, f"{layer}.mlp.fc2", y, tower.width)
    return x


def positions(weights, model, rows, columns):
    """[1 + rows * columns, C]: those of the patches are stretched to another grid, the first one belongs to the class token."""
    width, grid = model.vision.width, model.grid
    table = weights.normal(f"{model.family}.vision_model.embeddings.position_embedding.weight", (1 + grid * grid, width), 0.5)
    if (rows, columns) == (grid, grid):
        return table
    map = table[1:].T.reshape(1, width, grid, grid)
    return np.concatenate([table[:1], resize(map, rows, columns, cubic=True).reshape(width, -1).T])


def embed_picture(weights, model, picture):
    """The last hidden state [B, 1 + patches, C], and the map that the heads read, [B, rows, columns, C]."""
    name, tower = f"{model.family}.vision_model", model.vision
    kernel = weights.linear(f"{name}.embeddings.patch_embedding.weight", (tower.width, 3, model.patch, model.patch))
    patches = conv(picture, kernel, stride=model.patch)
    batch, _, rows, columns = patches.shape
    patches = patches.reshape(batch, tower.width, -1).swapaxes(1, 2)
    first = weights.normal(f"{name}.embeddings.class_embedding", (tower.width,), 0.5)
    x = np.concatenate([np.broadcast_to(first, (batch, 1, tower.width)), patches], 1) + positions(weights, model, rows, columns)
    x = norm(weights, f"{name}.pre_layernorm", x, tower.epsilon)
    everywhere = np.ones((batch, 1, x.shape[1], x.shape[1]), bool)
    hidden = encoder(weights, name, x, tower, everywhere)
    x = norm(weights, f"{name}.post_layernorm", hidden, tower.epsilon)
    merged = norm(weights, "layer_norm", x[:, 1:] * x[:, :1], tower.epsilon)
    return hidden, merged.reshape(batch, rows, columns, tower.width)


def embed_phrases(weights, model, ids):
    """The last hidden state [phrases, tokens, C], and an embedding of length 1 per phrase."""
    name, tower = f"{model.family}.text_model", model.text
    words = weights.normal(f"{name}.embeddings.token_embedding.weight", (VOCABULARY, tower.width), 1.0)
    places = weights.normal(f"{name}.embeddings.position_embedding.weight", (TOKENS, tower.width), 0.5)
    before = np.tril(np.ones((TOKENS, TOKENS), bool))
    allowed = before & (ids != 0)[:, None, None, :]
    x = encoder(weights, name, words[ids] + places, tower, allowed)
    hidden = norm(weights, f"{name}.final_layer_norm", x, tower.epsilon)
    last = hidden[np.arange(len(ids)), ids.argmax(-1)]
    projection = weights.linear(f"{model.family}.text_projection.weight", (tower.width, tower.width))
    return hidden, normalised(last @ projection.T)


def three_layers(weights, name, x, outputs):
    width = x.shape[-1]
    for index in (0, 1):
        x = gelu(dense(weights, f"{name}.dense{index}", x, width))
    return dense(weights, f"{name}.dense2", x, outputs, 1.5)


def boxes(weights, map):
    """Centre and size in 0..1 of every patch, [B, patches, 4]: the network says how far from the patch's own."""
    batch, rows, columns, width = map.shape
    right, below = np.meshgrid(np.arange(1, columns + 1) / columns, np.arange(1, rows + 1) / rows)
    own = np.stack([right, below, np.full_like(right, 1 / columns), np.full_like(right, 1 / rows)], -1)
    logit = np.log(own + 1e-4) - np.log(1 - own + 1e-4)
    return sigmoid(three_layers(weights, "box_head", map.reshape(batch, -1, width), 4) + logit.reshape(-1, 4))


def class_embeddings(weights, model, map):
    features = map.reshape(len(map), -1, map.shape[-1])
    return dense(weights, "class_head.dense0", features, model.text.width), features


def classify(weights, model, map, queries):
    """Logits [B, patches, queries] and the embeddings of length 1 that they come from."""
    embeddings, features = class_embeddings(weights, model, map)
    embeddings = normalised(embeddings, 1e-6)
    width = features.shape[-1]
    of_patch = lambda name, mean: (
        features @ weights.linear(f"class_head.{name}.weight", (1, width), 0.3).T + weights.normal(f"class_head.{name}.bias", (1,), 0.1, mean)
    )
    shift, scale = of_patch("logit_shift", -0.2), of_patch("logit_scale", 4.0)
    # elu(scale) + 1
    factor = np.where(scale > 0, scale + 1, np.exp(np.minimum(scale, 0)))
    return (embeddings @ normalised(queries, 1e-6).swapaxes(-1, -2) + shift) * factor, embeddings


def objectness(weights, map):
    return three_layers(weights, "objectness_head", map.reshape(len(map), -1, map.shape[-1]), 1)[..., 0]


def best(values):
    """The index of the largest value, which must be the largest by far."""
    order = np.argsort(-values)
    if len(values) > 1 and values[order[0]] - values[order[1]] < MARGIN:
        raise SystemExit("a choice within rounding: take another seed")
    return order[0]


def least_usual(found, embeddings):
    """OWL-ViT's query: of the patches whose boxes fill the frame best, the one least like the mean patch."""
    corners = np.concatenate([found[:, :2] - found[:, 2:] / 2, found[:, :2] + found[:, 2:] / 2], -1)
    inside = np.clip(np.minimum(corners[:, 2:], 1) - np.maximum(corners[:, :2], 0), 0, None).prod(-1)
    iou = inside / (1 + found[:, 2:].prod(-1) - inside)
    bound = 0.8 * iou.max()
    if np.abs(iou - bound).min() < MARGIN:
        raise SystemExit("a box at the bound: take another seed")
    candidates = np.flatnonzero(iou >= bound)
    return candidates[best(-(embeddings[candidates] @ embeddings.mean(0)))]


def answer_phrases(weights, model, given):
    ids = given["input_ids"]
    vision_hidden, map = embed_picture(weights, model, given["pixel_values"].astype(np.float64))
    text_hidden, embeddings = embed_phrases(weights, model, ids)
    batch = len(map)
    queries = embeddings.reshape(batch, -1, embeddings.shape[-1])
    logits, class_embeds = classify(weights, model, map, queries)
    is_padding = ids.reshape(batch, -1, TOKENS)[:, None, :, 0] == 0
    found = {
        "logits": np.where(is_padding, MASKED, logits), "pred_boxes": boxes(weights, map), "text_embeds": queries, "image_embeds": map,
        "class_embeds": class_embeds, "vision_last_hidden": vision_hidden, "text_last_hidden": text_hidden,
    }
    if model.family == "owlv2":
        found["objectness_logits"] = objectness(weights, map)
    return found


def answer_picture(weights, model, given):
    """Looks for what the query picture shows; nobody says where in it."""
    query_map, map = (embed_picture(weights, model, given[name].astype(np.float64))[1] for name in ("query_pixel_values", "pixel_values"))
    embeddings, _ = class_embeddings(weights, model, query_map)
    query_boxes = boxes(weights, query_map)
    found = {"query_pred_boxes": query_boxes, "query_image_embeds": query_map, "image_embeds": map}
    if model.family == "owlv2":
        seen = objectness(weights, query_map)
        chosen = [best(values) for values in seen]
        found["query_objectness_logits"] = seen
    else:
        chosen = [least_usual(*pair) for pair in zip(query_boxes, embeddings)]
    found["best_box_index"] = np.array(chosen)[:, None]
    found["query_embeds"] = embeddings[np.arange(len(chosen)), chosen][:, None]
    found["logits"], found["class_embeds"] = classify(weights, model, map, found["query_embeds"])
    found["target_pred_boxes"] = boxes(weights, map)
    return found


def phrases(rng, words):
    """Ids of phrases with so many words; None is no phrase, which fills a batch up."""
    ids = np.zeros((len(words), TOKENS), np.int64)
    for row, count in enumerate(words):
        if count is not None:
            ids[row, : count + 2] = [START, *rng.integers(1, START, count), END]
    return {"input_ids": ids, "attention_mask": (ids != 0).astype(np.int64)}


def calls(rng, model):
    """Name, what case.json says of a call, and its tensors."""
    picture = lambda batch, height, width: (4 * smooth_picture(rng, (batch, 3, height, width)) - 2).astype(np.float16)
    own = model.side, model.side
    other = (6 * model.patch + 3,) * 2
    yield "text1", {"kind": "text", "queries": 3}, {"pixel_values": picture(1, *own)} | phrases(rng, [TOKENS - 2, 0, 3])
    yield "one_query", {"kind": "text", "queries": 1, "interpolate_pos_encoding": True}, {"pixel_values": picture(1, *other)} | phrases(rng, [2])
    yield "text_batch2", {"kind": "text", "queries": 3}, {"pixel_values": picture(2, *own)} | phrases(rng, [5, 1, 7, 2, 4, None])
    yield "image_guided", {"kind": "image"}, {"pixel_values": picture(1, *own), "query_pixel_values": picture(1, *own)}


def config(model):
    """As published: what a class has by default is left out."""
    tower = lambda tower: {
        "hidden_size": tower.width, "num_hidden_layers": tower.layers, "num_attention_heads": tower.heads, "intermediate_size": tower.intermediate,
    } | ({} if tower.epsilon == 1e-5 else {"layer_norm_eps": tower.epsilon})  # fmt: skip
    text = {"model_type": f"{model.family}_text_model", "vocab_size": VOCABULARY} | tower(model.text)
    vision = {"model_type": f"{model.family}_vision_model", "image_size": model.side, "patch_size": model.patch} | tower(model.vision)
    architecture = {"owlvit": "OwlViTForObjectDetection", "owlv2": "Owlv2ForObjectDetection"}[model.family]
    return {
        "architectures": [architecture], "model_type": model.family, "projection_dim": model.text.width, "text_config": text, "vision_config": vision,
    }  # fmt: skip


def make_one(folder, model):
    weights = Weights(model.seed)
    rng = np.random.default_rng(model.seed)
    inputs, outputs, lines = {}, {}, []
    for name, line, given in calls(rng, model):
        answer = answer_phrases if line["kind"] == "text" else answer_picture
        inputs |= {f"{name}.{key}": value for key, value in given.items()}
        outputs |= {f"{name}.{key}": value for key, value in answer(weights, model, given).items()}
        lines.append({"name": name} | line)
    # Published files hold these too, which nothing here asks for.
    weights.linear(f"{model.family}.visual_projection.weight", (model.text.width, model.vision.width))
    weights.put(f"{model.family}.logit_scale", 2.6592)
    tolerance = {"atol": 5e-5, "rtol": 2e-5}
    facts = {
        "family": model.family,
        "case": model.family,
        "about": f"{model.grid}x{model.grid} patches of {model.patch} pixels, head widths {model.vision.width // model.vision.heads} and "
        f"{model.text.width // model.text.heads}, one query too few, positions stretched to another grid",
        "calls": lines,
        "tolerance": tolerance,
        # Masked logits are float32's least: nothing may be relative to those.
        "suggested_atol_per_tensor": {"text_batch2.logits": tolerance["atol"]},
    }
    write_case(folder / model.family, facts, weights, inputs, outputs, config(model))


def make(folder):
    for model in MODELS:
        make_one(folder, model)
