"""SAM 3 in PyTorch: transformers' model, called part by part as users do who keep embeddings, and the official answer of its scores."""

import json
from types import SimpleNamespace

import numpy
import torch
from torch.nn.functional import interpolate
from transformers import CLIPTokenizer, Sam3Config, Sam3ImageProcessor, Sam3LiteTextConfig, Sam3LiteTextModel, Sam3Model
from transformers.initialization import no_init_weights

import names
import promptable
import weights
import words

TOGETHER = 4  # phrases of one call of the decoder: more would keep too many large maps at once
PADDING = -10  # the label of a box that is none
OFFICIAL_EPSILON = 1e-5  # of the picture's encoder, where the official file has no configuration beside it
# The last map of the neck, the third convolution of the masks, and the projection of CLIP: in files or not, nothing reads them.
UNUSED = (
    "neck.fpn_layers.3.",
    "pixel_decoder.conv_layers.2.",
    "pixel_decoder.norms.2.",
    "text_encoder.text_projection.",
    "text_encoder.projection.",
    "position_ids",
)


def configuration(folder, side):
    """What the configuration beside the checkpoint says, else that of the published model, which is transformers' own default."""
    beside = folder / "config.json"
    told = json.loads(beside.read_text()) if beside.exists() else {}
    is_lite = told.get("model_type") == "sam3_lite_text"
    config = (Sam3LiteTextConfig if is_lite else Sam3Config)(**told.get("detector_config", told))
    config.image_size = side
    grid = side // config.vision_config.backbone_config.patch_size
    config.vision_config.backbone_feature_sizes = [[grid * times] * 2 for times in (4, 2, 1)]
    return config


class Transformers(words.Finder):
    def __init__(self, task):
        super().__init__(task)
        torch.set_num_threads(task["threads"])
        folder = words.folder_of(task)
        self.side, self.least = task["info"]["default_size"], task["detect"]["conf"]
        config, state = configuration(folder, self.side), weights.read(task)
        if names.is_official_sam3(state) and not (folder / "config.json").exists():
            config.vision_config.backbone_config.layer_norm_eps = OFFICIAL_EPSILON
        model = Sam3LiteTextModel if isinstance(config, Sam3LiteTextConfig) else Sam3Model
        with no_init_weights():
            self.model = model._from_config(config, attn_implementation="sdpa")
        weights.fill(self.model, names.sam3(state), UNUSED)
        self.processor = Sam3ImageProcessor(size={"height": self.side, "width": self.side})
        self.tokenizer = CLIPTokenizer.from_pretrained(folder) if self.has_tokenizer else None

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
        return self.model.get_text_features(input_ids=ids, attention_mask=mask).pooler_output, mask

    @torch.inference_mode()
    def preprocess(self, image):
        return self.processor(images=image, input_data_format="channels_last", return_tensors="pt")["pixel_values"]

    @torch.inference_mode()
    def encode(self, pixels):
        return self.model.get_vision_features(pixel_values=pixels)

    @torch.inference_mode()
    def match(self, embedding, words):
        return [self.answer_of(embedding, *group) for group in zip(*(part.split(TOGETHER) for part in words), strict=True)]

    def answer_of(self, embedding, features, mask):
        """Scores [phrases, queries], boxes and masks of a few phrases.

        The official prompt ends with a token for examples even where there are none. transformers has it where there is an example, of
        which this one counts for nothing.
        """
        count = len(features)
        repeated = lambda maps: [map.expand(count, -1, -1, -1) for map in maps]  # noqa: E731
        vision = SimpleNamespace(
            fpn_hidden_states=repeated(embedding.fpn_hidden_states),
            fpn_position_encoding=repeated(embedding.fpn_position_encoding),
            hidden_states=None,
            attentions=None,
        )
        answer = self.model(
            vision_embeds=vision,
            text_embeds=SimpleNamespace(pooler_output=features),
            attention_mask=mask,
            input_boxes=torch.full((count, 1, 4), 0.5),
            input_boxes_labels=torch.full((count, 1), PADDING),
        )
        return answer.pred_logits.sigmoid() * answer.presence_logits.sigmoid(), answer.pred_boxes, answer.pred_masks

    @torch.inference_mode()
    def found(self, matches, size):
        """Objects as maskline tells them: boxes end at the picture's border, and what is beside it is none."""
        height, width = size
        scale = torch.tensor([width, height, width, height])
        objects, label = [], 0
        for group in matches:
            for scores, boxes, masks in zip(*group, strict=True):
                boxes = boxes.clamp(0, 1) * scale
                sure = (scores > self.least) & (boxes[:, 0] < boxes[:, 2]) & (boxes[:, 1] < boxes[:, 3])
                columns = zip(scores[sure].tolist(), boxes[sure].tolist(), self.upscaled(masks[sure], size), strict=True)
                for score, box, mask in columns:
                    objects.append({"box": box, "score": score, "class_id": label, "segmentation": promptable.rle(mask)})
                label += 1
        return objects

    @staticmethod
    def upscaled(masks, size):
        """Logits of the few that are left, as the official processor stretches them."""
        if len(masks) == 0:
            return []
        return (interpolate(masks[:, None], size, mode="bilinear", align_corners=False)[:, 0] > 0).numpy()

    def threads(self):
        return torch.get_num_threads()
