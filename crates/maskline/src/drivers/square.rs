//! Pictures brought to the square inputs of networks.

use std::time::Duration;

use maskline_models::{Normalise, PictureReader, Preprocess};
use maskline_runtime::{Input, ModelSource, Outputs, SharedTensor, Tensor};
use maskline_vision::RgbImage;
use maskline_vision::fit::{self, Sampling, SquareFilter, Target, Way, longest_side, padded_square, stretch, stretch_levels};
use maskline_vision::resize::Resampling;

use super::{Call, Graph, Lanes, Parts};
use crate::delays::sleep;
use crate::stages::Clock;
use crate::{Error, ErrorKind, Preprocessing, Result, Stage, Stages, limits};

/// What brings pictures to a model's input.
#[derive(Debug)]
pub(in crate::drivers) struct Preparing {
    side: usize,
    preprocess: Preprocess,
    /// The network that does it, where the host does not.
    reader: Option<Lanes>,
    /// Slept beside it, for tests.
    delay: Duration,
}

/// Runs a network on a picture f32 [1, 3, side, side].
pub(in crate::drivers) type Feed<'a> = &'a dyn Fn(Input) -> Result<(Outputs, Stages)>;

impl Preparing {
    /// # Errors
    /// `Unavailable` if the provider is not there.
    pub(in crate::drivers) fn open(parts: &Parts, side: usize) -> Result<Self> {
        let preprocess = parts.info().preprocess.clone();
        let reader = match parts.options.preprocessing {
            Preprocessing::Host => None,
            Preprocessing::Device => Some(reader(parts, side, &preprocess)?),
        };
        Ok(Self { side, preprocess, reader, delay: parts.delays().preprocess })
    }

    /// By the host, whatever the model's options say.
    pub(in crate::drivers) fn on_host(parts: &Parts, preprocess: Preprocess) -> Self {
        Self { side: parts.info().default_size, preprocess, reader: None, delay: parts.delays().preprocess }
    }

    /// Brings a picture to the network's input, where `feed` runs it; once more where the picture is lost on its way, with a device.
    ///
    /// # Errors
    /// As [`fit`]; as the networks'.
    pub(in crate::drivers) fn prepare(&self, image: &RgbImage, call: &Call, feed: Feed<'_>) -> Result<(Outputs, Stages)> {
        let mut clock = Clock::start();
        let Some(reader) = &self.reader else {
            let values = fit(image, self.side, &self.preprocess)?;
            let stages = self.prepared(&mut clock);
            let (outputs, spent) = feed(Tensor::new([1, 3, self.side, self.side], values)?.into())?;
            return Ok((outputs, stages + spent));
        };
        let picture = self.read(reader, image, call)?;
        let mut stages = self.prepared(&mut clock);
        let (outputs, spent) = match feed(picture.clone().into()) {
            Err(_) if picture.is_lost() => {
                clock.lap();
                let again = self.read(reader, image, call)?;
                stages.spend(Stage::Preprocess, clock.lap());
                feed(again.into())?
            }
            outcome => outcome?,
        };
        Ok((outputs, stages + spent))
    }

    fn prepared(&self, clock: &mut Clock) -> Stages {
        let mut stages = Stages::default();
        sleep(self.delay);
        stages.spend(Stage::Preprocess, clock.lap());
        stages
    }

    /// The picture as its network prepares it, on the device where that has its own memory.
    fn read(&self, reader: &Lanes, image: &RgbImage, call: &Call) -> Result<SharedTensor> {
        let way = way(&self.preprocess).ok_or_else(|| unfit(&self.preprocess))?;
        limits::input_length([1, self.side, self.side])?;
        let inputs = reading(image, self.side, way)?;
        let (mut outputs, _) = reader.run_staying(inputs, &[PictureReader::PICTURE], Stage::Preprocess, call)?;
        Ok(outputs.take(PictureReader::PICTURE)?)
    }
}

/// The network that prepares pictures.
fn reader(parts: &Parts, side: usize, preprocess: &Preprocess) -> Result<Lanes> {
    let graph = PictureReader::graph(preprocess, side)?.ok_or_else(|| unfit(preprocess))?;
    let bytes = graph.to_bytes().map_err(maskline_models::Error::from)?;
    // Runs of it are no runs of the model's.
    let lane_options =
        maskline_runtime::LaneOptions { name: Some(format!("{}.picture_reader", parts.name())), max_rows: 1, ..parts.lane() };
    Graph { name: "picture_reader", file: ModelSource::Bytes(&bytes), lane_options, options: &parts.options }.open(&parts.library)
}

/// What the network that prepares pictures is asked with.
fn reading(image: &RgbImage, side: usize, way: Way) -> Result<Vec<(&'static str, Tensor)>> {
    let (width, height) = (image.width(), image.height());
    let Sampling { across, down } = Sampling::of([width, height], side, way).map_err(Error::of_picture)?;
    let pixels = (0..height).flat_map(|y| image.row(y).iter().copied()).collect::<Vec<u8>>();
    Ok(vec![
        (PictureReader::PIXELS, Tensor::new(vec![height, width, 3], pixels)?),
        (PictureReader::ACROSS, Tensor::new(vec![width, side], across)?),
        (PictureReader::DOWN, Tensor::new(vec![side, height], down)?),
    ])
}

fn way(preprocess: &Preprocess) -> Option<Way> {
    match preprocess {
        Preprocess::Stretch(_) => Some(Way::Stretch),
        Preprocess::LongestSide(_) => Some(Way::LongestSide),
        Preprocess::StretchLevels(_) => Some(Way::StretchLevels(Resampling::TORCH_BICUBIC)),
        Preprocess::StretchLevelsLinear(_) => Some(Way::StretchLevels(Resampling::TORCH_BILINEAR)),
        Preprocess::PaddedSquare(_) => Some(Way::PaddedSquare(SquareFilter::Torchvision)),
        _ => None,
    }
}

fn unfit(preprocess: &Preprocess) -> Error {
    Error::new(ErrorKind::Failed, format!("no square is made of a picture by {preprocess:?}"))
}

/// Brings a picture to the network's input: f32 [3, side, side].
///
/// # Errors
/// `BadInput` for a picture too thin for it, `OverLimit` for an input beyond all memory.
pub(in crate::drivers) fn fit(image: &RgbImage, side: usize, preprocess: &Preprocess) -> Result<Vec<f32>> {
    let mut values = vec![0.0; limits::input_length([1, side, side])?];
    let target = |Normalise { mean, std }: &Normalise| Target { frame: [side, side], normalise: fit::Normalise { mean: *mean, std: *std } };
    let out = &mut values;
    match preprocess {
        Preprocess::Stretch(statistics) => stretch(image, target(statistics), out),
        Preprocess::LongestSide(statistics) => longest_side(image, side, target(statistics), out).map(|_| ()),
        Preprocess::StretchLevels(statistics) => stretch_levels(image, target(statistics), Resampling::TORCH_BICUBIC, out),
        Preprocess::StretchLevelsLinear(statistics) => stretch_levels(image, target(statistics), Resampling::TORCH_BILINEAR, out),
        Preprocess::PaddedSquare(statistics) => padded_square(image, target(statistics), SquareFilter::Torchvision, out),
        other => return Err(unfit(other)),
    }
    .map_err(Error::of_picture)?;
    Ok(values)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use maskline_runtime::{Job, Lane, LaneOptions};

    use super::*;

    /// A step from level 64 to level 192, enlarged: values in levels.
    fn enlarged(preprocess: fn(Normalise) -> Preprocess) -> Vec<f32> {
        let step = RgbImage::new(4, 1, [[64; 6], [192; 6]].concat()).unwrap();
        let plain = Normalise { mean: [0.0; 3], std: [1.0; 3] };
        fit(&step, 16, &preprocess(plain)).unwrap().into_iter().map(|value| 255.0 * value).collect()
    }

    #[test]
    fn each_way_to_a_stretched_square_has_its_filter() {
        let in_levels = |values: &[f32]| values.iter().all(|value| (value - value.round()).abs() < 1e-3);
        let overshoots = |values: &[f32]| values.iter().any(|value| !(63.5..192.5).contains(value));
        let [linear, cubic, floats] = [Preprocess::StretchLevelsLinear, Preprocess::StretchLevels, Preprocess::Stretch].map(enlarged);
        assert!(in_levels(&linear) && !overshoots(&linear), "{linear:?}");
        assert!(in_levels(&cubic) && overshoots(&cubic), "{cubic:?}");
        // The same filter, but for rounding to levels.
        assert!(linear.iter().zip(&floats).all(|(a, b)| (a - b).abs() <= 0.5 + 1e-3), "{floats:?}");
    }

    /// What the graph makes of a picture.
    fn read(image: &RgbImage, side: usize, preprocess: &Preprocess) -> Vec<f32> {
        let library = maskline_runtime::load(&maskline_runtime::LibraryOptions::from_env()).unwrap();
        let bytes = PictureReader::graph(preprocess, side).unwrap().unwrap().to_bytes().unwrap();
        let lane = Lane::open(&library, ModelSource::Bytes(&bytes), &LaneOptions { threads: 1, ..LaneOptions::default() }).unwrap();
        let job = Job::new(reading(image, side, way(preprocess).unwrap()).unwrap());
        lane.run(job).unwrap().f32(PictureReader::PICTURE).unwrap().data.to_vec()
    }

    #[test]
    fn a_provider_prepares_pictures_as_the_host_does() {
        const SIDE: usize = 48;
        let statistics = Normalise::IMAGENET;
        // In levels: rounding, or a level where two are nearly as near.
        let ways: [(Preprocess, f32); 5] = [
            (Preprocess::Stretch(statistics), 0.01),
            (Preprocess::PaddedSquare(statistics), 0.01),
            (Preprocess::StretchLevels(statistics), 1.01),
            (Preprocess::StretchLevelsLinear(statistics), 1.01),
            (Preprocess::LongestSide(statistics), 1.01),
        ];
        for (width, height) in [(97, 61), (31, 48), (48, 48), (150, 300)] {
            let image = RgbImage::new(width, height, (0..width * height * 3).map(|at| (at * 7919 % 251) as u8).collect()).unwrap();
            for (preprocess, levels) in &ways {
                let (expected, found) = (fit(&image, SIDE, preprocess).unwrap(), read(&image, SIDE, preprocess));
                assert_eq!(expected.len(), found.len());
                let apart = expected.iter().zip(&found).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert!(apart * 255.0 * 0.224 < *levels, "{width} x {height} {preprocess:?}: {apart}");
                let different = expected.iter().zip(&found).filter(|(a, b)| (**a - **b).abs() * 255.0 * 0.224 > 0.5).count();
                assert!(different * 50 < found.len(), "{different} of {}", found.len());
            }
        }
    }
}
