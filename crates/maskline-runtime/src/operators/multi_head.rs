//! Attention that reads its heads where they lie.

use maskline_kernels::{AttentionSizes, MultiHeadAttention, PADDING, Processor, Projected, RelativePositions, Rotary};
use ort::operator::{BoxedKernel, ComputeContext, KernelContext, Operator, OperatorInput, OperatorOutput};
use ort::value::TensorElementType::Float32;

use super::{Operand, constant, on_threads, wrong};

/// `MultiHeadAttention`: queries, keys and values f32, maps [B, rows, columns, stride] or sequences [B, T, stride], in which heads lie from `offsets`
/// on; where the cells look at windows (`window` cells a side, 0 for all), the row of cells that fill the last ones up, `[stride]`; where places
/// turn queries and keys, cosines and sines [T, head_width / 2]; where the keys are a square whose rows and columns add to the scores of each
/// query, both [B, T, heads · side] → the queries' shape with rows [heads · head_width]. Besides as
/// attributes: `heads`, `head_width`, `scale`. See [`maskline_kernels::MultiHeadAttention`].
pub(super) struct MultiHeadAttentionOperator;

impl MultiHeadAttentionOperator {
    const NAME: &str = "MultiHeadAttention";
}

/// Where its inputs are.
mod attention {
    pub(super) const QUERIES: usize = 0;
    pub(super) const KEYS: usize = 1;
    pub(super) const VALUES: usize = 2;
    pub(super) const PADDING: usize = 3;
    pub(super) const COS: usize = 4;
    pub(super) const SIN: usize = 5;
    pub(super) const ROWS: usize = 6;
    pub(super) const COLUMNS: usize = 7;
}

impl Operator for MultiHeadAttentionOperator {
    type Kernel<'attr> = BoxedKernel<'attr>;

    fn name(&self) -> &str {
        Self::NAME
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        [const { OperatorInput::required(Float32) }; 3].into_iter().chain([const { OperatorInput::optional(Float32) }; 5])
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        [OperatorOutput::required(Float32)]
    }

    fn create_kernel<'attr>(&self, kernel: &KernelContext<'attr>) -> ort::Result<Self::Kernel<'attr>> {
        let wrong = |expected: &str| wrong(Self::NAME, expected);
        let size = |name: &str| kernel.get::<i64>(name).and_then(|size| usize::try_from(size).ok());
        let offsets = kernel.get::<Vec<i64>>("offsets").unwrap_or_default();
        let (Some(heads), Some(head_width), Some(window), Some(scale)) =
            (size("heads"), size("head_width"), size("window"), kernel.get::<f32>("scale"))
        else {
            return Err(wrong("the attributes heads, head_width, window and scale"));
        };
        let &[queries, keys, values] = &offsets[..] else { return Err(wrong("three offsets")) };
        let of_pairs = |index: usize| constant(kernel, index).map(|pairs| pairs.iter().flat_map(|number| [*number; 2]).collect::<Vec<_>>());
        let mut looking = InPlace {
            heads,
            head_width,
            window,
            scale,
            offsets: [queries, keys, values].map(|offset| offset as usize),
            padding: constant(kernel, attention::PADDING).unwrap_or_default(),
            turns: of_pairs(attention::COS).zip(of_pairs(attention::SIN)),
            processor: Processor::best(),
            cut: None,
        };
        Ok(Box::new(move |context: &ComputeContext| looking.attend(context)))
    }
}

/// An attention, and the windows that it looked at last.
struct InPlace {
    heads: usize,
    head_width: usize,
    /// 0 for all.
    window: usize,
    scale: f32,
    /// Of queries, keys and values.
    offsets: [usize; 3],
    padding: Vec<f32>,
    /// Cosines and sines of every number of a head.
    turns: Option<(Vec<f32>, Vec<f32>)>,
    processor: Processor,
    cut: Option<Cut>,
}

impl InPlace {
    fn attend(&mut self, context: &ComputeContext) -> ort::Result<()> {
        let wrong = |expected: &str| wrong(MultiHeadAttentionOperator::NAME, expected);
        let needed = |index: usize| context.input(index)?.ok_or_else(|| wrong("queries, keys and values"));
        let (queries, keys, values) = (needed(attention::QUERIES)?, needed(attention::KEYS)?, needed(attention::VALUES)?);
        let [queries, keys, values] = [Operand::of(&queries)?, Operand::of(&keys)?, Operand::of(&values)?];
        let leading = |operand: &Operand<'_>| operand.shape.split_last().map(|(_, leading)| leading.to_vec()).unwrap_or_default();
        if queries.shape.len() < 3 || queries.size(0) != keys.size(0) || leading(&keys) != leading(&values) {
            return Err(wrong("queries, keys and values of one batch"));
        }
        if self.window > 0 {
            let maps = [Maps::of(queries.shape), Maps::of(keys.shape)];
            let [Some(of_queries), Some(of_keys)] = maps else { return Err(wrong("maps, where there are windows")) };
            if self.cut.as_ref().is_none_or(|cut| cut.maps != [of_queries, of_keys]) {
                self.cut = Cut::of([of_queries, of_keys], self.window);
            }
            if self.cut.is_none() {
                return Err(wrong("as many windows of queries as of keys"));
            }
        }
        let cut = self.cut.as_ref();
        let cells = |operand: &Operand<'_>| leading(operand).iter().skip(1).map(|size| *size as usize).product::<usize>();
        let (batch, [of_queries, of_keys]) = match cut {
            Some(cut) => (cut.count, cut.lengths),
            None => (queries.size(0), [cells(&queries), cells(&keys)]),
        };
        let sizes = AttentionSizes { batch, heads: self.heads, head_width: self.head_width, queries: of_queries, keys: of_keys };
        let inner = self.heads * self.head_width;
        let strides = [&queries, &keys, &values].map(|operand| operand.shape.last().map_or(0, |stride| *stride as usize));
        let has_room = inner > 0 && strides.iter().zip(self.offsets).all(|(stride, offset)| offset + inner <= *stride);
        let is_padded = cut.is_some_and(Cut::is_padded);
        let has_padding = !is_padded || strides[1..].iter().all(|stride| *stride == self.padding.len());
        let places = of_queries.max(of_keys) * self.head_width;
        let has_turns = self.turns.as_ref().is_none_or(|(cos, sin)| cos.len() == sin.len() && cos.len() >= places);
        if !(has_room && has_padding && has_turns && of_keys > 0) {
            return Err(wrong("heads within their rows, the row of padding, and cosines of every place"));
        }
        let (rows, columns) = (context.input(attention::ROWS)?, context.input(attention::COLUMNS)?);
        let by_heads = |added: &Option<ort::value::ValueRef<'_>>| -> ort::Result<Option<Vec<f32>>> {
            added.as_ref().map(|added| Ok(by_heads(Operand::of(added)?.numbers, sizes))).transpose()
        };
        let relative = by_heads(&rows)?.zip(by_heads(&columns)?);
        let side = of_keys.isqrt();
        let of_square = batch * of_queries * self.heads * side;
        if relative.as_ref().is_some_and(|(rows, columns)| side * side != of_keys || [rows.len(), columns.len()] != [of_square; 2]) {
            return Err(wrong("what rows and columns of a square of keys add, [B, T, heads · side]"));
        }
        let shape = [leading(&queries), vec![inner as i64]].concat();
        let mut output = context.output(0, shape)?.ok_or_else(|| wrong("an output"))?;
        let (_, out) = output.try_extract_tensor_mut::<f32>()?;
        if out.is_empty() {
            return Ok(());
        }
        let tokens = |index: usize| cut.map(|cut| cut.tokens[index].as_slice());
        // Queries that are padding ask for nothing.
        let nothing = vec![0.0; strides[0]];
        let head_stride = self.head_width;
        let keys = Projected {
            numbers: keys.numbers,
            stride: strides[1],
            offset: self.offsets[1],
            head_stride,
            tokens: tokens(1),
            padding: &self.padding,
        };
        let values = Projected { numbers: values.numbers, stride: strides[2], offset: self.offsets[2], ..keys };
        let queries = Projected {
            numbers: queries.numbers,
            stride: strides[0],
            offset: self.offsets[0],
            head_stride,
            tokens: tokens(0),
            padding: &nothing,
        };
        let attention = MultiHeadAttention {
            sizes,
            queries,
            keys,
            values,
            scale: self.scale,
            bias: None,
            positions: relative.as_ref().map(|(rows, columns)| RelativePositions { rows, columns, height: side, width: side }),
            rotary: self.turns.as_ref().map(|(cos, sin)| Rotary { cos, sin }),
        };
        on_threads(context, MultiHeadAttentionOperator::NAME, |workers| attention.attend(self.processor, workers, out))
    }
}

/// [B, T, heads, n] as [B, heads, T, n].
fn by_heads(numbers: &[f32], sizes: AttentionSizes) -> Vec<f32> {
    let AttentionSizes { batch, heads, queries, .. } = sizes;
    let length = numbers.len() / (batch * heads * queries).max(1);
    let mut turned = Vec::with_capacity(numbers.len());
    for entry in numbers.chunks_exact((heads * queries * length).max(1)) {
        for head in 0..heads {
            (0..queries).for_each(|query| turned.extend_from_slice(&entry[(query * heads + head) * length..][..length]));
        }
    }
    turned
}

/// Batch, rows and columns of maps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Maps {
    batch: usize,
    rows: usize,
    columns: usize,
}

/// Maps cut into windows.
struct Cut {
    /// Of queries and of keys.
    maps: [Maps; 2],
    count: usize,
    /// The row of every token of queries and of keys.
    tokens: [Vec<u32>; 2],
    /// Tokens of a window of queries and of keys.
    lengths: [usize; 2],
}

impl Maps {
    fn of(shape: &[i64]) -> Option<Self> {
        let &[batch, rows, columns, _] = shape else { return None };
        Some(Self { batch: batch as usize, rows: rows as usize, columns: columns as usize })
    }

    /// The row of each token of windows of so many cells a side, of which so many lie on each map down and across.
    fn tokens(self, side: usize, [down, across]: [usize; 2]) -> Vec<u32> {
        let Self { batch, rows, columns } = self;
        let mut tokens = Vec::with_capacity(batch * down * across * side * side);
        for map in 0..batch {
            for window in 0..down * across {
                let [top, left] = [window / across * side, window % across * side];
                for cell in 0..side * side {
                    let [row, column] = [top + cell / side, left + cell % side];
                    let is_there = row < rows && column < columns;
                    tokens.push(if is_there { ((map * rows + row) * columns + column) as u32 } else { PADDING });
                }
            }
        }
        tokens
    }
}

impl Cut {
    /// Windows of keys, `side` cells a side, and those of queries, which are smaller where queries are pooled. `None` where they do not make the
    /// same number.
    fn of([queries, keys]: [Maps; 2], side: usize) -> Option<Self> {
        let pooled = keys.rows.checked_div(queries.rows).filter(|pooled| *pooled > 0)?;
        let small = side / pooled;
        let fits = queries.batch == keys.batch
            && small > 0
            && small * pooled == side
            && [keys.rows, keys.columns] == [pooled * queries.rows, pooled * queries.columns];
        if !fits {
            return None;
        }
        let counts = [keys.rows, keys.columns].map(|cells| cells.div_ceil(side));
        let tokens = [queries.tokens(small, counts), keys.tokens(side, counts)];
        Some(Self { maps: [queries, keys], count: keys.batch * counts[0] * counts[1], tokens, lengths: [small * small, side * side] })
    }

    fn is_padded(&self) -> bool {
        let [_, keys] = self.maps;
        self.tokens[1].len() > keys.batch * keys.rows * keys.columns
    }
}
