//! The clip that is tracked through: where it comes from, and which of its frames.

use std::path::{Path, PathBuf};
use std::time::Duration;

use maskline::{Error, ErrorKind};
use maskline_video::{FrameOptions, Frames, Source};

use super::arguments::{Direction, Track, Way};
use super::fault;
use super::prompts::Drafts;
use crate::failure::Failure;
use crate::output::{self, Version};
use crate::pictures;

/// The name of standard input.
const STDIN: &str = "-";
/// The official code counts time in shares of a clip that is shorter.
const SHORT: usize = 16;
/// Most frames that are held to count those of a short clip.
const MOST_HELD: usize = 64;

/// Which frames are looked at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Route {
    pub(super) direction: Direction,
    /// Where tracking begins.
    pub(super) from: usize,
    pub(super) every: usize,
    /// Most frames, in each direction.
    pub(super) frames: Option<usize>,
}

impl Route {
    /// From the options, and from what is asked of which frames.
    ///
    /// # Errors
    /// `InvalidOption` for a prompt on a frame that is not looked at.
    pub(super) fn of(way: &Way, drafts: &Drafts) -> Result<Self, Error> {
        let (first, last) = drafts.span().unwrap_or_default();
        let from = way.from.unwrap_or(match way.direction {
            Direction::Forward => 0,
            Direction::Backward => last,
            Direction::Both => first,
        });
        if way.direction == Direction::Both && !drafts.is_empty() && from < first {
            let error =
                Error::new(ErrorKind::InvalidOption, "--from, in both directions").expecting(format!("the first prompt's frame {first}"));
            return Err(error.but_found(from).with_help("leave --from out, or go forward only"));
        }
        let route = Self { direction: way.direction, from, every: way.every, frames: way.frames };
        for frame in drafts.frames() {
            route.check(frame)?;
        }
        Ok(route)
    }

    fn check(&self, frame: usize) -> Result<(), Error> {
        let wrong = |expected: String| {
            let error = Error::new(ErrorKind::InvalidOption, "prompt on a frame that is not looked at");
            Err(error.expecting(expected).but_found(format!("frame {frame}")))
        };
        match self.direction {
            Direction::Forward | Direction::Both if frame < self.from => wrong(format!("frame {} or a later one (--from)", self.from)),
            Direction::Backward if frame > self.from => wrong(format!("frame {} or an earlier one (--from)", self.from)),
            _ if !self.from.abs_diff(frame).is_multiple_of(self.every) => {
                wrong(format!("every {}th frame from {} (--every)", self.every, self.from))
            }
            _ if self.frames.is_some_and(|frames| self.from.abs_diff(frame) / self.every >= frames) => {
                wrong(format!("one of {} frames (--frames)", self.frames.unwrap_or_default()))
            }
            _ => Ok(()),
        }
    }

    /// The place of a frame among those that are looked at, as the tracker counts them.
    pub(super) fn place(&self, frame: usize) -> usize {
        match self.direction {
            Direction::Forward => frame.saturating_sub(self.from) / self.every,
            Direction::Backward | Direction::Both => frame / self.every,
        }
    }

    /// Whether a frame is one of them, as far as steps go.
    pub(super) fn is_step(&self, frame: usize) -> bool {
        self.from.abs_diff(frame).is_multiple_of(self.every)
    }

    /// How many frames of a clip lie between the first and the last one that is looked at in a direction.
    fn reach(&self) -> Option<usize> {
        self.frames.map(|frames| (frames.max(1) - 1) * self.every + 1)
    }

    /// The frames of the forward pass.
    fn options(&self, arguments: &Track) -> FrameOptions {
        let usual = FrameOptions::default();
        // Going backward, all before are met first, so that their times are known.
        let (first, count) = match self.direction {
            Direction::Backward => (0, Some(self.from + 1)),
            Direction::Forward | Direction::Both => (self.from, self.reach()),
        };
        FrameOptions { first, count, rate: arguments.way.rate.unwrap_or(usual.rate), most_pixels: arguments.max_pixels, ..usual }
    }

    /// The frames of the backward pass, without the one where tracking begins.
    pub(super) fn behind(&self) -> std::ops::Range<usize> {
        let reach = self.reach().map_or(0, |reach| (self.from + 1).saturating_sub(reach));
        reach..self.from
    }
}

/// Opens the clip.
pub(super) fn open(arguments: &Track, route: &Route) -> Result<Frames, Failure> {
    let options = route.options(arguments);
    let source = match (is_stream(arguments), arguments.way.raw) {
        (true, Some(size)) => Source::Raw { size, reader: Box::new(std::io::stdin()) },
        (true, None) => Source::Stdin,
        (false, _) => {
            pictures::exists(&arguments.clip).map_err(|error| error_of_clip(&error))?;
            Source::at(&arguments.clip)
        }
    };
    Ok(Frames::open(source, &options).map_err(fault::of_clip)?)
}

/// Refuses frames that the clip does not have, as far as it tells.
///
/// # Errors
/// `BadInput`.
pub(super) fn check_length(length: Option<usize>, route: &Route, drafts: &Drafts) -> Result<(), Error> {
    let Some(length) = length else { return Ok(()) };
    let beyond = drafts.frames().map(|frame| (frame, "prompt")).chain([(route.from, "--from")]).find(|(frame, _)| *frame >= length);
    beyond.map_or(Ok(()), |(frame, what)| {
        let error = Error::new(ErrorKind::BadInput, format!("{what} on a frame that is not there"));
        Err(error.expecting(format!("a frame below {length}, counted from 0")).but_found(frame))
    })
}

/// What is told of a picture that is not there, of a clip.
fn error_of_clip(error: &Error) -> Error {
    let told = Error::new(error.kind(), error.message().replacen("no such picture", "no such clip", 1));
    match error.help() {
        Some(help) if help.ends_with("is there") => told.with_help(help),
        _ => told.with_help("give the path of a clip, a folder of pictures, or - for a stream on standard input"),
    }
}

/// Whether frames come on standard input.
pub(super) fn is_stream(arguments: &Track) -> bool {
    arguments.clip == Path::new(STDIN)
}

/// How many frames there are to look at, from the clip's first on, where that is known to be few: only then it counts.
pub(super) fn short_length(frames: &mut Frames, route: &Route) -> Option<usize> {
    let told = frames.clip().length;
    let length = if route.direction == Direction::Forward && route.frames.is_none() {
        // Counted, which is surer than what the clip tells.
        route.from + frames.length_up_to(((SHORT - 1) * route.every).min(MOST_HELD))?
    } else {
        told?
    };
    Some(length.div_ceil(route.every)).filter(|length| (1..SHORT).contains(length))
}

/// How many frames will be looked at, as far as the clip tells.
pub(super) fn expected(frames: &Frames, route: &Route) -> Option<usize> {
    let length = frames.clip().length?;
    let most = route.frames.unwrap_or(usize::MAX);
    let forward = || length.saturating_sub(route.from).div_ceil(route.every).min(most);
    let backward = || (route.from / route.every).min(most.saturating_sub(1));
    Some(match route.direction {
        Direction::Forward => forward(),
        Direction::Backward => backward() + 1,
        Direction::Both => forward() + backward(),
    })
}

/// The folder that is written into.
pub(super) fn folder(arguments: &Track) -> PathBuf {
    let named = arguments.clip.file_stem().filter(|_| !is_stream(arguments));
    // `..` has no name of its own.
    let name = named.map_or_else(|| "stream".into(), |name| name.to_os_string());
    arguments.output.clone().unwrap_or_else(|| Path::new(output::FOLDER).join(name))
}

/// What tells whether a clip was changed.
pub(super) fn versions(clip: &Path) -> Vec<Option<Version>> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(clip).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    files.sort();
    if files.is_empty() {
        files.push(clip.to_path_buf());
    }
    files.iter().map(|file| Version::of(file)).collect()
}

/// Options of a clip that cannot go together.
///
/// # Errors
/// `InvalidOption`.
pub(super) fn check(arguments: &Track, writes: bool) -> Result<(), Error> {
    let Way { direction, every, frames, raw, realtime, .. } = arguments.way;
    let invalid = |message: &str, help: &str| Err(Error::new(ErrorKind::InvalidOption, message).with_help(help));
    let is_stream = is_stream(arguments);
    if every == 0 || frames == Some(0) {
        let flag = if every == 0 { "--every" } else { "--frames" };
        return Err(Error::new(ErrorKind::InvalidOption, flag).expecting("1 or more").but_found(0));
    }
    if raw.is_some() && !is_stream {
        return invalid("--raw is about a stream on standard input", "give - in place of the clip, or leave it out");
    }
    if is_stream && direction != Direction::Forward {
        return invalid("a stream goes forward only", "leave --direction out, or give a file");
    }
    if arguments.resume && (is_stream || !writes) {
        let what = if is_stream { "a stream" } else { "a command that writes nothing" };
        return invalid(&format!("--resume cannot go on with {what}"), "leave it out");
    }
    if realtime.is_some() && (direction != Direction::Forward || every > 1 || arguments.resume) {
        return invalid("--realtime goes forward, and chooses frames itself", "leave --direction, --every and --resume out");
    }
    Ok(())
}

/// How long a live frame may take.
pub(super) fn budget(arguments: &Track) -> Option<Duration> {
    arguments.way.realtime.map(Duration::from_millis)
}
