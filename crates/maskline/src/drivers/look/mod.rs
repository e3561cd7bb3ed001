//! Answering prompts by looks at the picture: nano has no encoder, every prompt has its own frame.
//!
//! `viewer` is the network and where it looks, `sights` what is seen there, look after look. The reference is `training/nano/predict.py`.

mod golden;
mod sights;
mod viewer;

use std::sync::Arc;

use maskline_models::LookHead;
use maskline_vision::RgbImage;
use maskline_vision::look::Pyramid;

pub(super) use self::golden::CASES;
use self::sights::Sights;
use self::viewer::{CHUNK, Viewer};
use super::{
    Call, Driver, Encoded, Encoding, Inquiry, Listener, Parts, Pictures, Prompting, Question, Refusal, Sweep, Take, Video, made_here,
};
use crate::delays::sleep;
use crate::promptable::{EmbeddingFile, POINTS_TOGETHER, Stored};
use crate::stages::Clock;
use crate::verify::{AtSize, Case, Check};
use crate::{Detections, Image, Object, Prompt, Result, Stage, Stages, WordOptions};

/// A network that looks at pictures.
#[derive(Debug)]
pub(super) struct Looker {
    parts: Parts,
    head: LookHead,
    viewer: Viewer,
}

/// The picture and its halves.
#[derive(Debug)]
struct Picture(Pyramid);

impl Picture {
    /// Tensor of a file: u8 [height, width, 3].
    const NAME: &str = "picture";
}

impl Encoding for Picture {
    fn bytes(&self) -> usize {
        self.0.bytes()
    }

    fn stored(&self) -> Result<Vec<Stored<'_>>> {
        let whole = self.0.levels().first();
        Ok(whole.map(|level| Stored::bytes(Self::NAME, vec![level.height(), level.width(), 3], level.pixels())).into_iter().collect())
    }
}

impl Looker {
    pub(super) fn open(parts: Parts, head: LookHead) -> Result<Self> {
        let viewer = Viewer::open(&parts, &head)?;
        Ok(Self { parts, head, viewer })
    }

    fn encoded(&self, picture: &RgbImage) -> Encoded {
        Arc::new(Picture(Pyramid::new(picture, self.viewer.optics().input)))
    }

    fn sights<'a>(&'a self, picture: &'a Encoded, size: (usize, usize), call: &'a Call) -> Result<Sights<'a>> {
        Ok(Sights { viewer: &self.viewer, pyramid: &made_here::<Picture>(picture)?.0, size, call })
    }

    fn refusal(&self) -> Refusal {
        Refusal::new(self.parts.name(), self.parts.info())
    }
}

impl Driver for Looker {
    fn warm_up(&self) -> Result<()> {
        self.viewer.warm_up()
    }

    fn detect(&self, _: &Pictures<'_>) -> Result<Vec<Result<Detections>>> {
        Err(self.refusal().detection())
    }

    fn prompting(&self) -> Result<Prompting> {
        let everything = self.head.everything;
        Ok(Prompting { mask_side: self.head.output, is_part: true, candidates: 1, everything })
    }

    fn encode(&self, image: &Image, _: &Call) -> Result<(Encoded, Stages)> {
        let mut clock = Clock::start();
        let encoded = self.encoded(image.pixels());
        sleep(self.parts.delays().preprocess);
        let mut stages = Stages::default();
        stages.spend(Stage::Preprocess, clock.lap());
        Ok((encoded, stages))
    }

    fn restore(&self, file: &EmbeddingFile) -> Result<Encoded> {
        let (width, height) = file.size();
        let pixels = file.bytes(Picture::NAME, &[height, width, 3])?;
        Ok(self.encoded(&RgbImage::new(width, height, pixels)?))
    }

    fn tune(&self, picture: &Encoded) -> Result<()> {
        made_here::<Picture>(picture)?;
        self.viewer.warm_up()
    }

    fn segment(&self, question: &Question<'_>, take: Take<'_>) -> Result<Stages> {
        let mut call = question.call.slowed(self.parts.delays().mask_decode);
        let mut stages = Stages::default();
        for members in question.valid.chunks(question.options.chunk.unwrap_or(CHUNK)) {
            let asked: Vec<&Prompt> = members.iter().map(|index| &question.prompts[*index]).collect();
            let (seen, spent) = self.sights(question.picture, question.size, &call)?.of(&asked)?;
            call = question.call.clone();
            stages += spent;
            for (index, sight) in members.iter().zip(seen) {
                let sights = self.sights(question.picture, question.size, &call)?;
                take(*index, sights.mask_of(*index, sight, question.options).map(|mask| vec![mask]))?;
            }
        }
        Ok(stages)
    }

    fn sweep(&self, sweep: &Sweep<'_>, listener: &mut dyn Listener) -> Result<Stages> {
        let options = sweep.options.asking();
        let sights = self.sights(sweep.picture, sweep.size, sweep.call)?;
        let (mut stages, mut first) = (Stages::default(), 0);
        for points in sweep.points.chunks(sights::POINTS_COMPARED) {
            let (distinct, spent) = sights.distinct(sweep, points, &mut |done| listener.progress(first + done))?;
            stages += spent;
            let mut distinct = distinct.into_iter();
            while distinct.len() > 0 {
                let some = distinct.by_ref().take(POINTS_TOGETHER);
                listener.masks(some.map(|(index, sight)| sights.mask_of(first + index, sight, &options)).collect::<Result<_>>()?)?;
            }
            first += points.len();
        }
        Ok(stages)
    }

    fn read(&self, _: &[&str], _: &WordOptions, _: &Call) -> Result<(Vec<Encoded>, Stages)> {
        Err(self.refusal().concepts())
    }

    fn find(&self, _: &Inquiry<'_>) -> Result<(Vec<Result<Vec<Object>>>, Stages)> {
        Err(self.refusal().concepts())
    }

    fn video(&self) -> Result<Arc<Video>> {
        Err(self.refusal().video())
    }

    fn golden<'c>(self: Arc<Self>, case: &'c Case, _: Arc<dyn Driver>, _: AtSize<'_>) -> Result<Box<dyn Check + 'c>> {
        Ok(Box::new(golden::Golden::of(case, self)?))
    }
}
