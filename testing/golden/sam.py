"""Prompt encoder and mask decoder of Segment Anything (Kirillov et al. 2023), and what SAM 2 (Ravi et al. 2024) adds to them."""

import numpy as np

from layers import attention, channel_norm, conv, gelu, layer_norm, relu, resize, sigmoid, transposed_conv

# How the layouts name the same layers.
OFFICIAL = {
    "positions": "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix",
    "mask_layers": [f"prompt_encoder.mask_downscaling.{i}" for i in (0, 1, 3, 4, 6)],
    "norms": ["norm1", "norm2", "norm3", "norm4"],
    "mlp": ["mlp.lin1", "mlp.lin2"],
    "out": "out_proj",
    "final": "final_attn_token_to_image",
    "final_norm": "norm_final_attn",
    "upscaling": ["output_upscaling.0", "output_upscaling.1", "output_upscaling.3"],
    "head": ["layers.0", "layers.1", "layers.2"],
}
HUGGING_FACE = {
    "positions": "prompt_encoder.shared_embedding.positional_embedding",
    "mask_layers": [f"prompt_encoder.mask_embed.{name}" for name in ("conv1", "layer_norm1", "conv2", "layer_norm2", "conv3")],
    "norms": [f"layer_norm{i}" for i in (1, 2, 3, 4)],
    "mlp": ["mlp.proj_in", "mlp.proj_out"],
    "out": "o_proj",
    "final": "final_attn_token_to_image",
    "final_norm": "layer_norm_final_attn",
    "upscaling": ["upscale_conv1", "upscale_layer_norm", "upscale_conv2"],
    "head": ["proj_in", "layers.0", "proj_out"],
}
PAD = -1
TOP_LEFT, BOTTOM_RIGHT = 2, 3
HEADS = 8
MASKS = 4


def dense(weights, name, x, outputs, gain=1.0):
    weight = weights.linear(f"{name}.weight", (outputs, x.shape[-1]), gain)
    return x @ weight.T + weights.bias(f"{name}.bias", outputs)


def norm(weights, name, x, epsilon=1e-5, over=layer_norm):
    size = x.shape[1] if over is channel_norm else x.shape[-1]
    return over(x, weights.scale(f"{name}.weight", size), weights.normal(f"{name}.bias", (size,), 0.2), epsilon)


def plain_conv(weights, name, x, outputs, side, **options):
    weight = weights.linear(f"{name}.weight", (outputs, x.shape[1], side, side), 1.3)
    return conv(x, weight, weights.bias(f"{name}.bias", outputs), **options)


class Decoder:
    """`width` of the embedding, a grid of `grid` cells a side, prompts in a square of side `space`."""

    def __init__(self, weights, names, width, grid, space, high_resolution=False, mask_channels=4, mlp=48):
        self.weights, self.names, self.width, self.grid, self.space = weights, names, width, grid, space
        self.high_resolution, self.mask_channels, self.mlp = high_resolution, mask_channels, mlp

    def encode_places(self, places):
        """Random Fourier features of places in 0..1, [..., 2] -> [..., width]."""
        matrix = self.weights.normal(self.names["positions"], (2, self.width // 2), 1.0)
        angles = 2 * np.pi * ((2 * places - 1) @ matrix)
        return np.concatenate([np.sin(angles), np.cos(angles)], -1)

    def grid_positions(self):
        """[1, width, grid, grid]."""
        middles = (np.arange(self.grid) + 0.5) / self.grid
        places = np.stack(np.meshgrid(middles, middles), -1)
        return self.encode_places(places).transpose(2, 0, 1)[None]

    def embed(self, name):
        return self.weights.normal(f"{name}.weight", (1, self.width), 0.7)[0]

    def kinds(self):
        if self.names is HUGGING_FACE:
            return self.weights.normal("prompt_encoder.point_embed.weight", (4, self.width), 0.7)
        return [self.embed(f"prompt_encoder.point_embeddings.{kind}") for kind in range(4)]

    def sparse(self, tokens):
        """[prompts, tokens, width] of (x, y, label): all prompts have equally many."""
        kinds, none = self.kinds(), self.embed("prompt_encoder.not_a_point_embed")
        rows = []
        for prompt in tokens:
            row = [none if label == PAD else self.encode_places((np.array([x, y]) + 0.5) / self.space) + kinds[label] for x, y, label in prompt]
            rows.append(np.array(row).reshape(len(prompt), self.width))
        return np.array(rows)

    def dense(self, mask, prompts):
        """[prompts, width, grid, grid]; `mask` is [prompts, 1, 4 grid, 4 grid] or nothing."""
        first, norm1, second, norm2, third = self.names["mask_layers"]
        # Asked for in any case: the checkpoint holds both.
        none = self.embed("prompt_encoder.no_mask_embed")
        seen = np.zeros((1, 1, 4 * self.grid, 4 * self.grid)) if mask is None else mask
        x = plain_conv(self.weights, first, seen, self.mask_channels // 4, 2, stride=2)
        x = gelu(norm(self.weights, norm1, x, 1e-6, channel_norm))
        x = plain_conv(self.weights, second, x, self.mask_channels, 2, stride=2)
        x = gelu(norm(self.weights, norm2, x, 1e-6, channel_norm))
        x = plain_conv(self.weights, third, x, self.width, 1)
        return np.broadcast_to(none[:, None, None], (prompts, self.width, self.grid, self.grid)) if mask is None else x

    def attend(self, name, q, k, v, inner):
        def heads(layer, x):
            x = dense(self.weights, f"{name}.{layer}", x, inner, 1.5)
            return x.reshape(*x.shape[:2], HEADS, inner // HEADS).swapaxes(1, 2)

        seen = attention(heads("q_proj", q), heads("k_proj", k), heads("v_proj", v))
        seen = seen.swapaxes(1, 2).reshape(*q.shape[:2], inner)
        return dense(self.weights, f"{name}.{self.names['out']}", seen, self.width)

    def transformer(self, tokens, image, positions):
        """Two-way: `tokens` [P, N, C], `image` and `positions` [P, cells, C]."""
        scope, half = "mask_decoder.transformer", self.width // 2
        queries, places = tokens, tokens
        for i in range(2):
            layer = f"{scope}.layers.{i}"
            norms = [f"{layer}.{name}" for name in self.names["norms"]]
            if i == 0:
                # Nothing is added: the tokens are their own positions, and the sum with them is left out.
                queries = self.attend(f"{layer}.self_attn", queries, queries, queries, self.width)
            else:
                q = queries + places
                queries = queries + self.attend(f"{layer}.self_attn", q, q, queries, self.width)
            queries = norm(self.weights, norms[0], queries)
            seen = self.attend(f"{layer}.cross_attn_token_to_image", queries + places, image + positions, image, half)
            queries = norm(self.weights, norms[1], queries + seen)
            hidden = relu(dense(self.weights, f"{layer}.{self.names['mlp'][0]}", queries, self.mlp))
            queries = norm(self.weights, norms[2], queries + dense(self.weights, f"{layer}.{self.names['mlp'][1]}", hidden, self.width))
            seen = self.attend(f"{layer}.cross_attn_image_to_token", image + positions, queries + places, queries, half)
            image = norm(self.weights, norms[3], image + seen)
        seen = self.attend(f"{scope}.{self.names['final']}", queries + places, image + positions, image, half)
        return norm(self.weights, f"{scope}.{self.names['final_norm']}", queries + seen), image

    def head(self, name, x, outputs, gain=1.5):
        scope = [f"mask_decoder.{name}.{layer}" for layer in self.names["head"]]
        x = relu(dense(self.weights, scope[0], x, self.width, 1.4))
        x = relu(dense(self.weights, scope[1], x, self.width, 1.4))
        return dense(self.weights, scope[2], x, outputs, gain)

    def __call__(self, embedding, sparse, dense_prompt, fine=None):
        """All four masks [P, 4, 4 grid, 4 grid], their scores [P, 4] and the score of an object [P, 1], which SAM 1 has not.

        `embedding` is [1, width, grid, grid]; `fine` are SAM 2's maps of twice and four times the grid.
        """
        prompts = dense_prompt.shape[0]
        own = [self.weights.normal(f"mask_decoder.{name}.weight", (rows, self.width), 0.7) for name, rows in self.own_tokens()]
        own = np.broadcast_to(np.concatenate(own), (prompts, sum(len(part) for part in own), self.width))
        cells = lambda map: map.reshape(map.shape[0], self.width, -1).swapaxes(1, 2)
        image = cells(embedding + dense_prompt)
        positions = np.broadcast_to(cells(self.grid_positions()), image.shape)
        tokens, image = self.transformer(np.concatenate([own, sparse], 1), image, positions)
        first = 1 if self.high_resolution else 0
        image = image.swapaxes(1, 2).reshape(prompts, self.width, self.grid, self.grid)
        maps = self.upscaled(image, fine)
        # SAM 2 asks how stable the first mask is: at this size of its logits some prompts are stable and some are not.
        gains = [24.0 if self.high_resolution else 3.0, 3.0, 3.0, 3.0]
        heads = [f"output_hypernetworks_mlps.{i}" for i in range(MASKS)]
        kernels = [self.head(heads[i], tokens[:, first + 1 + i], self.width // 8, gains[i]) for i in range(MASKS)]
        masks = np.einsum("mpc,pchw->pmhw", np.array(kernels), maps)
        scores = self.head("iou_prediction_head", tokens[:, first], MASKS)
        if not self.high_resolution:
            return masks, scores, None
        return masks, sigmoid(scores), self.head("pred_obj_score_head", tokens[:, 0], 1)

    def own_tokens(self):
        more = [("obj_score_token", 1)] if self.high_resolution else []
        return [*more, ("iou_token", 1), ("mask_tokens", MASKS)]

    def upscaled(self, image, fine):
        names = [f"mask_decoder.{name}" for name in self.names["upscaling"]]

        def enlarge(name, x, outputs):
            weight = self.weights.linear(f"{name}.weight", (x.shape[1], outputs, 2, 2), 2.0)
            return transposed_conv(x, weight, self.weights.bias(f"{name}.bias", outputs))

        middle, last = fine or (0, 0)
        x = gelu(norm(self.weights, names[1], enlarge(names[0], image, self.width // 4) + middle, 1e-6, channel_norm))
        return gelu(enlarge(names[2], x, self.width // 8) + last)


def stability(logits, delta=0.05):
    """Of each mask [.., H, W]: how little its area changes with the threshold."""
    count = lambda threshold: (logits > threshold).sum((-1, -2))
    above, below = count(delta), count(-delta)
    return np.where(below > 0, above / np.maximum(below, 1), 1.0)


def chosen(masks, scores, multimask, dynamic):
    """Of four masks the three ambiguous ones, or the one for prompts that are not ambiguous."""
    if multimask:
        return masks[:, 1:], scores[:, 1:]
    picked = []
    for mask, score in zip(masks, scores):
        unstable = dynamic and stability(mask[0]) < 0.98
        picked.append(1 + score[1:].argmax() if unstable else 0)
    rows = np.arange(len(masks))
    return masks[rows, picked][:, None], scores[rows, picked][:, None]


def prompt_cases(rng, space, grid, prompts=2):
    """The calls of a case: name, whether three masks are wanted, and arrays of clicks, labels, boxes and masks."""
    points = lambda prompts, count: np.round(rng.uniform(0.05, 0.95, (prompts, count, 2)) * space, 2).astype(np.float32)
    labels = lambda prompts, count: rng.integers(0, 2, (prompts, count))

    def boxes(prompts):
        corners = np.sort(rng.uniform(0.05, 0.95, (prompts, 2, 2)), axis=1) * space
        return np.round(corners.reshape(prompts, 4), 2).astype(np.float32)

    masks = lambda prompts: resize(rng.normal(0, 12, (prompts, 1, grid, grid)), 4 * grid, 4 * grid, True).astype(np.float32)
    return [
        ("click", True, {"points": points(1, 1), "labels": np.ones((1, 1), np.int64)}),
        ("clicks", False, {"points": points(prompts, 3), "labels": labels(prompts, 3)}),
        ("box", False, {"boxes": boxes(prompts)}),
        ("box_and_clicks", True, {"boxes": boxes(prompts), "points": points(prompts, 2), "labels": labels(prompts, 2)}),
        ("mask_and_click", False, {"masks": masks(1), "points": points(1, 1), "labels": labels(1, 1)}),
    ]


def tokens_of(prompt, pads_boxes):
    """Clicks, then corners, then a token that is no point where the layout adds one, by prompt."""
    clicks, boxes = prompt.get("points"), prompt.get("boxes")
    rows = []
    for i in range(len(clicks if boxes is None else boxes)):
        row = [] if clicks is None else [(*place, label) for place, label in zip(clicks[i].astype(float), prompt["labels"][i])]
        if boxes is not None:
            x1, y1, x2, y2 = boxes[i].astype(float)
            row += [(x1, y1, TOP_LEFT), (x2, y2, BOTTOM_RIGHT)]
        if boxes is None or pads_boxes:
            row.append((0, 0, PAD))
        rows.append(row)
    return rows
