//! Where the cells of a look lie.

/// The numbers that a network was trained with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Optics {
    /// Input cells a side.
    pub input: usize,
    /// Output cells a side.
    pub output: usize,
    /// Room around a box on each side, as a share of the box.
    pub margin: f64,
    /// No cell is more than so many times as wide as it is high, or the other way round.
    pub max_stretch: f64,
    /// Windows are at least so many pixels wide and high.
    pub min_window: f64,
    /// Growth `a` of a fovea: its edges lie at `radius · sinh(a·u) / sinh(a)`, `u` from -1 to 1.
    pub fovea_growth: f64,
    /// Foveas look at the first level of the pyramid whose longer side is at most this.
    pub fovea_side: usize,
    /// Standard deviation of a click's spot in input cells.
    pub click_sigma: f64,
    /// Mean of the channels, in 0..1.
    pub mean: [f32; 3],
    /// Standard deviation of the channels, in 0..1.
    pub std: [f32; 3],
}

/// One axis of a frame, in pixels of the picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Axis {
    /// Cells of one size.
    Window {
        /// Low edge of the first cell.
        low: f64,
        /// From there to the high edge of the last.
        length: f64,
    },
    /// Cells that grow with the distance from the centre.
    Fovea {
        /// The click.
        centre: f64,
        /// Distance of the outermost edges.
        radius: f64,
        /// See [`Optics::fovea_growth`].
        growth: f64,
    },
}

impl Axis {
    /// The pixel position at `u`, from 0 (low edge of the first cell) to 1 (high edge of the last).
    pub fn at(&self, u: f64) -> f64 {
        match *self {
            Self::Window { low, length } => low + length * u,
            Self::Fovea { centre, radius, growth } => centre + radius * (growth * (2.0 * u - 1.0)).sinh() / growth.sinh(),
        }
    }

    /// Undoes [`Axis::at`].
    pub fn locate(&self, x: f64) -> f64 {
        match *self {
            Self::Window { low, length } => (x - low) / length,
            Self::Fovea { centre, radius, growth } => 0.5 + 0.5 * ((x - centre) * growth.sinh() / radius).asinh() / growth,
        }
    }

    /// Edges of `cells` cells: `cells + 1` positions.
    pub fn edges(&self, cells: usize) -> Vec<f64> {
        (0..=cells).map(|edge| self.at(edge as f64 / cells as f64)).collect()
    }

    /// What each of `cells` cells stands for: the positions of their middles.
    pub fn middles(&self, cells: usize) -> impl Iterator<Item = f64> {
        (0..cells).map(move |cell| self.at((cell as f64 + 0.5) / cells as f64))
    }

    fn extent(&self) -> f64 {
        match *self {
            Self::Window { length, .. } => length,
            Self::Fovea { radius, .. } => radius,
        }
    }
}

/// Where a look's cells lie on the picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Frame {
    /// Columns.
    pub x: Axis,
    /// Rows.
    pub y: Axis,
}

impl Frame {
    /// The window around a box `[x1, y1, x2, y2]` in pixels.
    pub fn window([x1, y1, x2, y2]: [f64; 4], optics: &Optics) -> Self {
        let side = |low: f64, high: f64| ((high - low) * (1.0 + 2.0 * optics.margin)).max(optics.min_window);
        let (across, down) = (side(x1, x2), side(y1, y2));
        let width = across.max(down / optics.max_stretch);
        let height = down.max(across / optics.max_stretch);
        let axis = |low: f64, high: f64, length: f64| Axis::Window { low: f64::midpoint(low, high) - length / 2.0, length };
        Self { x: axis(x1, x2, width), y: axis(y1, y2, height) }
    }

    /// The fovea around a click on a picture of width and height `size`, all in pixels.
    pub fn fovea([x, y]: [f64; 2], size: (usize, usize), optics: &Optics) -> Self {
        let (radius, growth) = (size.0.max(size.1) as f64, optics.fovea_growth);
        Self { x: Axis::Fovea { centre: x, radius, growth }, y: Axis::Fovea { centre: y, radius, growth } }
    }

    /// Whether this is a fovea.
    pub fn is_fovea(&self) -> bool {
        matches!(self.x, Axis::Fovea { .. })
    }

    /// The smaller of the extents of both axes, in pixels.
    pub(super) fn extent(&self) -> f64 {
        self.x.extent().min(self.y.extent())
    }

    /// `[x1, y1, x2, y2]` of the output cells above a cut, in pixels; `None` if there are none.
    pub fn bounds_above(&self, values: &[f32], cut: f32, optics: &Optics) -> Option<[f64; 4]> {
        let cells = optics.output;
        let mut span: Option<[usize; 4]> = None;
        for (row, line) in values.chunks_exact(cells).enumerate() {
            for (column, _) in line.iter().enumerate().filter(|(_, value)| **value > cut) {
                let [x1, y1, x2, _] = span.unwrap_or([column, row, column, row]);
                span = Some([x1.min(column), y1, x2.max(column), row]);
            }
        }
        let [x1, y1, x2, y2] = span?;
        let at = |axis: &Axis, edge: usize| axis.at(edge as f64 / cells as f64);
        Some([at(&self.x, x1), at(&self.y, y1), at(&self.x, x2 + 1), at(&self.y, y2 + 1)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::look::planes::tests::OPTICS;

    #[test]
    fn positions_go_there_and_back() {
        let frames = [Frame::window([30.0, 40.0, 90.0, 300.0], &OPTICS), Frame::fovea([120.0, 7.0], (640, 480), &OPTICS)];
        for axis in frames.iter().flat_map(|frame| [frame.x, frame.y]) {
            for u in [-0.3, 0.0, 0.1, 0.5, 0.77, 1.0, 1.2] {
                assert!((axis.locate(axis.at(u)) - u).abs() < 1e-12, "{axis:?} at {u}");
            }
            let edges = axis.edges(96);
            assert!(edges.windows(2).all(|pair| pair[0] < pair[1]), "edges rise");
        }
    }

    #[test]
    fn windows_have_room_and_are_not_stretched_too_far() {
        let frame = Frame::window([100.0, 200.0, 200.0, 210.0], &OPTICS);
        assert_eq!(frame.x, Axis::Window { low: 80.0, length: 140.0 });
        assert_eq!(frame.y, Axis::Window { low: 205.0 - 35.0, length: 70.0 });
        let point = Frame::window([5.0, 6.0, 5.0, 6.0], &OPTICS);
        assert_eq!(point.x, Axis::Window { low: 1.0, length: 8.0 });
    }

    #[test]
    fn a_fovea_covers_the_picture_and_is_fine_at_the_click() {
        let frame = Frame::fovea([0.0, 0.0], (640, 480), &OPTICS);
        let edges = frame.x.edges(96);
        assert!((edges[96] - 640.0).abs() < 1e-9);
        assert!(edges[49] - edges[48] < 1.5 && edges[96] - edges[95] > 20.0);
    }

    #[test]
    fn bounds_are_the_edges_of_the_cells_above_the_cut() {
        let frame = Frame { x: Axis::Window { low: 0.0, length: 480.0 }, y: Axis::Window { low: 100.0, length: 48.0 } };
        let mut values = vec![0.0; 48 * 48];
        assert_eq!(frame.bounds_above(&values, 0.5, &OPTICS), None);
        values[3 * 48 + 7] = 0.6;
        values[5 * 48 + 2] = 0.7;
        assert_eq!(frame.bounds_above(&values, 0.5, &OPTICS), Some([20.0, 103.0, 80.0, 106.0]));
    }
}
