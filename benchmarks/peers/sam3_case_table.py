"""The cases that `make_golden_sam3.py` makes, as numbers, and what each is for."""

SAFETENSORS, PICKLE, SHARDS = "safetensors", "pickle", "shards"
FULL, SHORT = "full", "short"
# img: pixels a side; win: window; glob: global blocks; h, heads, layers, mlp: picture encoder; pre: pixels of the position table;
# d: width of all that follows; dh, mh: attention heads of it and of the mask decoder; dmlp; geo, enc, dec: layers; q: queries;
# t*: text tower; ctx: tokens; act: picture encoder's, tact: text tower's, dact: DETR's activation.
BASE = {
    "patch": 14, "img": 112, "win": 4, "glob": [1, 3], "layers": 4, "h": 32, "heads": 2, "mlp": 64, "pre": 56, "d": 32, "dh": 4,
    "dmlp": 64, "geo": 1, "enc": 1, "dec": 2, "q": 10, "roi": 7, "th": 32, "tl": 2, "ta": 2, "tmlp": 64, "ctx": 16,
    "vocab": 300, "act": "gelu", "tact": "gelu", "dact": "relu", "eps": 1e-6, "plan": FULL, "store": SAFETENSORS,
}  # fmt: skip
IMAGE = {
    "plain": {"about": "every kind of call: no attention mask, 20 boxes, only negative ones, outside, tiny, unequal numbers"},
    "window3": {
        "about": "window 3 on 8x8 (padded to 9), 2 geometry layers, 4 ViT heads, 8 DETR heads",
        "win": 3, "heads": 4, "h": 48, "dh": 8, "geo": 2,
    },
    "window6": {
        "about": "window 6 on 8x8 (padded to 12), width 48, 3 encoder and 4 decoder layers, 25 queries",
        "win": 6, "d": 48, "dh": 6, "enc": 3, "dec": 4, "q": 25, "geo": 3,
    },
    "odd_grid": {
        "about": "9x9 grid in window 4 (padded to 12), positions 4x4 tiled and cut, width 64, roi 5, context 32",
        "img": 126, "d": 64, "dh": 8, "roi": 5, "ctx": 32, "th": 40, "ta": 5,
    },
    "large_positions": {
        "about": "position table of 10x10 cut to a 7x7 grid, window 7 (one window), ViT eps 1e-5, no global block but one",
        "img": 98, "win": 7, "pre": 140, "glob": [2], "layers": 3, "eps": 1e-5, "plan": SHORT,
    },
    "odd_positions": {
        "about": "11x11 grid, 3x3 positions, window 5; last block windowed; 3 text layers wider than d",
        "img": 154, "win": 5, "pre": 42, "glob": [0, 1], "layers": 3, "tl": 3, "th": 56, "ta": 4, "plan": SHORT,
    },
    "activations": {
        "about": "quick_gelu in ViT and text, gelu in DETR and geometry encoder",
        "act": "quick_gelu", "tact": "quick_gelu", "dact": "gelu", "eps": 1e-5, "plan": SHORT,
    },
    "activations_other": {
        "about": "tanh gelu in ViT, gelu in text, silu in DETR", "act": "gelu_pytorch_tanh", "dact": "silu", "plan": SHORT,
    },
    "half": {"about": "weights in float16 (cast to float32)", "half": True, "plan": SHORT},
    "half_shards": {"about": "weights in float16, in shards", "half": True, "store": SHARDS, "plan": SHORT},
    "shards": {"about": "shards with an index", "store": SHARDS, "plan": SHORT, "roi": 5},
    "pickle": {"about": "pytorch_model.bin", "store": PICKLE, "plan": SHORT},
    "layer_scale": {
        "about": "layer_scale_init_value .1, which transformers reads and does not apply", "scale": 0.1, "plan": SHORT,
    },
    "wide_heads": {
        "about": "head width 32 in the ViT, 1 head in DETR, 2 in the mask decoder, 3 geometry layers, roi 3, deep text",
        "h": 64, "heads": 2, "mlp": 80, "d": 40, "dh": 1, "mh": 2, "geo": 3, "roi": 3, "tl": 4, "plan": SHORT,
    },
    "patch16": {
        "about": "patch 16, 8x8 grid, window 8 (one window)", "patch": 16, "img": 128, "win": 8, "pre": 64, "plan": SHORT,
    },
    "large": {
        "about": "16x16 grid, window 8, positions 8x8, 12 blocks", "img": 224, "win": 8, "pre": 112, "layers": 8,
        "glob": [3, 7], "q": 30, "ctx": 32, "plan": SHORT,
    },
    "other_size": {
        "about": "the model of `plain` at 168 pixels: the size changed in config.json alone", "img": 168, "like": "plain",
    },
}  # fmt: skip
TRACKER = {
    "padding": {"about": "9x9 grid in window 4 (padded to 12), width 48", "img": 126, "d": 48, "h": 48, "heads": 3},
    "window6": {"about": "window 6 on 8x8 (padded to 12), width 64, ViT eps 1e-5", "win": 6, "d": 64, "dmlp": 96, "eps": 1e-5},
    "three_levels": {
        "about": "three scale factors: no_memory_embedding is added; with four it goes to a map that nothing reads",
        "levels": 3,
    },
    "four_heads": {"about": "4 heads in the mask decoder, 10x10 grid, window 5", "img": 140, "win": 5, "pre": 70, "dh": 4},
    "half": {"about": "weights in float16 (cast to float32)", "half": True},
}  # fmt: skip
TRACKER_BASE = {"d": 32, "dh": 8, "layers": 3, "glob": [1, 2], "levels": 4, "plan": "clicks"}
LITE_BASE = {"th": 32, "tl": 4, "ta": 4, "tmlp": 48, "pos": 24, "rk": 5, "ctx": 16, "vocab": 160, "repmixer": True,
             "d": 24, "dh": 3, "dmlp": 32, "q": 6, "plan": SHORT}  # fmt: skip
LITE = {
    "deep": {"about": "6 text layers, kernel 11, positions as many as tokens", "tl": 6, "rk": 11, "pos": 16},
    "plain_transformer": {"about": "no RepMixer: every layer attends", "repmixer": False, "pos": 77, "ctx": 32, "tl": 3},
    "more_tokens": {"about": "16 positions stretched to 32 tokens, kernel 3, width 48", "pos": 16, "ctx": 32, "rk": 3, "th": 48},
    "two_layers": {"about": "both layers are RepMixers, kernel 7, 77 positions to 16 tokens", "tl": 2, "rk": 7, "pos": 77},
    "quick": {"about": "quick_gelu in the text tower, 5 layers, weights in float16", "tact": "quick_gelu", "tl": 5, "half": True},
}  # fmt: skip
FAMILIES = {
    "sam3_image": {name: BASE | IMAGE[case.get("like", name)] | case for name, case in IMAGE.items()},
    "sam3_tracker": {name: BASE | TRACKER_BASE | case for name, case in TRACKER.items()},
    "sam3_lite_text": {name: BASE | LITE_BASE | case for name, case in LITE.items()},
}


def vision(case):
    """`vision_config` of config.json."""
    grid = case["img"] // case["patch"]
    backbone = {
        "model_type": "sam3_vit_model",
        "hidden_size": case["h"],
        "intermediate_size": case["mlp"],
        "num_hidden_layers": case["layers"],
        "num_attention_heads": case["heads"],
        "image_size": case["img"],
        "patch_size": case["patch"],
        "window_size": case["win"],
        "global_attn_indexes": case["glob"],
        "pretrain_image_size": case["pre"],
        "hidden_act": case["act"],
        "layer_norm_eps": case["eps"],
        "layer_scale_init_value": case.get("scale"),
        "rope_parameters": {"rope_theta": 10000.0, "rope_type": "axial"},
    }
    return {
        "model_type": "sam3_vision_model",
        "backbone_config": backbone,
        "fpn_hidden_size": case["d"],
        "backbone_feature_sizes": [[4 * grid, 4 * grid], [2 * grid, 2 * grid], [grid, grid]],
        "scale_factors": [4.0, 2.0, 1.0, 0.5][: case.get("levels", 4)],
    }


def text(family, case):
    """`text_config` of config.json."""
    common = {
        "vocab_size": case["vocab"],
        "hidden_size": case["th"],
        "intermediate_size": case["tmlp"],
        "num_hidden_layers": case["tl"],
        "num_attention_heads": case["ta"],
        "hidden_act": case["tact"],
    }
    if family == "sam3_lite_text":
        return common | {
            "projection_dim": case["th"],
            "max_position_embeddings": case["pos"],
            "repmixer_kernel_size": case["rk"],
            "use_repmixer_blocks": case["repmixer"],
        }
    ends = {"bos_token_id": case["vocab"] - 2, "eos_token_id": case["vocab"] - 1}
    return common | ends | {
        "model_type": "clip_text_model",
        "projection_dim": case["th"] // 2,
        "max_position_embeddings": case["ctx"],
    }


def configuration(family, case):
    """The content of config.json."""
    if family == "sam3_tracker":
        prompts = {"hidden_size": case["d"], "image_size": case["img"], "patch_size": case["patch"]}
        decoder = {
            "hidden_size": case["d"],
            "iou_head_hidden_dim": case["d"],
            "mlp_dim": case["dmlp"],
            "num_attention_heads": case["dh"],
        }
        return {"vision_config": vision(case), "prompt_encoder_config": prompts, "mask_decoder_config": decoder}
    width = {"hidden_size": case["d"], "num_attention_heads": case["dh"]}
    detr = width | {"intermediate_size": case["dmlp"], "hidden_act": case["dact"]}
    return {
        "vision_config": vision(case),
        "text_config": text(family, case),
        "geometry_encoder_config": detr | {"num_layers": case["geo"], "roi_size": case["roi"]},
        "detr_encoder_config": detr | {"num_layers": case["enc"]},
        "detr_decoder_config": detr | {"num_layers": case["dec"], "num_queries": case["q"]},
        "mask_decoder_config": width | {"num_attention_heads": case.get("mh", case["dh"])},
    }
