//! What families share.

mod convolution;

pub use convolution::{Activation, ConvSpec, constant, convolution, convolution_batch_norm};
