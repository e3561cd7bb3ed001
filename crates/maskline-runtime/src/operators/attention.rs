//! Attentions with one head, to anything and to what is remembered of objects.

use std::sync::{Mutex, PoisonError};

use maskline_kernels::{Looking, MemoryAttention, MemorySizes, Processor, Remembered};
use ort::operator::{BoxedKernel, ComputeContext, KernelContext, Operator, OperatorInput, OperatorOutput};
use ort::value::TensorElementType::Float32;

use super::{Operand, inputs, wrong};

/// Rows of an output that are done one by one: each by some thread, alone.
struct Rows<'a> {
    /// Of every batch entry its tiles. A lock is never waited for.
    tiles: Vec<Mutex<&'a mut [f32]>>,
    per_entry: usize,
}

impl<'a> Rows<'a> {
    /// Of an output [batch, .., width], cut into tiles of so many rows as `rows` tells of each.
    fn of(seen: &'a mut [f32], [batch, per_entry, width]: [usize; 3], rows: impl Fn(usize) -> usize) -> Self {
        let length = seen.len() / batch.max(1);
        let mut tiles = Vec::with_capacity(batch * per_entry);
        for entry in seen.chunks_exact_mut(length.max(1)) {
            let mut rest = entry;
            for tile in 0..per_entry {
                let (first, after) = std::mem::take(&mut rest).split_at_mut(rows(tile) * width);
                tiles.push(Mutex::new(first));
                rest = after;
            }
        }
        Self { tiles, per_entry }
    }

    /// Does all of them: `work` gets the batch entry, the tile and its rows.
    fn work(&self, context: &ComputeContext, work: impl Fn(usize, usize, &mut [f32]) + Sync + Send) -> ort::Result<()> {
        context.par_for(self.tiles.len(), 0, |index| {
            let mut rows = self.tiles[index].lock().unwrap_or_else(PoisonError::into_inner);
            work(index / self.per_entry, index % self.per_entry, &mut rows);
        })
    }
}

/// `MemoryAttention`: queries f32 [1 or O, T, C], keys of memories [O, T, n, M], memories [O, T, n, M], keys of pointers [O, p, M],
/// pointers [O, p, M], weight [C, M] and bias [C] of the keys' projection → [O, T, M]; `grid` (T is its square) and `theta` as attributes.
/// See [`maskline_kernels::MemoryAttention`].
pub(super) struct MemoryAttentionOperator;

impl MemoryAttentionOperator {
    const NAME: &str = "MemoryAttention";
}

impl Operator for MemoryAttentionOperator {
    type Kernel<'attr> = BoxedKernel<'attr>;

    fn name(&self) -> &str {
        Self::NAME
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        [const { OperatorInput::required(Float32) }; 7]
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        [OperatorOutput::required(Float32)]
    }

    fn create_kernel<'attr>(&self, kernel: &KernelContext<'attr>) -> ort::Result<Self::Kernel<'attr>> {
        let grid = kernel.get::<i64>("grid").and_then(|grid| usize::try_from(grid).ok());
        let theta = kernel.get::<f32>("theta");
        let (Some(grid), Some(theta)) = (grid, theta) else { return Err(wrong(Self::NAME, "the attributes grid and theta")) };
        Ok(Box::new(move |context: &ComputeContext| look_at_memories(context, grid, theta)))
    }
}

fn look_at_memories(context: &ComputeContext, grid: usize, theta: f32) -> ort::Result<()> {
    let wrong = |expected: &str| wrong(MemoryAttentionOperator::NAME, expected);
    let values = inputs::<7>(context, MemoryAttentionOperator::NAME)?;
    let [queries, memory_keys, memories, pointer_keys, pointers, weight, bias] = values.each_ref().map(Operand::of);
    let (queries, memory_keys, memories) = (queries?, memory_keys?, memories?);
    let (pointer_keys, pointers, weight, bias) = (pointer_keys?, pointers?, weight?, bias?);
    let (width, memory_width, objects) = (weight.size(0), weight.size(1), memory_keys.size(0));
    let area = grid * grid;
    let sizes = MemorySizes { grid, width, memory_width, theta };
    let attention = MemoryAttention::new(sizes, weight.numbers, bias.numbers).ok_or_else(|| wrong("weight [C, M] and bias [C]"))?;
    let memory = area * memory_keys.size(2) * memory_width;
    let pointer = pointer_keys.size(1) * memory_width;
    let fits = [1, objects].contains(&queries.size(0))
        && queries.numbers.len() == queries.size(0) * area * width
        && [&memory_keys, &memories].iter().all(|operand| operand.size(0) == objects && operand.numbers.len() == objects * memory)
        && [&pointer_keys, &pointers].iter().all(|operand| operand.size(0) == objects && operand.numbers.len() == objects * pointer);
    if !fits {
        return Err(wrong("queries [1 or O, T, C], memories [O, T, n, M] and pointers [O, p, M]"));
    }
    let shape = [objects, area, memory_width].map(|size| size as i64);
    let mut output = context.output(0, shape)?.ok_or_else(|| wrong("an output"))?;
    let (_, seen) = output.try_extract_tensor_mut::<f32>()?;
    let rows = Rows::of(seen, [objects, attention.shares(), memory_width], |share| attention.rows(share).len());
    rows.work(context, |object, share, rows| {
        let remembered = Remembered {
            queries: queries.entry(object, area * width),
            memory_keys: memory_keys.entry(object, memory),
            memory_values: memories.entry(object, memory),
            pointer_keys: pointer_keys.entry(object, pointer),
            pointer_values: pointers.entry(object, pointer),
        };
        attention.attend(remembered, share, rows);
    })
}

/// `Attention`: queries f32 [B, N, C], keys [B, M, C] and values [B, M, D] of one head → [B, N, D]; `scale` as attribute. See
/// [`maskline_kernels::Looking`].
pub(super) struct AttentionOperator;

impl AttentionOperator {
    const NAME: &str = "Attention";
}

impl Operator for AttentionOperator {
    type Kernel<'attr> = BoxedKernel<'attr>;

    fn name(&self) -> &str {
        Self::NAME
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        [const { OperatorInput::required(Float32) }; 3]
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        [OperatorOutput::required(Float32)]
    }

    fn create_kernel<'attr>(&self, kernel: &KernelContext<'attr>) -> ort::Result<Self::Kernel<'attr>> {
        let scale = kernel.get::<f32>("scale").ok_or_else(|| wrong(Self::NAME, "the attribute scale"))?;
        let processor = Processor::best();
        Ok(Box::new(move |context: &ComputeContext| look(context, scale, processor)))
    }
}

fn look(context: &ComputeContext, scale: f32, processor: Processor) -> ort::Result<()> {
    let wrong = |expected: &str| wrong(AttentionOperator::NAME, expected);
    let values = inputs::<3>(context, AttentionOperator::NAME)?;
    let [queries, keys, values] = values.each_ref().map(Operand::of);
    let (queries, keys, values) = (queries?, keys?, values?);
    let (batch, count, width) = (queries.size(0), queries.size(1), queries.size(2));
    let (keyed, value_width) = (keys.size(1), values.size(2));
    let fits = keys.shape == [batch, keyed, width].map(|size| size as i64)
        && values.shape == [batch, keyed, value_width].map(|size| size as i64)
        && width > 0
        && keyed > 0;
    if !fits {
        return Err(wrong("queries [B, N, C], keys [B, M, C] and values [B, M, D]"));
    }
    let shape = [batch, count, value_width].map(|size| size as i64);
    let mut output = context.output(0, shape)?.ok_or_else(|| wrong("an output"))?;
    let (_, seen) = output.try_extract_tensor_mut::<f32>()?;
    let looking = |entry: usize| Looking {
        queries: queries.entry(entry, count * width),
        keys: keys.entry(entry, keyed * width),
        values: values.entry(entry, keyed * value_width),
        width,
        value_width,
        scale,
    };
    if batch == 0 || count == 0 {
        return Ok(());
    }
    let first = looking(0);
    let rows = Rows::of(seen, [batch, first.shares(), value_width], |share| first.rows(share).len());
    rows.work(context, |entry, share, rows| looking(entry).attend(processor, share, rows))
}
