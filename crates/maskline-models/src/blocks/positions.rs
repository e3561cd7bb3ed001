//! Sine position encodings (Vaswani et al. 2017).

use maskline_onnx::{Graph, Value};

use super::computed;
use crate::Result;

/// Sine position encoding of a square grid, cells by rows: [1, grid², width], half of the width for the row, half for the column.
///
/// # Errors
/// `Graph` if the values do not fill their shape.
pub fn grid_positions(g: &mut Graph<'_>, grid: usize, width: usize) -> Result<Value> {
    let half = width / 2;
    let of_axis = |index: usize| {
        let at = (index + 1) as f64 / (grid as f64 + 1e-6) * std::f64::consts::TAU;
        (0..half).map(move |channel| {
            let angle = at / wavelength(channel, half);
            if channel % 2 == 0 { angle.sin() as f32 } else { angle.cos() as f32 }
        })
    };
    let values = (0..grid * grid).flat_map(|cell| of_axis(cell / grid).chain(of_axis(cell % grid))).collect();
    g.scoped("positions", |g| computed(g, &[1, grid * grid, width], values))
}

/// What a position is divided by in a channel of `count`; pairs of channels share it.
pub fn wavelength(channel: usize, count: usize) -> f64 {
    10_000.0_f64.powf((channel / 2 * 2) as f64 / count as f64)
}
