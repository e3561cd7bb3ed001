//! Going over the clip: forward, backward, or both.

use std::ops::Range;
use std::sync::{Arc, Mutex};

use maskline::{Direction, Error, ErrorKind, Model, Tracker};
use maskline_video::Frames;

use super::arguments::{self, Track};
use super::clip::{self, Route};
use super::detected::{self, Wanted};
use super::fault;
use super::files::ClipFiles;
use super::follow::Following;
use super::live::{Live, Timing};
use super::prompts::Drafts;
use super::report::Report;
use super::stream::{Choice, Coming, Pace, Shared, Stream};
use crate::failure::Failure;
use crate::interrupt;

/// Frames behind the beginning that a pass back from it looks at, as the official predictor does after a pass forward.
pub(super) const LOOKS_AHEAD: usize = 15;

/// The work of a command.
pub(super) struct Passes<'a> {
    pub(super) arguments: &'a Track,
    pub(super) route: Route,
    pub(super) tracker: Tracker,
    pub(super) drafts: Drafts,
    pub(super) files: Option<ClipFiles>,
    pub(super) report: &'a mut Report,
    pub(super) detector: Option<&'a Model>,
    /// Indices of the only classes that are wished.
    pub(super) classes: Option<Vec<usize>>,
    /// Frames that were skipped, and answered too late.
    pub(super) live: Option<(usize, usize)>,
}

/// Frames that come from one pass.
struct Pass {
    pace: Pace,
    live: Option<Arc<Live>>,
}

impl Pass {
    fn of(frames: impl Iterator<Item = maskline_video::Result<maskline_video::Frame>> + Send + 'static) -> Self {
        Self { pace: Pace::Wanted(Box::new(frames)), live: None }
    }
}

impl Passes<'_> {
    /// Goes over the clip, until its end or Ctrl-C.
    pub(super) fn go(&mut self, frames: Frames) -> Result<(), Failure> {
        let length = frames.clip().length;
        let titles = self.drafts.titles.clone();
        let mut following = Following { tracker: self.tracker.clone(), direction: Direction::Forward, asked: None, titles };
        match self.route.direction {
            arguments::Direction::Forward => {
                self.begin_overlay()?;
                self.go_forward(frames, &mut following)?;
            }
            arguments::Direction::Both => {
                let shared = Shared(Arc::new(Mutex::new(frames)));
                let early = self.follow(&mut following, Pass::of(shared.clone()))?;
                following.tracker = early.unwrap_or(following.tracker);
                self.go_back(&shared, &mut following, self.route.behind())?;
                self.paint_all(&shared)?;
            }
            arguments::Direction::Backward => {
                let shared = Shared(Arc::new(Mutex::new(frames)));
                self.meet_all(&shared)?;
                self.go_back(&shared, &mut following, self.route.behind().start..self.route.from + 1)?;
                self.paint_all(&shared)?;
            }
        }
        let unheard = following.unheard(length).filter(|_| !interrupt::is_wished());
        unheard.map_or(Ok(()), |error| Err(error.into()))
    }

    fn go_forward(&mut self, frames: Frames, following: &mut Following) -> Result<(), Failure> {
        let Some(budget) = clip::budget(self.arguments) else { return self.follow(following, Pass::of(frames)).map(drop) };
        let prompted: Vec<usize> = self.drafts.frames().collect();
        let is_paced = !clip::is_stream(self.arguments);
        let live = Live::start(frames, Timing { budget, is_paced }, move |frame| prompted.contains(&frame));
        let followed = self.follow(following, Pass { pace: Pace::Live(Arc::clone(&live)), live: Some(Arc::clone(&live)) });
        live.stop();
        self.live = Some(live.counts());
        followed.map(drop)
    }

    fn go_back(&mut self, shared: &Shared, following: &mut Following, range: Range<usize>) -> Result<(), Failure> {
        if interrupt::is_wished() {
            return Ok(());
        }
        following.direction = Direction::Backward;
        let backward = shared.frames().backward(range).map_err(fault::of_clip)?;
        self.follow(following, Pass::of(backward)).map(drop)
    }

    /// Follows through the frames of one pass; gives the tracker as it was some frames behind the beginning, where the clip is as long.
    fn follow(&mut self, following: &mut Following, pass: Pass) -> Result<Option<Tracker>, Failure> {
        let (route, first) = (self.route, self.drafts.span().map_or(0, |(first, _)| first));
        let needs_all = self.detector.is_some() || following.direction == Direction::Backward;
        let choice = Choice {
            is_taken: Arc::new(move |frame| route.is_step(frame)),
            is_encoded: Arc::new(move |frame| needs_all || frame >= first),
        };
        let stream = Stream::start(pass.pace, choice, following.tracker.encoder());
        let mut early = None;
        let mut count = 0;
        while let Some(coming) = stream.next() {
            let coming = coming?;
            if following.asked.is_none() {
                self.ask(following, &coming)?;
            }
            let (arrived, taken, image) = (coming.arrived, coming.taken, coming.image.clone());
            // Frames that were skipped leave no gaps for the tracker.
            let place = if pass.live.is_some() { count } else { route.place(coming.index) };
            let step = following.step(coming, place)?;
            if let Some(files) = &mut self.files {
                files.write(&step.masks)?;
                files.paint(image.pixels(), &step.masks)?;
            }
            if let Some(live) = &pass.live {
                live.answered(arrived, taken.elapsed());
            }
            self.report.add(&step)?;
            count += 1;
            if count == LOOKS_AHEAD + 1 {
                early = Some(following.tracker.clone());
            }
        }
        Ok(early)
    }

    /// Reads the prompts, now that it is known how large frames are, and asks the detector about the first of them.
    fn ask(&mut self, following: &mut Following, coming: &Coming) -> Result<(), Error> {
        let mut asked = self.drafts.finish(&coming.image)?;
        if let Some(detector) = self.detector {
            let wanted = Wanted { classes: self.classes.clone(), highest: self.drafts.highest() };
            let found = detected::detect(detector, &coming.image, self.arguments, wanted)?;
            asked.entry(coming.index).or_default().extend(found.asked);
            following.titles.extend(found.titles);
        }
        following.asked = Some(asked);
        Ok(())
    }

    /// Goes over the clip up to where tracking begins, so that the times of its frames are known.
    fn meet_all(&mut self, shared: &Shared) -> Result<(), Failure> {
        let mut frames = shared.frames();
        if !frames.is_found_by_time() {
            return Ok(());
        }
        let mut count = 0;
        for frame in frames.by_ref() {
            frame.map_err(fault::of_clip)?;
            count += 1;
            if interrupt::is_wished() {
                return Ok(());
            }
        }
        if count <= self.route.from {
            let error = Error::new(ErrorKind::BadInput, "frame").expecting(format!("below {count}, the number of the clip's frames"));
            return Err(error.but_found(self.route.from).into());
        }
        Ok(())
    }

    fn begin_overlay(&mut self) -> Result<(), Error> {
        self.files.as_mut().map_or(Ok(()), ClipFiles::begin_overlay)
    }

    /// Paints the overlay of frames that did not come in the order of their times.
    fn paint_all(&mut self, shared: &Shared) -> Result<(), Failure> {
        let Some(files) = self.files.as_mut().filter(|files| files.wants_overlay() && !interrupt::is_wished()) else { return Ok(()) };
        let Some(span) = files.span() else { return Ok(()) };
        let again = shared.frames().read(span).map_err(fault::of_clip)?;
        files.begin_overlay()?;
        for frame in again {
            let frame = frame.map_err(fault::of_clip)?;
            if let Some(masks) = files.masks(frame.index)? {
                files.paint(&frame.image, &masks)?;
            }
            if interrupt::is_wished() {
                break;
            }
        }
        Ok(())
    }
}
