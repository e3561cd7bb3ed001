//! ONNX Runtime: finding or fetching the library, providers, sessions, compiled artefacts and the cache that holds them.
//!
//! [`load`] brings the library into the process, [`Session`] runs a model on a thread of its own, [`Cache`] keeps what was
//! built, and says nothing of what it is. This crate knows no models and no pictures.

mod artefact;
mod cache;
mod error;
mod fetch;
mod library;
mod memory;
mod provider;
mod session;
mod staging;
mod tensor;
mod variant;

pub use artefact::device_key;
pub use cache::{Cache, Entry, EntryInfo, Key, PruneOptions, Pruned, hash_key};
pub use error::{Error, ErrorKind, Result};
pub use library::{Library, LibraryOptions, Located, Progress, Source, home_dir, load, locate};
pub use memory::{current_rss, peak_rss};
pub use provider::{CudaOptions, OpenVinoOptions, Provider, ProviderShare, TensorRtOptions};
pub use session::{Cold, Input, ModelSource, OptimisationLevel, Outputs, Pending, Port, Session, SessionOptions, SharedTensor, View};
pub use tensor::{Element, ElementType, Tensor, TensorData};
pub use variant::Variant;
