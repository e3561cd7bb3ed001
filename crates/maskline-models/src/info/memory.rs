//! How a model follows objects through time.

use serde::{Deserialize, Serialize};

use crate::{Error, ErrorKind, Result};

/// What a model remembers of the objects that it follows. With `T` = g² cells of the picture's features, their width C, and the width M of
/// a memory:
///
/// - The image encoder also gives [`FEATURES`](Self::FEATURES) f32 [B, T, C].
/// - [`ATTENTION`](Self::ATTENTION) takes the features of one picture, and of O objects [`MEMORIES`](Self::MEMORIES) f32 [O, n, T, M],
///   [`AGES`](Self::AGES) i64 [O, n] (0 to `memories - 1`: so many frames ago less one, and `memories - 1` for prompted frames),
///   [`POINTERS`](Self::POINTERS) f32 [O, p·C/M, M] (a pointer of width C is C / M tokens) and [`DISTANCES`](Self::DISTANCES)
///   f32 [O, p·C/M] (frames since the pointer was made over the largest number of them); it gives [`CONDITIONED`](Self::CONDITIONED)
///   f32 [O, T, C].
/// - [`DECODER`](Self::DECODER) and [`MASKED_DECODER`](Self::MASKED_DECODER) take features of each object's own f32 [O, T, C],
///   [`FRESH`](Self::FRESH) f32 [O, 1, 1] (1 where the object has no past, else 0), the picture's features of higher resolution and
///   prompts as [`PromptHead`](super::PromptHead) tells; they give what its decoders give, and [`POINTERS`](Self::POINTERS) f32 [O, masks, C],
///   one for each mask.
/// - [`ENCODER`](Self::ENCODER) takes the features of one picture, [`LOGITS`](Self::LOGITS) f32 [O, 1, any, any] of masks over all of
///   it, [`HARD`](Self::HARD) bool [O, 1, 1, 1] (whether only their sign is remembered) and [`OBJECT`](Self::OBJECT) f32 [O, 1] (whether
///   the object is seen, where positive); it gives [`MEMORY`](Self::MEMORY) f32 [O, T, M].
/// - [`MASK_READER`](Self::MASK_READER) takes [`MASK`](Self::MASK) f32 [O, 1, S, S] of 0 and 1, S the side of the picture's input, and gives
///   [`LOGITS`](Self::LOGITS) f32 [O, 1, 4g, 4g].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryHead {
    /// Width of features and pointers.
    pub width: usize,
    /// Width of a memory.
    pub memory_width: usize,
    /// Ages of memories: prompted frames have one, and each of so many less one frames before has its own.
    pub memories: usize,
    /// Frames whose pointers are looked at, the current one among them.
    pub pointers: usize,
}

impl MemoryHead {
    /// Name of a graph.
    pub const ATTENTION: &'static str = "memory_attention";
    /// Name of a graph.
    pub const ENCODER: &'static str = "memory_encoder";
    /// Name of a graph.
    pub const MASK_READER: &'static str = "mask_reader";
    /// Name of a graph.
    pub const DECODER: &'static str = "object_decoder";
    /// Name of a graph.
    pub const MASKED_DECODER: &'static str = "object_decoder_with_mask";
    /// Output of the image encoder, input of all graphs but the mask reader.
    pub const FEATURES: &'static str = "features";
    /// Input of the memory attention.
    pub const MEMORIES: &'static str = "memories";
    /// Input of the memory attention.
    pub const AGES: &'static str = "ages";
    /// Input of the memory attention, output of the decoders.
    pub const POINTERS: &'static str = "pointers";
    /// Input of the memory attention.
    pub const DISTANCES: &'static str = "distances";
    /// Output of the memory attention.
    pub const CONDITIONED: &'static str = "conditioned";
    /// Input of the decoders.
    pub const FRESH: &'static str = "fresh";
    /// Input of the memory encoder, output of the mask reader.
    pub const LOGITS: &'static str = "logits";
    /// Input of the memory encoder.
    pub const HARD: &'static str = "hard";
    /// Input of the memory encoder.
    pub const OBJECT: &'static str = "object";
    /// Output of the memory encoder.
    pub const MEMORY: &'static str = "memory";
    /// Input of the mask reader.
    pub const MASK: &'static str = "mask";

    /// Tokens of a pointer.
    pub fn tokens(&self) -> usize {
        self.width / self.memory_width
    }

    /// Refuses sizes that no answer can have.
    ///
    /// # Errors
    /// `Output`, which says what is wrong.
    pub fn check(&self) -> Result<()> {
        const MOST: usize = 1 << 16;
        let Self { width, memory_width, memories, pointers } = *self;
        let sizes = [width, memory_width, memories, pointers];
        if sizes.iter().all(|size| (1..=MOST).contains(size)) && width.is_multiple_of(memory_width) && pointers > 1 {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Output, format!("a memory of these sizes follows nothing: {self:?}")))
    }
}
