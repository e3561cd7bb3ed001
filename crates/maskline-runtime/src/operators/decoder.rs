//! The folded mask decoder, see [`maskline_kernels::decoder`]. B pictures, P prompts of one of them, T cells in S stripes, K columns.

use maskline_kernels::Processor;
use maskline_kernels::decoder::{Cells, Columns, ImageToToken, InStripes, Projection, Sizes, TokenToImage, Upscale};
use ort::operator::{BoxedKernel, ComputeContext, KernelContext, Operator, OperatorInput, OperatorOutput};
use ort::value::TensorElementType::Float32;
use ort::value::ValueRef;

use super::{Operand, inputs, on_threads, wrong};

/// Cells of a stripe.
const STRIPE: usize = 16;
/// Pixels of a cell's mask.
const PIXELS: usize = 16;

/// An operator of f32 tensors with one output.
macro_rules! operator {
    ($(#[$doc:meta])* $operator:ident, $name:literal, $needed:literal needed, $optional:literal optional, $attributes:ty => $compute:path) => {
        $(#[$doc])*
        pub(super) struct $operator;

        impl Operator for $operator {
            type Kernel<'attr> = BoxedKernel<'attr>;

            fn name(&self) -> &str {
                $name
            }

            fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
                let needed = std::iter::repeat_with(|| OperatorInput::required(Float32)).take($needed);
                needed.chain(std::iter::repeat_with(|| OperatorInput::optional(Float32)).take($optional))
            }

            fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
                [OperatorOutput::required(Float32)]
            }

            fn create_kernel<'attr>(&self, kernel: &KernelContext<'attr>) -> ort::Result<Self::Kernel<'attr>> {
                let attributes = <$attributes>::of(kernel, $name)?;
                let processor = Processor::best();
                Ok(Box::new(move |context: &ComputeContext| $compute(&Run { context, processor, name: $name }, attributes)))
            }
        }
    };
}

operator! {
    /// `InStripes`: cells [B, T, C], and weight `[n / 16, C, 16]` and bias `[n]` if they are projected → [B, S, n, 16].
    InStripesOperator, "InStripes", 1 needed, 2 optional, () => in_stripes
}

operator! {
    /// `TokenToImage`: queries [P, n, I], cells [P or 1, S, 1 + K, 16], values [P or 1, blocks, N, I]; keys [1, S, I, 16] and values
    /// [1, h ⌈d / 16⌉, T, 16] of the image, matrices to both; positions [S, I, 16] → [P, n, I].
    TokenToImageOperator, "TokenToImage", 7 needed, 1 optional, Heads => token_to_image
}

operator! {
    /// `ImageToToken`: keys [P, N, I], cells and values as above, queries of the image, a matrix to them, the image times all rows
    /// [1, S, rows, 16], its squares [1, S, 16], products of the rows; positions → cells [P, S, 1 + K, 16] after the block.
    ImageToTokenOperator, "ImageToToken", 8 needed, 1 optional, Block => image_to_token
}

operator! {
    /// `Upscale`: weights [P, M, F], cells and values as above, the image [1, S, 4 E, 16], bias `[4 E]`, a matrix to them, norm [2, E],
    /// convolution [4 F / 16, E, 16], fine features [1, S, 16 F, 16] or bias `[F]`; middle features [1, S, 4 E, 16] → masks [P, M, 16 T].
    UpscaleOperator, "Upscale", 9 needed, 1 optional, Block => upscale
}

/// One call of an operator.
struct Run<'a> {
    context: &'a ComputeContext,
    processor: Processor,
    name: &'static str,
}

impl Run<'_> {
    fn optional(&self, index: usize) -> ort::Result<Option<ValueRef<'_>>> {
        if index < self.context.num_inputs()? { self.context.input(index) } else { Ok(None) }
    }

    fn wrong(&self, expected: &str) -> ort::Error {
        wrong(self.name, expected)
    }
}

/// An attribute that is a positive number.
fn count(kernel: &KernelContext<'_>, operator: &str, attribute: &str) -> ort::Result<usize> {
    let count = kernel.get::<i64>(attribute).and_then(|count| usize::try_from(count).ok()).filter(|count| *count > 0);
    count.ok_or_else(|| wrong(operator, &format!("the attribute {attribute}")))
}

/// Attributes of an operator.
trait Attributes: Copy {
    fn of(kernel: &KernelContext<'_>, operator: &str) -> ort::Result<Self>;
}

impl Attributes for () {
    fn of(_: &KernelContext<'_>, _: &str) -> ort::Result<Self> {
        Ok(())
    }
}

#[derive(Clone, Copy)]
struct Heads(usize);

impl Attributes for Heads {
    fn of(kernel: &KernelContext<'_>, operator: &str) -> ort::Result<Self> {
        Ok(Self(count(kernel, operator, "heads")?))
    }
}

/// Of what works on all cells.
#[derive(Clone, Copy)]
struct Block {
    heads: usize,
    cells: usize,
    /// Channels of the cells, where they matter.
    width: usize,
    epsilon: f32,
}

impl Attributes for Block {
    fn of(kernel: &KernelContext<'_>, operator: &str) -> ort::Result<Self> {
        let epsilon = kernel.get::<f32>("epsilon").ok_or_else(|| wrong(operator, "the attribute epsilon"))?;
        let width = count(kernel, operator, "width").unwrap_or(1);
        Ok(Self { heads: count(kernel, operator, "heads")?, cells: count(kernel, operator, "cells")?, width, epsilon })
    }
}

/// The cells of all prompts, and what their columns are.
struct Folded<'a> {
    cells: Operand<'a>,
    values: Operand<'a>,
    sizes: Sizes,
    /// Columns of a mask prompt.
    mask: usize,
}

impl<'a> Folded<'a> {
    /// `after` blocks fewer than there are values of had a part in the cells. `None` if they do not fit together.
    fn of(cells: Operand<'a>, values: Operand<'a>, of: Folding) -> Option<Self> {
        let Folding { heads, cells: area, after } = of;
        let (blocks, tokens, inner) = (values.size(1).checked_sub(after)?, values.size(2), values.size(3));
        let sizes = Sizes { cells: area, heads, head_width: inner / heads, tokens };
        if tokens == 0 || inner == 0 {
            return None;
        }
        let mask = cells.size(2).checked_sub(1 + blocks * sizes.columns())?;
        let fits = cells.shape.len() == 4
            && values.shape.len() == 4
            && sizes.inner() == inner
            && cells.size(1) == sizes.stripes()
            && cells.size(3) == STRIPE;
        fits.then_some(Self { cells, values, sizes, mask })
    }

    fn has(&self, prompts: usize) -> bool {
        [&self.cells, &self.values].iter().all(|operand| [1, prompts].contains(&operand.size(0)))
    }

    fn cells(&self, prompt: usize) -> Cells<'_> {
        Cells { numbers: self.cells.entry(prompt, self.cells.size(1) * self.cells.size(2) * STRIPE) }
    }

    fn columns(&self, prompt: usize) -> Columns<'_> {
        let values = self.values.entry(prompt, self.values.size(1) * self.sizes.tokens * self.sizes.inner());
        Columns { sizes: self.sizes, mask: self.mask, values }
    }

    /// Rows of a matrix through which the columns' rows go, before or after the block.
    fn sources(&self, blocks: usize) -> usize {
        self.mask + blocks * self.sizes.inner() + blocks.saturating_sub(1)
    }

    fn vectors(&self) -> usize {
        self.sizes.heads * self.sizes.head_width.div_ceil(STRIPE)
    }
}

/// What is known of cells before they are looked at.
struct Folding {
    heads: usize,
    cells: usize,
    /// Blocks whose values are there and whose columns are not yet.
    after: usize,
}

/// The numbers of an operand that may be missing.
fn numbers<'a>(value: Option<&'a ValueRef<'_>>) -> ort::Result<&'a [f32]> {
    value.map_or(Ok(&[][..]), |value| Ok(Operand::of(value)?.numbers))
}

fn in_stripes(run: &Run<'_>, (): ()) -> ort::Result<()> {
    let [cells] = inputs::<1>(run.context, run.name)?;
    let cells = Operand::of(&cells)?;
    let (weight, bias) = (run.optional(1)?, run.optional(2)?);
    let (weight, bias) = (numbers(weight.as_ref())?, numbers(bias.as_ref())?);
    let projection = (!bias.is_empty()).then_some(Projection { weight, bias });
    let (batch, area, width) = (cells.size(0), cells.size(1), cells.size(2));
    let rows = projection.map_or(width, |projection| projection.bias.len());
    let fits = cells.shape.len() == 3
        && width > 0
        && projection.is_none_or(|projection| projection.weight.len() == rows.div_ceil(STRIPE) * width * STRIPE);
    if !fits {
        return Err(run.wrong("cells [B, T, C], weight [n / 16, C, 16] and bias [n]"));
    }
    let stripes = area.div_ceil(STRIPE);
    let shape = [batch, stripes, rows, STRIPE].map(|size| size as i64);
    let mut output = run.context.output(0, shape)?.ok_or_else(|| run.wrong("an output"))?;
    let (_, out) = output.try_extract_tensor_mut::<f32>()?;
    on_threads(run.context, run.name, |workers| {
        for (picture, out) in out.chunks_exact_mut((stripes * rows * STRIPE).max(1)).enumerate() {
            let cells = cells.entry(picture, area * width);
            InStripes { cells, width, projection }.write(run.processor, workers, out);
        }
    })
}

fn token_to_image(run: &Run<'_>, Heads(heads): Heads) -> ort::Result<()> {
    let values = inputs::<7>(run.context, run.name)?;
    let [queries, cells, tokens, keys, image, to_keys, to_values] = values.each_ref().map(Operand::of);
    let (queries, keys, image, to_keys, to_values) = (queries?, keys?, image?, to_keys?, to_values?);
    let positions = run.optional(7)?;
    let positions = numbers(positions.as_ref())?;
    let expected =
        || run.wrong("queries [P, n, I], cells [P, S, 1 + K, 16], keys [1, S, I, 16], values [1, v, T, 16] and matrices to both");
    let folded = Folded::of(cells?, tokens?, Folding { heads, cells: image.size(2), after: 0 }).ok_or_else(expected)?;
    let (prompts, looking, inner) = (queries.size(0), queries.size(1), folded.sizes.inner());
    let (stripes, vectors) = (folded.sizes.stripes(), folded.vectors());
    let sources = folded.sources(folded.values.size(1));
    let fits = queries.size(2) == inner
        && looking > 0
        && folded.has(prompts)
        && keys.numbers.len() == stripes * inner * STRIPE
        && (positions.is_empty() || positions.len() == keys.numbers.len())
        && image.numbers.len() == vectors * folded.sizes.cells * STRIPE
        && to_keys.numbers.len() == inner.div_ceil(STRIPE) * sources * STRIPE
        && to_values.numbers.len() == vectors * sources * STRIPE;
    if !fits {
        return Err(expected());
    }
    let mut output = run.context.output(0, queries.shape)?.ok_or_else(|| run.wrong("an output"))?;
    let (_, out) = output.try_extract_tensor_mut::<f32>()?;
    let asked: Vec<_> = (0..prompts)
        .map(|prompt| TokenToImage {
            queries: queries.entry(prompt, looking * inner),
            cells: folded.cells(prompt),
            columns: folded.columns(prompt),
            keys: keys.numbers,
            positions,
            values: image.numbers,
            to_keys: to_keys.numbers,
            to_values: to_values.numbers,
        })
        .collect();
    on_threads(run.context, run.name, |workers| TokenToImage::attend(&asked, run.processor, workers, out))
}

fn image_to_token(run: &Run<'_>, Block { heads, cells: area, width, epsilon }: Block) -> ort::Result<()> {
    let values = inputs::<8>(run.context, run.name)?;
    let [keys, cells, tokens, queries, to_queries, image, squares, products] = values.each_ref().map(Operand::of);
    let (keys, queries, to_queries, image, squares, products) = (keys?, queries?, to_queries?, image?, squares?, products?);
    let positions = run.optional(8)?;
    let positions = numbers(positions.as_ref())?;
    let expected =
        || run.wrong("keys [P, N, I], cells [P, S, 1 + K, 16], queries [1, S, I, 16] and a matrix to them, rows [1, S, rows, 16]");
    let folded = Folded::of(cells?, tokens?, Folding { heads, cells: area, after: 1 }).ok_or_else(expected)?;
    let (prompts, stripes, inner, blocks) = (keys.size(0), folded.sizes.stripes(), folded.sizes.inner(), folded.values.size(1));
    let (before, sources) = (folded.sources(blocks - 1), folded.sources(blocks));
    let fits = keys.shape == [prompts, folded.sizes.tokens, inner].map(|size| size as i64)
        && folded.has(prompts)
        && queries.numbers.len() == stripes * inner * STRIPE
        && (positions.is_empty() || positions.len() == queries.numbers.len())
        && to_queries.numbers.len() == inner.div_ceil(STRIPE) * before * STRIPE
        && image.size(2) >= sources
        && image.numbers.len() == stripes * image.size(2) * STRIPE
        && squares.numbers.len() == stripes * STRIPE
        && products.numbers.len() == sources.div_ceil(STRIPE) * sources * STRIPE;
    if !fits {
        return Err(expected());
    }
    let asked: Vec<_> = (0..prompts)
        .map(|prompt| ImageToToken {
            keys: keys.entry(prompt, folded.sizes.tokens * inner),
            cells: folded.cells(prompt),
            columns: folded.columns(prompt),
            queries: queries.numbers,
            positions,
            to_queries: to_queries.numbers,
            image: image.numbers,
            squares: squares.numbers,
            products: products.numbers,
            width,
            epsilon,
        })
        .collect();
    let rows = folded.cells.size(2) + folded.sizes.columns();
    let shape = [prompts, stripes, rows, STRIPE].map(|size| size as i64);
    let mut output = run.context.output(0, shape)?.ok_or_else(|| run.wrong("an output"))?;
    let (_, out) = output.try_extract_tensor_mut::<f32>()?;
    on_threads(run.context, run.name, |workers| ImageToToken::update(&asked, run.processor, workers, out))
}

fn upscale(run: &Run<'_>, Block { heads, cells: area, epsilon, .. }: Block) -> ort::Result<()> {
    let values = inputs::<9>(run.context, run.name)?;
    let [weights, cells, tokens, image, bias, to_middle, norm, convolution, fine] = values.each_ref().map(Operand::of);
    let (weights, image, bias, to_middle) = (weights?, image?, bias?, to_middle?);
    let (norm, convolution, fine) = (norm?, convolution?, fine?);
    let middle = run.optional(9)?;
    let middle = numbers(middle.as_ref())?;
    let expected =
        || run.wrong("weights [P, M, F], cells [P, S, 1 + K, 16], the image [1, S, 4 E, 16], norm [2, E], convolution [4 F / 16, E, 16]");
    let folded = Folded::of(cells?, tokens?, Folding { heads, cells: area, after: 0 }).ok_or_else(expected)?;
    let (prompts, masks, last) = (weights.size(0), weights.size(1), weights.size(2));
    let (stripes, between, sources) = (folded.sizes.stripes(), norm.numbers.len() / 2, folded.sources(folded.values.size(1)));
    let fits = weights.shape.len() == 3
        && masks * last * between > 0
        && folded.has(prompts)
        && norm.numbers.len() == 2 * between
        && image.numbers.len() == stripes * 4 * between * STRIPE
        && bias.numbers.len() == 4 * between
        && (middle.is_empty() || middle.len() == image.numbers.len())
        && to_middle.numbers.len() == (4 * between).div_ceil(STRIPE) * sources * STRIPE
        && convolution.numbers.len() == (4 * last).div_ceil(STRIPE) * between * STRIPE
        && [last, stripes * PIXELS * last * STRIPE].contains(&fine.numbers.len());
    if !fits {
        return Err(expected());
    }
    let asked: Vec<_> = (0..prompts)
        .map(|prompt| Upscale {
            masks,
            weights: weights.entry(prompt, masks * last),
            cells: folded.cells(prompt),
            columns: folded.columns(prompt),
            image: image.numbers,
            bias: bias.numbers,
            middle,
            to_middle: to_middle.numbers,
            norm: norm.numbers,
            convolution: convolution.numbers,
            fine: fine.numbers,
            epsilon,
        })
        .collect();
    let shape = [prompts, masks, area * PIXELS].map(|size| size as i64);
    let mut output = run.context.output(0, shape)?.ok_or_else(|| run.wrong("an output"))?;
    let (_, out) = output.try_extract_tensor_mut::<f32>()?;
    on_threads(run.context, run.name, |workers| Upscale::masks_of(&asked, run.processor, workers, out))
}
