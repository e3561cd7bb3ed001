//! The decoder with folded cells, by operators of our own: see [`folding`](super::folding) for what is computed, and
//! `maskline_kernels::decoder` for how.

use maskline_onnx::{DType, Dim, FoldedCells, Graph, ImageToToken, PadMode, TokenToImage, Upscale, Value};
use maskline_weights::Scope;

use super::attention::{Attention, Sizes};
use super::config::{DecoderConfig, Generation};
use super::folding::{MaskRows, Matrix, Norm, Stage, Weights, wide};
use super::masks::MaskHead;
use super::names::Names;
use super::prompt::PromptEncoder;
use crate::Result;
use crate::blocks::{computed, pickled};
use crate::info::folded_embedding as embedding;

/// Cells of a stripe.
const STRIPE: usize = 16;

/// Blocks that can be folded: as many as all published models have.
pub(super) const BLOCKS: usize = 2;

/// Where the weights of the folded decoder come from.
#[derive(Debug)]
pub(super) struct Folder<'a, 'w> {
    pub(super) transformer: Scope<'w>,
    pub(super) names: &'a Names,
    pub(super) config: &'a DecoderConfig,
    pub(super) prompt: PromptEncoder<'a, 'w>,
    pub(super) head: MaskHead<'a, 'w>,
}

/// A block of the two-way transformer, as far as the cells take part in it.
#[derive(Debug)]
struct Block {
    stage: Stage,
    to_image: Weights,
    to_token: Weights,
    norm: Norm,
    epsilon: f32,
}

/// All blocks, and what is behind them.
#[derive(Debug)]
pub(super) struct Folded {
    blocks: Vec<Block>,
    last: Stage,
    final_attention: Weights,
    /// The first transposed convolution, [C, 4 E].
    upscale: Matrix,
}

impl<'w> Folder<'_, 'w> {
    fn sizes(&self) -> Sizes {
        let DecoderConfig { width, inner, heads, .. } = *self.config;
        Sizes { width, inner, heads }
    }

    fn area(&self) -> usize {
        self.config.grid * self.config.grid
    }

    /// Reads all weights that are folded.
    pub(super) fn fold(&self) -> Result<Folded> {
        let mut stage = Stage::first(&self.prompt.mask_rows()?);
        let mut blocks = Vec::new();
        for index in 0..self.config.depth {
            let block = self.transformer.push("layers").push(index);
            let weights = |name: &str| Weights::read(&block.push(name), self.names, self.sizes());
            let norm = block.push(format!("{}4", self.names.norm));
            let epsilon = pickled::epsilon(&norm, f64::from(self.config.epsilon))? as f32;
            let (to_image, to_token) = (weights("cross_attn_token_to_image")?, weights("cross_attn_image_to_token")?);
            let norm = Norm::read(&norm, self.config.width)?;
            let next = stage.after(&to_token.out, &norm);
            blocks.push(Block { stage, to_image, to_token, norm, epsilon });
            stage = next;
        }
        let final_attention = Weights::read(&self.transformer.push("final_attn_token_to_image"), self.names, self.sizes())?;
        Ok(Folded { blocks, last: stage, final_attention, upscale: self.head.first_convolution()? })
    }

    /// Ends an image encoder: from its embedding [B, T, C], to which what stands for no mask was added, to the outputs that the decoder takes.
    pub(super) fn image_side(&self, g: &mut Graph<'w>, cells: &Value) -> Result<()> {
        let folded = self.fold()?;
        let positions = self.prompt.dense_positions(g)?;
        let positioned = g.add(cells, &positions)?;
        let mut image = cells.clone();
        for (index, block) in folded.blocks.iter().enumerate() {
            let (stage, is_first) = (&block.stage, index == 0);
            let asked = if is_first { &positioned } else { &image };
            let query_bias = if is_first { block.to_token.query.bias.clone() } else { vec![0.0; self.config.inner] };
            let keys = in_stripes(g, asked, &stage.of_image(&block.to_image.key.weight), None)?;
            let queries = in_stripes(g, asked, &stage.of_image(&block.to_token.query.weight), Some(&query_bias))?;
            let values = self.values(g, &image, &stage.of_image(&block.to_image.value.weight))?;
            let out = &block.to_token.out;
            let next = if is_first {
                let added = computed(g, &[self.config.width], Matrix::row(stage.added(out)).narrow())?;
                g.add(&image, &added)?
            } else {
                let gains = computed(g, &[self.config.width], Matrix::row(folded.blocks[index - 1].norm.gains.clone()).narrow())?;
                g.mul(&image, &gains)?
            };
            let mean = g.reduce_mean(&next, &[-1], true)?;
            image = g.sub(&next, &mean)?;
            let rows = in_stripes(g, &image, &stage.with_block(out).transposed(), None)?;
            let squares = self.squares(g, &image)?;
            let names = &embedding::BLOCKS[index];
            for (name, value) in names.iter().zip([keys, values, queries, rows, squares]) {
                g.output(name, &value)?;
            }
        }
        let [keys, values] = [&folded.final_attention.key, &folded.final_attention.value].map(|layer| folded.last.of_image(&layer.weight));
        let [keys, values] = [in_stripes(g, &image, &keys, None)?, self.values(g, &image, &values)?];
        let upscaled = in_stripes(g, &image, &folded.last.of_image(&folded.upscale), None)?;
        for (name, value) in embedding::LAST.iter().zip([keys, values, upscaled]) {
            g.output(name, &value)?;
        }
        Ok(())
    }

    /// The image as values, heads padded to whole vectors: [B, T, C] → [B, h ⌈d / 16⌉, T, 16].
    fn values(&self, g: &mut Graph<'w>, image: &Value, weight: &Matrix) -> Result<Value> {
        let weight = weight.padded(self.config.inner / self.config.heads);
        let vectors = weight.columns / STRIPE;
        let constant = computed(g, &[self.config.width, weight.columns], weight.narrow())?;
        let values = g.matmul(image, &constant)?;
        let values = g.reshape(&values, vec![image.shape()[0].clone(), self.area().into(), vectors.into(), STRIPE.into()])?;
        Ok(g.transpose(&values, &[0, 2, 1, 3])?)
    }

    /// Sum of every cell's squares: [B, T, C] → [B, stripes, 16].
    fn squares(&self, g: &mut Graph<'w>, image: &Value) -> Result<Value> {
        let squares = g.mul(image, image)?;
        let squares = g.reduce_sum(&squares, &[-1], false)?;
        let stripes = self.area().div_ceil(STRIPE);
        let squares = g.pad(&squares, &[(0, 0), (0, stripes * STRIPE - self.area())], PadMode::Constant(0.0))?;
        Ok(g.reshape(&squares, vec![image.shape()[0].clone(), stripes.into(), STRIPE.into()])?)
    }
}

/// Cells [B, T, C] through a matrix [C, n], in stripes: [B, stripes, n, 16].
fn in_stripes(g: &mut Graph<'_>, cells: &Value, matrix: &Matrix, bias: Option<&[f64]>) -> Result<Value> {
    let (rows, width) = (matrix.columns, matrix.rows().len());
    let weight = computed(g, &[rows.div_ceil(STRIPE), width, STRIPE], matrix.by_vectors())?;
    let bias = computed(g, &[rows], bias.map_or(vec![0.0; rows], |bias| bias.iter().map(|number| *number as f32).collect()))?;
    Ok(g.in_stripes(cells, Some([&weight, &bias]))?)
}

/// Features of higher resolution in blocked order, so many pixels for each cell, in stripes: [B, pixels T, n] → [B, stripes, pixels n, 16].
pub(super) fn pixels_in_stripes(g: &mut Graph<'_>, map: &Value, pixels: usize) -> Result<Value> {
    let [batch, count, channels] = [0, 1, 2].map(|axis| map.shape()[axis].clone());
    let (area, channels) = (count.known().unwrap_or(0) / pixels, channels.times(pixels as i64));
    let cells = g.reshape(map, vec![batch, area.into(), channels])?;
    Ok(g.in_stripes(&cells, None)?)
}

/// The features as they were: [B, stripes, pixels n, 16] → [B, pixels T, n].
pub(super) fn pixels_out_of_stripes(g: &mut Graph<'_>, map: &Value, [area, pixels]: [usize; 2]) -> Result<Value> {
    let [batch, stripes, rows] = [0, 1, 2].map(|axis| map.shape()[axis].clone());
    let channels = rows.known().unwrap_or(0) / pixels;
    let cells = g.transpose(map, &[0, 1, 3, 2])?;
    let cells = g.reshape(&cells, vec![batch.clone(), stripes.times(STRIPE as i64), rows])?;
    let cells = g.slice(&cells, 1, 0..area as i64)?;
    Ok(g.reshape(&cells, vec![batch, (pixels * area).into(), channels.into()])?)
}

/// The features of higher resolution as inputs, of twice and of four times.
pub(super) fn pixel_inputs(g: &mut Graph<'_>, config: &DecoderConfig) -> Result<[Value; 2]> {
    let stripes = (config.grid * config.grid).div_ceil(STRIPE);
    let mut input = |name: &str, rows: usize| g.input(name, DType::F32, [1, stripes, rows, STRIPE]);
    Ok([input(embedding::MIDDLE, config.width)?, input(embedding::FINE, 2 * config.width)?])
}

/// The cells of each prompt while the decoder runs.
#[derive(Debug)]
pub(super) struct Cells<'a> {
    folded: &'a Folded,
    config: &'a DecoderConfig,
    /// Tensors of the embedding, in the order of [`embedding::NAMES`].
    image: Vec<Value>,
    /// Position encoding of the cells, [T, C].
    positions: Matrix,
    /// Rows in front of every stage's sources that these prompts have no columns for.
    passed_over: usize,
    /// [P or 1, stripes, 1 + K, 16].
    cells: Value,
    /// Values of the tokens in each block so far, each [P, 1, N, I].
    values: Vec<Value>,
}

impl<'a> Cells<'a> {
    /// The inputs of a decoder that takes the embedding of a picture.
    pub(super) fn inputs(g: &mut Graph<'_>, config: &DecoderConfig) -> Result<Vec<Value>> {
        let DecoderConfig { width, inner, heads, grid, .. } = *config;
        let (area, mask) = (grid * grid, MaskRows::count(config));
        let stripes = area.div_ceil(STRIPE);
        let vectors = heads * (inner / heads).div_ceil(STRIPE);
        let rows = |name: &str| match name {
            embedding::UPSCALED | embedding::MIDDLE => width,
            embedding::FINE => 2 * width,
            _ => embedding::BLOCKS.iter().position(|block| block[3] == name).map_or(inner, |block| mask + (block + 1) * inner + block),
        };
        let names = embedding::names(config.generation == Generation::Two);
        let shape = |name: &str| match name {
            _ if embedding::BLOCKS.iter().any(|block| block[4] == name) => vec![1, stripes, STRIPE],
            _ if name.starts_with("values") => vec![1, vectors, area, STRIPE],
            _ => vec![1, stripes, rows(name), STRIPE],
        };
        let mut inputs = Vec::new();
        for name in names {
            let shape: Vec<Dim> = shape(name).into_iter().map(Dim::fixed).collect();
            inputs.push(g.input(name, DType::F32, shape)?);
        }
        Ok(inputs)
    }

    /// Before the first block: `mask` are the channels of mask prompts, [P, channels, grid, grid].
    pub(super) fn new(g: &mut Graph<'_>, folder: &'a Folder<'_, '_>, of: Start<'a>) -> Result<Self> {
        let Start { folded, image, mask } = of;
        let (config, area) = (folder.config, folder.area());
        let stripes = area.div_ceil(STRIPE);
        let ones = computed(g, &[1, stripes, 1, STRIPE], vec![1.0; stripes * STRIPE])?;
        let cells = match &mask {
            None => ones,
            Some(mask) => {
                let (prompts, channels) = (mask.shape()[0].clone(), mask.shape()[1].clone());
                let flat = g.reshape(mask, vec![prompts.clone(), channels.clone(), area.into()])?;
                let flat = g.pad(&flat, &[(0, 0), (0, 0), (0, stripes * STRIPE - area)], PadMode::Constant(0.0))?;
                let split = g.reshape(&flat, vec![prompts, channels, stripes.into(), STRIPE.into()])?;
                let columns = g.transpose(&split, &[0, 2, 1, 3])?;
                let ones = g.repeat_leading(&ones, mask)?;
                g.concat(&[&ones, &columns, &ones], 2)?
            }
        };
        let positions = Matrix::of(config.width, &folder.prompt.position_rows()?);
        let passed_over = if mask.is_some() { 0 } else { MaskRows::count(config) };
        Ok(Self { folded, config, image, positions, passed_over, cells, values: vec![] })
    }

    fn image(&self, name: &str) -> &Value {
        let names = embedding::names(self.config.generation == Generation::Two);
        let index = names.iter().position(|other| *other == name);
        &self.image[index.unwrap_or_default()]
    }

    /// A matrix through which the rows of the columns go: [sources, n] → [n / 16, sources, 16].
    fn matrix(&self, g: &mut Graph<'_>, matrix: &Matrix) -> Result<Value> {
        let matrix = matrix.without_rows(self.passed_over);
        let shape = [matrix.columns.div_ceil(STRIPE), matrix.rows().len(), STRIPE];
        computed(g, &shape, matrix.by_vectors())
    }

    /// What the positions of the cells are, through a layer, in stripes: [stripes, I, 16].
    fn positions(&self, g: &mut Graph<'_>, rows: &Matrix) -> Result<Value> {
        let (stripes, inner) = (rows.rows().len().div_ceil(STRIPE), rows.columns);
        let mut numbers = vec![0.0; stripes * inner * STRIPE];
        for (cell, row) in rows.rows().enumerate() {
            for (channel, number) in row.iter().enumerate() {
                numbers[(cell / STRIPE * inner + channel) * STRIPE + cell % STRIPE] = *number as f32;
            }
        }
        computed(g, &[stripes, inner, STRIPE], numbers)
    }

    /// Values of all blocks so far: [P or 1, blocks, N, I].
    fn all_values(&self, g: &mut Graph<'_>) -> Result<Value> {
        if self.values.is_empty() {
            return computed(g, &[1, 0, 1, self.config.inner], vec![]);
        }
        let values: Vec<&Value> = self.values.iter().collect();
        Ok(g.concat(&values, 1)?)
    }

    fn scale(&self) -> f32 {
        1.0 / ((self.config.inner / self.config.heads) as f32).sqrt()
    }

    /// Tokens [P, n, C] look at the cells: → [P, n, C].
    pub(super) fn seen(&self, g: &mut Graph<'_>, layer: &Attention, tokens: &Value) -> Result<Value> {
        let block = self.values.len();
        let (stage, weights, names) = match self.folded.blocks.get(block) {
            Some(of_block) => (&of_block.stage, &of_block.to_image, [embedding::BLOCKS[block][0], embedding::BLOCKS[block][1]]),
            None => (&self.folded.last, &self.folded.final_attention, [embedding::LAST[0], embedding::LAST[1]]),
        };
        let queries = layer.query.apply(g, tokens)?;
        let scale = g.scalar(self.scale());
        let queries = g.mul(&queries, &scale)?;
        let to_keys = self.matrix(g, &stage.sources.times(&weights.key.weight))?;
        let head_width = self.config.inner / self.config.heads;
        let to_values = self.matrix(g, &stage.sources.times(&weights.value.weight).padded(head_width))?;
        let positions = match block {
            0 => None,
            _ => Some(self.positions(g, &self.positions.times(&weights.key.weight))?),
        };
        let values = self.all_values(g)?;
        let seen = g.token_to_image(TokenToImage {
            queries: &queries,
            cells: FoldedCells { cells: &self.cells, values: &values },
            keys: self.image(names[0]),
            positions: positions.as_ref(),
            values: self.image(names[1]),
            to_keys_and_values: [&to_keys, &to_values],
            heads: self.config.heads,
        })?;
        // The weights of a head add up to 1, so what all cells have in common is seen as it is.
        let common = Matrix::row(stage.of_constant(&weights.value.weight)).plus(&weights.value.bias);
        let bias = computed(g, &[self.config.width], Matrix::row(weights.out.of(&common.numbers)).narrow())?;
        Ok(g.linear(&seen, &layer.out.weight, Some(&bias))?)
    }

    /// The cells look at tokens: `asked` [P, N, C] with what they were at first, and `tokens` as they are.
    pub(super) fn update(&mut self, g: &mut Graph<'_>, layer: &Attention, [asked, tokens]: [&Value; 2]) -> Result<()> {
        let index = self.values.len();
        let Block { stage, to_token, epsilon, .. } = &self.folded.blocks[index];
        let [_, _, queries, rows, squares] = embedding::BLOCKS[index];
        let keys = layer.key.apply(g, asked)?;
        let scale = g.scalar(self.scale());
        let keys = g.mul(&keys, &scale)?;
        let values = layer.value.apply(g, tokens)?;
        self.values.push(g.unsqueeze(&values, 1)?);
        let values = self.all_values(g)?;
        let to_queries = self.matrix(g, &stage.sources.times(&to_token.query.weight))?;
        let all = stage.with_block(&to_token.out).without_rows(self.passed_over);
        let products = all.times(&all.transposed());
        let products = computed(g, &[products.columns.div_ceil(STRIPE), products.columns, STRIPE], products.by_vectors())?;
        let positions = match index {
            0 => None,
            _ => {
                let positions = self.positions.clone().plus(&stage.constant);
                Some(self.positions(g, &positions.times(&to_token.query.weight).plus(&to_token.query.bias))?)
            }
        };
        self.cells = g.image_to_token(ImageToToken {
            keys: &keys,
            cells: FoldedCells { cells: &self.cells, values: &values },
            queries: self.image(queries),
            positions: positions.as_ref(),
            to_queries: &to_queries,
            image: self.image(rows),
            squares: self.image(squares),
            products: &products,
            heads: self.config.heads,
            area: self.config.grid * self.config.grid,
            width: self.config.width,
            epsilon: *epsilon,
            rows: ["rows_of_cells_1", "rows_of_cells_2"][index],
        })?;
        Ok(())
    }

    /// The masks, [P, M, 16 T], of the weights that the tokens give the last channels, [P, M, C / 8].
    pub(super) fn masks(&self, g: &mut Graph<'_>, head: &MaskHead<'_, '_>, weights: &Value) -> Result<Value> {
        let DecoderConfig { width, heads, grid, generation, .. } = *self.config;
        let Folded { last, upscale, .. } = self.folded;
        let (middle, fine) = (width / 4, width / 8);
        let to_middle = self.matrix(g, &last.sources.times(upscale))?;
        let [first_bias, second_bias] = head.convolution_biases()?;
        let added = match generation {
            // The features of higher resolution have the biases in them.
            Generation::Two => vec![0.0; 4 * middle],
            Generation::One => wide(&first_bias.repeat(4)),
        };
        let bias = Matrix::row(last.of_constant(upscale)).plus(&added);
        let bias = computed(g, &[4 * middle], bias.narrow())?;
        let (norm, epsilon) = head.norm()?;
        let norm = computed(g, &[2, middle], norm)?;
        let convolution = head.second_convolution()?;
        let convolution = computed(g, &[(4 * fine).div_ceil(STRIPE), middle, STRIPE], convolution.by_vectors())?;
        let fine = match generation {
            Generation::Two => self.image(embedding::FINE).clone(),
            Generation::One => computed(g, &[fine], second_bias)?,
        };
        let values = self.all_values(g)?;
        Ok(g.upscale_masks(Upscale {
            weights,
            cells: FoldedCells { cells: &self.cells, values: &values },
            image: self.image(embedding::UPSCALED),
            bias: &bias,
            middle: (generation == Generation::Two).then(|| self.image(embedding::MIDDLE)),
            to_middle: &to_middle,
            norm: &norm,
            convolution: &convolution,
            fine: &fine,
            heads,
            area: grid * grid,
            epsilon,
        })?)
    }
}

/// What a prompt's cells begin with.
#[derive(Debug)]
pub(super) struct Start<'a> {
    pub(super) folded: &'a Folded,
    /// See [`Cells::inputs`].
    pub(super) image: Vec<Value>,
    /// Channels of mask prompts, [P, channels, grid, grid].
    pub(super) mask: Option<Value>,
}
