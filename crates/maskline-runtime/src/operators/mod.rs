//! Operators of our own, which graphs of the `native` dialect may have: kernels for processors in the place of several operators of ONNX
//! Runtime. Each works on the threads of the session, a tile at a time, and answers the same whatever their number.

mod attention;
mod decoder;
mod layers;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use maskline_kernels::Processor;
use maskline_kernels::decoder::Workers;
use ort::operator::{ComputeContext, OperatorDomain};
use ort::value::ValueRef;

use self::attention::{AttentionOperator, MemoryAttentionOperator};
use self::decoder::{ImageToTokenOperator, InStripesOperator, TokenToImageOperator, UpscaleOperator};
use self::layers::{LinearOperator, MultiHeadAttentionOperator};

/// The domain of all of them, as graphs name it.
pub const OPERATORS: &str = "maskline";

/// The instructions with which this processor runs them faster than it runs ONNX Runtime's; `None` where it has none of these.
pub fn fast_instructions() -> Option<&'static str> {
    let best = Processor::best();
    (best != Processor::Any).then(|| best.name())
}

/// The operators, for a session.
pub(crate) fn domain() -> ort::Result<OperatorDomain> {
    let domain = OperatorDomain::new(OPERATORS)?.add(MemoryAttentionOperator)?.add(AttentionOperator)?;
    let domain = domain.add(InStripesOperator)?.add(TokenToImageOperator)?.add(ImageToTokenOperator)?.add(UpscaleOperator)?;
    domain.add(LinearOperator)?.add(MultiHeadAttentionOperator)
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
