//! NVIDIA CUDA.

use ort::ep::{self, ArenaExtendStrategy, ExecutionProviderDispatch};

/// Options of [`Provider::Cuda`](crate::Provider::Cuda).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CudaOptions {
    /// Index of the device, as CUDA counts them.
    pub device_id: u32,
    /// Upper limit of each session's memory arena in bytes; `None`: all that is free. What cuDNN and cuBLAS take for themselves is not in it.
    pub memory_limit: Option<usize>,
    /// How the arena grows.
    pub arena: ArenaGrowth,
    /// How cuDNN's algorithm for a convolution is chosen.
    pub convolutions: ConvolutionSearch,
    /// Allow TF32 in f32 matrix products and convolutions: faster, about 1e-3 relative error.
    pub tf32: bool,
    /// Capture the runs of networks whose inputs and outputs have fixed shapes as CUDA graphs, which saves the launch of each kernel. Networks
    /// with free sizes run as ever.
    pub cuda_graph: bool,
}

/// How the arena of a device's memory grows when it is too small.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ArenaGrowth {
    /// By what is asked for. Every new shape takes what it needs and no more.
    #[default]
    SameAsRequested,
    /// To the next power of two: fewer allocations, and up to twice the memory; with many shapes it takes the whole card.
    PowerOfTwo,
}

/// How cuDNN's algorithm for a convolution is chosen, for each shape when it first comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ConvolutionSearch {
    /// By cuDNN's own estimate: no measurement, so that the first run of a shape takes little longer than the next.
    #[default]
    Heuristic,
    /// By running them all: the first run of a shape takes seconds and more memory.
    Exhaustive,
    /// Always the same one, which takes the least memory.
    Fixed,
}

/// `capture`: whether the session's runs are captured.
pub(super) fn dispatch(options: &CudaOptions, capture: bool) -> ExecutionProviderDispatch {
    let search = match options.convolutions {
        ConvolutionSearch::Heuristic => ep::cuda::ConvAlgorithmSearch::Heuristic,
        ConvolutionSearch::Exhaustive => ep::cuda::ConvAlgorithmSearch::Exhaustive,
        ConvolutionSearch::Fixed => ep::cuda::ConvAlgorithmSearch::Default,
    };
    let growth = match options.arena {
        ArenaGrowth::SameAsRequested => ArenaExtendStrategy::SameAsRequested,
        ArenaGrowth::PowerOfTwo => ArenaExtendStrategy::NextPowerOfTwo,
    };
    let mut provider = ep::CUDA::default().with_device_id(super::device(options.device_id)).with_tf32(options.tf32);
    provider = provider.with_conv_algorithm_search(search).with_arena_extend_strategy(growth).with_cuda_graph(capture);
    if let Some(limit) = options.memory_limit {
        provider = provider.with_memory_limit(limit);
    }
    provider.build().error_on_failure()
}
