"""The official detector of SAM 3, as ultralytics carries it (the official names and order of layers), at any size."""

import torch
from torch import nn
from transformers import Sam3Config, Sam3Model
from ultralytics.models.sam.modules.blocks import PositionEmbeddingSine
from ultralytics.models.sam.sam3.decoder import TransformerDecoder, TransformerDecoderLayer
from ultralytics.models.sam.sam3.encoder import TransformerEncoderFusion, TransformerEncoderLayer
from ultralytics.models.sam.sam3.geometry_encoders import Prompt, SequenceGeometryEncoder
from ultralytics.models.sam.sam3.maskformer_segmentation import PixelDecoder, UniversalSegmentationHead
from ultralytics.models.sam.sam3.model_misc import DotProductScoring, TransformerWrapper
from ultralytics.models.sam.sam3.necks import Sam3DualViTDetNeck
from ultralytics.models.sam.sam3.sam3_image import SAM3SemanticModel
from ultralytics.models.sam.sam3.text_encoder_ve import VETextEncoder
from ultralytics.models.sam.sam3.vitdet import ViT
from ultralytics.models.sam.sam3.vl_combiner import SAM3VLBackbone
from ultralytics.nn.modules.transformer import MLP

# The official code has the eps of PyTorch, transformers another by default: answers differ by this at most, relative to their spread.
TOLERANCE = 1e-3
# ultralytics leaves out the clicks among the exemplars.
ABSENT = "geometry_encoder.points_"


def positions(width):
    return PositionEmbeddingSine(num_pos_feats=width, normalize=True, scale=None, temperature=10000)


def encoder_layer(part, at_attention, batch_first):
    def attention():
        return nn.MultiheadAttention(part.hidden_size, part.num_attention_heads, batch_first=batch_first)

    return TransformerEncoderLayer(
        d_model=part.hidden_size,
        dim_feedforward=part.intermediate_size,
        dropout=0.0,
        pos_enc_at_attn=at_attention,
        pos_enc_at_cross_attn_keys=not at_attention,
        pos_enc_at_cross_attn_queries=False,
        pre_norm=True,
        self_attention=attention(),
        cross_attention=attention(),
    )


def backbone(config, with_click_head):
    vision, text = config.vision_config, config.text_config
    vit = vision.backbone_config
    trunk = ViT(
        img_size=vit.image_size,
        pretrain_img_size=vit.pretrain_image_size,
        patch_size=vit.patch_size,
        embed_dim=vit.hidden_size,
        depth=vit.num_hidden_layers,
        num_heads=vit.num_attention_heads,
        mlp_ratio=vit.intermediate_size / vit.hidden_size,
        rel_pos_blocks=(),
        window_size=vit.window_size,
        global_att_blocks=tuple(vit.global_attn_indexes),
        use_rope=True,
        use_interp_rope=True,
        retain_cls_token=False,
        ln_pre=True,
        bias_patch_embed=False,
    )
    neck = Sam3DualViTDetNeck(trunk, positions(vision.fpn_hidden_size), vision.fpn_hidden_size, vision.scale_factors, with_click_head)
    words = VETextEncoder(
        d_model=config.detr_encoder_config.hidden_size,
        tokenizer=None,
        width=text.hidden_size,
        heads=text.num_attention_heads,
        layers=text.num_hidden_layers,
        context_length=text.max_position_embeddings,
        vocab_size=text.vocab_size,
    )
    words.encoder.text_projection = nn.Parameter(torch.empty(text.hidden_size, text.projection_dim))
    width = text.intermediate_size
    for block in words.encoder.transformer.resblocks:
        block.mlp.c_fc = nn.Linear(text.hidden_size, width)
        block.mlp.c_proj = nn.Linear(width, text.hidden_size)
    return SAM3VLBackbone(visual=neck, text=words, scalp=1)


def transformer(config):
    encoder, decoder = config.detr_encoder_config, config.detr_decoder_config
    width = encoder.hidden_size
    layer = TransformerDecoderLayer(
        d_model=width,
        dim_feedforward=decoder.intermediate_size,
        dropout=0.0,
        cross_attention=nn.MultiheadAttention(width, decoder.num_attention_heads),
        n_heads=decoder.num_attention_heads,
        use_text_cross_attention=True,
    )
    return TransformerWrapper(
        encoder=TransformerEncoderFusion(
            layer=encoder_layer(encoder, at_attention=True, batch_first=True),
            num_layers=encoder.num_layers,
            d_model=width,
            num_feature_levels=1,
            frozen=False,
            add_pooled_text_to_img_feat=False,
            pool_text_with_mask=True,
        ),
        decoder=TransformerDecoder(
            layer=layer,
            num_layers=decoder.num_layers,
            num_queries=decoder.num_queries,
            return_intermediate=True,
            box_refine=True,
            num_o2m_queries=0,
            dac=True,
            boxRPB="log",
            d_model=width,
            frozen=False,
            interaction_layer=None,
            dac_use_selfatt_ln=True,
            presence_token=True,
        ),
        d_model=width,
    )


def official_detector(config, scoring_width, with_click_head):
    """The detector of a transformers configuration; the width of the scores' MLP is not in one."""
    geometry, masks = config.geometry_encoder_config, config.mask_decoder_config
    width = config.detr_encoder_config.hidden_size
    scoring = MLP(width, scoring_width, width, 2, residual=True, out_norm=nn.LayerNorm(width))
    return SAM3SemanticModel(
        backbone=backbone(config, with_click_head),
        transformer=transformer(config),
        input_geometry_encoder=SequenceGeometryEncoder(
            boxes_direct_project=True,
            boxes_pool=True,
            boxes_pos_enc=True,
            d_model=width,
            pos_enc=positions(width),
            num_layers=geometry.num_layers,
            layer=encoder_layer(geometry, at_attention=False, batch_first=False),
            roi_size=geometry.roi_size,
        ),
        segmentation_head=UniversalSegmentationHead(
            hidden_dim=width,
            upsampling_stages=masks.num_upsampling_stages,
            aux_masks=False,
            cross_attend_prompt=nn.MultiheadAttention(width, masks.num_attention_heads),
            pixel_decoder=PixelDecoder(width, masks.num_upsampling_stages, interpolation_mode="nearest"),
        ),
        dot_prod_scoring=DotProductScoring(d_model=width, d_proj=width, prompt_mlp=scoring),
        use_instance_query=False,
    ).eval()


@torch.no_grad()
def check(tensors, folder):
    """Stops unless an official file of a Hugging Face detector holds the same model: all names, no others, the same answers."""
    config = Sam3Config.from_pretrained(folder)
    prefix = "detector."
    state = {name[len(prefix) :]: tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    state = {name: tensor for name, tensor in state.items() if not name.startswith(ABSENT) and not name.endswith("freqs_cis")}
    with_click_head = any(".sam2_convs." in name for name in state)
    model = official_detector(config, state["dot_prod_scoring.prompt_mlp.layers.0.weight"].shape[0], with_click_head)
    rotations = {name: tensor for name, tensor in model.state_dict().items() if name.endswith("freqs_cis")}
    model.load_state_dict(state | rotations, strict=True)
    reference = Sam3Model.from_pretrained(folder).float().eval()

    generator = torch.Generator().manual_seed(5)
    size = config.vision_config.backbone_config.image_size
    picture = torch.randn((1, 3, size, size), generator=generator)
    words = torch.randint(1, config.text_config.vocab_size, (1, config.text_config.max_position_embeddings), generator=generator)
    boxes, labels = torch.tensor([[[0.4, 0.5, 0.3, 0.4], [0.6, 0.3, 0.2, 0.2]]]), torch.tensor([[1, 0]])

    expected = reference(
        pixel_values=picture, input_ids=words, attention_mask=torch.ones_like(words), input_boxes=boxes, input_boxes_labels=labels
    )
    features = model.backbone.language_backbone.resizer(model.backbone.language_backbone.encoder(words)[1])
    model.text_embeddings = {"language_features": features.transpose(0, 1), "language_mask": torch.zeros(words.shape, dtype=torch.bool)}
    prompt = Prompt(box_embeddings=boxes.transpose(0, 1), box_labels=labels.T)
    seen = model.forward_grounding(model.backbone.forward_image(picture), torch.tensor([0]), prompt)

    pairs = {
        "masks": (seen["pred_masks"], expected.pred_masks),
        "logits": (seen["pred_logits"].squeeze(-1), expected.pred_logits),
        "boxes": (seen["pred_boxes_xyxy"], expected.pred_boxes),
        "semantic": (seen["semantic_seg"], expected.semantic_seg),
    }
    for name, (ours, theirs) in pairs.items():
        difference = ((ours - theirs).abs().max() / theirs.std()).item()
        print(f"{name}: official and transformers differ by {difference:.1e} of the spread")
        if not difference < TOLERANCE:
            raise SystemExit(f"{name}: the official file is another model")
