//! ONNX Runtime: finding or fetching the library, providers, sessions, compiled artefacts and the cache that holds them.
//!
//! [`load`] brings the library into the process, [`Lane`] runs a model on a thread of its own, [`Cache`] keeps what was
//! built, and says nothing of what it is. This crate knows no models and no pictures.

mod artefact;
mod cache;
mod compute;
mod contents;
mod cuda;
mod disk;
mod error;
mod examine;
mod fetch;
mod home;
mod install;
mod instructions;
mod kept;
mod lane;
mod library;
mod memory;
mod needs;
mod opening;
mod operators;
mod pip;
mod port;
mod provider;
mod residence;
mod shared;
mod staging;
mod telemetry;
mod tensor;
mod threads;
mod trust;
mod variant;
mod waiting;
mod wheel;

pub use artefact::device_key;
pub use cache::{Cache, DEFAULT_CACHE_LIMIT, Entry, EntryInfo, Key, PruneOptions, Pruned, cache_limit, hash_key, parse_bytes};
pub use disk::free_space;
pub use error::{Error, ErrorKind, ErrorParts, Result};
pub use examine::{Examination, Fact, examine, try_provider};
pub use home::{check_home, home_dir, is_home_writable};
pub use install::{Package, PackageState, cuda_variant, install, is_installed, packages, remove};
pub use instructions::has_byte_products;
pub use lane::{
    Cold, Degraded, Fallback, Faults, Input, Job, Lane, LaneOptions, ModelSource, OptimisationLevel, Outputs, Pending, RawView, RunCount,
    Tally, Ticket,
};
pub use library::{Library, LibraryOptions, Located, Progress, Source, load, locate};
pub use memory::{current_rss, peak_rss};
pub use needs::{Needs, needs};
pub use operators::{OPERATORS, fast_instructions, multiply_add_peak};
pub use pip::{FetchLimits, pip_version};
pub use port::Port;
pub use provider::{
    ArenaGrowth, ConvolutionSearch, CudaOptions, GpuOptions, InferencePrecision, OpenVinoOptions, PerformanceHint, Provider, ProviderShare,
    ShapeProfile, Shaped, Shapes, TensorRtOptions,
};
pub use residence::Residence;
pub use shared::{SharedTensor, View};
pub use staging::{create_folder, tree_size};
pub use telemetry::{TELEMETRY_VARIABLE, is_telemetry_off, switch_off_telemetry};
pub use tensor::{Element, ElementType, Tensor, TensorData};
pub use threads::{Threads, usable_threads};
pub use variant::Variant;
pub use waiting::{Priority, Waiting, Waits};
