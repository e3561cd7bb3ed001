//! Angles of the rotary position embedding over pictures (Heo et al. 2024), in its axial form.

use maskline_onnx::{Graph, Rotation};

use super::computed;
use crate::Result;

/// Places on a grid, by rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Axial {
    /// Column and row of each place, in units of the positions that the model was trained with.
    pub places: Vec<[f32; 2]>,
    /// Width of a head, a multiple of 4.
    pub head: usize,
    /// Base of the frequencies.
    pub theta: f32,
}

impl Axial {
    /// The cells of a square grid, by rows; neighbours are `step` apart.
    pub fn grid(side: usize, step: f64) -> Vec<[f32; 2]> {
        let at = |index: usize| (index as f64 * step) as f32;
        (0..side * side).map(|cell| [at(cell % side), at(cell / side)]).collect()
    }

    /// The first half of a head's pairs turns with the column, the second with the row: angles [places, head / 2].
    ///
    /// # Errors
    /// `Graph` if the angles do not fill their shape.
    pub fn rotation(&self, g: &mut Graph<'_>) -> Result<Rotation> {
        let quarter = self.head / 4;
        let frequencies: Vec<f32> = (0..quarter).map(|i| 1.0 / self.theta.powf(2.0 * i as f32 / (self.head / 2) as f32)).collect();
        let angles: Vec<f32> =
            self.places.iter().flat_map(|place| place.iter().flat_map(|at| frequencies.iter().map(move |f| at * f))).collect();
        let shape = [self.places.len(), 2 * quarter];
        let cos = computed(g, &shape, angles.iter().map(|angle| angle.cos()).collect())?;
        Ok(Rotation { cos, sin: computed(g, &shape, angles.iter().map(|angle| angle.sin()).collect())? })
    }
}
