//! Where the published layouts keep the tensors of trunk and neck.

/// Names of one layout.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TrunkNames {
    /// Scope of the trunk.
    pub trunk: &'static str,
    /// Patch embedding.
    pub patches: &'static str,
    /// Prefix of a block's layer norms.
    pub norm: &'static str,
    /// Both layers of a block's MLP.
    pub mlp: [&'static str; 2],
    /// Scope of the neck's convolutions.
    pub neck: &'static str,
    /// What follows the index of such a convolution.
    pub neck_suffix: &'static str,
    /// What is added to the embedding of a picture without a past.
    pub no_memory: &'static str,
}

/// Meta's own files.
pub(crate) static OFFICIAL: TrunkNames = TrunkNames {
    trunk: "image_encoder.trunk",
    patches: "patch_embed.proj",
    norm: "norm",
    mlp: ["mlp.layers.0", "mlp.layers.1"],
    neck: "image_encoder.neck.convs",
    neck_suffix: ".conv",
    no_memory: "no_mem_embed",
};

/// Hugging Face.
pub(crate) static HUGGING_FACE: TrunkNames = TrunkNames {
    trunk: "vision_encoder.backbone",
    patches: "patch_embed.projection",
    norm: "layer_norm",
    mlp: ["mlp.proj_in", "mlp.proj_out"],
    neck: "vision_encoder.neck.convs",
    neck_suffix: "",
    no_memory: "no_memory_embedding",
};

/// What is in published files and not read: it marks positions of a past that there is none of, which no published model looks at.
pub(super) const KNOWN_EXTRAS: [&str; 2] = ["no_mem_pos_enc", "no_memory_positional_encoding"];

/// Parts of the names of what is left over of a memory in files of models that are for pictures alone.
pub(super) const MEMORY: [&str; 11] = [
    "memory_attention.",
    "memory_encoder.",
    "maskmem_tpos_enc",
    "memory_temporal_positional_encoding",
    "no_obj_ptr",
    "no_object_pointer",
    "mask_downsample.",
    "obj_ptr_",
    "object_pointer_",
    "no_obj_embed_spatial",
    "occlusion_spatial_embedding_parameter",
];
