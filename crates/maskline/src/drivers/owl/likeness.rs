//! How much patches are like queries: the small product of what both encoders give.
//!
//! It is computed here, not in a graph: a matrix product of any number of queries needs nothing compiled or warmed, takes less than one
//! hundredth of the image encoder's time for hundreds of queries, and most of what it gives is looked at once and dropped.

use ndarray::{ArrayView2, ArrayViewMut2, linalg::general_mat_mul};

use super::sight::Sight;
use crate::host::in_parallel;
use crate::{Error, ErrorKind, Result};

/// So many queries are compared at once; more are taken in pieces, so that memory is bounded.
const QUERIES: usize = 256;
/// Patches whose logits fit into a core's cache.
const PATCHES: usize = 256;

/// The logits of some queries for one patch after the other, f32 [patches, queries].
///
/// # Errors
/// `InvalidOption` for queries of another width: they are another model's.
pub(super) fn logits(sight: &Sight, queries: &[&[f32]]) -> Result<Vec<f32>> {
    let width = sight.width();
    if let Some(other) = queries.iter().find(|query| query.len() != width) {
        let error = Error::new(ErrorKind::InvalidOption, "embedding of words").expecting(format!("one of this model, {width} wide"));
        return Err(error.but_found(format!("{} wide", other.len())));
    }
    let columns: Vec<f32> = queries.concat();
    let misfit = |error: ndarray::ShapeError| Error::new(ErrorKind::Failed, format!("logits: {error}"));
    let queries = ArrayView2::from_shape([queries.len(), width], &columns).map_err(misfit)?;
    let classes = sight.classes()?;
    let pieces: Vec<usize> = (0..sight.lines().len()).step_by(PATCHES).collect();
    let product = |first: &usize| {
        let lines = &sight.lines()[*first..(*first + PATCHES).min(sight.lines().len())];
        let rows = ArrayView2::from_shape([lines.len(), width], &classes[first * width..][..lines.len() * width]).map_err(misfit)?;
        let mut logits = vec![0.0; lines.len() * queries.nrows()];
        let out = ArrayViewMut2::from_shape([lines.len(), queries.nrows()], &mut logits).map_err(misfit)?;
        let mut out = out;
        general_mat_mul(1.0, &rows, &queries.t(), 0.0, &mut out);
        for (row, line) in logits.chunks_exact_mut(queries.nrows().max(1)).zip(lines) {
            row.iter_mut().for_each(|logit| *logit = line.slope * *logit + line.offset);
        }
        Ok(logits)
    };
    Ok(in_parallel(&pieces, product)?.concat())
}

/// The best of many queries for a patch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Best {
    /// Index of the query; of equal ones, the first.
    pub(super) query: usize,
    pub(super) logit: f32,
}

/// The best query of each patch; nothing without queries.
pub(super) fn best(sight: &Sight, queries: &[&[f32]]) -> Result<Vec<Best>> {
    let mut best: Vec<Best> = Vec::new();
    for (piece, queries) in queries.chunks(QUERIES).enumerate() {
        let logits = logits(sight, queries)?;
        let best_of = |row: &[f32]| {
            let of_piece = row.iter().enumerate().map(|(query, logit)| Best { query: piece * QUERIES + query, logit: *logit });
            of_piece.reduce(|best, other| if other.logit > best.logit { other } else { best })
        };
        let of_piece = logits.chunks_exact(queries.len()).filter_map(best_of);
        if best.is_empty() {
            best = of_piece.collect();
        } else {
            best.iter_mut().zip(of_piece).filter(|(best, other)| other.logit > best.logit).for_each(|(best, other)| *best = other);
        }
    }
    Ok(best)
}

/// The logistic function.
pub(super) fn sigmoid(logit: f32) -> f32 {
    1.0 / (1.0 + (-logit).exp())
}
