"""OWL-ViT and OWLv2 in PyTorch: transformers' models between its processors, called part by part as users do who keep embeddings."""

import json
from types import SimpleNamespace

import numpy
import torch
from transformers import (
    CLIPTokenizer,
    OwlViTConfig,
    OwlViTForObjectDetection,
    OwlViTImageProcessor,
    Owlv2Config,
    Owlv2ForObjectDetection,
    Owlv2ImageProcessor,
)

import weights
import words

CLASSES = {
    "owlvit": (OwlViTConfig, OwlViTForObjectDetection, OwlViTImageProcessor),
    "owlv2": (Owlv2Config, Owlv2ForObjectDetection, Owlv2ImageProcessor),
}
LARGE = {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096}
LARGE_TEXT = {"hidden_size": 768, "intermediate_size": 3072}
# Patch, side, and what the towers have that no class has by default.
PUBLISHED = {
    "owlvit-base-patch32": (32, 768, {}, {}),
    "owlvit-base-patch16": (16, 768, {}, {}),
    "owlvit-large-patch14": (14, 840, LARGE, LARGE_TEXT | {"num_attention_heads": 16}),
    "owlv2-base": (16, 960, {}, {}),
    "owlv2-large": (14, 1008, LARGE, LARGE_TEXT | {"num_attention_heads": 12}),
}
# CLIP's own head, which finds no boxes, and buffers of older files: in files or not.
UNUSED = "visual_projection", "owlvit.logit_scale", "owlv2.logit_scale", "position_ids", "box_bias"


def configuration(task):
    """What the configuration beside the checkpoint says, else that of the published size."""
    beside = words.folder_of(task) / "config.json"
    if beside.exists():
        return json.loads(beside.read_text())
    if task["architecture"] not in PUBLISHED:
        raise ValueError(f"{task['architecture']} is no published OWL, and there is no config.json beside the checkpoint")
    patch, side, vision, text = PUBLISHED[task["architecture"]]
    vision = {"patch_size": patch, "image_size": side} | vision
    return {"vision_config": vision, "text_config": text, "projection_dim": text.get("hidden_size", 512)}


class Transformers(words.Finder):
    def __init__(self, task):
        super().__init__(task)
        torch.set_num_threads(task["threads"])
        config, model, processor = CLASSES[task["family"]]
        config = config(**configuration(task))
        self.model = model._from_config(config, attn_implementation="sdpa")
        weights.fill(self.model, weights.read(task), UNUSED)
        self.towers = getattr(self.model, task["family"])
        self.side, self.least = task["info"]["default_size"], task["detect"]["conf"]
        self.processor = processor(size={"height": self.side, "width": self.side})
        self.stretches = self.side != config.vision_config.image_size
        self.tokenizer = CLIPTokenizer.from_pretrained(words.folder_of(task)) if self.has_tokenizer else None

    def blank(self):
        return numpy.zeros((self.side, self.side, 3), numpy.uint8)

    def tokenize(self, texts):
        given = self.tokenizer(texts, padding="max_length", truncation=True, max_length=self.context, return_tensors="pt")
        return given["input_ids"], given["attention_mask"]

    def of_ids(self, ids):
        ids = torch.tensor(ids)
        # Texts end with their largest id; what comes behind is filled up.
        return ids, (torch.arange(ids.shape[1]) <= ids.argmax(1, keepdim=True)).long()

    @torch.inference_mode()
    def read(self, tokens):
        ids, mask = tokens
        found = self.towers.get_text_features(input_ids=ids, attention_mask=mask).pooler_output
        return (found / found.norm(dim=-1, keepdim=True))[None]

    @torch.inference_mode()
    def preprocess(self, image):
        return self.processor(images=image, input_data_format="channels_last", return_tensors="pt")["pixel_values"]

    @torch.inference_mode()
    def encode(self, pixels):
        """All that does not depend on the phrases."""
        (map, _) = self.model.image_embedder(pixel_values=pixels, interpolate_pos_encoding=self.stretches)
        features = map.flatten(1, 2)
        boxes = self.model.box_predictor(features, map, self.stretches)
        if hasattr(self.model, "objectness_head"):
            self.model.objectness_predictor(features)
        return features, boxes

    @torch.inference_mode()
    def match(self, embedding, words):
        features, boxes = embedding
        logits, _ = self.model.class_predictor(features, words)
        return SimpleNamespace(logits=logits, pred_boxes=boxes)

    @torch.inference_mode()
    def boxes(self, matches, size):
        (found,) = self.processor.post_process_object_detection(matches, threshold=self.least, target_sizes=[size])
        return found["boxes"].tolist(), found["scores"].tolist(), found["labels"].tolist()

    def threads(self):
        return torch.get_num_threads()
