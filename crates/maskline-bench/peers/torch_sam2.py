"""SAM 2.1 in PyTorch: `Sam2Model` of transformers between the steps of the official predictor."""

import json

import numpy
import torch
from torch.nn.functional import interpolate
from transformers import Sam2Config, Sam2Model

import names
import promptable
import sam2_sizes
import weights

def configuration(task, side):
    """The configuration beside the checkpoint, else that of the published size."""
    beside = weights.file_of(task["checkpoint"]).with_name("config.json")
    if beside.exists():
        config = Sam2Config.from_dict(json.loads(beside.read_text()))
    else:
        if task["architecture"] not in sam2_sizes.PUBLISHED:
            raise ValueError(f"{task['architecture']} is no published SAM 2.1, and there is no config.json beside the checkpoint")
        vision = sam2_sizes.vision(task["architecture"])
        config = Sam2Config(vision_config=vision)
    config.vision_config.backbone_config.image_size = [side, side]
    config.vision_config.backbone_feature_sizes = [[side // stride] * 2 for stride in (4, 8, 16)]
    config.prompt_encoder_config.image_size = side
    return config


class Transformers(promptable.Predictor):
    def __init__(self, task):
        super().__init__()
        torch.set_num_threads(task["threads"])
        info = task["info"]
        self.side = info["default_size"]
        statistics = info["preprocess"]["stretch"]
        self.mean, self.std = (torch.tensor(statistics[key]).view(1, 3, 1, 1) for key in ("mean", "std"))
        self.model = Sam2Model._from_config(configuration(task, self.side), attn_implementation="sdpa")
        weights.fill(self.model, names.sam2(weights.read(task), torch.cat))

    def blank(self):
        return numpy.zeros((self.side, self.side, 3), numpy.uint8)

    @torch.inference_mode()
    def preprocess(self, image):
        """Scaled in floating point, antialiased, as the official predictor does."""
        picture = torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float() / 255
        sides = (self.side, self.side)
        return (interpolate(picture, sides, mode="bilinear", antialias=True, align_corners=False) - self.mean) / self.std

    @torch.inference_mode()
    def encode(self, pixels):
        return self.model.get_image_embeddings(pixels)

    @torch.inference_mode()
    def decode(self, embedding, size, group):
        height, width = size
        scale = torch.tensor([self.side / width, self.side / height])
        given = {}
        if group.boxes is not None:
            given["input_boxes"] = torch.from_numpy(group.boxes)[None] * scale.repeat(2)
        if group.points is not None:
            given["input_points"] = torch.from_numpy(group.points)[None] * scale
            given["input_labels"] = torch.from_numpy(group.labels).long()[None]
        answer = self.model(image_embeddings=list(embedding), multimask_output=group.several, **given)
        return promptable.best_of(answer.pred_masks[0], answer.iou_scores[0])

    @torch.inference_mode()
    def upscale(self, logits, size):
        masks = interpolate(logits, tuple(size), mode="bilinear", align_corners=False)
        return (masks[:, 0] > 0).numpy()

    def threads(self):
        return torch.get_num_threads()
