//! How fast objects are followed through a video: frames a second by the number of objects and of memories, the first frame apart.
//!
//! Each number of objects is a video of its own. With another program, its frames and ours take turns, so that whatever else the machine
//! does meets both.

mod report;

use std::time::Instant;

use maskline::{Image, Model, Prompt, Result, RgbImage, Tracker, TrackerOptions};

use report::median;
pub use report::{Fill, Follower, Report, Row};

use crate::measure::against::engine_error;
use crate::peers::{Environment, EnvironmentOptions, Program, VideoPeer};
use crate::samples::milliseconds;

/// What is measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Numbers of objects.
    pub objects: Vec<usize>,
    /// Frames of each video that are tracked onto, after the first one.
    pub frames: usize,
    /// Width and height of the frames.
    pub size: (usize, usize),
}

impl Default for Plan {
    fn default() -> Self {
        Self { objects: vec![1, 2, 4, 8], frames: 12, size: (1280, 720) }
    }
}

/// What hears how far a measurement is.
pub type Progress<'a> = &'a dyn Fn(&str, f64);

/// Measures a model, and another program beside it.
///
/// # Errors
/// Where the model has no memory, a network fails, or the other program does.
pub fn run(model: &Model, plan: &Plan, mut peer: Option<VideoPeer>, tell: Progress<'_>) -> Result<Report> {
    let frames = pictures(plan)?;
    let mut rows = Vec::new();
    let total = plan.objects.len() * (plan.frames + 1);
    for (number, &objects) in plan.objects.iter().enumerate() {
        let options = TrackerOptions { most_objects: objects.max(1), ..TrackerOptions::default() };
        let mut tracker = model.tracker(options)?;
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        if let Some(peer) = &mut peer {
            peer.begin(objects).map_err(engine_error)?;
        }
        for index in 0..=plan.frames {
            let done = (number * (plan.frames + 1) + index) as f64 / total as f64;
            tell(&format!("{objects} objects, frame {index}"), done);
            ours.push(one(&mut tracker, &frames[index % frames.len()], objects)?);
            if let Some(peer) = &mut peer {
                theirs.push(peer.next_frame().map_err(engine_error)?);
            }
        }
        let memories = model.info().memory.as_ref().map_or(1, |memory| memory.memories);
        rows.push(row(Follower::Maskline, objects, &ours, memories).with_state(tracker.state_bytes()));
        if peer.is_some() {
            rows.push(row(Follower::Transformers, objects, &theirs, memories));
        }
    }
    Ok(Report::new(model.info().architecture.clone(), rows))
}

/// One frame, with the masks of all objects at its size; on the first one, the objects are clicked.
fn one(tracker: &mut Tracker, frame: &Image, objects: usize) -> Result<f64> {
    let start = Instant::now();
    let is_first = tracker.frame().is_none();
    let answer = tracker.push(frame)?;
    for object in &answer.objects {
        object.mask()?;
    }
    if is_first {
        let (width, height) = frame.size();
        for object in 0..objects {
            let at = |side: usize| side as f32 * (object as f32 + 0.5) / objects as f32;
            tracker.add(object as i64, &Prompt::click(at(width), at(height)))?.objects.iter().try_for_each(|one| one.mask().map(|_| ()))?;
        }
    }
    Ok(milliseconds(start.elapsed()))
}

/// Times of a video's frames by the memories that there were: the first frame has none, the next one has one, and so on.
fn row(program: Follower, objects: usize, times: &[f64], memories: usize) -> Row {
    let fill = |count: usize| {
        let of_fill: Vec<f64> = match count {
            full if full == memories => times.get(full..).unwrap_or_default().to_vec(),
            count => times.get(count).copied().into_iter().collect(),
        };
        median(&of_fill).map(|milliseconds| Fill { memories: count, milliseconds, frames: of_fill.len() })
    };
    let fills = (1..=memories).filter_map(fill).collect();
    Row { program, objects, first_milliseconds: times.first().copied().unwrap_or(0.0), fills, state_bytes: None }
}

/// transformers' `Sam2VideoModel` of a published architecture, in the Python that the options name or one that is made.
///
/// # Errors
/// `Unavailable` where there is no such Python, `Failed` if the program does not start.
pub fn transformers(options: &EnvironmentOptions, architecture: &str, threads: usize) -> Result<VideoPeer> {
    let environment = Environment::prepare(Program::PyTorch, options).map_err(engine_error)?;
    VideoPeer::start(&environment, architecture, threads).map_err(engine_error)
}

/// A few frames that differ: a bright square that moves over noise.
fn pictures(plan: &Plan) -> Result<Vec<Image>> {
    const FRAMES: usize = 4;
    let (width, height) = plan.size;
    let frame = |number: usize| {
        let mut noise = crate::random::Random::new(number as u64 + 1);
        let left = number * width / (2 * FRAMES);
        let mut pixels = Vec::with_capacity(3 * width * height);
        for at in 0..width * height {
            let (x, y) = (at % width, at / width);
            let is_inside = (left..left + width / 4).contains(&x) && (height / 4..height / 2).contains(&y);
            let level = if is_inside { 200 } else { 60 } + (noise.bits() % 40) as u8;
            pixels.extend([level, level / 2, level]);
        }
        Ok(Image::from_pixels(RgbImage::new(width, height, pixels)?))
    };
    (0..FRAMES).map(frame).collect()
}
