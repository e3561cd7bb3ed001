//! Where the published layouts keep the tensors of prompt encoder and mask decoder.

use maskline_weights::Checkpoint;

/// Names of one layout. Modules that all layouts name alike (`iou_token`, `q_proj`, `cross_attn_token_to_image`, …) are not here.
#[derive(Debug, PartialEq, Eq)]
pub struct Names {
    /// Scope of the prompt encoder.
    pub prompt_encoder: &'static str,
    /// Scope of the mask decoder.
    pub mask_decoder: &'static str,
    /// Prefix of the numbered layer norms of a block.
    pub norm: &'static str,
    /// Layer norm after the last attention.
    pub final_norm: &'static str,
    /// Output projection of an attention.
    pub out: &'static str,
    /// Both layers of a block's MLP.
    pub mlp: [&'static str; 2],
    /// First, middle (followed by its index) and last layer of the prediction heads.
    pub head: Head,
    /// First transposed convolution, its norm, second transposed convolution.
    pub upscale: [&'static str; 3],
    /// First convolution, norm, second convolution, norm, last convolution of the mask prompt's encoder.
    pub mask: [&'static str; 5],
    /// The Gaussian matrix of the position encoding.
    pub gaussian: &'static str,
    /// The embeddings of prompt kinds.
    pub kinds: Kinds,
}

/// How layers of the prediction heads are named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Head {
    /// `layers.0` to `layers.n`.
    Numbered,
    /// `proj_in`, `layers.0` …, `proj_out`.
    InOut,
}

/// How the embeddings of negative click, positive click and both box corners are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kinds {
    /// One table of four rows.
    Table(&'static str),
    /// Four tables of one row each: this name and the index.
    Rows(&'static str),
}

/// Segment Anything's own files, MobileSAM, EfficientViT-SAM.
pub static OFFICIAL_1: Names = BASE;

const BASE: Names = Names {
    prompt_encoder: "prompt_encoder",
    mask_decoder: "mask_decoder",
    norm: "norm",
    final_norm: "norm_final_attn",
    out: "out_proj",
    mlp: ["mlp.lin1", "mlp.lin2"],
    head: Head::Numbered,
    upscale: ["output_upscaling.0", "output_upscaling.1", "output_upscaling.3"],
    mask: ["mask_downscaling.0", "mask_downscaling.1", "mask_downscaling.3", "mask_downscaling.4", "mask_downscaling.6"],
    gaussian: "pe_layer.positional_encoding_gaussian_matrix",
    kinds: Kinds::Rows("point_embeddings"),
};

/// Segment Anything as Hugging Face stores it.
pub static HUGGING_FACE_1: Names = Names {
    norm: "layer_norm",
    final_norm: "layer_norm_final_attn",
    head: Head::InOut,
    upscale: ["upscale_conv1", "upscale_layer_norm", "upscale_conv2"],
    mask: ["mask_embed.conv1", "mask_embed.layer_norm1", "mask_embed.conv2", "mask_embed.layer_norm2", "mask_embed.conv3"],
    gaussian: "shared_embedding.positional_embedding",
    kinds: Kinds::Rows("point_embed"),
    ..BASE
};

/// SAM 2's own files.
pub static OFFICIAL_2: Names =
    Names { prompt_encoder: "sam_prompt_encoder", mask_decoder: "sam_mask_decoder", mlp: ["mlp.layers.0", "mlp.layers.1"], ..BASE };

/// SAM 2 as Hugging Face stores it.
pub static HUGGING_FACE_2: Names = Names {
    norm: "layer_norm",
    final_norm: "layer_norm_final_attn",
    out: "o_proj",
    mlp: ["mlp.proj_in", "mlp.proj_out"],
    head: Head::InOut,
    upscale: ["upscale_conv1", "upscale_layer_norm", "upscale_conv2"],
    mask: ["mask_embed.conv1", "mask_embed.layer_norm1", "mask_embed.conv2", "mask_embed.layer_norm2", "mask_embed.conv3"],
    gaussian: "shared_embedding.positional_embedding",
    kinds: Kinds::Table("point_embed"),
    ..BASE
};

/// SAM 3's click head as Hugging Face's file of both heads stores it.
pub static SAM_3: Names =
    Names { prompt_encoder: "tracker_model.prompt_encoder", mask_decoder: "tracker_model.mask_decoder", ..HUGGING_FACE_2 };

impl Head {
    /// Name of one of `count` layers.
    pub(crate) fn layer(self, index: usize, count: usize) -> String {
        match self {
            Self::Numbered => format!("layers.{index}"),
            Self::InOut if index == 0 => "proj_in".into(),
            Self::InOut if index + 1 == count => "proj_out".into(),
            Self::InOut => format!("layers.{}", index - 1),
        }
    }
}

impl Names {
    /// Name of a prediction head's layer.
    pub(super) fn head_layer(&self, index: usize, count: usize) -> String {
        self.head.layer(index, count)
    }

    /// Whether a checkpoint has a mask decoder in this layout.
    pub fn fits(&self, checkpoint: &Checkpoint) -> bool {
        let has = |scope: &str, name: &str| checkpoint.info(&format!("{scope}.{name}")).is_some();
        has(self.mask_decoder, "mask_tokens.weight")
            && has(self.prompt_encoder, self.gaussian)
            && has(self.mask_decoder, &format!("{}.weight", self.upscale[0]))
            && has(self.mask_decoder, &format!("transformer.layers.0.self_attn.{}.weight", self.out))
    }
}
