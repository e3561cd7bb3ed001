//! What of a picture is kept for its prompts, by the form of the decoder.

use serde::{Deserialize, Serialize};

/// Which form a mask decoder has in a bundle.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MaskDecoder {
    /// A graph of standard operators, and those of ONNX Runtime.
    #[default]
    Graph,
    /// Operators of our own, with folded cells: for processors.
    Native,
}

impl MaskDecoder {
    /// Stable name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Graph => "graph",
            Self::Native => "native",
        }
    }
}

/// Names of the image encoder's outputs, which are the embedding: one tensor per name, one picture per row.
///
/// With `g` the side of the embedding, `C` its width, and `I` the inner width of the cross attentions in `h` heads.
pub mod embedding {
    /// f32 [B, g², C]: the image embedding with the no-mask embedding added, cells by rows.
    pub const CELLS: &str = "cells";
    /// f32 [B, h, I/h, g²]: the cells as keys of the first attention from tokens to the image.
    pub const KEYS: &str = "keys";
    /// f32 [B, h, g², I/h]: the cells as values of that attention.
    pub const VALUES: &str = "values";
    /// f32 [B, g², I]: the cells as queries of the first attention from the image to tokens.
    pub const QUERIES: &str = "queries";
    /// f32 [B, 4 g², C/4] (SAM 2): features of twice the resolution, in blocked order, the upscaling's bias added.
    pub const MIDDLE: &str = "middle";
    /// f32 [B, 16 g², C/8] (SAM 2): features of four times the resolution, in blocked order, the upscaling's bias added.
    pub const FINE: &str = "fine";
}

/// Names of the image encoder's outputs where the decoder folds the cells ([`MaskDecoder::Native`](super::MaskDecoder::Native)): what each of
/// its steps needs of the image, with cells in stripes of sixteen, S of them.
///
/// `rows` and `squares` are of what a block adds the cells up of: m rows are those of a mask prompt (its channels, and one), then the inner
/// width of each block and one for each but the first.
pub mod folded_embedding {
    use super::embedding;

    /// Of each block: keys f32 [B, S, I, 16], values f32 [B, h ⌈d / 16⌉, g², 16], queries f32 [B, S, I, 16], rows f32 [B, S, m, 16] and
    /// squares f32 [B, S, 16].
    pub const BLOCKS: [[&str; 5]; 2] =
        [["keys_0", "values_0", "queries_0", "rows_0", "squares_0"], ["keys_1", "values_1", "queries_1", "rows_1", "squares_1"]];
    /// f32 [B, S, C, 16]: the cells after the first convolution of the upscaling.
    pub const UPSCALED: &str = "upscaled";
    /// Behind all blocks: keys and values of the last attention, as above, and [`UPSCALED`].
    pub const LAST: [&str; 3] = ["keys_2", "values_2", UPSCALED];
    /// f32 [B, S, C, 16] (SAM 2): features of twice the resolution, four pixels of each cell, the upscaling's bias added.
    pub const MIDDLE: &str = embedding::MIDDLE;
    /// f32 [B, S, 2 C, 16] (SAM 2): features of four times the resolution, sixteen pixels of each cell, the upscaling's bias added.
    pub const FINE: &str = embedding::FINE;

    const NAMES: [&str; 15] = {
        let ([a, b], c) = (BLOCKS, LAST);
        [a[0], a[1], a[2], a[3], a[4], b[0], b[1], b[2], b[3], b[4], c[0], c[1], c[2], MIDDLE, FINE]
    };

    /// All of them, in a fixed order, with or without features of higher resolution.
    pub fn names(high_resolution: bool) -> &'static [&'static str] {
        if high_resolution { &NAMES } else { &NAMES[..13] }
    }
}
