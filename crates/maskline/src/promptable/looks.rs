//! Answering prompts by looks at the picture: nano has no encoder, every prompt has its own frame.
//!
//! The reference is `training/nano/predict.py`.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use maskline_models::{LookHead, PLANES};
use maskline_runtime::{Session, Tensor};
use maskline_vision::look::{Axis, Frame, Look, Optics, Prior, Pyramid, Spot};
use maskline_vision::mask::{self, Logits, Upsampler, clean};

use super::parallel::in_parallel;
use super::prompt::{MaskPrompt, PartLogits, Prompt};
use super::segment::{PromptMask, SegmentOptions};
use crate::timings::Work;
use crate::{Error, ErrorKind, Result};

/// Prompts that go through the network together.
pub(super) const CHUNK: usize = 8;

/// The network behind the looks.
#[derive(Debug)]
pub(crate) struct Viewer {
    session: Arc<Session>,
    /// Name of the bundle.
    bundle: String,
    optics: Optics,
    refinements: usize,
}

/// A picture, and who looks at it.
#[derive(Debug, Clone)]
pub(super) struct Looks {
    pub(super) pyramid: Arc<Pyramid>,
    pub(super) viewer: Arc<Viewer>,
    /// Width and height of the picture.
    pub(super) size: (usize, usize),
}

/// A look and what was seen.
#[derive(Debug, Clone)]
pub(super) struct Sight {
    look: Look,
    pub(super) seen: Seen,
}

/// The network's answer to one look.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// f32 [output, output], rows from the top.
    pub(crate) logits: Vec<f32>,
    /// Predicted IoU.
    pub(crate) score: f32,
}

impl Viewer {
    pub(crate) fn new(session: Arc<Session>, (directory, head): (&Path, &LookHead)) -> Self {
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
        let bundle = directory.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_string();
        Self { session, bundle, optics, refinements: head.refinements }
    }

    pub(crate) fn optics(&self) -> &Optics {
        &self.optics
    }

    /// Name of the bundle: what made an embedding.
    pub(super) fn bundle(&self) -> &str {
        &self.bundle
    }

    /// Runs the network on nothing, in the sizes that are to come.
    pub(crate) fn warm_up(&self) -> Result<()> {
        [1, CHUNK].into_iter().try_for_each(|count| self.run(count, vec![0.0; count * self.length()]).map(drop))
    }

    /// Numbers of one look.
    fn length(&self) -> usize {
        PLANES * self.optics.input * self.optics.input
    }

    /// The network's answers to so many looks, and how long they waited for it.
    fn run(&self, count: usize, planes: Vec<f32>) -> Result<(Vec<Seen>, Duration)> {
        let side = self.optics.input;
        let planes = Tensor::new([count, PLANES, side, side], planes)?;
        let start = Instant::now();
        let outputs = self.session.run(vec![(LookHead::PLANES, planes)])?;
        let Work { queue, .. } = Work::of_run(start.elapsed(), &outputs);
        let (logits, scores) = (outputs.f32(LookHead::LOGITS)?, outputs.f32(LookHead::SCORES)?);
        let cells = self.optics.output * self.optics.output;
        if logits.data.len() != count * cells || scores.data.len() != count {
            let message = format!("expected {count} answers of {cells} cells, found {:?} and {:?}", logits.shape, scores.shape);
            return Err(Error::new(ErrorKind::BadAnswer, message));
        }
        let seen = |(logits, score): (&[f32], &f32)| Seen { logits: logits.to_vec(), score: *score };
        Ok((logits.data.chunks_exact(cells).zip(scores.data).map(seen).collect(), queue))
    }

    /// The answers to some looks at one picture.
    pub(crate) fn see(&self, pyramid: &Pyramid, looks: &[&Look]) -> Result<Vec<Seen>> {
        Ok(self.look(pyramid, looks)?.0)
    }

    /// As [`Viewer::see`], with how long the looks waited for the network.
    fn look(&self, pyramid: &Pyramid, looks: &[&Look]) -> Result<(Vec<Seen>, Duration)> {
        let planes = in_parallel(looks, |look| {
            let mut planes = vec![0.0; self.length()];
            look.planes((pyramid, &self.optics), &mut planes);
            Ok(planes)
        })?;
        self.run(looks.len(), planes.concat())
    }

    /// The first look for a prompt; `size` is width and height of the picture.
    pub(crate) fn first_look(&self, prompt: &Prompt, size: (usize, usize)) -> Look {
        let spot = |click: &super::Click| Spot { x: f64::from(click.x), y: f64::from(click.y), is_positive: click.is_positive };
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
    pub(crate) fn refined_look(&self, look: Look, logits: &[f32], size: (usize, usize)) -> Look {
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
        let answered = prior.frame.bounds_above((&prior.probabilities, cut), &self.optics);
        let clicked = clicks.iter().filter(|click| click.is_positive).map(|click| [click.x, click.y, click.x, click.y]);
        let joined = |a: [f64; 4], b: [f64; 4]| [a[0].min(b[0]), a[1].min(b[1]), a[2].max(b[2]), a[3].max(b[3])];
        answered.into_iter().chain(clicked).reduce(joined)
    }
}

/// A box within the picture.
fn clipped(bounds: [f64; 4], (width, height): (usize, usize)) -> [f64; 4] {
    let [x1, y1, x2, y2] = bounds;
    let (width, height) = (width as f64, height as f64);
    [x1.clamp(0.0, width), y1.clamp(0.0, height), x2.clamp(0.0, width), y2.clamp(0.0, height)]
}

impl Looks {
    /// Side of the logits that are given out and taken.
    pub(super) fn mask_side(&self) -> usize {
        self.viewer.optics.output
    }

    /// Hands the answers to the prompts named in `valid` to `take`; what looking took, of which waiting for the network is told apart.
    pub(super) fn answer_all(
        &self,
        (prompts, valid): (&[Prompt], &[usize]),
        options: &SegmentOptions,
        mut take: impl FnMut(usize, Result<Vec<PromptMask>>) -> Result<()>,
    ) -> Result<Work> {
        let mut work = Work::default();
        for members in valid.chunks(options.chunk.unwrap_or(CHUNK)) {
            let start = Instant::now();
            let asked: Vec<&Prompt> = members.iter().map(|index| &prompts[*index]).collect();
            let (answers, queue) = self.look_at(&asked)?;
            work += Work { queue, network: start.elapsed().saturating_sub(queue), ..Work::default() };
            for (index, answer) in members.iter().zip(answers) {
                take(*index, self.mask_of(*index, answer, options).map(|mask| vec![mask]))?;
            }
        }
        Ok(work)
    }

    /// All looks for some prompts: of each the last one and its answer, and how long they waited for the network.
    fn look_at(&self, prompts: &[&Prompt]) -> Result<(Vec<Sight>, Duration)> {
        let (mut sights, mut waited) = self.glance(prompts)?;
        for _ in 0..self.viewer.refinements {
            // A box or a mask says where to look; clicks alone do not.
            let is_open = |prompt: &Prompt| prompt.bounds.is_none() && prompt.mask.is_none();
            let mut open: Vec<&mut Sight> =
                sights.iter_mut().zip(prompts).filter(|(_, prompt)| is_open(prompt)).map(|(sight, _)| sight).collect();
            if open.is_empty() {
                break;
            }
            waited += self.look_closer(&mut open)?;
        }
        Ok((sights, waited))
    }

    /// How many looks follow the first one at a click.
    pub(super) fn refinements(&self) -> usize {
        self.viewer.refinements
    }

    /// The first look for each prompt, and how long they waited for the network.
    pub(super) fn glance(&self, prompts: &[&Prompt]) -> Result<(Vec<Sight>, Duration)> {
        let looks: Vec<Look> = prompts.iter().map(|prompt| self.viewer.first_look(prompt, self.size)).collect();
        let (seen, waited) = self.viewer.look(&self.pyramid, &looks.iter().collect::<Vec<_>>())?;
        Ok((looks.into_iter().zip(seen).map(|(look, seen)| Sight { look, seen }).collect(), waited))
    }

    /// Looks again, at what was seen; how long that waited for the network.
    pub(super) fn look_closer(&self, sights: &mut [&mut Sight]) -> Result<Duration> {
        let closer = |sight: &&mut Sight| self.viewer.refined_look(sight.look.clone(), &sight.seen.logits, self.size);
        let looks: Vec<Look> = sights.iter().map(closer).collect();
        let (seen, waited) = self.viewer.look(&self.pyramid, &looks.iter().collect::<Vec<_>>())?;
        sights.iter_mut().zip(looks.into_iter().zip(seen)).for_each(|(sight, (look, seen))| **sight = Sight { look, seen });
        Ok(waited)
    }

    /// `[x1, y1, x2, y2]` in pixels of what is above a threshold; `None` where nothing is.
    pub(super) fn bounds_of(&self, sight: &Sight, threshold: f32) -> Option<[f32; 4]> {
        let bounds = sight.look.frame.bounds_above((&sight.seen.logits, threshold), self.viewer.optics())?;
        Some(clipped(bounds, self.size).map(|side| side as f32))
    }

    /// The mask of what was seen for the prompt of this index.
    pub(super) fn mask_of(&self, index: usize, sight: Sight, options: &SegmentOptions) -> Result<PromptMask> {
        let Sight { look, seen } = sight;
        if !seen.logits.iter().sum::<f32>().is_finite() || !seen.score.is_finite() {
            let message = format!("prompt {index}: the network's answer is not finite");
            return Err(Error::new(ErrorKind::BadAnswer, message + "\n  help: the weights are damaged or diverged in training"));
        }
        let side = self.viewer.optics.output;
        let [x1, y1, x2, y2] = [look.frame.x.at(0.0), look.frame.y.at(0.0), look.frame.x.at(1.0), look.frame.y.at(1.0)];
        let window = mask::Frame::Window { low: [y1, x1], length: [y2 - y1, x2 - x1] };
        let mut logits = Logits::new(seen.logits, [side; 2])?;
        clean(&mut logits, &options.cleaning());
        let upsampler = Arc::new(Upsampler::new([side; 2], &window, [self.size.1, self.size.0]).map_err(Error::of_picture)?);
        let (part, threshold) = (Some([x1, y1, x2, y2]), options.threshold);
        let mask = PromptMask {
            prompt: index,
            candidate: 0,
            score: seen.score,
            presence: None,
            logits,
            part,
            upsampler,
            threshold,
            settled: None,
        };
        Ok(mask)
    }
}
