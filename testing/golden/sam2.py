"""The picture's half of SAM 2.1 (Ravi et al. 2024) at a toy size: Hiera (Ryali et al. 2023) and a pyramid before the decoder."""

import numpy as np

from case import Weights, smooth_picture, write_case
from layers import attention, conv, gelu, max_pool, nearest_twice, resize
from sam import HUGGING_FACE, Decoder, chosen, dense, norm, plain_conv, prompt_cases, stability, tokens_of

WIDTHS, DEPTHS, HEADS, WINDOWS = [8, 12, 16, 24], [1, 2, 3, 1], [1, 2, 2, 3], [4, 8, 4, 2]
GLOBAL = [4]
BACKGROUND, SIZE, WIDTH, MLP = 3, 96, 32, 48
EPSILON = 1e-6
SCOPE = "vision_encoder"


def patches(weights, picture):
    """[1, rows, columns, width]: cells of four pixels, with a coarse position stretched and a window's position repeated."""
    scope, width = f"{SCOPE}.backbone", WIDTHS[0]
    name = f"{scope}.patch_embed.projection"
    x = conv(picture, weights.linear(f"{name}.weight", (width, 3, 7, 7)), weights.bias(f"{name}.bias", width), stride=4, pad=3)
    side, window = x.shape[2], WINDOWS[0]
    coarse = weights.normal(f"{scope}.pos_embed", (1, width, BACKGROUND, BACKGROUND), 0.5)
    of_window = weights.normal(f"{scope}.pos_embed_window", (1, width, window, window), 0.5)
    x = x + resize(coarse, side, side, cubic=True) + np.tile(of_window, (1, 1, side // window, side // window))
    return x.transpose(0, 2, 3, 1)


def pooled(x):
    """[B, H, W, C] -> [B, H / 2, W / 2, C]."""
    return max_pool(x.transpose(0, 3, 1, 2), 2, 2).transpose(0, 2, 3, 1)


def attend(weights, name, x, outputs, heads, pools):
    """Attention among all cells of [1, H, W, C]; with `pools`, four neighbours ask one question."""
    _, height, width, _ = x.shape
    qkv = dense(weights, f"{name}.qkv", x, 3 * outputs, 1.5).reshape(1, height, width, 3, outputs)
    q, k, v = (qkv[:, :, :, i] for i in range(3))
    if pools:
        q = pooled(q)
    shape = q.shape
    split = lambda map: map.reshape(1, -1, heads, outputs // heads).swapaxes(1, 2)
    seen = attention(split(q), split(k), split(v)).swapaxes(1, 2).reshape(shape)
    return dense(weights, f"{name}.proj", seen, outputs)


def in_windows(x, window, work):
    """`work` on each window of [1, H, W, C]; cells of zeros fill the last ones up, are looked at, and are cut off after."""
    _, height, width, channels = x.shape
    x = np.pad(x, ((0, 0), (0, -height % window), (0, -width % window), (0, 0)))
    rows = []
    for top in range(0, x.shape[1], window):
        rows.append(np.concatenate([work(x[:, top : top + window, left : left + window]) for left in range(0, x.shape[2], window)], 2))
    return np.concatenate(rows, 1)


def block(weights, name, x, outputs, heads, window, pools):
    y = norm(weights, f"{name}.layer_norm1", x, EPSILON)
    if outputs != x.shape[-1]:
        # The way around starts behind the norm.
        x = dense(weights, f"{name}.proj", y, outputs)
        x = pooled(x) if pools else x
    work = lambda cells: attend(weights, f"{name}.attn", cells, outputs, heads, pools)
    y = in_windows(y, window, work) if window else work(y)
    x = x + y[:, : x.shape[1], : x.shape[2]]
    y = gelu(dense(weights, f"{name}.mlp.proj_in", norm(weights, f"{name}.layer_norm2", x, EPSILON), 4 * outputs))
    return x + dense(weights, f"{name}.mlp.proj_out", y, outputs)


def trunk(weights, x):
    """The last map of each stage. A stage's first block still has the window of the stage before, and halves the map."""
    maps, index, window = [], 0, WINDOWS[0]
    for stage in range(4):
        for i in range(DEPTHS[stage]):
            pools = stage > 0 and i == 0
            side = 0 if index in GLOBAL else window
            x = block(weights, f"{SCOPE}.backbone.blocks.{index}", x, WIDTHS[stage], HEADS[stage], side, pools)
            index, window = index + 1, WINDOWS[stage]
        maps.append(x)
    return maps


def encode(weights, decoder, picture):
    """Three maps, coarsest last, and inner ones by name."""
    maps = trunk(weights, patches(weights, picture))
    inner = {f"trunk.{i}": map for i, map in enumerate(maps)}
    sides = [plain_conv(weights, f"{SCOPE}.neck.convs.{3 - i}", map.transpose(0, 3, 1, 2), WIDTH, 1) for i, map in enumerate(maps)]
    joined = sides[2] + nearest_twice(sides[3])
    no_memory = weights.normal("no_memory_embedding", (1, 1, WIDTH), 0.5)
    fine = plain_conv(weights, "mask_decoder.conv_s0", sides[0], WIDTH // 8, 1)
    middle = plain_conv(weights, "mask_decoder.conv_s1", sides[1], WIDTH // 4, 1)
    return (fine, middle, joined + no_memory[0, 0][:, None, None]), inner


def config():
    backbone = {
        "model_type": "sam2_hiera_det_model", "hidden_size": WIDTHS[0], "num_attention_heads": HEADS[0], "blocks_per_stage": DEPTHS,
        "embed_dim_per_stage": WIDTHS, "num_attention_heads_per_stage": HEADS, "window_size_per_stage": WINDOWS,
        "global_attention_blocks": GLOBAL, "num_query_pool_stages": 3, "query_stride": [2, 2], "mlp_ratio": 4.0,
        "window_positional_embedding_background_size": [BACKGROUND, BACKGROUND], "image_size": [SIZE, SIZE],
        "patch_kernel_size": [7, 7], "patch_stride": [4, 4], "patch_padding": [3, 3], "hidden_act": "gelu", "layer_norm_eps": EPSILON,
    }
    vision = {
        "model_type": "sam2_vision_model", "backbone_config": backbone, "backbone_channel_list": WIDTHS[::-1],
        "backbone_feature_sizes": [[SIZE // stride] * 2 for stride in (4, 8, 16)], "fpn_hidden_size": WIDTH,
        "fpn_top_down_levels": [2, 3], "num_feature_levels": 3, "fpn_kernel_size": 1, "fpn_stride": 1, "fpn_padding": 0,
    }
    prompt = {
        "model_type": "sam2_prompt_encoder", "hidden_size": WIDTH, "image_size": SIZE, "patch_size": 16, "mask_input_channels": 4,
        "num_point_embeddings": 4, "hidden_act": "gelu", "layer_norm_eps": 1e-6, "scale": 1,
    }
    decoder = {
        "model_type": "sam2_mask_decoder", "hidden_size": WIDTH, "mlp_dim": MLP, "num_hidden_layers": 2, "num_attention_heads": 8,
        "attention_downsample_rate": 2, "num_multimask_outputs": 3, "iou_head_depth": 3, "iou_head_hidden_dim": WIDTH,
        "dynamic_multimask_via_stability": True, "dynamic_multimask_stability_delta": 0.05, "dynamic_multimask_stability_thresh": 0.98,
    }
    return {"model_type": "sam2", "architectures": ["Sam2Model"], "vision_config": vision, "prompt_encoder_config": prompt, "mask_decoder_config": decoder}


def make(folder):
    weights = Weights(31)
    rng = np.random.default_rng(31)
    grid = SIZE // 16
    decoder = Decoder(weights, HUGGING_FACE, WIDTH, grid, SIZE, high_resolution=True, mlp=MLP)
    picture = (4 * smooth_picture(rng, (1, 3, SIZE, SIZE)) - 2).astype(np.float16)
    (fine, middle, embedding), inner = encode(weights, decoder, picture.astype(np.float64))
    inputs = {"image0.pixel_values": picture}
    outputs = {f"image0.{name}": value for name, value in inner.items()} | {"image_pe": decoder.grid_positions()}
    outputs |= {f"image0.image_embeddings.{i}": map for i, map in enumerate((fine, middle, embedding))}
    calls = []
    for name, multimask, prompt in prompt_cases(rng, SIZE, grid):
        # Published tensors lead with the pictures; a mask has no axis for prompts.
        stored = {"points": "input_points", "labels": "input_labels", "boxes": "input_boxes"}
        inputs |= {f"{name}.{stored[key]}": value[None] for key, value in prompt.items() if key in stored}
        mask = prompt.get("masks")
        if mask is not None:
            inputs[f"{name}.input_masks"] = mask
        sparse = decoder.sparse(tokens_of(prompt, pads_boxes=True))
        dense_prompt = decoder.dense(None if mask is None else mask.astype(np.float64), len(sparse))
        masks, scores, seen = decoder(embedding, sparse, dense_prompt, (middle, fine))
        found = {"sparse": sparse, "object_score_logits": seen}
        if not multimask:
            found["stability_token0"] = stability(masks[:, :1])
        found["pred_masks"], found["iou_scores"] = chosen(masks, scores, multimask, dynamic=True)
        outputs |= {f"{name}.{key}": value[None] for key, value in found.items()}
        if mask is not None:
            outputs[f"{name}.dense"] = dense_prompt
        calls.append({"name": name, "image": "image0", "multimask_output": multimask})
    # Files hold the matrix of positions twice.
    weights.put("shared_image_embedding.positional_embedding", weights.tensors[HUGGING_FACE["positions"]])
    about = f"Hiera of widths {WIDTHS} on {SIZE} pixels: padded windows, one block that sees all"
    facts = {"family": "sam2_image", "case": "sam2", "about": about, "calls": calls, "tolerance": {"atol": 5e-5, "rtol": 2e-5}}
    write_case(folder / "sam2", facts, weights, inputs, outputs, config())
