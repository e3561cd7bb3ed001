//! Where Hugging Face's published file keeps its parts, whose names all layouts are given (see `layout`).

/// The detector: trunk, text encoder, concept decoder.
pub(super) const DETECTOR: &str = "detector_model";
/// The windowed ViT that both heads share.
pub(super) const TRUNK: &str = "detector_model.vision_encoder.backbone";
/// The necks of concepts and of clicks.
pub(super) const NECKS: [&str; 2] = ["detector_model.vision_encoder.neck", "tracker_neck"];
/// The text encoder, in the detector.
pub(super) const TEXT: &str = "text_encoder";
/// What is added to the embedding of a picture without a past.
pub(super) const NO_MEMORY: &str = "tracker_model.no_memory_embedding";
