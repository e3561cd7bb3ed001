//! The cells of the two-way transformer, folded: what every block does to them as a scale and a few columns for each prompt, and
//! everything else as products of weights, made once in f64. `docs/decoder.md` has the derivation.
//!
//! At stage b, before block b and at last behind all of them, the cells of a prompt are
//!
//! `X = s · x + Σ_r a_r · m_r + β`
//!
//! x is the image's: the embedding at first, later that of the stage before, less its mean, times the gains of the norm. The rows `m`
//! are those of a mask prompt, then `v W` for the value `v` of each token of each block, W being what lies between that block's values and this
//! stage, and for all blocks but the first one row of what the block adds to all cells (what the first one adds is put into x). A [`Stage`] has
//! the *sources* of these rows: those of W and those that are there for all prompts.

mod matrix;

use maskline_weights::Scope;

pub(super) use self::matrix::Matrix;
use super::attention::Sizes;
use super::config::DecoderConfig;
use super::names::Names;
use crate::Result;

/// A fully connected layer `x Wᵀ + b`.
#[derive(Debug)]
pub(super) struct Linear {
    /// Wᵀ: [input, output].
    pub(super) weight: Matrix,
    pub(super) bias: Vec<f64>,
}

impl Linear {
    fn read(scope: &Scope<'_>, [input, output]: [usize; 2]) -> Result<Self> {
        let weight = Matrix::of(input, &scope.f32("weight", &[output, input])?.data).transposed();
        Ok(Self { weight, bias: wide(&scope.f32("bias", &[output])?.data) })
    }

    /// Of one row.
    pub(super) fn of(&self, row: &[f64]) -> Vec<f64> {
        Matrix::row(row.to_vec()).times(&self.weight).plus(&self.bias).numbers
    }
}

/// The weights of an attention layer.
#[derive(Debug)]
pub(super) struct Weights {
    pub(super) query: Linear,
    pub(super) key: Linear,
    pub(super) value: Linear,
    pub(super) out: Linear,
}

impl Weights {
    pub(super) fn read(scope: &Scope<'_>, names: &Names, sizes: Sizes) -> Result<Self> {
        let Sizes { width, inner, .. } = sizes;
        let read = |name: &str, sizes: [usize; 2]| Linear::read(&scope.push(name), sizes);
        Ok(Self {
            query: read("q_proj", [width, inner])?,
            key: read("k_proj", [width, inner])?,
            value: read("v_proj", [width, inner])?,
            out: read(names.out, [inner, width])?,
        })
    }
}

/// The cells at a stage.
#[derive(Debug)]
pub(super) struct Stage {
    /// Sources of the rows `m`, [sources, C].
    pub(super) sources: Matrix,
    /// By what the image of the stage before, less its mean, becomes that of this one; `None` where x is the embedding.
    gains: Option<Vec<f64>>,
    /// What all cells have, β.
    pub(super) constant: Vec<f64>,
}

impl Stage {
    /// Before the first block. A mask prompt of so many channels `z` adds `Σ z W + b` instead of what stands for no mask.
    pub(super) fn first(mask: &MaskRows) -> Self {
        let constant = vec![0.0; mask.weight.columns];
        Self { sources: mask.weight.clone().over(&Matrix::row(mask.added.clone())), gains: None, constant }
    }

    /// A matrix that the cells go through, for the image of the stage before, less its mean.
    pub(super) fn of_image(&self, matrix: &Matrix) -> Matrix {
        match &self.gains {
            Some(gains) => matrix.transposed().scaled(gains).transposed(),
            None => matrix.clone(),
        }
    }

    /// What a matrix makes of the stage's constant.
    pub(super) fn of_constant(&self, matrix: &Matrix) -> Vec<f64> {
        Matrix::row(self.constant.clone()).times(matrix).numbers
    }

    /// Sources of all that a block adds the cells up of, less their means: those of this stage, the block's own tokens, and behind the first
    /// block what is added to all cells.
    pub(super) fn with_block(&self, out: &Linear) -> Matrix {
        let all = self.sources.clone().over(&out.weight);
        let all = if self.gains.is_some() { all.over(&Matrix::row(self.added(out))) } else { all };
        all.centred()
    }

    /// What a block adds to all cells: what they have already, and the bias of its last layer.
    pub(super) fn added(&self, out: &Linear) -> Vec<f64> {
        self.constant.iter().zip(&out.bias).map(|(constant, bias)| constant + bias).collect()
    }

    /// The stage behind a block that ends in this norm.
    pub(super) fn after(&self, out: &Linear, norm: &Norm) -> Self {
        Self { sources: self.with_block(out).scaled(&norm.gains), gains: Some(norm.gains.clone()), constant: norm.biases.clone() }
    }
}

/// How the channels of a mask prompt become what is added to the cells.
#[derive(Debug)]
pub(super) struct MaskRows {
    /// [channels, C].
    pub(super) weight: Matrix,
    /// [C]: its bias, less what is added to the embedding for no mask.
    pub(super) added: Vec<f64>,
}

impl MaskRows {
    /// Rows that every stage has in front.
    pub(super) fn count(config: &DecoderConfig) -> usize {
        config.mask_channels + 1
    }
}

/// A layer norm's parameters.
#[derive(Debug)]
pub(super) struct Norm {
    pub(super) gains: Vec<f64>,
    pub(super) biases: Vec<f64>,
}

impl Norm {
    pub(super) fn read(scope: &Scope<'_>, width: usize) -> Result<Self> {
        Ok(Self { gains: wide(&scope.f32("weight", &[width])?.data), biases: wide(&scope.f32("bias", &[width])?.data) })
    }
}

pub(super) fn wide(numbers: &[f32]) -> Vec<f64> {
    numbers.iter().map(|number| f64::from(*number)).collect()
}
