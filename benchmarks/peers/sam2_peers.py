"""SAM 2.1 as its Python users run it: transformers, and the standard ONNX export on ONNX Runtime."""

import numpy
import torch
from PIL import Image

from sam_worker import Predictor

SIDE = 1024
LOW = 256
MEAN, STD = numpy.float32([0.485, 0.456, 0.406]), numpy.float32([0.229, 0.224, 0.225])


class Transformers(Predictor):
    """`Sam2Model` and `Sam2ImageProcessor`."""

    def __init__(self, models, threads):
        torch.set_num_threads(threads)
        from transformers import Sam2ImageProcessor, Sam2Model

        (folder,) = models
        self.model = Sam2Model.from_pretrained(folder, attn_implementation="sdpa").eval()
        self.processor = Sam2ImageProcessor()

    def preprocess(self, image):
        return self.processor(images=image, return_tensors="pt")["pixel_values"]

    @torch.inference_mode()
    def encode(self, pixels):
        return self.model.get_image_embeddings(pixels)

    @torch.inference_mode()
    def decode(self, embedding, size, boxes=None, points=None):
        height, width = size
        scale = torch.tensor([SIDE / width, SIDE / height])
        given = {}
        if boxes is not None:
            given["input_boxes"] = torch.from_numpy(boxes)[None] * scale.repeat(2)
        if points is not None:
            given["input_points"] = torch.from_numpy(points)[None] * scale
            given["input_labels"] = torch.ones(given["input_points"].shape[:-1], dtype=torch.int64)
        answer = self.model(image_embeddings=list(embedding), multimask_output=False, **given)
        return answer.pred_masks[0], answer.iou_scores[0, :, 0]

    def upscale(self, logits, size):
        (masks,) = self.processor.post_process_masks([logits], [tuple(size)])
        return masks[:, 0].numpy()

    def threads(self):
        return torch.get_num_threads()


class OnnxRuntime(Predictor):
    """The exported encoder and decoder; Pillow and numpy before, OpenCV behind."""

    def __init__(self, models, threads):
        import cv2
        import onnxruntime

        cv2.setNumThreads(threads)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        sessions = [onnxruntime.InferenceSession(model, options, ["CPUExecutionProvider"]) for model in models]
        self.encoder, self.decoder = sessions
        self.resize = cv2.resize

    def preprocess(self, image):
        squashed = Image.fromarray(image).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
        values = (numpy.asarray(squashed, dtype=numpy.float32) / numpy.float32(255) - MEAN) / STD
        return numpy.ascontiguousarray(values.transpose(2, 0, 1)[None])

    def encode(self, pixels):
        fine, middle, embed = self.encoder.run(None, {"image": pixels})
        return {"high_res_feats_0": fine, "high_res_feats_1": middle, "image_embed": embed}

    def decode(self, embedding, size, boxes=None, points=None):
        height, width = size
        if boxes is not None:
            points, labels = boxes.reshape(-1, 2, 2), numpy.tile(numpy.float32([2, 3]), (len(boxes), 1))
        else:
            labels = numpy.ones(points.shape[:-1], dtype=numpy.float32)
        given = {
            "point_coords": points * numpy.float32([SIDE / width, SIDE / height]),
            "point_labels": labels,
            "mask_input": numpy.zeros((1, 1, LOW, LOW), numpy.float32),
            "has_mask_input": numpy.zeros(1, numpy.float32),
        }
        masks, scores = self.decoder.run(None, embedding | given)
        return masks, scores[:, 0]

    def upscale(self, logits, size):
        height, width = size
        return (self.resize(mask[0], (width, height)) > 0 for mask in logits)

    def threads(self):
        return self.encoder.get_session_options().intra_op_num_threads
