//! One method of [`Graph`](crate::Graph) per operator, by kind.

mod attention;
mod conv;
mod decoder;
mod elementwise;
mod indexing;
mod layers;
mod linear;
mod memory;
mod normalize;
mod reduce;
mod resize;
mod rotary;
mod shape;

pub use attention::AttentionOptions;
pub use conv::{ConvOptions, PoolOptions};
pub use decoder::{FoldedCells, ImageToToken, TokenToImage, Upscale};
pub use elementwise::GeluForm;
pub use indexing::PadMode;
pub use layers::{AttentionInPlace, Heads, LayerActivation, LayerNorm, LayerOptions, MlpLayers, Windows};
pub use memory::MemoryAttention;
pub use resize::Interpolation;
pub use rotary::Rotation;
