//! Low-resolution masks brought to the picture as the first generation does: a plain reference, in f64.

use crate::verify::Computed;
use crate::{Error, ErrorKind, Result};

/// How masks are brought to the picture.
pub(super) struct Frame {
    /// Side of the square in which prompts are given.
    pub(super) space: usize,
    /// Rows and columns of it that the picture covers.
    pub(super) covered: [usize; 2],
    /// Rows and columns of the picture.
    pub(super) picture: [usize; 2],
}

impl Frame {
    /// Of a case's `postprocess`.
    pub(super) fn of(space: usize, json: &serde_json::Value) -> Result<Self> {
        let pair = |key: &str| match (json[key][0].as_u64(), json[key][1].as_u64()) {
            (Some(rows), Some(columns)) => Ok([rows as usize, columns as usize]),
            _ => Err(bad(format!("postprocess.{key}")).expecting("[rows, columns]").but_found(&json[key])),
        };
        let frame = Self { space, covered: pair("input_size")?, picture: pair("original_size")? };
        if frame.covered.iter().any(|n| *n == 0 || *n > space) {
            let found = format!("{:?}", frame.covered);
            return Err(bad("postprocess.input_size").expecting(format!("1 to {space}")).but_found(found));
        }
        Ok(frame)
    }

    /// Logits [P, n, side, side] → [P, n, rows, columns]: enlarged to the square, cut to what the picture covers, resized to it.
    pub(super) fn apply(&self, masks: &Computed) -> Result<Computed> {
        let &[prompts, count, rows, columns] = masks.shape.as_slice() else {
            return Err(bad("").expecting("masks [P, n, side, side]").but_found(format!("{:?}", masks.shape)));
        };
        let mut data = Vec::new();
        for mask in masks.data.chunks_exact((rows * columns).max(1)) {
            let square = bilinear(mask, [rows, columns], [self.space; 2]);
            let covered: Vec<f32> =
                square.chunks_exact(self.space).take(self.covered[0]).flat_map(|row| &row[..self.covered[1]]).copied().collect();
            data.extend(bilinear(&covered, self.covered, self.picture));
        }
        Ok(Computed { shape: vec![prompts, count, self.picture[0], self.picture[1]], data })
    }
}

fn bad(what: impl Into<String>) -> Error {
    Error::new(ErrorKind::BadInput, what)
}

/// Linear interpolation between cell centres, the border repeated.
fn bilinear(from: &[f32], [rows, columns]: [usize; 2], [height, width]: [usize; 2]) -> Vec<f32> {
    let neighbours = |at: usize, from: usize, to: usize| {
        let place = ((at as f64 + 0.5) * from as f64 / to as f64 - 0.5).max(0.0);
        let before = (place as usize).min(from - 1);
        (before, (before + 1).min(from - 1), place - before as f64)
    };
    let across: Vec<_> = (0..width).map(|x| neighbours(x, columns, width)).collect();
    let mut to = Vec::with_capacity(height * width);
    for y in 0..height {
        let (above, below, down) = neighbours(y, rows, height);
        let value = |row: usize, column: usize| f64::from(from[row * columns + column]);
        to.extend(across.iter().map(|&(left, right, part)| {
            let row = |row: usize| value(row, left) * (1.0 - part) + value(row, right) * part;
            (row(above) * (1.0 - down) + row(below) * down) as f32
        }));
    }
    to
}
