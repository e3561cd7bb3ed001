//! The layouts in which SAM 3 is published, and their names in the one that its graphs read.
//!
//! The graphs read the names of Hugging Face's single file: `detector_model.*` (words and exemplars), `tracker_neck.*` (the click
//! head's feature pyramid, on the detector's ViT) and `tracker_model.*` (the click head).

use std::collections::HashSet;

use maskline_weights::{Checkpoint, Renaming, Scope};

use crate::Result;

mod official;
#[cfg(test)]
mod tests;

/// How a checkpoint names the tensors of SAM 3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// Hugging Face's single file, or a part of it under the same names.
    HuggingFace,
    /// A `Sam3Model` or `Sam3LiteTextModel` alone.
    Detector,
    /// A `Sam3TrackerModel` or `Sam3TrackerVideoModel` alone.
    Tracker,
    /// SAM 3's or SAM 3.1's own file, or its detector alone.
    Official,
}

const OFFICIAL_PATCHES: &str = "backbone.vision_backbone.trunk.patch_embed.proj.weight";
const PATCHES: &str = "vision_encoder.backbone.embeddings.patch_embeddings.projection.weight";
/// The class that saves a tracker puts this in front of all names, also of those that have a model's name already.
const TRACKER: &str = "tracker_model.";
const MODELS: [&str; 3] = ["detector_model.", "tracker_model.", "tracker_neck."];

impl Layout {
    /// The layout of a checkpoint of SAM 3; `None` for other models.
    pub(crate) fn of(names: &Scope<'_>) -> Option<Self> {
        let has = |name: &str| names.contains(name);
        let has_under = |scope: &str| !names.push(scope).children().is_empty();
        if has(&format!("detector_model.{PATCHES}")) || has(&format!("{TRACKER}detector_model.{PATCHES}")) {
            Some(Self::HuggingFace)
        } else if has(&format!("detector.{OFFICIAL_PATCHES}")) || has(OFFICIAL_PATCHES) {
            Some(Self::Official)
        } else if !has(PATCHES) {
            None
        } else if has("mask_decoder.mask_tokens.weight") {
            Some(Self::Tracker)
        } else {
            ["detr_encoder", "detr_decoder", "geometry_encoder"].into_iter().any(has_under).then_some(Self::Detector)
        }
    }

    /// What a tensor of this layout is in Hugging Face's single file. Names that nobody knows are kept, and so are left over.
    fn canonical(self, name: &str, names: &HashSet<String>) -> Renaming {
        match self {
            Self::Official => official::canonical(name, names),
            Self::HuggingFace => match name.strip_prefix(TRACKER) {
                Some(inner) if MODELS.iter().any(|model| inner.starts_with(model)) => Renaming::To(inner.into()),
                _ => Renaming::Kept,
            },
            Self::Detector => Renaming::To(format!("detector_model.{name}")),
            Self::Tracker => Renaming::To(match name.strip_prefix("vision_encoder.neck.") {
                Some(inner) => format!("tracker_neck.{inner}"),
                None if name.starts_with("vision_encoder.") => format!("detector_model.{name}"),
                None => format!("{TRACKER}{name}"),
            }),
        }
    }
}

/// Gives the tensors of a checkpoint of SAM 3 the names that the graphs read; its layout before. Nothing happens to other models.
///
/// # Errors
/// As [`Checkpoint::rename`].
pub(crate) fn make_canonical(checkpoint: &mut Checkpoint) -> Result<Option<Layout>> {
    let layout = Layout::of(&checkpoint.root());
    if let Some(layout) = layout.filter(|_| !checkpoint.is_synthetic()) {
        let names: HashSet<String> = checkpoint.names().map(str::to_owned).collect();
        checkpoint.rename(|name| layout.canonical(name, &names))?;
    }
    Ok(layout)
}

/// Whether the click head is that of SAM 3.1's own file, before renaming or after. It predicts the quality of masks as it is, SAM 3's
/// as a logit (`iou_prediction_use_sigmoid` of the official builders); everything else about it is alike.
pub(crate) fn has_click_head_of_3_1(checkpoint: &Checkpoint) -> bool {
    const HERE: &str = "tracker_model.no_memory_embedding";
    const FILE: &str = "tracker.model.interactivity_no_mem_embed";
    // What a trainer put the model under is in front of the name in the file.
    checkpoint.info(FILE).is_some() || checkpoint.name_in_file(HERE).is_some_and(|name| name.ends_with(FILE))
}

/// Parts of names, as [`make_canonical`] leaves them, of tensors that published files hold and pictures do not need.
pub(crate) const KNOWN_EXTRAS: &[&str] = &[
    // The fourth level of both feature pyramids, half of the ViT's grid: neither head reads it.
    "detector_model.vision_encoder.neck.fpn_layers.3.",
    "tracker_neck.fpn_layers.3.",
    // A third stage of the pixel decoder: there are three maps, and so two stages.
    "mask_decoder.pixel_decoder.conv_layers.2.",
    "mask_decoder.pixel_decoder.norms.2.",
    // Clicks among the exemplars: no model was trained with them, and Hugging Face drops them.
    "detector_model.geometry_encoder.points_",
    // CLIP's projection of the sentence: SAM 3 reads the words before it.
    "detector_model.text_encoder.text_projection.",
    "detector_model.text_encoder.projection.",
    // How many batches a batch norm of the small text tower saw in training.
    ".num_batches_tracked",
    // A second copy of the Gaussian matrix of `prompt_encoder.shared_embedding`.
    "tracker_model.shared_image_embedding.",
    // Rotations that follow from the size; PyTorch's complex numbers are not read, but converted files hold them as pairs.
    ".attn.freqs_cis",
    // The memory of videos, in Hugging Face's names.
    "tracker_model.mask_downsample.",
    "tracker_model.memory_attention.",
    "tracker_model.memory_encoder.",
    "tracker_model.memory_temporal_positional_encoding",
    "tracker_model.no_memory_positional_encoding",
    "tracker_model.no_object_pointer",
    "tracker_model.object_pointer_proj.",
    "tracker_model.occlusion_spatial_embedding_parameter",
    "tracker_model.temporal_positional_encoding_projection_layer.",
    // The same in those of `sam3.pt`.
    "tracker.mask_downsample.",
    "tracker.transformer.encoder.",
    "tracker.maskmem_backbone.",
    "tracker.maskmem_tpos_enc",
    "tracker.no_mem_pos_enc",
    "tracker.no_obj_ptr",
    "tracker.obj_ptr_proj.",
    "tracker.no_obj_embed_spatial",
    "tracker.obj_ptr_tpos_proj.",
    // The memory of SAM 3.1, and the decoder that follows sixteen objects at once.
    "backbone.vision_backbone.propagation_convs.",
    "tracker.model.interactive_mask_downsample.",
    "tracker.model.interactive_obj_ptr_proj.",
    "tracker.model.sam_mask_decoder.",
    "tracker.model.image_pe_layer.",
    "tracker.model.transformer.encoder.",
    "tracker.model.maskmem_backbone.",
    "tracker.model.maskmem_tpos_enc",
    "tracker.model.no_obj_ptr",
    "tracker.model.obj_ptr_proj.",
    "tracker.model.no_obj_embed_spatial",
    "tracker.model.obj_ptr_tpos_proj.",
    "tracker.model.output_valid_embed",
    "tracker.model.output_invalid_embed",
    "tracker.model.obj_cond_embed",
    "tracker.model.obj_non_cond_embed",
];
