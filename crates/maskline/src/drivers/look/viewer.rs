//! The network behind the looks, and where it looks.

use std::sync::Arc;

use maskline_models::{LookHead, PLANES};
use maskline_runtime::Tensor;
use maskline_vision::look::{Axis, Frame, Look, Optics, Prior, Pyramid, Spot};

use crate::drivers::{Call, Lanes, Parts};
use crate::host::in_parallel;
use crate::{Click, Error, ErrorKind, MaskPrompt, PartLogits, Prompt, Result, Stage, Stages};

/// Prompts that go through the network together.
pub(super) const CHUNK: usize = 8;

/// The network behind the looks.
#[derive(Debug)]
pub(super) struct Viewer {
    lanes: Arc<Lanes>,
    optics: Optics,
    refinements: usize,
}

/// The network's answer to one look.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    /// f32 [output, output], rows from the top.
    pub(super) logits: Vec<f32>,
    /// Predicted IoU.
    pub(super) score: f32,
}

impl Viewer {
    pub(super) fn open(parts: &Parts, head: &LookHead) -> Result<Self> {
        let optics = Optics {
            input: head.input,
            output: head.output,
            margin: head.margin,
            max_stretch: head.max_stretch,
            min_window: head.min_window,
            fovea_growth: head.fovea_growth,
            fovea_side: head.fovea_side,
            click_sigma: head.click_sigma,
            mean: head.normalise.mean,
            std: head.normalise.std,
        };
        let lanes = parts.open(LookHead::SEGMENTER)?;
        lanes.set_max_rows(CHUNK);
        Ok(Self { lanes, optics, refinements: head.refinements })
    }

    /// How many looks follow the first one at a click.
    pub(super) fn refinements(&self) -> usize {
        self.refinements
    }

    pub(super) fn optics(&self) -> &Optics {
        &self.optics
    }

    /// Runs the network on nothing, in the sizes that are to come.
    pub(super) fn warm_up(&self) -> Result<()> {
        let call = Call::default();
        [1, CHUNK].into_iter().try_for_each(|count| self.run(count, vec![0.0; count * self.length()], &call).map(drop))
    }

    /// Numbers of one look.
    fn length(&self) -> usize {
        PLANES * self.optics.input * self.optics.input
    }

    /// The network's answers to so many looks, and what the run took.
    fn run(&self, count: usize, planes: Vec<f32>, call: &Call) -> Result<(Vec<Seen>, Stages)> {
        let side = self.optics.input;
        let planes = Tensor::new([count, PLANES, side, side], planes)?;
        let (outputs, stages) = self.lanes.run(vec![(LookHead::PLANES, planes)], Stage::MaskDecode, call)?;
        let (logits, scores) = (outputs.f32(LookHead::LOGITS)?, outputs.f32(LookHead::SCORES)?);
        let cells = self.optics.output * self.optics.output;
        if logits.data.len() != count * cells || scores.data.len() != count {
            let found = format!("{:?} and {:?}", logits.shape, scores.shape);
            return Err(Error::new(ErrorKind::BadAnswer, "looks").expecting(format!("{count} answers of {cells} cells")).but_found(found));
        }
        let each = logits.data.chunks_exact(cells).zip(scores.data);
        Ok((each.map(|(logits, score)| Seen { logits: logits.to_vec(), score: *score }).collect(), stages))
    }

    /// The answers to some looks at one picture.
    pub(super) fn look(&self, pyramid: &Pyramid, looks: &[&Look], call: &Call) -> Result<(Vec<Seen>, Stages)> {
        let planes = in_parallel(looks, |look| {
            let mut planes = vec![0.0; self.length()];
            look.planes(pyramid, &self.optics, &mut planes);
            Ok(planes)
        })?;
        self.run(looks.len(), planes.concat(), call)
    }

    /// The first look for a prompt; `size` is width and height of the picture.
    pub(super) fn first_look(&self, prompt: &Prompt, size: (usize, usize)) -> Look {
        let spot = |click: &Click| Spot { x: f64::from(click.x), y: f64::from(click.y), is_positive: click.is_positive };
        let clicks: Vec<Spot> = prompt.clicks.iter().map(spot).collect();
        let bounds = prompt.bounds.map(|bounds| clipped(bounds.map(f64::from), size));
        let mask = prompt.mask.as_ref().and_then(|mask| self.mask(mask, &clicks));
        let frame = match (bounds, &mask, clicks.iter().find(|click| click.is_positive).or(clicks.first())) {
            (Some(bounds), ..) => Frame::window(bounds, &self.optics),
            (None, Some((_, bounds)), _) => Frame::window(clipped(*bounds, size), &self.optics),
            (None, None, Some(click)) => Frame::fovea([click.x, click.y], size, &self.optics),
            // Only for an empty mask, which is refused before.
            (None, None, None) => Frame::window([0.0, 0.0, size.0 as f64, size.1 as f64], &self.optics),
        };
        Look { frame, clicks, bounds, prior: mask.map(|(prior, _)| prior) }
    }

    /// The look after an answer.
    pub(super) fn refined_look(&self, look: Look, logits: &[f32], size: (usize, usize)) -> Look {
        let prior = Prior { probabilities: logits.iter().map(|logit| 1.0 / (1.0 + (-logit).exp())).collect(), frame: look.frame };
        let whole = [0.0, 0.0, size.0 as f64, size.1 as f64];
        let bounds = self.bounds_of(&prior, &look.clicks).unwrap_or(whole);
        Look { frame: Frame::window(clipped(bounds, size), &self.optics), clicks: look.clicks, bounds: None, prior: Some(prior) }
    }

    /// A mask prompt as an earlier answer, with its box; `None` for an empty one.
    fn mask(&self, mask: &MaskPrompt, clicks: &[Spot]) -> Option<(Prior, [f64; 4])> {
        let prior = match mask {
            MaskPrompt::Picture(mask) => {
                let frame = Frame::window(mask.bounds()?.map(|side| side as f64), &self.optics);
                Prior::of_mask(mask, frame, &self.optics)
            }
            MaskPrompt::Part(PartLogits { logits, bounds: [x1, y1, x2, y2] }) => {
                let axis = |low: f64, high: f64| Axis::Window { low, length: high - low };
                let probabilities = logits.data().iter().map(|logit| 1.0 / (1.0 + (-logit).exp())).collect();
                Prior { probabilities, frame: Frame { x: axis(*x1, *x2), y: axis(*y1, *y2) } }
            }
            MaskPrompt::Logits(_) => return None,
        };
        let bounds = self.bounds_of(&prior, clicks)?;
        Some((prior, bounds))
    }

    /// Box of an earlier answer and of the positive clicks; of its likelier half where it is empty.
    fn bounds_of(&self, prior: &Prior, clicks: &[Spot]) -> Option<[f64; 4]> {
        let most = prior.probabilities.iter().copied().fold(0.0, f32::max);
        let cut = (0.5 * most).min(0.5);
        let answered = prior.frame.bounds_above(&prior.probabilities, cut, &self.optics);
        let clicked = clicks.iter().filter(|click| click.is_positive).map(|click| [click.x, click.y, click.x, click.y]);
        let joined = |a: [f64; 4], b: [f64; 4]| [a[0].min(b[0]), a[1].min(b[1]), a[2].max(b[2]), a[3].max(b[3])];
        answered.into_iter().chain(clicked).reduce(joined)
    }
}

/// A box within the picture.
pub(super) fn clipped(bounds: [f64; 4], size: (usize, usize)) -> [f64; 4] {
    let [x1, y1, x2, y2] = bounds;
    let (width, height) = (size.0 as f64, size.1 as f64);
    [x1.clamp(0.0, width), y1.clamp(0.0, height), x2.clamp(0.0, width), y2.clamp(0.0, height)]
}
