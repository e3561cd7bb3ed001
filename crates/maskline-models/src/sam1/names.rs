//! Where the published layouts keep the tensors of the image encoder.

use maskline_weights::Scope;

use crate::sam::names::{HUGGING_FACE_1, Names, OFFICIAL_1};

/// Names of one layout.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct EncoderNames {
    /// Scope of the encoder.
    pub encoder: &'static str,
    /// Patch embedding.
    pub patches: &'static str,
    /// Scope of the blocks.
    pub blocks: &'static str,
    /// Prefix of a block's layer norms.
    pub norm: &'static str,
    /// First convolution, norm, second convolution, norm of the neck.
    pub neck: [&'static str; 4],
    /// Names of prompt encoder and mask decoder.
    pub decoder: &'static Names,
}

/// Meta's own files.
pub(super) static OFFICIAL: EncoderNames = EncoderNames {
    encoder: "image_encoder",
    patches: "patch_embed.proj",
    blocks: "blocks",
    norm: "norm",
    neck: ["neck.0", "neck.1", "neck.2", "neck.3"],
    decoder: &OFFICIAL_1,
};

/// Hugging Face.
pub(super) static HUGGING_FACE: EncoderNames = EncoderNames {
    encoder: "vision_encoder",
    patches: "patch_embed.projection",
    blocks: "layers",
    norm: "layer_norm",
    neck: ["neck.conv1", "neck.layer_norm1", "neck.conv2", "neck.layer_norm2"],
    decoder: &HUGGING_FACE_1,
};

/// The layout of the tensors in a scope, if it has such an encoder.
pub(super) fn of(scope: &Scope<'_>) -> Option<&'static EncoderNames> {
    let has = |names: &EncoderNames, name: &str| scope.contains(&format!("{}.{name}", names.encoder));
    [&OFFICIAL, &HUGGING_FACE]
        .into_iter()
        .find(|names| has(names, &format!("{}.weight", names.patches)) && has(names, &format!("{}.0.attn.qkv.weight", names.blocks)))
}
