"""The official layout of a SAM 3's words in the names of Hugging Face. Nothing here needs a library."""

import re

# Tables of rotary positions and the causal mask, which are computed; the click head's neck; points, which pictures are not asked with.
DROPPED = re.compile(r"\.freqs_cis$|\.sam2_convs\.|\.interactive_convs\.|\.propagation_convs\.|\.attn_mask$|^detector\.geometry_encoder\.points_")
CLASS_ROW = "vision_encoder.backbone.embeddings.position_embeddings"  # whose first row belongs to a class token that is gone
TRANSPOSED = "text_encoder.text_projection"

RULES = [
    (r"^detector\.", ""),
    (r"^backbone\.vision_backbone\.trunk\.", "vision_encoder.backbone."),
    (r"^vision_encoder\.backbone\.pos_embed$", CLASS_ROW),
    (r"\.patch_embed\.proj\.", ".embeddings.patch_embeddings.projection."),
    (r"\.backbone\.ln_pre\.", ".backbone.layer_norm."),
    (r"\.blocks\.(\d+)\.norm(\d)\.", r".layers.\1.layer_norm\2."),
    (r"\.blocks\.(\d+)\.attn\.proj\.", r".layers.\1.attention.o_proj."),
    (r"\.blocks\.(\d+)\.attn\.", r".layers.\1.attention."),
    (r"\.blocks\.", ".layers."),
    (r"^backbone\.vision_backbone\.convs\.(\d)\.", r"vision_encoder.neck.fpn_layers.\1."),
    (r"\.dconv_2x2(_0)?\.", ".scale_layers.0."),
    (r"\.dconv_2x2_1\.", ".scale_layers.2."),
    (r"\.conv_1x1\.", ".proj1."),
    (r"\.conv_3x3\.", ".proj2."),
    (r"^backbone\.language_backbone\.resizer\.", "text_projection."),
    (r"^backbone\.language_backbone\.encoder\.", "text_encoder."),
    (r"^text_encoder\.token_embedding\.", "text_encoder.text_model.embeddings.token_embedding."),
    (r"^text_encoder\.positional_embedding$", "text_encoder.text_model.embeddings.position_embedding.weight"),
    (r"^text_encoder\.ln_final\.", "text_encoder.text_model.final_layer_norm."),
    (r"^text_encoder\.transformer\.resblocks\.(\d+)\.attn\.", r"text_encoder.text_model.encoder.layers.\1.self_attn."),
    (r"^text_encoder\.transformer\.resblocks\.", "text_encoder.text_model.encoder.layers."),
    (r"\.ln_(\d)\.", r".layer_norm\1."),
    (r"\.mlp\.c_fc\.", ".mlp.fc1."),
    (r"\.mlp\.c_proj\.", ".mlp.fc2."),
    (r"^geometry_encoder\.encode\.", "geometry_encoder.layers."),
    (r"^geometry_encoder\.img_pre_norm\.", "geometry_encoder.vision_layer_norm."),
    (r"^geometry_encoder\.norm\.", "geometry_encoder.prompt_layer_norm."),
    (r"^geometry_encoder\.encode_norm\.", "geometry_encoder.output_layer_norm."),
    (r"^transformer\.encoder\.", "detr_encoder."),
    (r"^((?:geometry|detr)_encoder\.layers\.\d+)\.norm(\d)\.", r"\1.layer_norm\2."),
    (r"\.cross_attn_image\.", ".cross_attn."),
    (r"\.linear(\d)\.", r".mlp.fc\1."),
    (r"^transformer\.decoder\.", "detr_decoder."),
    (r"^detr_decoder\.norm\.", "detr_decoder.output_layer_norm."),
    (r"^(detr_decoder\.layers\.\d+)\.cross_attn\.", r"\1.vision_cross_attn."),
    (r"^(detr_decoder\.layers\.\d+)\.ca_text\.", r"\1.text_cross_attn."),
    (r"^(detr_decoder\.layers\.\d+)\.norm1\.", r"\1.vision_cross_attn_layer_norm."),
    (r"^(detr_decoder\.layers\.\d+)\.catext_norm\.", r"\1.text_cross_attn_layer_norm."),
    (r"^(detr_decoder\.layers\.\d+)\.norm2\.", r"\1.self_attn_layer_norm."),
    (r"^(detr_decoder\.layers\.\d+)\.norm3\.", r"\1.mlp_layer_norm."),
    (r"\.presence_token_head\.", ".presence_head."),
    (r"\.presence_token_out_norm\.", ".presence_layer_norm."),
    (r"\.bbox_embed\.", ".box_head."),
    (r"\.boxRPB_embed_([xy])\.", r".box_rpb_embed_\1."),
    (r"^dot_prod_scoring\.prompt_mlp\.out_norm\.", "dot_product_scoring.text_mlp_out_norm."),
    (r"^dot_prod_scoring\.prompt_", "dot_product_scoring.text_"),
    (r"^dot_prod_scoring\.hs_proj\.", "dot_product_scoring.query_proj."),
    (r"^segmentation_head\.mask_predictor\.mask_embed\.", "mask_decoder.mask_embedder."),
    (r"^segmentation_head\.instance_seg_head\.", "mask_decoder.instance_projection."),
    (r"^segmentation_head\.semantic_seg_head\.", "mask_decoder.semantic_projection."),
    (r"^segmentation_head\.cross_attend_prompt\.", "mask_decoder.prompt_cross_attn."),
    (r"^segmentation_head\.cross_attn_norm\.", "mask_decoder.prompt_cross_attn_norm."),
    (r"^segmentation_head\.", "mask_decoder."),
    # Layers of MLPs are counted from one, but for the masks'.
    (r"^((?:detr_decoder|dot_product_scoring)\.\w+)\.layers\.0\.(?=weight|bias)", r"\1.layer1."),
    (r"^((?:detr_decoder|dot_product_scoring)\.\w+)\.layers\.1\.(?=weight|bias)", r"\1.layer2."),
    (r"^((?:detr_decoder|dot_product_scoring)\.\w+)\.layers\.2\.(?=weight|bias)", r"\1.layer3."),
    (r"^(?!text_encoder\.)(.*)\.out_proj\.", r"\1.o_proj."),
]
FUSED = re.compile(r"(?:\.qkv\.|\.in_proj_)(?=weight|bias)")


def renamed(name):
    for pattern, replacement in RULES:
        name = re.sub(pattern, replacement, name)
    return name


def of_official(state):
    """`detector.*` of a `sam3.pt`: renamed, and the fused projections of queries, keys and values cut in three."""
    result = {}
    for name, value in state.items():
        if not name.startswith("detector.") or DROPPED.search(name):
            continue
        name = renamed(name)
        if name == CLASS_ROW:
            value = value[:, 1:]
        if name == TRANSPOSED:
            name, value = f"{name}.weight", value.T
        if FUSED.search(name):
            third = len(value) // 3
            parts = (value[index * third : (index + 1) * third] for index in range(3))
            result |= {FUSED.sub(f".{letter}_proj.", name): part for letter, part in zip("qkv", parts, strict=True)}
        else:
            result[name] = value
    return result
