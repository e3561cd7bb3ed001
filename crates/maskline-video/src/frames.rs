//! Frames, decoded ahead of who reads them.

use std::collections::VecDeque;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::JoinHandle;

use crate::clip::{Clip, Frame};
use crate::ffmpeg::{Child, Decoder, Input, Opening, Program, Start, known_length};
use crate::folder::{Pictures, Turning};
use crate::raw::{Layout, RawFrames};
use crate::source::Source;
use crate::time::{Ratio, Time};
use crate::{Error, ErrorKind, Result};

/// Most frames that are decoded ahead, however small they are.
const MOST_AHEAD: usize = 64;
/// A pass backwards holds so many times the bytes that are decoded ahead: the more frames it reads at once, the fewer are decoded again.
const BACKWARD_SHARE: usize = 4;

/// How frames are read.
#[derive(Debug, Clone, PartialEq)]
pub struct FrameOptions {
    /// The frame that comes first.
    pub first: usize,
    /// Most frames that come.
    pub count: Option<usize>,
    /// Frames per second of pictures and raw frames, which do not tell theirs. Default 30.
    pub rate: Ratio,
    /// Most pixels (width × height) of a frame. Default 100 million.
    pub most_pixels: u64,
    /// Bytes of frames that wait to be read; one frame waits in any case. Default 64 MiB.
    pub ahead_bytes: usize,
}

impl Default for FrameOptions {
    fn default() -> Self {
        Self { first: 0, count: None, rate: Ratio::whole(30), most_pixels: 100_000_000, ahead_bytes: 64 << 20 }
    }
}

/// The frames of a source, in their order. Decoding runs ahead on a thread of its own; dropping this ends it, and `ffmpeg` with it.
///
/// An error is the last item: all frames before it are whole. So a clip that is cut off gives what it has, then says what is wrong.
pub struct Frames {
    clip: Clip,
    queue: Option<Receiver<Result<Frame>>>,
    thread: Option<JoinHandle<()>>,
    child: Option<Child>,
    peeked: VecDeque<Result<Frame>>,
    again: Option<Again>,
    /// Ticks of the frames that came, where they can be read again.
    ticks: Vec<i64>,
    tick: Option<Ratio>,
    options: FrameOptions,
}

/// What can be read more than once.
#[derive(Debug, Clone)]
enum Again {
    File { path: PathBuf, length: Option<usize> },
    Folder(Pictures),
}

/// What gives frames.
enum Decoding {
    Clip(Decoder),
    Folder(Turning),
    Raw(RawFrames),
}

impl Decoding {
    fn clip(&self) -> &Clip {
        match self {
            Self::Clip(decoder) => decoder.clip(),
            Self::Folder(turning) => turning.clip(),
            Self::Raw(raw) => raw.clip(),
        }
    }

    fn next(&mut self) -> Option<Result<Frame>> {
        match self {
            Self::Clip(decoder) => decoder.next(),
            Self::Folder(turning) => turning.next(),
            Self::Raw(raw) => raw.next(),
        }
    }
}

impl Frames {
    /// Opens a source and waits for its first frame.
    ///
    /// # Errors
    /// `Unavailable` where `ffmpeg` is needed and missing; `Io` for what is not there; `NoFrames` for what is empty or has only sound;
    /// `Corrupt` for what is no clip, or cut off so that nothing can be read; `TooLarge` above the limit; `InvalidArgument` for a first frame
    /// behind the end.
    pub fn open(source: Source, options: &FrameOptions) -> Result<Self> {
        let start = Start { index: options.first, time: None, count: options.count };
        let opening = |length| Opening { start, most_pixels: options.most_pixels, length };
        match source {
            Source::File(path) => {
                let length = known_length(&Program::find()?, &path);
                let decoder = Decoder::open(Input::File(path.clone()), opening(length))?;
                Ok(Self::of(Decoding::Clip(decoder), Some(Again::File { path, length }), options))
            }
            Source::Folder(path) => {
                let pictures = Pictures::of(&path, options.rate, options.most_pixels)?;
                let turning = Turning::open(pictures.clone(), options.first, options.count)?;
                Ok(Self::of(Decoding::Folder(turning), Some(Again::Folder(pictures)), options))
            }
            Source::Stdin => Ok(Self::of(Decoding::Clip(Decoder::open(Input::Stdin, opening(None))?), None, options)),
            Source::Reader(reader) => Ok(Self::of(Decoding::Clip(Decoder::open(Input::Reader(reader), opening(None))?), None, options)),
            Source::Raw { size, reader } => {
                let raw = RawFrames::open(reader, Layout { size, rate: options.rate, most_pixels: options.most_pixels })?;
                Ok(Self::of(Decoding::Raw(raw.within(options.first, options.count)?), None, options))
            }
        }
    }

    fn of(mut decoding: Decoding, again: Option<Again>, options: &FrameOptions) -> Self {
        let clip = *decoding.clip();
        let child = if let Decoding::Clip(decoder) = &decoding { Some(decoder.child()) } else { None };
        // A thread that waits for a foreign reader cannot be ended, nor waited for.
        let is_foreign = matches!(decoding, Decoding::Raw(_));
        let (sender, queue) = sync_channel(ahead(&clip, options.ahead_bytes));
        let thread = std::thread::spawn(move || while decoding.next().is_some_and(|frame| sender.send(frame).is_ok()) {});
        let thread = Some(thread).filter(|_| !is_foreign);
        let (ticks, tick) = (Vec::new(), None);
        Self { clip, queue: Some(queue), thread, child, peeked: VecDeque::new(), again, ticks, tick, options: options.clone() }
    }

    /// What is known of the clip.
    pub fn clip(&self) -> &Clip {
        &self.clip
    }

    /// The number of frames that are still to come where it is at most `most`, else `None`: so many of them are decoded, and kept until
    /// they are read. An error among them ends the count.
    pub fn length_up_to(&mut self, most: usize) -> Option<usize> {
        while self.peeked.len() <= most {
            let Some(frame) = self.receive() else { break };
            let is_last = frame.is_err();
            self.peeked.push_back(frame);
            if is_last {
                break;
            }
        }
        let count = self.peeked.iter().filter(|frame| frame.is_ok()).count();
        (count <= most).then_some(count)
    }

    /// What ends decoding while another thread waits for a frame, of a stream that stands still for one.
    pub fn stopper(&self) -> Stopper {
        Stopper(self.child.clone())
    }

    /// Whether frames can be read again, as those of a file or a folder.
    pub fn can_be_read_again(&self) -> bool {
        self.again.is_some()
    }

    /// Whether frames are found by the times that they had when they came: those of a file, which are decoded from its beginning otherwise.
    pub fn is_found_by_time(&self) -> bool {
        matches!(self.again, Some(Again::File { .. }))
    }

    /// Reads frames again, or ahead. Those of a file that came already are found by their times, at the cost of decoding from the key frame
    /// before them; for others the clip is decoded from its beginning.
    ///
    /// # Errors
    /// `InvalidArgument` for a stream, an empty range or one behind the end; else as [`open`](Self::open).
    pub fn read(&self, range: Range<usize>) -> Result<Self> {
        let again = self.again.as_ref().ok_or_else(cannot_be_read_again)?;
        let time = || Some(Time { ticks: *self.ticks.get(range.start.checked_sub(self.options.first)?)?, tick: self.tick? });
        again.read(range.clone(), time(), &self.options)
    }

    /// Frames in falling order, from the last of a range to its first. Holds few of them at a time.
    ///
    /// # Errors
    /// `InvalidArgument` for a stream.
    pub fn backward(&self, range: Range<usize>) -> Result<Backward> {
        let again = self.again.clone().ok_or_else(cannot_be_read_again)?;
        let chunk = ahead(&self.clip, self.options.ahead_bytes.saturating_mul(BACKWARD_SHARE));
        let times = Times { first: self.options.first, ticks: self.ticks.as_slice().into(), tick: self.tick };
        let mut backward = Backward { again, times, options: self.options.clone(), left: range, chunk, held: Vec::new(), coming: None };
        backward.coming = backward.begin_chunk().transpose()?;
        Ok(backward)
    }

    fn receive(&mut self) -> Option<Result<Frame>> {
        let frame = self.queue.as_ref()?.recv().ok();
        if let (Some(Ok(frame)), Some(Again::File { .. })) = (&frame, &self.again) {
            self.tick = Some(frame.time.tick);
            self.ticks.push(frame.time.ticks);
        }
        frame
    }
}

/// Ends the decoding of [`Frames`] from another thread.
#[derive(Debug, Clone)]
pub struct Stopper(Option<Child>);

impl Stopper {
    /// Ends `ffmpeg`: whoever waits for a frame gets no more. Raw frames are not waited for by anybody but their reader.
    pub fn stop(&self) {
        if let Some(child) = &self.0 {
            child.kill();
        }
    }
}

impl Iterator for Frames {
    type Item = Result<Frame>;

    fn next(&mut self) -> Option<Self::Item> {
        self.peeked.pop_front().or_else(|| self.receive())
    }
}

impl Drop for Frames {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(child) = &self.child {
            child.kill();
        }
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has said so.
            let _ = thread.join();
        }
    }
}

impl std::fmt::Debug for Frames {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Frames").field("clip", &self.clip).field("peeked", &self.peeked.len()).finish_non_exhaustive()
    }
}

impl Again {
    fn read(&self, range: Range<usize>, time: Option<Time>, options: &FrameOptions) -> Result<Frames> {
        if range.is_empty() {
            return Err(Error::invalid("frames").with_expected("at least one").with_found(format!("{}..{}", range.start, range.end)));
        }
        let options = FrameOptions { first: range.start, count: Some(range.len()), ..options.clone() };
        let decoding = match self {
            Self::Folder(pictures) => Decoding::Folder(Turning::open(pictures.clone(), range.start, Some(range.len()))?),
            Self::File { path, length } => {
                let start = Start { index: range.start, time: time.filter(|_| range.start > 0), count: Some(range.len()) };
                let open = |start| {
                    let opening = Opening { start, most_pixels: options.most_pixels, length: *length };
                    Decoder::open(Input::File(path.clone()), opening)
                };
                let found = open(start).ok().filter(Decoder::begins_where_wished);
                // An index that leads elsewhere: the frame is counted from the beginning.
                Decoding::Clip(found.map_or_else(|| open(Start { time: None, ..start }), Ok)?)
            }
        };
        Ok(Frames::of(decoding, Some(self.clone()), &options))
    }
}

/// The times of frames that came.
#[derive(Debug)]
struct Times {
    first: usize,
    ticks: Arc<[i64]>,
    tick: Option<Ratio>,
}

impl Times {
    fn of(&self, index: usize) -> Option<Time> {
        Some(Time { ticks: *self.ticks.get(index.checked_sub(self.first)?)?, tick: self.tick? })
    }
}

/// Frames in falling order.
#[derive(Debug)]
pub struct Backward {
    again: Again,
    times: Times,
    options: FrameOptions,
    /// Frames of which reading has not begun.
    left: Range<usize>,
    chunk: usize,
    /// Frames that are read, in rising order.
    held: Vec<Frame>,
    /// The frames before them, which are being decoded.
    coming: Option<(Frames, usize)>,
}

impl Backward {
    /// Begins to read the frames before those that are read; with them, how many there are.
    fn begin_chunk(&mut self) -> Option<Result<(Frames, usize)>> {
        let start = self.left.end.saturating_sub(self.chunk).max(self.left.start);
        let range = start..self.left.end;
        self.left.end = start;
        let count = range.len();
        (count > 0).then(|| Ok((self.again.read(range, self.times.of(start), &self.options)?, count)))
    }

    fn fill(&mut self) -> Result<()> {
        let Some((frames, count)) = self.coming.take() else { return Ok(()) };
        self.held = frames.collect::<Result<_>>()?;
        if self.held.len() < count {
            let error = Error::new(ErrorKind::Corrupt, "the clip gives fewer frames when it is read again");
            return Err(error.with_expected(count.to_string()).with_found(self.held.len().to_string()));
        }
        self.coming = self.begin_chunk().transpose()?;
        Ok(())
    }
}

impl Iterator for Backward {
    type Item = Result<Frame>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.held.is_empty()
            && let Err(error) = self.fill()
        {
            self.left.end = self.left.start;
            self.held.clear();
            return Some(Err(error));
        }
        self.held.pop().map(Ok)
    }
}

/// How many frames make so many bytes.
fn ahead(clip: &Clip, bytes: usize) -> usize {
    let frame = clip.size.0.saturating_mul(clip.size.1).saturating_mul(3).max(1);
    (bytes / frame).clamp(1, MOST_AHEAD)
}

fn cannot_be_read_again() -> Error {
    let error = Error::invalid("frames of a stream").with_expected("to be read in their order");
    error.with_help("to go backward, give a file or a folder")
}
