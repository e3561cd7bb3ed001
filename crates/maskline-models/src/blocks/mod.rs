//! What families share.

mod convolution;
mod layers;

pub use convolution::{Activation, BatchNormed, ConvSpec, convolution, convolution_batch_norm, convolution_unbiased};
pub use layers::{computed, constant, layer_norm, layer_norm_channels, linear, linear_gelu, parameter};
