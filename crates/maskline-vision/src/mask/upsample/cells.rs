//! Which blocks of pixels lie wholly on one side of a threshold.

use super::{Axis, Logits};

/// Where a block of pixels lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// All are greater than the threshold.
    Above,
    /// None is.
    Below,
    /// To be computed.
    Mixed,
}

/// Rows of a column band that lie on the same side: from `row` to the next stretch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Stretch {
    /// First row of the picture.
    pub(super) row: usize,
    pub(super) side: Side,
}

/// The stretches of each column of logits, from the top: what output columns that begin with it consist of.
pub(super) struct Cells {
    stretches: Vec<Stretch>,
    /// Where each column's stretches begin, and the end of the last (and one number more, of no use once sorted).
    starts: Vec<usize>,
}

/// A byte says of one logit, and of the logits of a block together, on which side of the threshold they are.
const ABOVE: u8 = 1;
const BELOW: u8 = 2;

/// Bytes compared at a time.
const LANES: usize = 16;

impl Cells {
    pub(super) fn new(logits: &Logits, threshold: f32, [rows, columns]: [&Axis; 2]) -> Self {
        let width = logits.size()[1];
        let sides = sides_of_rows(logits, threshold, columns.reach);
        let mut changes = Vec::<(usize, Stretch)>::new();
        // No side: every column begins with a stretch.
        let mut previous = vec![u8::MAX; width];
        let mut current = vec![0; width];
        for band in &rows.bands {
            let mut reached = sides[band.start * width..].chunks_exact(width).take(rows.reach + 1);
            if let Some(first) = reached.next() {
                current.copy_from_slice(first);
            }
            reached.for_each(|row| and(&mut current, row));
            for_each_difference(&previous, &current, |x, side| {
                changes.push((x, Stretch { row: band.outputs.start, side: Side::of(side) }));
            });
            std::mem::swap(&mut previous, &mut current);
        }
        Self::by_column(&changes, width)
    }

    /// Sorts by column, keeping the order of the rows.
    fn by_column(changes: &[(usize, Stretch)], width: usize) -> Self {
        let mut starts = vec![0; width + 2];
        changes.iter().for_each(|(x, _)| starts[x + 2] += 1);
        (2..width + 2).for_each(|x| starts[x] += starts[x - 1]);
        let mut stretches = vec![Stretch { row: 0, side: Side::Mixed }; changes.len()];
        // Filling a column moves its start to its end, which is the start of the next: hence the shift by one.
        for (x, stretch) in changes {
            stretches[starts[x + 1]] = *stretch;
            starts[x + 1] += 1;
        }
        Self { stretches, starts }
    }

    /// The stretches of the output columns whose first logit is in column `start`.
    pub(super) fn column(&self, start: usize) -> &[Stretch] {
        &self.stretches[self.starts[start]..self.starts[start + 1]]
    }
}

impl Side {
    fn of(byte: u8) -> Self {
        match byte {
            ABOVE => Self::Above,
            BELOW => Self::Below,
            _ => Self::Mixed,
        }
    }
}

/// For each logit, on which side it and the next `reach` of its row are.
fn sides_of_rows(logits: &Logits, threshold: f32, reach: usize) -> Vec<u8> {
    let [height, width] = logits.size();
    let cuts = Cuts::new(threshold);
    let mut sides = Vec::with_capacity(height * width);
    // As wide as the logits at first: so the comparisons become vector code, and bytes are packed once.
    let (mut wide, mut row) = (vec![0_u32; width], vec![0_u8; width]);
    for y in 0..height {
        wide.iter_mut().zip(logits.row(y)).for_each(|(side, value)| *side = cuts.side(*value));
        row.iter_mut().zip(&wide).for_each(|(byte, side)| *byte = *side as u8);
        let start = sides.len();
        sides.extend_from_slice(&row);
        let own = &mut sides[start..];
        for step in 1..=reach.min(width - 1) {
            and(&mut own[..width - step], &row[step..]);
        }
    }
    sides
}

fn and(sides: &mut [u8], others: &[u8]) {
    sides.iter_mut().zip(others).for_each(|(side, other)| *side &= other);
}

/// Calls `found` with the positions that differ and their new values.
fn for_each_difference(previous: &[u8], current: &[u8], mut found: impl FnMut(usize, u8)) {
    for (i, (old, new)) in previous.chunks(LANES).zip(current.chunks(LANES)).enumerate() {
        // Whole chunks compare in one instruction, and most are equal.
        if let (Some(old), Some(new)) = (old.first_chunk::<LANES>(), new.first_chunk::<LANES>())
            && old == new
        {
            continue;
        }
        old.iter().zip(new).enumerate().filter(|(_, (old, new))| old != new).for_each(|(k, (_, new))| found(i * LANES + k, *new));
    }
}

/// Bounds beyond which no rounding carries a blend of logits across the threshold.
///
/// A pixel is four nested blends at most: a sum of logits `v` whose weights are not negative. Each blend adds three roundings
/// (the weights' own sum, a product, the addition), so a pixel is within a factor of `1 ± 13 u` (`u = 2⁻²⁴`) of a true mean,
/// and within the smallest normal number where products vanish. With `K = 2⁻¹⁸ = 64 u`, logits with
/// `|v - t| > K (|v| + |t|) + tiny` on one side of `t` therefore have their mean there, and `|v - t| > 3 K |t| + 2 tiny`
/// implies that. Infinite and huge logits, whose blends may be NaN or overflow, have no side.
struct Cuts {
    above: f32,
    below: f32,
}

impl Cuts {
    const K: f32 = 1.0 / 262_144.0;
    const HUGE: f32 = f32::MAX / 16.0;

    fn new(threshold: f32) -> Self {
        // Twice what is needed: the bounds themselves are rounded.
        let margin = 6.0 * Self::K * threshold.abs() + 4.0 * f32::MIN_POSITIVE;
        Self { above: threshold + margin, below: threshold - margin }
    }

    fn side(&self, value: f32) -> u32 {
        let above = (value > self.above) & (value < Self::HUGE);
        let below = (value < self.below) & (value > -Self::HUGE);
        (u32::from(above) * u32::from(ABOVE)) | (u32::from(below) * u32::from(BELOW))
    }
}
