//! Checkpoints: the weights of a model, read in place from the files in which models are published.
//!
//! - [`Checkpoint::open`] reads safetensors files and PyTorch zip archives (`.pt`, `.pth`, `.bin`) by memory map, whole or in
//!   shards. The pickle in a PyTorch archive is interpreted as data: nothing in it is ever executed, and a file that would run code
//!   when PyTorch loads it is refused.
//! - [`Scope`] looks tensors up under a dotted prefix and checks their shape; [`Checkpoint::unused`] then tells which
//!   tensors nobody asked for.
//! - [`Checkpoint::rename`] gives the tensors the names of another layout in which the same network is published, in place.
//! - [`Source`] is a checkpoint with the files beside it that a family may read: configuration, tokenizer.
//! - [`Checkpoint::synthetic`] generates every tensor that is asked for, so that a model can be measured at its real size
//!   before its weights are downloaded; [`Checkpoint::write_generated`] writes what was asked for, for other programs.
//!
//! ```no_run
//! # fn main() -> maskline_weights::Result<()> {
//! use maskline_weights::Checkpoint;
//!
//! let checkpoint = Checkpoint::open("yolov8n.pt".as_ref())?;
//! let stem = checkpoint.root().push("model").push(0).push("conv");
//! let width = stem.shape("weight")?[0];
//! let kernel = stem.f32("weight", &[width, 3, 3, 3])?;
//! let names = checkpoint.attribute(&["names"]);
//! # Ok(())
//! # }
//! ```

mod attribute;
mod checkpoint;
mod contents;
mod error;
mod files;
mod format;
mod generated;
mod layout;
mod literal;
mod mmap;
mod renaming;
mod safetensors;
mod scope;
mod source;
mod stored;
mod synthetic;
mod tensor;
mod torch;

pub use attribute::{Attribute, Module};
pub use checkpoint::Checkpoint;
pub use error::{Error, ErrorKind, Result};
pub use files::files_of;
pub use renaming::Renaming;
pub use scope::Scope;
pub use source::{CONFIG, FileRole, Source, SourceFile};
pub use synthetic::Init;
pub use tensor::{DType, FileSpan, RawTensor, Tensor, TensorInfo};
