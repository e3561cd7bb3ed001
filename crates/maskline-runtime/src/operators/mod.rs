//! Operators of our own, which graphs of the `native` dialect may have: kernels for processors in the place of several operators of ONNX
//! Runtime. Each works on the threads of the session, a tile at a time, and answers the same whatever their number.

mod attention;
mod decoder;
mod linear;
mod multi_head;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use maskline_kernels::Processor;
use maskline_kernels::decoder::Workers;
use ort::operator::{ComputeContext, KernelContext, OperatorDomain};
use ort::value::{DynTensorValueType, ValueRef};

use self::attention::{AttentionOperator, MemoryAttentionOperator};
use self::decoder::{ImageToTokenOperator, InStripesOperator, TokenToImageOperator, UpscaleOperator};
use self::linear::{LinearOperator, MlpOperator};
use self::multi_head::MultiHeadAttentionOperator;

/// The domain of all of them, as graphs name it.
pub const OPERATORS: &str = "maskline";

/// The instructions with which this processor runs them faster than it runs ONNX Runtime's; `None` where it has none of these.
pub fn fast_instructions() -> Option<&'static str> {
    let best = Processor::best();
    (best != Processor::Any).then(|| best.name())
}

/// The most floating-point operations per second that all kernels of so many threads can do, in thousand million: multiplications with additions
/// in registers, the best of a few short runs.
pub fn multiply_add_peak(threads: usize) -> f64 {
    /// Some milliseconds each.
    const REPEATS: usize = 4_000_000;
    const RUNS: usize = 5;
    let run = || {
        let start = Instant::now();
        let of_threads = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(|| Processor::best().multiply_and_add(REPEATS))).collect();
            threads.into_iter().filter_map(|thread| thread.join().ok()).sum::<f64>()
        });
        of_threads / start.elapsed().as_secs_f64() / 1e9
    };
    (0..RUNS).map(|_| run()).fold(0.0, f64::max)
}

/// The operators, for a session.
pub(crate) fn domain() -> ort::Result<OperatorDomain> {
    let domain = OperatorDomain::new(OPERATORS)?.add(MemoryAttentionOperator)?.add(AttentionOperator)?;
    let domain = domain.add(InStripesOperator)?.add(TokenToImageOperator)?.add(ImageToTokenOperator)?.add(UpscaleOperator)?;
    domain.add(LinearOperator)?.add(MlpOperator)?.add(MultiHeadAttentionOperator)
}

/// Makes a session with the operators; the first one of the process alone. ONNX Runtime enters a new domain into a table of the process
/// without a lock between looking and entering, and fails where two sessions do so at once.
pub(crate) fn one_first<T>(make: impl FnOnce() -> ort::Result<T>) -> ort::Result<T> {
    static IS_ENTERED: Mutex<bool> = Mutex::new(false);
    let mut is_entered = IS_ENTERED.lock().unwrap_or_else(PoisonError::into_inner);
    if *is_entered {
        drop(is_entered);
        return make();
    }
    let made = make();
    *is_entered = made.is_ok();
    made
}

fn wrong(operator: &str, expected: &str) -> ort::Error {
    ort::Error::new(format!("{operator}: expected {expected}"))
}

/// A tensor's shape and numbers.
struct Operand<'a> {
    shape: &'a [i64],
    numbers: &'a [f32],
}

impl<'a> Operand<'a> {
    fn of(value: &'a ValueRef<'_>) -> ort::Result<Self> {
        let (shape, numbers) = value.try_extract_tensor::<f32>()?;
        Ok(Self { shape, numbers })
    }

    /// A dimension; 0 where there is none, which nothing fits.
    fn size(&self, axis: usize) -> usize {
        self.shape.get(axis).map_or(0, |size| *size as usize)
    }

    /// What belongs to one entry of the batch, of so many numbers; all share the first where there is only one.
    fn entry(&self, index: usize, length: usize) -> &'a [f32] {
        let index = if self.size(0) == 1 { 0 } else { index };
        &self.numbers[index * length..(index + 1) * length]
    }
}

/// The numbers of an input that is a small constant; `None` of one that is left out.
fn constant(kernel: &KernelContext<'_>, index: usize) -> Option<Vec<f32>> {
    let value = kernel.constant_input::<DynTensorValueType>(index).ok()?;
    value.try_extract_tensor::<f32>().ok().map(|(_, numbers)| numbers.to_vec())
}

/// The values of an operator's inputs.
fn inputs<'a, const N: usize>(context: &'a ComputeContext, operator: &str) -> ort::Result<[ValueRef<'a>; N]> {
    let missing = || wrong(operator, &format!("{N} inputs"));
    let values = (0..N).map(|index| context.input(index)?.ok_or_else(missing)).collect::<ort::Result<Vec<_>>>()?;
    <[ValueRef<'a>; N]>::try_from(values).map_err(|_| missing())
}

/// The threads of the session that runs an operator.
struct Threads<'a> {
    context: &'a ComputeContext,
    /// Whether something of the work, or the session, failed.
    has_failed: AtomicBool,
}

impl Workers for Threads<'_> {
    fn each(&self, count: usize, work: &(dyn Fn(usize) + Sync + Send)) {
        // A panic must not reach ONNX Runtime, which calls the work from its threads.
        let has_failed = &self.has_failed;
        let one = |index| {
            if catch_unwind(AssertUnwindSafe(|| work(index))).is_err() {
                has_failed.store(true, Ordering::Relaxed);
            }
        };
        if self.context.par_for(count, 0, one).is_err() {
            has_failed.store(true, Ordering::Relaxed);
        }
    }
}

/// Runs what an operator computes on the session's threads; a fault in it is the operator's error.
fn on_threads(context: &ComputeContext, operator: &str, work: impl FnOnce(&dyn Workers)) -> ort::Result<()> {
    let threads = Threads { context, has_failed: AtomicBool::new(false) };
    let is_done = catch_unwind(AssertUnwindSafe(|| work(&threads))).is_ok();
    if is_done && !threads.has_failed.into_inner() {
        return Ok(());
    }
    Err(ort::Error::new(format!("{operator}: the kernel failed; this is a fault of maskline")))
}
