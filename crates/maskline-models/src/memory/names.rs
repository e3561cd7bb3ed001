//! Where the published layouts keep the tensors of the memory.

use crate::sam::names::Head;

/// Names of one layout, under the model's own scope.
#[derive(Debug, PartialEq, Eq)]
pub struct MemoryNames {
    /// Scope of the memory attention.
    pub attention: &'static str,
    /// Its last norm, and the prefix of its layers' numbered norms.
    pub norm: &'static str,
    /// Output projection of an attention.
    pub out: &'static str,
    /// Scope of the memory encoder.
    pub encoder: &'static str,
    /// How its layers over masks are named.
    pub mask_layers: MaskLayers,
    /// Projection of the picture's features.
    pub features: &'static str,
    /// Scope of the blocks that join picture and mask.
    pub fuser: &'static str,
    /// Depthwise convolution, norm, both layers and scale of such a block.
    pub fuser_block: [&'static str; 5],
    /// Last projection of the memory encoder.
    pub projection: &'static str,
    /// What tells how long ago a memory was made.
    pub ages: &'static str,
    /// Projection of what tells how long ago a pointer was made; models without it do not tell.
    pub pointer_ages: &'static str,
    /// From a mask token to an object pointer.
    pub pointer: &'static str,
    /// How the layers of that are named.
    pub pointer_layers: Head,
    /// The pointer of an object that is not seen.
    pub no_pointer: &'static str,
    /// What is added to the memory of an object that is not seen; models without it add nothing.
    pub occlusion: &'static str,
    /// What is added to the features of a picture without a past.
    pub no_memory: &'static str,
    /// From a mask at the size of the input to one that the decoder takes.
    pub mask_downsample: &'static str,
}

/// How the layers of the memory encoder over masks are named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MaskLayers {
    /// Convolution, norm and activation are counted one after the other.
    Sequence(&'static str),
    /// Each layer has a convolution and a norm; the last convolution has a name of its own.
    Layers(&'static str),
}

impl MaskLayers {
    /// Convolution and norm of a layer.
    pub(super) fn layer(self, index: usize) -> [String; 2] {
        match self {
            Self::Sequence(scope) => [3 * index, 3 * index + 1].map(|at| format!("{scope}.encoder.{at}")),
            Self::Layers(scope) => ["conv", "layer_norm"].map(|name| format!("{scope}.layers.{index}.{name}")),
        }
    }

    /// The convolution after so many layers.
    pub(super) fn last(self, layers: usize) -> String {
        match self {
            Self::Sequence(scope) => format!("{scope}.encoder.{}", 3 * layers),
            Self::Layers(scope) => format!("{scope}.final_conv"),
        }
    }
}

/// SAM 2's own files.
pub static OFFICIAL: MemoryNames = MemoryNames {
    attention: "memory_attention",
    norm: "norm",
    out: "out_proj",
    encoder: "memory_encoder",
    mask_layers: MaskLayers::Sequence("mask_downsampler"),
    features: "pix_feat_proj",
    fuser: "fuser.layers",
    fuser_block: ["dwconv", "norm", "pwconv1", "pwconv2", "gamma"],
    projection: "out_proj",
    ages: "maskmem_tpos_enc",
    pointer_ages: "obj_ptr_tpos_proj",
    pointer: "obj_ptr_proj",
    pointer_layers: Head::Numbered,
    no_pointer: "no_obj_ptr",
    occlusion: "no_obj_embed_spatial",
    no_memory: "no_mem_embed",
    mask_downsample: "mask_downsample",
};

/// SAM 2 as Hugging Face stores it.
pub static HUGGING_FACE: MemoryNames = MemoryNames {
    attention: "memory_attention",
    norm: "layer_norm",
    out: "o_proj",
    encoder: "memory_encoder",
    mask_layers: MaskLayers::Layers("mask_downsampler"),
    features: "feature_projection",
    fuser: "memory_fuser.layers",
    fuser_block: ["depthwise_conv", "layer_norm", "pointwise_conv1", "pointwise_conv2", "scale"],
    projection: "projection",
    ages: "memory_temporal_positional_encoding",
    pointer_ages: "temporal_positional_encoding_projection_layer",
    pointer: "object_pointer_proj",
    pointer_layers: Head::InOut,
    no_pointer: "no_object_pointer",
    occlusion: "occlusion_spatial_embedding_parameter",
    no_memory: "no_memory_embedding",
    mask_downsample: "mask_downsample",
};
