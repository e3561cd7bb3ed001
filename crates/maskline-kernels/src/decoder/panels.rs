//! Products of a few rows with lanes.
//!
//! A *panel* is `[depth, 16]`: of sixteen rows the factors that belong to each vector of lanes, side by side. Rows are summed in groups that
//! the registers hold.

use std::ops::Range;

use crate::rows::by_rows;
use crate::simd::{Kernel, LANES, Simd};

/// Rows of vectors in stripes: `[stripes, all, 16]`, of which some rows are meant.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stripes<'a> {
    pub(super) numbers: &'a [f32],
    /// Rows of a stripe.
    pub(super) all: usize,
    /// The first row that is meant, and how many are.
    pub(super) first: usize,
    pub(super) count: usize,
}

impl<'a> Stripes<'a> {
    /// All rows.
    pub(super) fn new(numbers: &'a [f32], all: usize) -> Self {
        Self { numbers, all, first: 0, count: all }
    }

    /// Some of its rows.
    #[inline(always)]
    pub(super) fn rows(self, first: usize, count: usize) -> Self {
        Self { first: self.first + first, count, ..self }
    }

    /// The rows of a stripe: [count, 16].
    #[inline(always)]
    pub(super) fn of(self, stripe: usize) -> &'a [f32] {
        &self.numbers[(stripe * self.all + self.first) * LANES..][..self.count * LANES]
    }
}

/// Rows of a panel that are summed together.
#[derive(Debug, Clone, Copy)]
pub(super) struct Group {
    /// The panel.
    pub(super) panel: usize,
    /// The first row in it.
    pub(super) first: usize,
    /// Rows: at most as many as registers hold.
    pub(super) rows: usize,
}

impl Group {
    /// Index among all rows.
    pub(super) fn row(&self) -> usize {
        self.panel * LANES + self.first
    }
}

/// All rows in groups of nearly equal size, none of which crosses a panel.
pub(super) fn groups<S: Simd>(_: S, rows: usize) -> impl Iterator<Item = Group> + Clone {
    (0..rows.div_ceil(LANES)).flat_map(move |panel| {
        let here = LANES.min(rows - panel * LANES);
        let count = here.div_ceil(S::SUMS);
        (0..count).map(move |group| {
            let first = group * here / count;
            Group { panel, first, rows: (group + 1) * here / count - first }
        })
    })
}

/// Rows of a panel [depth, 16] from one on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Panel<'a> {
    pub(super) numbers: &'a [f32],
    pub(super) first: usize,
}

/// `sums[r] += Σ_k panel[k, first + r] · lanes[k]`, lanes [depth, 16].
#[inline(always)]
pub(super) fn add_rows<S: Simd, const R: usize>(simd: S, sums: &mut [S::Vector; R], panel: Panel<'_>, lanes: &[f32]) {
    let Panel { numbers, first } = panel;
    assert!(first + R <= LANES, "a group lies within its panel");
    let (panel, _) = numbers.as_chunks::<LANES>();
    let (lanes, _) = lanes.as_chunks::<LANES>();
    if R == 1 {
        sums[0] = add_row(simd, sums[0], panel, first, lanes);
        return;
    }
    for (factors, lanes) in panel.iter().zip(lanes) {
        let lanes = simd.load(lanes);
        for row in 0..R {
            sums[row] = simd.mul_add(simd.splat(factors[first + row]), lanes, sums[row]);
        }
    }
}

/// One row alone in four sums, each of which need not wait for the others.
#[inline(always)]
fn add_row<S: Simd>(simd: S, sum: S::Vector, panel: &[[f32; LANES]], row: usize, lanes: &[[f32; LANES]]) -> S::Vector {
    let mut sums = [sum, simd.splat(0.0), simd.splat(0.0), simd.splat(0.0)];
    let depth = panel.len().min(lanes.len());
    let (fours, rest) = panel[..depth].as_chunks::<4>();
    let (lanes_of_fours, rest_of_lanes) = lanes[..depth].as_chunks::<4>();
    for (factors, lanes) in fours.iter().zip(lanes_of_fours) {
        for part in 0..4 {
            sums[part] = simd.mul_add(simd.splat(factors[part][row]), simd.load(&lanes[part]), sums[part]);
        }
    }
    for (factors, lanes) in rest.iter().zip(rest_of_lanes) {
        sums[0] = simd.mul_add(simd.splat(factors[row]), simd.load(lanes), sums[0]);
    }
    simd.add(simd.add(sums[0], sums[1]), simd.add(sums[2], sums[3]))
}

/// All sums times the same lanes.
#[inline(always)]
pub(super) fn scale_rows<S: Simd, const R: usize>(simd: S, sums: &mut [S::Vector; R], lanes: S::Vector) {
    for sum in sums {
        *sum = simd.mul(*sum, lanes);
    }
}

/// Rows of tokens `[N, width]` as panels, `[N / 16, width, 16]`, each number times a factor; beyond the last token there are zeros.
pub(super) fn panels_of(rows: &[f32], width: usize, factor: f32) -> Vec<f32> {
    let count = rows.len() / width.max(1);
    let mut panels = vec![0.0; count.div_ceil(LANES) * width * LANES];
    for (token, row) in rows.chunks_exact(width.max(1)).enumerate() {
        let panel = &mut panels[token / LANES * width * LANES..];
        for (channel, number) in row.iter().enumerate() {
            panel[channel * LANES + token % LANES] = factor * number;
        }
    }
    panels
}

/// Scores of a head's tokens and of cells: `scale · (query · image) + through · columns + query · positions`, all in lanes.
pub(super) struct Scores<'a> {
    /// The head's queries (or keys), a panel [d, 16].
    pub(super) query: &'a [f32],
    /// The head's rows of the image.
    pub(super) image: Stripes<'a>,
    /// A row of every stripe.
    pub(super) scales: Stripes<'a>,
    /// What the queries see of each column, a panel [K, 16].
    pub(super) through: &'a [f32],
    /// The prompt's columns.
    pub(super) columns: Stripes<'a>,
    /// The head's rows of what the positions of the cells add, where the image's rows do not have it in them.
    pub(super) positions: Option<Stripes<'a>>,
}

/// Where rows of stripes go: from `start`, rows and stripes so far apart.
pub(super) struct Place<'a> {
    pub(super) numbers: &'a mut [f32],
    pub(super) start: usize,
    pub(super) row: usize,
    pub(super) stripe: usize,
}

impl Scores<'_> {
    /// Those of a group, whose first row goes to the place.
    #[inline(always)]
    pub(super) fn of<S: Simd>(&self, simd: S, group: Group, stripes: Range<usize>, place: Place<'_>) {
        by_rows!(group.rows, R => simd.apart(ScoresOf::<'_, R> { scores: self, first: group.first, stripes, place }));
    }
}

struct ScoresOf<'a, const R: usize> {
    scores: &'a Scores<'a>,
    first: usize,
    stripes: Range<usize>,
    place: Place<'a>,
}

impl<const R: usize> Kernel for ScoresOf<'_, R> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { scores: &Scores { query, image, scales, through, columns, positions }, first, stripes, place } = self;
        let query = Panel { numbers: query, first };
        let start = stripes.start;
        for stripe in stripes {
            let mut sums = [simd.splat(0.0); R];
            add_rows(simd, &mut sums, query, image.of(stripe));
            scale_rows(simd, &mut sums, simd.load(scales.of(stripe)));
            add_rows(simd, &mut sums, Panel { numbers: through, first }, columns.of(stripe));
            if let Some(positions) = positions {
                add_rows(simd, &mut sums, query, positions.of(stripe));
            }
            let at = place.start + (stripe - start) * place.stripe;
            for (row, sum) in sums.iter().enumerate() {
                simd.store(*sum, &mut place.numbers[at + row * place.row..]);
            }
        }
    }
}

/// Sixteen rows so far apart, of sixteen numbers each, with rows in lanes: [16, 16], or its first vectors where `out` holds fewer.
pub(super) struct Turn<'a> {
    pub(super) rows: &'a [f32],
    pub(super) stride: usize,
    pub(super) out: &'a mut [f32],
}

impl Kernel for Turn<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let mut vectors = [simd.splat(0.0); LANES];
        for (row, vector) in vectors.iter_mut().enumerate() {
            *vector = simd.load(&self.rows[row * self.stride..]);
        }
        for (vector, out) in simd.transpose(vectors).iter().zip(self.out.chunks_exact_mut(LANES)) {
            simd.store(*vector, out);
        }
    }
}
