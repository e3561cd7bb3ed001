//! The network's input for one look.

use super::frame::{Axis, Frame, Optics};
use super::pyramid::{Pyramid, shares};
use crate::Mask;

/// Planes of the input: normalised RGB, share in the picture, positive clicks, negative clicks, box, earlier mask, fovea, x, y.
pub const PLANES: usize = 11;

/// A click in pixels of the picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spot {
    /// x in pixels.
    pub x: f64,
    /// y in pixels.
    pub y: f64,
    /// On the object, or beside it.
    pub is_positive: bool,
}

/// What was found before: probabilities of the output cells of a frame.
#[derive(Debug, Clone, PartialEq)]
pub struct Prior {
    /// f32 [n, n] with `n` = `optics.output`, rows from the top.
    pub probabilities: Vec<f32>,
    /// Their frame.
    pub frame: Frame,
}

impl Prior {
    /// The share of each cell that a mask fills.
    pub fn of_mask(mask: &Mask, frame: Frame, optics: &Optics) -> Self {
        let (width, pixels) = (mask.width(), mask.to_rows(1));
        let rows = shares(&frame.y, optics.output, mask.height(), 1.0);
        let columns = shares(&frame.x, optics.output, width, 1.0);
        let mut probabilities = Vec::with_capacity(optics.output * optics.output);
        let mut line = vec![0.0_f32; width];
        for row in &rows {
            line.fill(0.0);
            for (y, weight) in row.iter() {
                line.iter_mut().zip(&pixels[y * width..][..width]).for_each(|(sum, value)| *sum += weight * f32::from(*value));
            }
            probabilities.extend(columns.iter().map(|column| column.iter().map(|(x, weight)| weight * line[x]).sum::<f32>()));
        }
        Self { probabilities, frame }
    }
}

/// One look: a frame, and what is known of the object.
#[derive(Debug, Clone, PartialEq)]
pub struct Look {
    /// Where the cells lie.
    pub frame: Frame,
    /// Clicks.
    pub clicks: Vec<Spot>,
    /// `[x1, y1, x2, y2]` in pixels: a box around the object.
    pub bounds: Option<[f64; 4]>,
    /// An earlier answer.
    pub prior: Option<Prior>,
}

impl Look {
    /// Writes the network's input: f32 [[`PLANES`], n, n] with `n` = `optics.input`. `out` must have that length.
    pub fn planes(&self, pyramid: &Pyramid, optics: &Optics, out: &mut [f32]) {
        let cells = optics.input;
        let area = cells * cells;
        let (colours, known) = out.split_at_mut(4 * area);
        pyramid.see(&self.frame, optics, colours);
        known.fill(0.0);
        let mut planes = known.chunks_exact_mut(area);
        let mut next = || planes.next().unwrap_or_default();
        let [positive, negative] = [next(), next()];
        for click in &self.clicks {
            spot(click, &self.frame, optics, if click.is_positive { &mut *positive } else { &mut *negative });
        }
        let bounds = next();
        if let Some([x1, y1, x2, y2]) = self.bounds {
            let (rows, columns) = (filled(&self.frame.y, cells, [y1, y2]), filled(&self.frame.x, cells, [x1, x2]));
            product(&rows, &columns, bounds);
        }
        let prior = next();
        if let Some(earlier) = &self.prior {
            blend(earlier, &self.frame, optics, prior);
        }
        next().fill(if self.frame.is_fovea() { 1.0 } else { 0.0 });
        let ramp: Vec<f32> = (0..cells).map(|cell| ((cell as f64 + 0.5) / cells as f64 * 2.0 - 1.0) as f32).collect();
        let flat = vec![1.0; cells];
        product(&flat, &ramp, next());
        product(&ramp, &flat, next());
    }
}

fn product(rows: &[f32], columns: &[f32], out: &mut [f32]) {
    for (row, line) in rows.iter().zip(out.chunks_exact_mut(columns.len())) {
        line.iter_mut().zip(columns).for_each(|(value, column)| *value = row * column);
    }
}

/// A click as a Gaussian of height 1 in the frame's cells; of several, the highest counts.
fn spot(click: &Spot, frame: &Frame, optics: &Optics, plane: &mut [f32]) {
    let cells = optics.input;
    let falloff = |axis: &Axis, position: f64| -> Vec<f64> {
        let centre = axis.locate(position) * cells as f64;
        (0..cells).map(|cell| (-0.5 * ((cell as f64 + 0.5 - centre) / optics.click_sigma).powi(2)).exp()).collect()
    };
    let (rows, columns) = (falloff(&frame.y, click.y), falloff(&frame.x, click.x));
    for (row, line) in rows.iter().zip(plane.chunks_exact_mut(cells)) {
        line.iter_mut().zip(&columns).for_each(|(value, column)| *value = value.max((row * column) as f32));
    }
}

/// Share of each cell of an axis between two positions.
fn filled(axis: &Axis, cells: usize, [low, high]: [f64; 2]) -> Vec<f32> {
    let share = |pair: &[f64]| ((pair[1].min(high) - pair[0].max(low)).max(0.0) / (pair[1] - pair[0])) as f32;
    axis.edges(cells).windows(2).map(share).collect()
}

/// An earlier answer at the input cells of this frame, blended linearly; it falls to 0 outside its own frame.
fn blend(prior: &Prior, frame: &Frame, optics: &Optics, out: &mut [f32]) {
    let from = optics.output;
    let steps = |source: &Axis, target: &Axis| -> Vec<[(usize, f32); 2]> {
        target.middles(optics.input).map(|x| linear(source.locate(x) * from as f64 - 0.5, from)).collect()
    };
    let (rows, columns) = (steps(&prior.frame.y, &frame.y), steps(&prior.frame.x, &frame.x));
    for (row, line) in rows.iter().zip(out.chunks_exact_mut(optics.input)) {
        let down = |x: usize| row.iter().map(|(y, weight)| weight * prior.probabilities[y * from + x]).sum::<f32>();
        for (value, column) in line.iter_mut().zip(&columns) {
            *value = column.iter().map(|(x, weight)| weight * down(*x)).sum();
        }
    }
}

/// The two cells about a position in cells, with their weights: 0 for cells that are not there.
fn linear(position: f64, cells: usize) -> [(usize, f32); 2] {
    let first = position.floor();
    let weight = |cell: f64| (1.0 - (position - cell).abs()) as f32;
    [first, first + 1.0].map(|cell| if (0.0..cells as f64).contains(&cell) { (cell as usize, weight(cell)) } else { (0, 0.0) })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(super) mod tests {
    use super::*;
    use crate::RgbImage;

    /// The numbers of nano.
    pub(in crate::look) const OPTICS: Optics = Optics {
        input: 96,
        output: 48,
        margin: 0.2,
        max_stretch: 2.0,
        min_window: 8.0,
        fovea_growth: 4.5,
        fovea_side: 1024,
        click_sigma: 1.5,
        mean: [0.47, 0.45, 0.41],
        std: [0.27, 0.27, 0.28],
    };
    const AREA: usize = 96 * 96;

    fn planes(look: &Look) -> Vec<f32> {
        let picture = RgbImage::new(200, 150, vec![128; 200 * 150 * 3]).unwrap();
        let mut out = vec![f32::NAN; PLANES * AREA];
        look.planes(&Pyramid::new(&picture, 96), &OPTICS, &mut out);
        assert!(out.iter().all(|value| value.is_finite()), "every number is written");
        out
    }

    #[test]
    fn what_is_known_lies_where_it_belongs() {
        let bounds = [50.0, 40.0, 130.0, 120.0];
        let frame = Frame::window(bounds, &OPTICS);
        let click = Spot { x: 90.0, y: 80.0, is_positive: false };
        let out = planes(&Look { frame, clicks: vec![click], bounds: Some(bounds), prior: None });
        let plane = |index: usize| &out[index * AREA..][..AREA];
        assert!(plane(4).iter().all(|value| *value == 0.0), "no positive click");
        let highest = plane(5).iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).unwrap();
        assert!([47, 48].contains(&(highest.0 % 96)) && [47, 48].contains(&(highest.0 / 96)) && *highest.1 > 0.85);
        let filled: f32 = plane(6).iter().sum();
        assert!((filled / AREA as f32 - 1.0 / 1.96).abs() < 1e-3, "the box fills 1 / 1.4² of its window");
        assert!(plane(7).iter().chain(plane(8)).all(|value| *value == 0.0), "no prior, no fovea");
        assert!(plane(9)[0] < -0.98 && plane(9)[95] > 0.98 && plane(10)[0] < -0.98 && plane(10)[AREA - 1] > 0.98);
    }

    #[test]
    fn an_earlier_answer_is_seen_in_another_frame() {
        let mask = Mask::from_fn(200, 150, |x, y| (60..100).contains(&x) && (50..90).contains(&y)).unwrap();
        let frame = Frame::window([60.0, 50.0, 100.0, 90.0], &OPTICS);
        let prior = Prior::of_mask(&mask, Frame::window([30.0, 30.0, 140.0, 130.0], &OPTICS), &OPTICS);
        assert!(prior.probabilities.iter().all(|share| (0.0..=1.0 + 1e-6).contains(share)));
        let out = planes(&Look { frame, clicks: vec![], bounds: None, prior: Some(prior) });
        let seen = &out[7 * AREA..8 * AREA];
        let area: f32 = seen.iter().sum::<f32>() / AREA as f32;
        assert!((area - 1.0 / 1.96).abs() < 0.02, "the mask fills as much of the window as its box, not {area}");
        assert!(seen[48 * 96 + 48] > 0.99 && seen[0] == 0.0);
    }

    #[test]
    fn a_fovea_says_that_it_is_one() {
        let out = planes(&Look { frame: Frame::fovea([10.0, 20.0], (200, 150), &OPTICS), clicks: vec![], bounds: None, prior: None });
        assert!(out[8 * AREA..9 * AREA].iter().all(|value| *value == 1.0));
    }
}
