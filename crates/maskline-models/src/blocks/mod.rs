//! What families share.

mod convolution;
mod layers;
mod maps;
pub mod pickled;

pub use convolution::{
    Activation, BatchNormed, ConvSpec, convolution, convolution_batch_norm, convolution_batch_norm_init, convolution_unbiased,
};
pub use layers::{computed, constant, layer_norm, layer_norm_channels, linear, linear_gelu, parameter};
pub use maps::{Joint, batched, cells, dense, dense_point, join, map_sizes, mlp, partition, projections};
