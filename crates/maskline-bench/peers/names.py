"""From one published layout of a checkpoint to the other. Nothing here needs a library."""

import re

import sam3_names

GAUSSIAN = "shared_image_embedding.positional_embedding"
GAUSSIAN_COPY = "prompt_encoder.shared_embedding.positional_embedding"
KINDS = "prompt_encoder.point_embed.weight"

# What a SAM 2 holds for videos, in either layout: pictures do not need it.
VIDEO = re.compile(
    r"^(memory_|maskmem_tpos_enc|mask_downsample\.|obj_ptr_|object_pointer_|no_obj_|no_object_pointer|no_mem_pos_enc"
    r"|no_memory_positional_encoding|occlusion_spatial_embedding_parameter|temporal_positional_encoding_projection_layer)"
)

SAM2_TO_HUGGING_FACE = [
    (r"^image_encoder\.trunk\.", "vision_encoder.backbone."),
    (r"^image_encoder\.neck\.convs\.(\d+)\.conv\.", r"vision_encoder.neck.convs.\1."),
    (r"^sam_(prompt_encoder|mask_decoder)\.", r"\1."),
    (r"^no_mem_embed$", "no_memory_embedding"),
    (r"\.patch_embed\.proj\.", ".patch_embed.projection."),
    (r"\.norm(\d|_final_attn)\.", r".layer_norm\1."),
    (r"\.out_proj\.", ".o_proj."),
    (r"\.mlp\.layers\.0\.", ".mlp.proj_in."),
    (r"\.mlp\.layers\.1\.", ".mlp.proj_out."),
    (r"\.pe_layer\.positional_encoding_gaussian_matrix$", ".shared_embedding.positional_embedding"),
    (r"\.mask_downscaling\.0\.", ".mask_embed.conv1."),
    (r"\.mask_downscaling\.1\.", ".mask_embed.layer_norm1."),
    (r"\.mask_downscaling\.3\.", ".mask_embed.conv2."),
    (r"\.mask_downscaling\.4\.", ".mask_embed.layer_norm2."),
    (r"\.mask_downscaling\.6\.", ".mask_embed.conv3."),
    (r"\.output_upscaling\.0\.", ".upscale_conv1."),
    (r"\.output_upscaling\.1\.", ".upscale_layer_norm."),
    (r"\.output_upscaling\.3\.", ".upscale_conv2."),
    (r"(_mlps\.\d+|_head)\.layers\.0\.", r"\1.proj_in."),
    (r"(_mlps\.\d+|_head)\.layers\.1\.", r"\1.layers.0."),
    (r"(_mlps\.\d+|_head)\.layers\.2\.", r"\1.proj_out."),
]

SAM_TO_OFFICIAL = [
    (r"^vision_encoder\.", "image_encoder."),
    (r"^image_encoder\.layers\.", "image_encoder.blocks."),
    (r"\.patch_embed\.projection\.", ".patch_embed.proj."),
    (r"^image_encoder\.neck\.conv1\.", "image_encoder.neck.0."),
    (r"^image_encoder\.neck\.layer_norm1\.", "image_encoder.neck.1."),
    (r"^image_encoder\.neck\.conv2\.", "image_encoder.neck.2."),
    (r"^image_encoder\.neck\.layer_norm2\.", "image_encoder.neck.3."),
    (r"\.mask_embed\.conv1\.", ".mask_downscaling.0."),
    (r"\.mask_embed\.layer_norm1\.", ".mask_downscaling.1."),
    (r"\.mask_embed\.conv2\.", ".mask_downscaling.3."),
    (r"\.mask_embed\.layer_norm2\.", ".mask_downscaling.4."),
    (r"\.mask_embed\.conv3\.", ".mask_downscaling.6."),
    (r"\.upscale_conv1\.", ".output_upscaling.0."),
    (r"\.upscale_layer_norm\.", ".output_upscaling.1."),
    (r"\.upscale_conv2\.", ".output_upscaling.3."),
    (r"\.layer_norm(\d|_final_attn)\.", r".norm\1."),
    (r"\.point_embed\.", ".point_embeddings."),
    (r"^prompt_encoder\.shared_embedding\.positional_embedding$", GAUSSIAN),
    (r"^shared_image_embedding\.positional_embedding$", "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"),
    (r"(_mlps\.\d+|_head)\.layers\.0\.", r"\1.layers.1."),
    (r"(_mlps\.\d+|_head)\.proj_in\.", r"\1.layers.0."),
    (r"(_mlps\.\d+|_head)\.proj_out\.", r"\1.layers.2."),
]


def renamed(name, rules):
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name


def sam2(state, join):
    """The picture's part of a SAM 2 in the names of Hugging Face; `join` puts the four rows of prompt kinds together."""
    state = {name: value for name, value in state.items() if not VIDEO.match(name)}
    if "image_encoder.trunk.pos_embed" in state:
        kinds = "sam_prompt_encoder.point_embeddings.{}.weight"
        state[KINDS] = join([state.pop(kinds.format(index)) for index in range(4)])
        state = {renamed(name, SAM2_TO_HUGGING_FACE): value for name, value in state.items()}
    # The two copies of the position encoding are equal; files hold one or both.
    state.setdefault(GAUSSIAN, state.get(GAUSSIAN_COPY))
    state.setdefault(GAUSSIAN_COPY, state[GAUSSIAN])
    return state


def sam(state):
    """A SAM 1 in the names of its own repository."""
    if any(name.startswith("vision_encoder.") for name in state):
        return {renamed(name, SAM_TO_OFFICIAL): value for name, value in state.items()}
    return dict(state)


# The click head of a SAM 3, and what it has for videos.
SAM3_CLICKS = re.compile(r"^(tracker_model|tracker_neck|tracker)\.")


def is_official_sam3(state):
    return any(name.startswith("detector.") for name in state)


def sam3(state):
    """The half of a SAM 3 that answers words, in the names of Hugging Face's class for it."""
    if is_official_sam3(state):
        return sam3_names.of_official(state)
    return {name.removeprefix("detector_model."): value for name, value in state.items() if not SAM3_CLICKS.match(name)}
