//! Kernels for processors: what no operator of a runtime does as fast. They know numbers and nothing else.
//!
//! `simd` is what kernels are written in (sixteen lanes of any processor). `rows` is the product of queries in lanes, `softmax` what such
//! attentions share, `attention` one head's, `memory` that to what is remembered of objects in a video, `decoder` the mask decoder. `tile` is
//! the product of rows with columns in lanes, `linear` the fully connected layers that are made of it, `multi_head` the attentions, and `peak` what bounds them.

mod attention;
pub mod decoder;
mod linear;
mod memory;
mod multi_head;
mod peak;
mod rows;
mod scratch;
mod simd;
mod softmax;
#[cfg(test)]
mod testing;
mod tile;
mod workers;

pub use attention::Looking;
pub use linear::{Activation, LayerNorm, Linear, LinearOptions, Mlp, Numbers, Order, Weights};
pub use memory::{MemoryAttention, MemorySizes, Remembered};
pub use multi_head::{AttentionSizes, MultiHeadAttention, PADDING, Projected, RelativePositions, Rotary, ScoreBias};
pub use simd::Processor;
pub use workers::Workers;

/// Whether tests shall be over soon: where a whole processor is emulated (`testing/kernels.sh`).
#[cfg(test)]
fn is_small() -> bool {
    std::env::var_os("MASKLINE_SMALL_TESTS").is_some()
}
