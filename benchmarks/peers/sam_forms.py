"""SAM 1 in its two published forms, `transformers.SamModel` and `segment_anything`, behind the same calls."""

import functools
import re

import torch
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer
from torch import nn
from transformers import SamConfig, SamMaskDecoderConfig, SamPromptEncoderConfig, SamVisionConfig

HF_ARGUMENTS = {
    "point_coords": "input_points",
    "point_labels": "input_labels",
    "boxes": "input_boxes",
    "mask_inputs": "input_masks",
}
RENAMES = [
    (r"^vision_encoder\.patch_embed\.projection\.", "image_encoder.patch_embed.proj."),
    (r"^vision_encoder\.pos_embed$", "image_encoder.pos_embed"),
    (r"^vision_encoder\.layers\.(\d+)\.layer_norm(\d)\.", r"image_encoder.blocks.\1.norm\2."),
    (r"^vision_encoder\.layers\.", "image_encoder.blocks."),
    (r"^vision_encoder\.neck\.conv1\.", "image_encoder.neck.0."),
    (r"^vision_encoder\.neck\.layer_norm1\.", "image_encoder.neck.1."),
    (r"^vision_encoder\.neck\.conv2\.", "image_encoder.neck.2."),
    (r"^vision_encoder\.neck\.layer_norm2\.", "image_encoder.neck.3."),
    (r"^shared_image_embedding\.positional_embedding$", "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"),
    (r"^prompt_encoder\.point_embed\.", "prompt_encoder.point_embeddings."),
    (r"^prompt_encoder\.mask_embed\.conv1\.", "prompt_encoder.mask_downscaling.0."),
    (r"^prompt_encoder\.mask_embed\.layer_norm1\.", "prompt_encoder.mask_downscaling.1."),
    (r"^prompt_encoder\.mask_embed\.conv2\.", "prompt_encoder.mask_downscaling.3."),
    (r"^prompt_encoder\.mask_embed\.layer_norm2\.", "prompt_encoder.mask_downscaling.4."),
    (r"^prompt_encoder\.mask_embed\.conv3\.", "prompt_encoder.mask_downscaling.6."),
    (r"^mask_decoder\.transformer\.layers\.(\d+)\.layer_norm(\d)\.", r"mask_decoder.transformer.layers.\1.norm\2."),
    (r"^mask_decoder\.transformer\.layer_norm_final_attn\.", "mask_decoder.transformer.norm_final_attn."),
    (r"^mask_decoder\.upscale_conv1\.", "mask_decoder.output_upscaling.0."),
    (r"^mask_decoder\.upscale_layer_norm\.", "mask_decoder.output_upscaling.1."),
    (r"^mask_decoder\.upscale_conv2\.", "mask_decoder.output_upscaling.3."),
    (r"^(mask_decoder\.(?:output_hypernetworks_mlps\.\d+|iou_prediction_head))\.layers\.0\.", r"\1.layers.1."),
    (r"^(mask_decoder\.(?:output_hypernetworks_mlps\.\d+|iou_prediction_head))\.proj_in\.", r"\1.layers.0."),
    (r"^(mask_decoder\.(?:output_hypernetworks_mlps\.\d+|iou_prediction_head))\.proj_out\.", r"\1.layers.2."),
]
COPY = "prompt_encoder.shared_embedding.positional_embedding"


def configuration(case):
    """The transformers configuration of a case."""
    vision = SamVisionConfig(
        hidden_size=case["hidden"],
        output_channels=case["dim"],
        num_hidden_layers=case["depth"],
        num_attention_heads=case["heads"],
        image_size=case["img"],
        patch_size=case["patch"],
        mlp_ratio=case["mlp_ratio"],
        window_size=case["win"],
        global_attn_indexes=case["glob"],
        num_pos_feats=case["dim"] // 2,
        use_abs_pos=True,
        use_rel_pos=True,
    )
    prompts = SamPromptEncoderConfig(
        hidden_size=case["dim"],
        image_size=case["img"],
        patch_size=case["patch"],
        mask_input_channels=case["mask_ch"],
    )
    decoder = SamMaskDecoderConfig(
        hidden_size=case["dim"],
        mlp_dim=case["mlp"],
        num_attention_heads=8,
        iou_head_hidden_dim=case["iou_hidden"],
    )
    return SamConfig(
        vision_config=vision.to_dict(), prompt_encoder_config=prompts.to_dict(), mask_decoder_config=decoder.to_dict()
    )


class HuggingFace:
    """`transformers.SamModel` behind the official shapes."""

    def __init__(self, model):
        self.model = model
        self.blocks = model.vision_encoder.layers

    def encode(self, image):
        return self.model.get_image_embeddings(image)

    def dense_pe(self):
        return self.model.get_image_wide_positional_embeddings()

    def decode(self, embedding, given, multimask):
        """One prompt per row of the batch: HF takes several prompts per picture, but a mask prompt only per picture."""
        arguments = {
            HF_ARGUMENTS[key]: value if key == "mask_inputs" else value[:, None] for key, value in given.items()
        }
        rows = len(next(iter(given.values())))
        answer = self.model(image_embeddings=embedding.repeat(rows, 1, 1, 1), multimask_output=multimask, **arguments)
        sparse, dense = self.model.prompt_encoder(**{key: arguments.get(key) for key in HF_ARGUMENTS.values()})
        sparse = None if sparse is None else sparse[:, 0]
        return answer.pred_masks[:, 0], answer.iou_scores[:, 0], sparse, dense


class Official:
    """`segment_anything.modeling.Sam`."""

    def __init__(self, model):
        self.model = model
        self.blocks = model.image_encoder.blocks
        layer = model.prompt_encoder.pe_layer
        if not isinstance(layer._pe_encoding, functools.partial):
            # The official code asks for float32 coordinates here, which a float64 model then refuses.
            layer._pe_encoding = functools.partial(encode_positions, layer, layer._pe_encoding)

    def encode(self, image):
        return self.model.image_encoder(image)

    def dense_pe(self):
        return self.model.prompt_encoder.get_dense_pe()

    def decode(self, embedding, given, multimask):
        points = (given["point_coords"], given["point_labels"]) if "point_coords" in given else None
        prompts = self.model.prompt_encoder
        sparse, dense = prompts(points=points, boxes=given.get("boxes"), masks=given.get("mask_inputs"))
        masks, scores = self.model.mask_decoder(embedding, prompts.get_dense_pe(), sparse, dense, multimask)
        return masks, scores, sparse if sparse.shape[1] else None, dense


def encode_positions(layer, original, coords):
    return original(coords.to(layer.positional_encoding_gaussian_matrix.dtype))


def official_names(state):
    """The state dict under the names of the segment_anything repository."""
    renamed = {}
    for name, tensor in state.items():
        if name == COPY:
            continue
        new = name
        for pattern, replacement in RENAMES:
            new = re.sub(pattern, replacement, new)
            if new != name:
                break
        renamed[new] = tensor.clone()
    return renamed


def official_model(case, path):
    """The official `Sam` of the same sizes, loaded from the `.pth` file with nothing missing and nothing left over."""
    side, grid, dim = case["img"], case["img"] // case["patch"], case["dim"]
    encoder = ImageEncoderViT(
        img_size=side,
        patch_size=case["patch"],
        embed_dim=case["hidden"],
        depth=case["depth"],
        num_heads=case["heads"],
        mlp_ratio=case["mlp_ratio"],
        out_chans=dim,
        norm_layer=functools.partial(nn.LayerNorm, eps=1e-6),
        use_rel_pos=True,
        window_size=case["win"],
        global_attn_indexes=tuple(case["glob"]),
    )
    prompts = PromptEncoder(dim, (grid, grid), (side, side), case["mask_ch"])
    decoder = MaskDecoder(
        transformer_dim=dim,
        transformer=TwoWayTransformer(depth=2, embedding_dim=dim, num_heads=8, mlp_dim=case["mlp"]),
        iou_head_hidden_dim=case["iou_hidden"],
    )
    model = Sam(encoder, prompts, decoder).eval()
    model.load_state_dict(torch.load(path, weights_only=True))
    return model


def with_official_eps(model):
    """Gives the decoder of `model` (transformers) the eps of the official code, the only difference."""
    for module in model.mask_decoder.transformer.modules():
        if isinstance(module, nn.LayerNorm):
            module.eps = 1e-5
    return model
