//! What families share.

mod clip;
mod convolution;
mod layers;
mod maps;
pub mod pickled;
mod positions;
mod rotary;

pub use clip::{Reach, Tower, tokens};
pub use convolution::{Activation, BatchNormed, ConvNorm, ConvSpec, convolution, convolution_batch_norm, convolution_unbiased};
pub use layers::{Around, Mlp, Norm, Normed, computed, constant, layer_norm, layer_norm_channels, linear, linear_gelu, parameter};
pub use maps::{Joint, batched, cells, dense, dense_point, join, map_sizes, mlp, partition};
pub use positions::{grid_positions, wavelength};
pub use rotary::Axial;
