"""SAM 1, MobileSAM and EfficientViT-SAM in PyTorch: the official predictor's steps around segment_anything's decoder."""

import functools

import numpy
import torch
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, TwoWayTransformer
from torch import nn
from torch.nn.functional import interpolate

import names
import pictures
import promptable
import weights

PATCH = 16
WINDOW = 14
EPSILON = 1e-6  # of the encoders' norms
# What published files hold beside the model: the classifier that MobileSAM's encoder was first trained with, worked out tables.
EXTRAS = ("image_encoder.norm_head.", "image_encoder.head.", "attention_bias_idxs")


def vit(state, side):
    """The encoder of SAM 1; the tables of relative positions tell heads and global blocks."""
    width = state["image_encoder.patch_embed.proj.weight"].shape[0]
    depth = 1 + max(int(name.split(".")[2]) for name in state if name.startswith("image_encoder.blocks."))
    tables = [state[f"image_encoder.blocks.{index}.attn.rel_pos_h"].shape for index in range(depth)]
    return ImageEncoderViT(
        img_size=side,
        patch_size=PATCH,
        embed_dim=width,
        depth=depth,
        num_heads=width // tables[0][1],
        mlp_ratio=state["image_encoder.blocks.0.mlp.lin1.weight"].shape[0] / width,
        out_chans=state["image_encoder.neck.0.weight"].shape[0],
        norm_layer=functools.partial(nn.LayerNorm, eps=EPSILON),
        use_rel_pos=True,
        window_size=WINDOW,
        global_attn_indexes=tuple(index for index, (rows, _) in enumerate(tables) if rows != 2 * WINDOW - 1),
    )


class Sam(nn.Module):
    """Any image encoder with SAM's prompt encoder and mask decoder."""

    def __init__(self, encoder, head, mlp):
        super().__init__()
        grid, space = head["grid"], head["space"]
        self.image_encoder = encoder
        self.prompt_encoder = PromptEncoder(256, (grid, grid), (space, space), 16)
        transformer = TwoWayTransformer(depth=2, embedding_dim=256, num_heads=8, mlp_dim=mlp)
        self.mask_decoder = MaskDecoder(transformer_dim=256, transformer=transformer)


def load(task):
    head, side = task["info"]["output"]["promptable"], task["info"]["default_size"]
    state = names.sam(weights.read(task))
    mlp = state["mask_decoder.transformer.layers.0.mlp.lin1.weight"].shape[0]
    if task["family"] == "sam1":
        return weights.fill(Sam(vit(state, side), head, mlp), state)
    if task["family"] == "mobile_sam":
        from tiny_vit import TinyViT

        state = {name: value for name, value in state.items() if not any(part in name for part in EXTRAS)}
        return weights.fill(Sam(TinyViT(state, "image_encoder"), head, mlp), state)
    from efficient_vit import EfficientViT

    model = Sam(EfficientViT(state, "image_encoder", head["grid"]), head, mlp)
    # The official code gives the decoder's layers the epsilon of the encoder's.
    for module in model.mask_decoder.modules():
        if isinstance(module, nn.LayerNorm):
            module.eps = EPSILON
    return weights.fill(model, state)


class PyTorch(promptable.Predictor):
    def __init__(self, task):
        super().__init__()
        torch.set_num_threads(task["threads"])
        info = task["info"]
        self.side, self.space = info["default_size"], info["output"]["promptable"]["space"]
        self.statistics = info["preprocess"]["longest_side"]
        self.model = load(task)

    def blank(self):
        return numpy.zeros((self.side, self.side, 3), numpy.uint8)

    def preprocess(self, image):
        return torch.from_numpy(pictures.padded(image, self.side, self.statistics))

    @torch.inference_mode()
    def encode(self, pixels):
        return self.model.image_encoder(pixels)

    @torch.inference_mode()
    def decode(self, embedding, size, group):
        height, width = pictures.fitted(size, self.space)
        scale = torch.tensor([width / size[1], height / size[0]])
        boxes = points = None
        if group.boxes is not None:
            boxes = torch.from_numpy(group.boxes) * scale.repeat(2)
        if group.points is not None:
            points = torch.from_numpy(group.points) * scale, torch.from_numpy(group.labels)
        prompts = self.model.prompt_encoder
        sparse, dense = prompts(points=points, boxes=boxes, masks=None)
        several = group.several
        logits, scores = self.model.mask_decoder(embedding, prompts.get_dense_pe(), sparse, dense, multimask_output=several)
        return promptable.best_of(logits, scores)

    @torch.inference_mode()
    def upscale(self, logits, size):
        height, width = pictures.fitted(size, self.space)
        masks = interpolate(logits, (self.space, self.space), mode="bilinear", align_corners=False)
        masks = interpolate(masks[..., :height, :width], tuple(size), mode="bilinear", align_corners=False)
        return (masks[:, 0] > 0).numpy()

    def threads(self):
        return torch.get_num_threads()
