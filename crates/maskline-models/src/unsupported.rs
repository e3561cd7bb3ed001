//! Checkpoints of well-known models that no family builds: named, so that nobody wonders what is wrong with the file.

use maskline_weights::{Attribute, Checkpoint};

use self::Sign::{Class, Package, Part, Tensor};

/// A model that is told by one thing that only it has.
struct Mark {
    sign: Sign,
    /// With an article.
    what: &'static str,
    /// What is not built of it.
    lacks: &'static str,
}

/// What tells a model.
enum Sign {
    /// A tensor's name begins so.
    Tensor(&'static str),
    /// A tensor's name holds this.
    Part(&'static str),
    /// A pickled module is of this class, whatever it lies in.
    Class(&'static str),
    /// A pickled module's class lies in this package.
    Package(&'static str),
}

const fn mark(sign: Sign, what: &'static str, lacks: &'static str) -> Mark {
    Mark { sign, what, lacks }
}

const LAYERS: &str = "a variant of it, or a part of it, of which not all layers are known";
const ANCHORS: &str = "boxes that start from given ones (anchors)";
const LEVELS: &str = "a head of four levels (P2, P6)";

/// Variants whose layers are named as in a family that is built.
const VARIANTS: &[Mark] = &[
    mark(Class("WorldDetect"), "a YOLO-World", "a head that compares with words"),
    mark(Class("C2fAttn"), "a YOLO-World", "a head that compares with words"),
    mark(Class("YOLOEDetect"), "a YOLOE", "a head that compares with words and examples"),
    mark(Class("YOLOESegment"), "a YOLOE", "a head that compares with words and examples"),
    mark(Class("YOLOESegment26"), "a YOLOE", "a head that compares with words and examples"),
    mark(Class("LRPCHead"), "a YOLOE", "a head with a vocabulary of its own"),
    mark(Part(".savpe."), "a YOLOE", "a head that compares with words and examples"),
    mark(Part(".reprta."), "a YOLOE", "a head that compares with words and examples"),
    mark(Part(".cv4.0.logit_scale"), "a YOLO-World", "a head that compares with words"),
    mark(Class("v10Detect"), "a YOLOv10", "its blocks (C2fCIB, SCDown, PSA)"),
    mark(Class("C2fCIB"), "a YOLOv10", "its blocks (C2fCIB, SCDown, PSA)"),
    mark(Class("A2C2f"), "a YOLO12", "attention in areas (A2C2f)"),
    mark(Class("RepNCSPELAN4"), "a YOLOv9", "its blocks (RepNCSPELAN4, ADown)"),
    mark(Class("RTDETRDecoder"), "an RT-DETR", "a transformer's decoder"),
    mark(Class("SemanticSegment"), "a model of ultralytics that gives each pixel a class", "its head (SemanticSegment)"),
    mark(Class("Depth"), "a model of ultralytics that tells depth", "its head (Depth)"),
    mark(Class("GhostBottleneck"), "a YOLO with ghost convolutions", "its blocks (GhostConv)"),
    mark(Part(".cv2.3.0.conv.weight"), "a YOLO of four levels", LEVELS),
    mark(Package("super_gradients."), "a YOLO-NAS", "its blocks, which are quantised in training"),
    mark(Class("IDetect"), "a YOLOv7", ANCHORS),
    mark(Package("models.yolo."), "a YOLOv5, or one of its derivatives", ANCHORS),
    mark(Part(".lora_A."), "a LoRA adapter", "the model that it adapts: merge both, and save the whole (`merge_and_unload`)"),
    mark(Part(".lora_down."), "a LoRA adapter", "the model that it adapts: merge both, and save the whole"),
    mark(Part("lora_B.weight"), "a LoRA adapter", "the model that it adapts: merge both, and save the whole (`merge_and_unload`)"),
];

/// Others. The first that fits counts.
const OTHERS: &[Mark] = &[
    mark(Tensor("mask_decoder.hf_token.weight"), "an HQ-SAM", "its token and its features of higher quality"),
    mark(Tensor("sam_mask_decoder."), "a SAM 2 without its image encoder", LAYERS),
    mark(Tensor("detector.backbone."), "a SAM 3 without its heads, or another variant of it", LAYERS),
    mark(Tensor("detector_model.vision_encoder."), "a SAM 3 without its heads, or another variant of it", LAYERS),
    mark(Tensor("transformer.decoder.bbox_embed."), "a DETR-like detector (Grounding DINO, DINO)", "a transformer's decoder of boxes"),
    mark(Tensor("transformer.enc_out_class_embed."), "an RF-DETR", "a transformer's decoder of boxes"),
    mark(Tensor("model.enc_score_head."), "an RT-DETR or D-FINE of Hugging Face", "a transformer's decoder of boxes"),
    mark(Tensor("model.transformer_module."), "a Mask2Former or MaskFormer", "a transformer's decoder of masks"),
    mark(Tensor("image_encoder.neck."), "a Segment Anything without its mask decoder, or another variant of it", LAYERS),
    mark(Tensor("text_model.encoder."), "a model of the CLIP family", "an answer: it finds nothing in a picture"),
    mark(Tensor("owlv2."), "an OWLv2 without its heads, or another variant of it", LAYERS),
    mark(Tensor("owlvit."), "an OWL-ViT without its heads, or another variant of it", LAYERS),
    mark(Tensor("model.0.conv.conv.weight"), "a YOLOv5 of before 2021, or one of its derivatives", ANCHORS),
    mark(Tensor("model.105.m."), "a YOLOv7", ANCHORS),
    mark(Tensor("model.77.m."), "a YOLOv7-tiny", ANCHORS),
    mark(Tensor("model.28.decoder."), "an RT-DETR", "a transformer's decoder"),
    mark(Tensor("model.24.m."), "a YOLOv5", ANCHORS),
    mark(Tensor("model.33.m."), "a YOLOv5 for pictures of 1280 pixels", ANCHORS),
    mark(Tensor("model.10.attn."), "a YOLOv10", "its blocks (C2fCIB, SCDown, PSA)"),
    mark(Tensor("model.6.m.0.0.attn."), "a YOLO12", "attention in areas (A2C2f)"),
    mark(Tensor("model.8.m.0.0.attn."), "a YOLO12", "attention in areas (A2C2f)"),
    mark(Tensor("model.2.cv2.0.cv1."), "a YOLOv9", "its blocks (RepNCSPELAN4, ADown)"),
    mark(Tensor("model.3.cv2.0.cv1."), "a YOLOv9", "its blocks (RepNCSPELAN4, ADown)"),
    mark(Tensor("model.10.m.0.attn."), "a YOLO11 or YOLO26 without its head, or another variant of it", LAYERS),
    mark(Tensor("model.2.cv3.conv."), "a YOLOv5", "its blocks (C3)"),
    mark(Tensor("heads.head1."), "a YOLO-NAS", "its blocks, which are quantised in training"),
    mark(Tensor("backbone.backbone.dark2."), "a YOLOX", "its head of three branches"),
    mark(Tensor("backbone.body.layer1."), "a detector of torchvision", "its backbone, and regions that it proposes"),
    mark(Tensor("backbone.conv_encoder."), "a DETR of Hugging Face", "a transformer's decoder of boxes"),
];

/// A model that is known and not built.
pub(crate) struct Unsupported {
    /// With an article, e.g. "a YOLO12 (yolo12n.yaml)".
    pub(crate) what: String,
    /// What is not built of it; `None` of a model that only the name of its configuration tells.
    pub(crate) lacks: Option<&'static str>,
    /// What told it.
    pub(crate) sign: String,
}

/// What a checkpoint is; `None` if it is nothing that is known here.
pub(crate) fn what(checkpoint: &Checkpoint) -> Option<Unsupported> {
    let file = file(checkpoint);
    let found = VARIANTS.iter().chain(OTHERS).find_map(|mark| Some((mark, mark.sign.find(checkpoint)?)));
    match (found, file) {
        (Some((mark, sign)), file) => {
            let what = file.map_or_else(|| mark.what.to_owned(), |file| format!("{} ({file})", mark.what));
            Some(Unsupported { what, lacks: Some(mark.lacks), sign })
        }
        (None, Some(file)) => {
            Some(Unsupported { what: format!("a model made from {file}"), lacks: None, sign: "what it says itself".into() })
        }
        (None, None) => None,
    }
}

/// Whether a checkpoint is a variant whose layers are named as in a family that is built.
pub(crate) fn is_variant(checkpoint: &Checkpoint) -> bool {
    VARIANTS.iter().any(|mark| mark.sign.find(checkpoint).is_some())
}

/// The configuration that it was made from.
fn file(checkpoint: &Checkpoint) -> Option<&str> {
    let file = ["yaml_file", "model_name"].iter().find_map(|key| checkpoint.attribute(&[key]).and_then(Attribute::as_str));
    let file = file.or_else(|| checkpoint.attribute(&["yaml", "yaml_file"]).and_then(Attribute::as_str));
    file.map(|path| path.rsplit(['/', '\\']).next().unwrap_or(path)).filter(|name| name.len() < 80)
}

impl Sign {
    /// Where a checkpoint has it.
    fn find(&self, checkpoint: &Checkpoint) -> Option<String> {
        let tensor = |fits: &dyn Fn(&str) -> bool| checkpoint.names().find(|name| fits(name)).map(|name| format!("`{name}`"));
        let module = |fits: &dyn Fn(&str, &str) -> bool| {
            let found = checkpoint.modules().find(|(_, module)| fits(&module.class, module.class_name()));
            found.map(|(name, module)| format!("`{name}`, a `{}`", module.class))
        };
        match self {
            Tensor(start) => tensor(&|name| name.starts_with(start)),
            Part(part) => tensor(&|name| name.contains(part)),
            Class(wanted) => module(&|_, name| name == *wanted),
            Package(package) => module(&|class, _| class.starts_with(package)),
        }
    }
}
