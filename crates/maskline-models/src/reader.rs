//! Preparing pictures in a graph: resampled by matrices that the host makes, padded and normalised, so that a picture goes to a device as bytes.

use maskline_onnx::{DType, Dialect, Dim, Graph, Model, Value};

use crate::info::{Normalise, Preprocess};
use crate::{Error, Result};

/// The graph's ports.
#[derive(Debug, Clone, Copy)]
pub struct PictureReader;

impl PictureReader {
    /// u8 [rows, columns, 3], RGB.
    pub const PIXELS: &'static str = "pixels";
    /// f32 [columns, side]: how much each column counts in each of the result's.
    pub const ACROSS: &'static str = "across";
    /// f32 [side, rows]: the same of rows.
    pub const DOWN: &'static str = "down";
    /// f32 [1, 3, side, side].
    pub const PICTURE: &'static str = "picture";

    /// The graph that prepares pictures for square inputs of a side; `None` where pictures are prepared in another way.
    ///
    /// # Errors
    /// `Graph` for a side of 0.
    pub fn graph(preprocess: &Preprocess, side: usize) -> Result<Option<Model<'static>>> {
        let Some(steps) = Steps::of(preprocess) else { return Ok(None) };
        let mut graph = Graph::new("picture_reader", Dialect::Portable);
        let g = &mut graph;
        let (rows, columns) = (Dim::symbol("rows"), Dim::symbol("columns"));
        let pixels = g.input(Self::PIXELS, DType::U8, [rows.clone(), columns.clone(), 3.into()])?;
        let across = g.input(Self::ACROSS, DType::F32, [columns, side.into()])?;
        let down = g.input(Self::DOWN, DType::F32, [side.into(), rows])?;
        let levels = g.cast(&pixels, DType::F32)?;
        let planes = g.transpose(&levels, &[2, 0, 1])?;
        let narrow = g.matmul(&planes, &across)?;
        let narrow = steps.rounded(g, &narrow)?;
        let square = g.matmul(&down, &narrow)?;
        let square = steps.rounded(g, &square)?;
        let normed = steps.normalised(g, &square)?;
        let picture = if steps.has_plain_border { cleared(g, &normed, [&across, &down])? } else { normed };
        let picture = g.unsqueeze(&picture, 0)?;
        g.output(Self::PICTURE, &picture)?;
        Ok(Some(graph.finish()?))
    }
}

/// What is done besides resampling.
struct Steps {
    statistics: Normalise,
    /// Whether each pass is rounded to levels, as libraries that resize bytes do.
    is_rounded: bool,
    /// Whether what the picture does not fill is 0 after normalising, not before.
    has_plain_border: bool,
}

impl Steps {
    fn of(preprocess: &Preprocess) -> Option<Self> {
        let (statistics, is_rounded, has_plain_border) = match preprocess {
            Preprocess::Stretch(statistics) | Preprocess::PaddedSquare(statistics) => (*statistics, false, false),
            Preprocess::StretchLevels(statistics) | Preprocess::StretchLevelsLinear(statistics) => (*statistics, true, false),
            Preprocess::LongestSide(statistics) => (*statistics, true, true),
            _ => return None,
        };
        Some(Self { statistics, is_rounded, has_plain_border })
    }

    fn rounded(&self, g: &mut Graph<'_>, x: &Value) -> Result<Value> {
        if !self.is_rounded {
            return Ok(x.clone());
        }
        let half = g.scalar(0.5);
        let x = g.add(x, &half)?;
        let x = g.floor(&x)?;
        Ok(g.clip(&x, 0.0, 255.0)?)
    }

    /// [3, side, side] in levels to the network's numbers.
    fn normalised(&self, g: &mut Graph<'_>, levels: &Value) -> Result<Value> {
        let Normalise { mean, std } = self.statistics;
        let of_channels = |values: [f32; 3]| maskline_onnx::Constant::f32(&[3, 1, 1], values.to_vec());
        let misfit = || Error::new(crate::ErrorKind::Graph, "three channels");
        let mean = g.constant(of_channels(mean.map(|mean| 255.0 * mean)).ok_or_else(misfit)?);
        let scale = g.constant(of_channels(std.map(|std| 1.0 / (255.0 * std))).ok_or_else(misfit)?);
        let centred = g.sub(levels, &mean)?;
        Ok(g.mul(&centred, &scale)?)
    }
}

/// 0 where no pixel counts.
fn cleared(g: &mut Graph<'_>, picture: &Value, [across, down]: [&Value; 2]) -> Result<Value> {
    let zero = g.scalar(0.0);
    let inside = |g: &mut Graph<'_>, weights: &Value, axis: isize| {
        let weight = g.reduce_max(weights, &[axis], true)?;
        g.greater(&weight, &zero)
    };
    let columns = inside(g, across, 0)?;
    let rows = inside(g, down, 1)?;
    let picture = g.select(&columns, picture, &zero)?;
    Ok(g.select(&rows, &picture, &zero)?)
}
