"""The published sizes of SAM 2.1's image encoder."""

# Width and heads of the first stage, blocks per stage, global blocks, windows, side of the stretched position embedding.
PUBLISHED = {
    "sam2.1-tiny": (96, 1, [1, 2, 7, 2], [5, 7, 9], [8, 4, 14, 7], 7),
    "sam2.1-small": (96, 1, [1, 2, 11, 2], [7, 10, 13], [8, 4, 14, 7], 7),
    "sam2.1-base-plus": (112, 2, [2, 3, 16, 3], [12, 16, 20], [8, 4, 14, 7], 14),
    "sam2.1-large": (144, 2, [2, 6, 36, 4], [23, 33, 43], [8, 4, 16, 8], 7),
}


def vision(architecture):
    """What transformers' configurations call `vision_config`."""
    width, heads, blocks, global_blocks, windows, background = PUBLISHED[architecture]
    widths = [width << stage for stage in range(4)]
    backbone = {
        "hidden_size": width,
        "num_attention_heads": heads,
        "blocks_per_stage": blocks,
        "embed_dim_per_stage": widths,
        "num_attention_heads_per_stage": [heads << stage for stage in range(4)],
        "window_size_per_stage": windows,
        "global_attention_blocks": global_blocks,
        "window_positional_embedding_background_size": [background, background],
        "model_type": "sam2_hiera_det_model",
    }
    return {"backbone_config": backbone, "backbone_channel_list": widths[::-1], "model_type": "sam2_vision_model"}
