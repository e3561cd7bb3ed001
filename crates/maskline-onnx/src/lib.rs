//! A typed builder for ONNX graphs.
//!
//! A [`Graph`] is written as the forward pass reads: one method per operator, each takes and gives [`Value`]s whose element
//! type and (partly symbolic) [`Shape`] are known while building. A mismatch is an [`Error`] that names the scope it arose in
//! (`mask_decoder.transformer.layers.0`), long before a runtime sees the file. What is constant is folded, equal constants are
//! stored once, and a [`Saver`] writes plain ONNX with external data, which may lie *in place* inside a checkpoint. A
//! [`GraphFile`] reads such a file again, or another program's, and counts its arithmetic.
//!
//! ```
//! use maskline_onnx::{Constant, Dialect, Dim, DType, Graph};
//!
//! # fn main() -> Result<(), maskline_onnx::Error> {
//! let mut g = Graph::new("double", Dialect::Portable);
//! let x = g.input("x", DType::F32, [Dim::symbol("batch"), Dim::fixed(4)])?;
//! let two = g.scalar(2.0);
//! let y = g.mul(&x, &two)?;
//! assert_eq!(y.shape().to_string(), "[batch, 4]");
//! g.output("y", &y)?;
//! let model = g.finish()?;
//! assert_eq!(model.node_count(), 1);
//! # Ok(())
//! # }
//! ```

/// Domain of maskline's own operators.
pub const OWN_DOMAIN: &str = "maskline";

mod constant;
mod dim;
mod dtype;
mod error;
mod export;
mod external;
mod fold;
mod graph;
mod header;
mod model;
mod ops;
mod precision;
pub mod proto;
mod save;
mod work;

pub use constant::{Constant, FileSpan};
pub use dim::{Dim, Shape};
pub use dtype::DType;
pub use error::{Error, ErrorKind, Result};
pub use export::Export;
pub use external::external_files;
pub use graph::{Dialect, Graph, Value};
pub use header::{ModelHeader, Port};
pub use model::Model;
pub use ops::{
    AttentionInPlace, AttentionOptions, ConvOptions, FoldedCells, GeluForm, Heads, ImageToToken, Interpolation, LayerActivation, LayerNorm,
    LayerOptions, MemoryAttention, MlpLayers, PadMode, PoolOptions, Rotation, TokenToImage, Upscale, Windows,
};
pub use precision::{Half, IntegerOptions, Range, SEEN};
pub use save::{SaveOptions, SavedModel, Saver};
pub use work::{GraphFile, Sizes, Work};

/// The operator set that graphs are written in (`ai.onnx`).
pub const OPSET: i64 = 21;
/// The ONNX file format version that belongs to [`OPSET`].
pub const IR_VERSION: i64 = 10;
