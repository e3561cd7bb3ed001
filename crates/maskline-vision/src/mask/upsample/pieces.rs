//! The blocks of pixels that the outline crosses, computed as the full upsampling computes them.

use std::ops::Range;

use super::cells::Stretch;
use super::{Band, Logits, Upsampler};

/// The mixed stretches of one band of columns.
///
/// What the outer step reads (the logits themselves, or the square) is held by columns, since neighbouring columns of the
/// picture read the same ones.
pub(super) struct Pieces<'a> {
    way: &'a Upsampler,
    logits: &'a Logits,
    /// First column that the outer step reads.
    first_column: usize,
    pieces: Vec<Piece>,
    /// The columns of one piece after the other.
    columns: Vec<f32>,
    /// Buffers: a column of the logits enlarged along the rows, and a column of the picture before the last step.
    low: Vec<f32>,
    middle: Vec<f32>,
}

/// One mixed stretch.
struct Piece {
    /// Rows of the picture.
    outputs: Range<usize>,
    /// Rows that the outer step reads for them.
    middle: Range<usize>,
    /// Where its first column begins.
    start: usize,
}

impl<'a> Pieces<'a> {
    pub(super) fn new(way: &'a Upsampler, logits: &'a Logits) -> Self {
        let [columns, low, middle] = [const { Vec::new() }; 3];
        Self { way, logits, first_column: 0, pieces: Vec::new(), columns, low, middle }
    }

    /// Turns to another band of columns; each stretch comes with the row that it ends before.
    pub(super) fn prepare<'s>(&mut self, band: &Band, stretches: impl Iterator<Item = (&'s Stretch, usize)>) {
        let span = self.way.columns.middle_span(band.outputs.clone());
        self.first_column = span.start;
        self.pieces.clear();
        self.columns.clear();
        for (stretch, end) in stretches {
            let outputs = stretch.row..end;
            let middle = self.way.rows.middle_span(outputs.clone());
            self.pieces.push(Piece { outputs, middle: middle.clone(), start: self.columns.len() });
            span.clone().for_each(|column| self.push_column(column, middle.clone()));
        }
    }

    /// Appends what the outer step reads of a column.
    fn push_column(&mut self, column: usize, rows: Range<usize>) {
        let Upsampler { rows: vertical, columns: horizontal, .. } = self.way;
        let low = vertical.low_span(rows.clone());
        let width = horizontal.low;
        let lines = self.logits.data()[low.start * width..low.end * width].chunks_exact(width);
        if horizontal.inner.is_empty() {
            self.columns.extend(lines.map(|line| line[column]));
            return;
        }
        let step = &horizontal.inner[column];
        self.low.clear();
        self.low.extend(lines.map(|line| step.blend(line[step.positions[0]], line[step.positions[1]])));
        let value = |position: usize| self.low[position - low.start];
        self.columns.extend(vertical.inner[rows].iter().map(|step| step.blend(value(step.positions[0]), value(step.positions[1]))));
    }

    /// Calls `push` with the runs of the given mixed stretch in column `x` of the picture.
    pub(super) fn for_each_run(&mut self, x: usize, piece: usize, threshold: f32, push: &mut impl FnMut(u32, bool)) {
        let Piece { outputs, middle, start } = &self.pieces[piece];
        let step = &self.way.columns.outer[x];
        let [left, right] =
            step.positions.map(|column| &self.columns[start + (column - self.first_column) * middle.len()..][..middle.len()]);
        self.middle.clear();
        self.middle.extend(left.iter().zip(right).map(|(left, right)| step.blend(*left, *right)));
        let value = |position: usize| self.middle[position - middle.start];
        let (mut count, mut is_above) = (0, false);
        for step in &self.way.rows.outer[outputs.clone()] {
            let next = step.blend(value(step.positions[0]), value(step.positions[1])) > threshold;
            if next != is_above {
                push(count, is_above);
                (count, is_above) = (0, next);
            }
            count += 1;
        }
        push(count, is_above);
    }
}
