//! Checkpoints of well-known models that no family builds: named, so that nobody wonders what is wrong with the file.

use maskline_weights::{Attribute, Checkpoint};

/// How models are told apart: a tensor of this name (or the start of one) is only in them. The first that fits counts.
const MARKS: &[(&str, &str)] = &[
    ("mask_decoder.hf_token.weight", "an HQ-SAM"),
    ("sam_mask_decoder.", "a SAM 2 without its image encoder"),
    ("detector.backbone.", "a SAM 3 without its heads, or another variant of it"),
    ("detector_model.vision_encoder.", "a SAM 3 without its heads, or another variant of it"),
    ("transformer.decoder.bbox_embed.", "a DETR-like detector (Grounding DINO, DINO)"),
    ("image_encoder.neck.", "a Segment Anything without its mask decoder, or another variant of it"),
    ("text_model.encoder.", "a model of the CLIP family"),
    ("owlv2.", "an OWLv2 without its heads, or another variant of it"),
    ("owlvit.", "an OWL-ViT without its heads, or another variant of it"),
    ("model.0.conv.conv.weight", "a YOLOv5 of before 2021, or one of its derivatives"),
    ("model.23.one2one_cv2.", "a YOLOv10 or YOLO26"),
    ("model.22.one2one_cv2.", "a YOLOv10"),
    ("model.28.decoder.", "an RT-DETR"),
    ("model.24.m.", "a YOLOv5"),
    ("model.33.m.", "a YOLOv5 for pictures of 1280 pixels"),
    ("model.10.m.0.attn.", "a YOLO11"),
    ("model.10.attn.", "a YOLOv10"),
    ("model.6.m.0.0.attn.", "a YOLO12"),
    ("model.8.m.0.0.attn.", "a YOLO12"),
    ("model.2.cv2.0.cv1.", "a YOLOv9"),
    ("model.3.cv2.0.cv1.", "a YOLOv9"),
    ("model.2.cv3.conv.", "a YOLOv5"),
    ("backbone.backbone.dark2.", "a YOLOX"),
    ("backbone.body.layer1.", "a detector of torchvision"),
    ("backbone.conv_encoder.", "a DETR of Hugging Face"),
];

/// With an article, e.g. "a YOLO11 (yolo11n.yaml)"; `None` if it is nothing that is known here.
pub(crate) fn what(checkpoint: &Checkpoint) -> Option<String> {
    let file = ["yaml_file", "model_name"].iter().find_map(|key| checkpoint.attribute(&[key]).and_then(Attribute::as_str));
    let file = file.or_else(|| checkpoint.attribute(&["yaml", "yaml_file"]).and_then(Attribute::as_str));
    let file = file.map(|path| path.rsplit(['/', '\\']).next().unwrap_or(path)).filter(|name| name.len() < 80);
    let mark = MARKS.iter().find(|(mark, _)| checkpoint.names().any(|name| name.starts_with(mark))).map(|(_, what)| *what);
    match (mark, file) {
        (Some(what), Some(file)) => Some(format!("{what} ({file})")),
        (Some(what), None) => Some(what.into()),
        (None, Some(file)) => Some(format!("a model made from {file}")),
        (None, None) => None,
    }
}
