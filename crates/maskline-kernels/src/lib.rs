//! Kernels for processors: what no operator of a runtime does as fast. They know numbers and nothing else.
//!
//! `simd` is what kernels are written in (sixteen lanes of any processor), `rows` the one product that all are made of, `softmax` what
//! attentions share, `attention` one head's, `memory` that to what is remembered of objects in a video, `decoder` the mask decoder.

mod attention;
pub mod decoder;
mod memory;
mod rows;
mod scratch;
mod simd;
mod softmax;

pub use attention::Looking;
pub use memory::{MemoryAttention, MemorySizes, Remembered};
pub use simd::Processor;

/// Whether tests shall be over soon: where a whole processor is emulated (`testing/kernels.sh`).
#[cfg(test)]
fn is_small() -> bool {
    std::env::var_os("MASKLINE_SMALL_TESTS").is_some()
}
