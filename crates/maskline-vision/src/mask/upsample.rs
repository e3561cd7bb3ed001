//! Low-resolution logits to masks of the picture's size, computed only where the outline is.
//!
//! Bilinear enlarging blends neighbours: where all logits that a block of pixels is made of lie on one side of the threshold,
//! so do the pixels. Such blocks become runs; the others are computed with the very operations of the full upsampling, so that
//! no bit differs from it.

mod cells;
mod pieces;

use std::ops::Range;

use super::bilinear::Bilinear;
use super::{Logits, Mask, RunBuilder, StabilityCut, pixel_count};
use crate::{Error, Result};
use cells::{Cells, Side};
use pieces::Pieces;

/// Which part of the logits the picture fills.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Frame {
    /// All of them (SAM 2, SAM 3): the logits are enlarged to the picture in one step.
    Whole,
    /// The top left corner (SAM 1, MobileSAM, EfficientViT-SAM): the logits are enlarged to a square, what the picture fills is
    /// cut out of it and resized to the picture.
    Padded {
        /// Side of the square (1024).
        side: usize,
        /// `[height, width]` of the scaled picture in the square.
        kept: [usize; 2],
    },
    /// A rectangle of the picture, beyond whose borders it may reach (nano): pixels outside of it belong to no mask.
    Window {
        /// `[y, x]` of its top left corner, in pixels.
        low: [f64; 2],
        /// `[height, width]` in pixels.
        length: [f64; 2],
    },
}

/// [`Upsampler::upsample`] for logits that come alone; `size` is `[height, width]` of the picture.
///
/// # Errors
/// As [`Upsampler::new`].
pub fn upsample(logits: &Logits, frame: &Frame, size: [usize; 2]) -> Result<Vec<f32>> {
    Upsampler::new(logits.size(), frame, size)?.upsample(logits)
}

/// [`Upsampler::threshold`] for logits that come alone; `size` is `[height, width]` of the picture.
///
/// # Errors
/// As [`Upsampler::new`].
pub fn threshold(logits: &Logits, frame: &Frame, size: [usize; 2], threshold: f32) -> Result<Mask> {
    Upsampler::new(logits.size(), frame, size)?.threshold(logits, threshold)
}

/// [`Upsampler::above`] for logits that come alone; `size` is `[height, width]` of the picture.
///
/// # Errors
/// As [`Upsampler::new`].
pub fn above(logits: &Logits, frame: &Frame, size: [usize; 2], threshold: f32) -> Result<u64> {
    Upsampler::new(logits.size(), frame, size)?.above(logits, threshold)
}

/// [`Upsampler::stability`] for logits that come alone; `size` is `[height, width]` of the picture.
///
/// # Errors
/// As [`Upsampler::new`].
pub fn stability(logits: &Logits, frame: &Frame, size: [usize; 2], cut: StabilityCut) -> Result<f32> {
    Upsampler::new(logits.size(), frame, size)?.stability(logits, cut)
}

/// The way from logits of one size to pictures of one size: made once, used for every mask of the picture.
///
/// Each step is PyTorch's `interpolate(mode="bilinear", align_corners=False)` in f32.
#[derive(Debug, Clone)]
pub struct Upsampler {
    rows: Axis,
    columns: Axis,
    /// Where axes of a part of the picture lie in it.
    place: Option<Place>,
}

/// A part of the picture.
#[derive(Debug, Clone, Copy)]
struct Place {
    /// `[x, y]` of its top left pixel.
    origin: [usize; 2],
    /// `[width, height]` of the picture.
    size: [usize; 2],
}

impl Upsampler {
    /// From logits of size `low` to a picture of `size`, both `[height, width]`.
    ///
    /// # Errors
    /// `InvalidArgument` for a zero side or a kept part that does not lie in the square,
    /// `TooLarge` above [`MOST_MASK_PIXELS`](crate::limits::MOST_MASK_PIXELS).
    pub fn new(low: [usize; 2], frame: &Frame, size: [usize; 2]) -> Result<Self> {
        if low.contains(&0) || size.contains(&0) {
            let [from, to] = [low, size].map(|[height, width]| format!("{width} x {height}"));
            return Err(Error::invalid(format!("mask logits of {from} cannot become {to} pixels")));
        }
        pixel_count(size[1], size[0])?;
        let padding = match *frame {
            Frame::Window { low: corner, length } => return Self::window(low, corner, length, size),
            Frame::Whole => None,
            Frame::Padded { side, kept } if kept.contains(&0) || kept.iter().any(|length| *length > side) => {
                let error = Error::invalid("kept part of the square").with_expected(format!("1 to {side} a side"));
                return Err(error.with_found(format!("{} x {}", kept[1], kept[0])));
            }
            Frame::Padded { side, kept } => {
                pixel_count(side, side)?;
                Some(kept.map(|kept| Padding { side, kept }))
            }
        };
        let [rows, columns] = [0, 1].map(|axis| Axis::new(low[axis], padding.map(|padding| padding[axis]), size[axis]));
        Ok(Self { rows, columns, place: None })
    }

    fn window(cells: [usize; 2], low: [f64; 2], length: [f64; 2], size: [usize; 2]) -> Result<Self> {
        let [rows, columns] = [0, 1].map(|axis| {
            let (low, length) = (low[axis], length[axis]);
            // Pixels whose middle lies in the window; casts saturate at 0.
            let first = ((low - 0.5).ceil() as usize).min(size[axis]);
            let end = ((low + length - 0.5).ceil() as usize).min(size[axis]).max(first);
            let near = |pixel: usize| Bilinear::near((pixel as f64 + 0.5 - low) / length * cells[axis] as f64 - 0.5, cells[axis]);
            (first, Axis::of_steps(cells[axis], Vec::new(), (first..end).map(near).collect()))
        });
        let is_sane = [low, length].as_flattened().iter().all(|number| number.is_finite()) && length.iter().all(|side| *side > 0.0);
        if !is_sane || rows.1.outer.is_empty() || columns.1.outer.is_empty() {
            let expected = format!("one that meets the picture of {} x {}", size[1], size[0]);
            return Err(Error::invalid("window").with_expected(expected).with_found(format!("{low:?} + {length:?}")));
        }
        let place = Place { origin: [columns.0, rows.0], size: [size[1], size[0]] };
        Ok(Self { rows: rows.1, columns: columns.1, place: Some(place) })
    }

    /// All logits of the picture, row after row: the plain way, for those who want the numbers. Outside a window they are -∞.
    ///
    /// # Errors
    /// `InvalidArgument` for logits of another size.
    pub fn upsample(&self, logits: &Logits) -> Result<Vec<f32>> {
        self.check(logits)?;
        let steps = [(&self.rows.inner, &self.columns.inner), (&self.rows.outer, &self.columns.outer)];
        let (mut values, mut width) = (logits.data().to_vec(), self.columns.low);
        for (rows, columns) in steps.into_iter().filter(|(rows, _)| !rows.is_empty()) {
            values = resize(&values, width, rows, columns);
            width = columns.len();
        }
        let Some(Place { origin: [left, top], size: [full, height] }) = self.place else { return Ok(values) };
        let mut all = vec![f32::NEG_INFINITY; full * height];
        for (row, line) in values.chunks_exact(width).zip(all.chunks_exact_mut(full).skip(top)) {
            line[left..left + width].copy_from_slice(row);
        }
        Ok(all)
    }

    /// The mask of the pixels whose logit is greater than the threshold: bit for bit that of [`Self::upsample`].
    ///
    /// # Errors
    /// `InvalidArgument` for logits of another size.
    pub fn threshold(&self, logits: &Logits, threshold: f32) -> Result<Mask> {
        let mut runs = RunBuilder::new(self.columns.outer.len(), self.rows.outer.len())?;
        self.for_each_run(logits, threshold, |count, is_above| runs.push(count, is_above))?;
        match self.place {
            Some(Place { origin, size }) => runs.finish().placed(origin, size),
            None => Ok(runs.finish()),
        }
    }

    /// How many pixels have a logit greater than the threshold: the area of [`Self::threshold`].
    ///
    /// # Errors
    /// `InvalidArgument` for logits of another size.
    pub fn above(&self, logits: &Logits, threshold: f32) -> Result<u64> {
        let mut area = 0;
        self.for_each_run(logits, threshold, |count, is_above| area += u64::from(count) * u64::from(is_above))?;
        Ok(area)
    }

    /// Overlap of the masks at the two cuts, at the size of the picture: the stability score of the automatic mask generators
    /// (`segment_anything/utils/amg.py`, `calculate_stability_score`). 0 where both are empty; there it is not a number.
    ///
    /// # Errors
    /// `InvalidArgument` for logits of another size.
    pub fn stability(&self, logits: &Logits, cut: StabilityCut) -> Result<f32> {
        let (inner, outer) = (self.above(logits, cut.high())?, self.above(logits, cut.low())?);
        Ok(if outer == 0 { 0.0 } else { inner as f32 / outer as f32 })
    }

    /// Calls `push` with the runs of the mask in column-major order; neighbouring runs may have the same value.
    fn for_each_run(&self, logits: &Logits, threshold: f32, mut push: impl FnMut(u32, bool)) -> Result<()> {
        self.check(logits)?;
        let height = self.rows.outer.len();
        let cells = Cells::new(logits, threshold, [&self.rows, &self.columns]);
        let mut pieces = Pieces::new(self, logits);
        for band in &self.columns.bands {
            let stretches = cells.column(band.start);
            if let [only] = stretches
                && only.side != Side::Mixed
            {
                push((height * band.outputs.len()) as u32, only.side == Side::Above);
                continue;
            }
            let ends = stretches.iter().skip(1).map(|next| next.row).chain([height]);
            pieces.prepare(band, stretches.iter().zip(ends.clone()).filter(|(stretch, _)| stretch.side == Side::Mixed));
            for x in band.outputs.clone() {
                let mut mixed = 0;
                for (stretch, end) in stretches.iter().zip(ends.clone()) {
                    if stretch.side == Side::Mixed {
                        pieces.for_each_run(x, mixed, threshold, &mut push);
                        mixed += 1;
                    } else {
                        push((end - stretch.row) as u32, stretch.side == Side::Above);
                    }
                }
            }
        }
        Ok(())
    }

    fn check(&self, logits: &Logits) -> Result<()> {
        let ([height, width], found) = ([self.rows.low, self.columns.low], logits.size());
        if [height, width] == found {
            return Ok(());
        }
        let error = Error::invalid("mask logits").with_expected(format!("{height} x {width}"));
        Err(error.with_found(format!("{} x {}", found[0], found[1])))
    }
}

/// One step of the plain way: along the rows, then down the columns.
fn resize(values: &[f32], width: usize, rows: &[Bilinear], columns: &[Bilinear]) -> Vec<f32> {
    let stretch =
        |row: &[f32]| -> Vec<f32> { columns.iter().map(|step| step.blend(row[step.positions[0]], row[step.positions[1]])).collect() };
    let stretched: Vec<Vec<f32>> = values.chunks_exact(width).map(stretch).collect();
    let mut out = Vec::with_capacity(rows.len() * columns.len());
    for step in rows {
        let [upper, lower] = step.positions.map(|y| &stretched[y]);
        out.extend(upper.iter().zip(lower).map(|(upper, lower)| step.blend(*upper, *lower)));
    }
    out
}

/// One axis of the way.
#[derive(Debug, Clone)]
struct Axis {
    /// Number of logits.
    low: usize,
    /// From the logits to the kept part of the square; empty where there is no square.
    inner: Vec<Bilinear>,
    /// From there to the picture.
    outer: Vec<Bilinear>,
    /// The output positions, grouped by the first logit that they are made of.
    bands: Vec<Band>,
    /// No output position is made of logits further than this from its first.
    reach: usize,
}

/// One axis of a square that the picture fills in part.
#[derive(Debug, Clone, Copy)]
struct Padding {
    /// Of the square.
    side: usize,
    /// What the picture fills of it.
    kept: usize,
}

/// Output positions of which the first logit is `start`.
#[derive(Debug, Clone)]
struct Band {
    start: usize,
    outputs: Range<usize>,
}

impl Axis {
    fn new(low: usize, padding: Option<Padding>, output: usize) -> Self {
        let (inner, outer) = match padding {
            None => (Vec::new(), Bilinear::axis(low, output)),
            Some(Padding { side, kept }) => {
                let scale = low as f32 / side as f32;
                ((0..kept).map(|position| Bilinear::at(position, scale, low)).collect(), Bilinear::axis(kept, output))
            }
        };
        Self::of_steps(low, inner, outer)
    }

    fn of_steps(low: usize, inner: Vec<Bilinear>, outer: Vec<Bilinear>) -> Self {
        let mut axis = Self { low, inner, outer, bands: Vec::new(), reach: 0 };
        for position in 0..axis.outer.len() {
            let span = axis.low_span(axis.middle_span(position..position + 1));
            axis.reach = axis.reach.max(span.end - 1 - span.start);
            match axis.bands.last_mut() {
                Some(band) if band.start == span.start => band.outputs.end = position + 1,
                _ => axis.bands.push(Band { start: span.start, outputs: position..position + 1 }),
            }
        }
        axis
    }

    /// What the outer step reads for these output positions.
    fn middle_span(&self, outputs: Range<usize>) -> Range<usize> {
        self.outer[outputs.start].positions[0]..self.outer[outputs.end - 1].positions[1] + 1
    }

    /// The logits behind a span of what the outer step reads.
    fn low_span(&self, middle: Range<usize>) -> Range<usize> {
        if self.inner.is_empty() {
            return middle;
        }
        self.inner[middle.start].positions[0]..self.inner[middle.end - 1].positions[1] + 1
    }
}
