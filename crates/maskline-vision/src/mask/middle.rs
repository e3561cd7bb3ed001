//! The middle of a mask: where a person would click.

use std::ops::Range;

use super::Mask;

impl Mask {
    /// The set pixel that lies deepest inside, as `[x, y]`; `None` for an empty mask.
    ///
    /// Depth is the exact Euclidean distance to the nearest pixel that is not set, from centre to centre; all pixels outside of
    /// the picture are not set. Of several deepest pixels, the first by rows. (Distance transform by lower envelopes: Meijster,
    /// Roerdink and Hesselink 2000.)
    pub fn middle(&self) -> Option<[usize; 2]> {
        let bounds @ [x1, y1, x2, _] = self.bounds()?;
        let depths = vertical_depths(self, bounds);
        let mut envelope = Envelope::default();
        // Squared depth and place of the best pixel so far.
        let mut best = (0, [x1, y1]);
        for (y, row) in depths.chunks_exact(x2 - x1).enumerate() {
            for run in runs(row) {
                let row = &row[run.clone()];
                // No pixel is deeper than its column says, nor than half of its row's run.
                let most = row.iter().copied().max().unwrap_or(0).min(run.len().div_ceil(2) as u32);
                if i64::from(most).pow(2) <= best.0 {
                    continue;
                }
                let (squared, x) = envelope.deepest(row);
                if squared > best.0 {
                    best = (squared, [x1 + run.start + x, y1 + y]);
                }
            }
        }
        Some(best.1)
    }
}

/// For each pixel within the bounds, by rows: how far the nearest pixel of its column is that is not set.
fn vertical_depths(mask: &Mask, bounds: [usize; 4]) -> Vec<u32> {
    let width = bounds[2] - bounds[0];
    let mut depths: Vec<u32> = mask.rows_within(bounds, 1).into_iter().map(u32::from).collect();
    let last = depths.len() - width;
    for start in (width..depths.len()).step_by(width) {
        let (above, below) = depths.split_at_mut(start);
        for (depth, above) in below.iter_mut().zip(&above[start - width..]) {
            *depth += *depth * above;
        }
    }
    // Below the last row nothing is set.
    depths[last..].iter_mut().for_each(|depth| *depth = (*depth).min(1));
    for start in (width..depths.len()).step_by(width).rev() {
        let (above, below) = depths.split_at_mut(start);
        for (depth, below) in above[start - width..].iter_mut().zip(&*below) {
            *depth = (*depth).min(below + 1);
        }
    }
    depths
}

/// Stretches of pixels with a depth.
fn runs(row: &[u32]) -> impl Iterator<Item = Range<usize>> {
    let mut from = 0;
    std::iter::from_fn(move || {
        let start = from + row[from..].iter().position(|depth| *depth > 0)?;
        let end = row[start..].iter().position(|depth| *depth == 0).map_or(row.len(), |length| start + length);
        from = end;
        Some(start..end)
    })
}

/// Which columns are the nearest ones along a row.
#[derive(Default)]
struct Envelope {
    /// Vertical depths of a run of set pixels, with the unset pixels before and after it.
    depths: Vec<i64>,
    /// Columns that are the nearest ones for a part of the row, each with the start of its part.
    parts: Vec<(i64, i64)>,
}

impl Envelope {
    /// Squared depth and index of the first deepest pixel of a run of set pixels.
    fn deepest(&mut self, run: &[u32]) -> (i64, usize) {
        self.depths.clear();
        self.depths.extend([0].into_iter().chain(run.iter().map(|depth| i64::from(*depth))).chain([0]));
        self.find_parts();
        let mut best = (0, 0);
        let mut parts = self.parts.iter().rev();
        let mut part = parts.next();
        for x in (1..=run.len() as i64).rev() {
            while let Some((_, start)) = part
                && *start > x
            {
                part = parts.next();
            }
            let squared = part.map_or(0, |(column, _)| self.squared(x, *column));
            // Backwards, the last of equal ones is the first.
            if squared >= best.0 {
                best = (squared, x as usize - 1);
            }
        }
        best
    }

    fn find_parts(&mut self) {
        self.parts.clear();
        let count = self.depths.len() as i64;
        for column in 0..count {
            while let Some((before, start)) = self.parts.last().copied()
                && self.squared(start, before) > self.squared(start, column)
            {
                self.parts.pop();
            }
            let start = self.parts.last().map_or(0, |(before, _)| 1 + self.last_nearer(*before, column));
            if start < count {
                self.parts.push((column, start));
            }
        }
    }

    /// Squared distance from a pixel of the row to the nearest unset pixel of a column.
    fn squared(&self, x: i64, column: i64) -> i64 {
        (x - column).pow(2) + self.depths[column as usize].pow(2)
    }

    /// The last pixel of the row that is no farther from the unset pixels of the left column than from those of the right one.
    fn last_nearer(&self, left: i64, right: i64) -> i64 {
        (self.squared(0, right) - self.squared(0, left)).div_euclid(2 * (right - left))
    }
}
