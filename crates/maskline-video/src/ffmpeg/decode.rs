//! Frames of a clip, as `ffmpeg` decodes them, each with its exact time.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::Instant;

use maskline_vision::RgbImage;

use super::child::{Child, Pipes, spawn};
use super::program::{Program, file_argument};
use super::told::{Complaints, News, Stamp, listen};
use crate::clip::{Clip, Frame};
use crate::time::{Ratio, Time};
use crate::{Error, ErrorKind, Result};

/// Kinds of files that are read. Those that are lists of other files, or that name addresses, are not among them.
pub(super) const FORMATS: &str = "mov,matroska,avi,mpegts,mpeg,mpegvideo,flv,ogg,asf,mxf,nut,ivf,h264,hevc,vvc,av1,obu,m4v,vc1,dv,rm,\
     gif,mjpeg,yuv4mpegpipe,mp3,aac,wav,flac,ac3,w64,caf,aiff,amr";

/// From YUV to RGB with all colour samples, rounded as well as it can: on every machine the same.
const TO_RGB: &str = "scale=flags=accurate_rnd+full_chroma_int+bicubic,format=rgb24";

/// Frames per second of clips that do not tell theirs.
const UNTOLD_RATE: Ratio = Ratio::whole(25);

/// What is decoded.
pub(crate) enum Input {
    File(PathBuf),
    /// What this process has on its standard input.
    Stdin,
    /// What is read here and piped on.
    Reader(Box<dyn Read + Send>),
}

/// Where decoding begins.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Start {
    /// The frame that comes first.
    pub(crate) index: usize,
    /// Its time, where it is known: all before it need not be decoded.
    pub(crate) time: Option<Time>,
    /// How many frames are wished for.
    pub(crate) count: Option<usize>,
}

/// How a clip is opened.
pub(crate) struct Opening {
    pub(crate) start: Start,
    pub(crate) most_pixels: u64,
    /// How many frames the clip's header tells.
    pub(crate) length: Option<usize>,
}

/// A decoder at work.
pub(crate) struct Decoder {
    child: Child,
    output: ChildStdout,
    news: Receiver<News>,
    listener: Option<JoinHandle<Complaints>>,
    path: Option<PathBuf>,
    opening: Opening,
    /// The stamp of the first frame, whose pixels are not read yet.
    first: Option<Stamp>,
    clip: Clip,
    tick: Ratio,
    given: usize,
    is_at_end: bool,
}

impl Decoder {
    /// Starts decoding, and waits until the first frame is there.
    ///
    /// # Errors
    /// `Unavailable` without `ffmpeg`; `Io` for what cannot be read; `NoFrames`, `Corrupt` and `TooLarge` as the clip is.
    pub(crate) fn open(input: Input, opening: Opening) -> Result<Self> {
        let program = Program::find()?;
        let path = if let Input::File(path) = &input { Some(path.clone()) } else { None };
        path.as_deref().map_or(Ok(()), check_file)?;
        let (Pipes { input: piped, output, told }, child) = spawn(&mut command(&program, &input, &opening))?;
        if let (Input::Reader(reader), Some(piped)) = (input, piped) {
            feed(reader, piped);
        }
        let unpiped = || Error::new(ErrorKind::Failed, "ffmpeg started without its pipes");
        let (output, told) = output.zip(told).ok_or_else(unpiped)?;
        let (sender, news) = channel();
        let listener = Some(std::thread::spawn(move || listen(told, &sender)));
        let clip = Clip { size: (0, 0), length: opening.length, rate: None };
        let mut decoder = Self {
            child,
            output,
            news,
            listener,
            path,
            opening,
            first: None,
            clip,
            tick: UNTOLD_RATE.inverse(),
            given: 0,
            is_at_end: false,
        };
        decoder.first = decoder.next_stamp();
        let Some(first) = decoder.first else { return Err(decoder.why_nothing_came()) };
        decoder.clip.size = decoder.checked_size(first.size)?;
        Ok(decoder)
    }

    pub(crate) fn clip(&self) -> &Clip {
        &self.clip
    }

    /// A handle by which it can be ended.
    pub(crate) fn child(&self) -> Child {
        self.child.clone()
    }

    /// Whether the first frame has the time that decoding was to begin at.
    pub(crate) fn begins_where_wished(&self) -> bool {
        let wished = self.opening.start.time.map(|time| time.ticks);
        wished.is_none() || self.first.is_some_and(|first| first.ticks == wished)
    }

    fn next_stamp(&mut self) -> Option<Stamp> {
        loop {
            match self.news.recv().ok()? {
                News::Frame(stamp) => return Some(stamp),
                News::Clock { tick, rate } => {
                    self.tick = tick;
                    self.clip.rate = rate;
                }
            }
        }
    }

    fn checked_size(&self, (width, height): (usize, usize)) -> Result<(usize, usize)> {
        let pixels = (width as u64).saturating_mul(height as u64);
        if pixels > self.opening.most_pixels {
            return Err(self.too_large(&format!("{width} × {height}")));
        }
        Ok((width, height))
    }

    fn too_large(&self, found: &str) -> Error {
        let error = self.error(ErrorKind::TooLarge, "the frames of the clip are too large");
        error.with_expected(format!("at most {} pixels", self.opening.most_pixels)).with_found(found)
    }

    /// The next frame; behind the last one, once, what was wrong with the clip.
    pub(crate) fn next(&mut self) -> Option<Result<Frame>> {
        if self.is_at_end || self.opening.start.count.is_some_and(|count| self.given >= count) {
            return None;
        }
        let begun = Instant::now();
        let Some(stamp) = self.first.take().or_else(|| self.next_stamp()) else {
            self.is_at_end = true;
            return self.what_was_wrong().map(Err);
        };
        let frame = self.frame(stamp, begun);
        self.is_at_end = frame.is_err();
        self.given += 1;
        Some(frame)
    }

    fn frame(&mut self, stamp: Stamp, begun: Instant) -> Result<Frame> {
        let index = self.opening.start.index + self.given;
        if stamp.number != self.given {
            let error = self.error(ErrorKind::Failed, "ffmpeg counts other frames than come");
            return Err(error.with_expected(self.given.to_string()).with_found(stamp.number.to_string()));
        }
        if stamp.size != self.clip.size {
            let ((width, height), (wide, high)) = (self.clip.size, stamp.size);
            let error = self.error(ErrorKind::Corrupt, format!("frame {index} of the clip has another size than those before it"));
            let error = error.with_expected(format!("{width} × {height}")).with_found(format!("{wide} × {high}"));
            return Err(error.with_help("convert it to one size first: ffmpeg -i CLIP -vf scale=WIDTH:HEIGHT NEW.mp4"));
        }
        let (width, height) = self.clip.size;
        let mut pixels = vec![0; width * height * 3];
        if self.output.read_exact(&mut pixels).is_err() {
            return Err(self
                .what_was_wrong()
                .unwrap_or_else(|| self.error(ErrorKind::Failed, format!("ffmpeg ended within frame {index}"))));
        }
        let ticks = stamp.ticks.unwrap_or_else(|| self.untold_ticks(index));
        Ok(Frame { index, time: Time { ticks, tick: self.tick }, image: RgbImage::new(width, height, pixels)?, decode: begun.elapsed() })
    }

    /// Where frames have no times, they are evenly spaced.
    fn untold_ticks(&self, index: usize) -> i64 {
        let seconds = index as f64 / self.clip.rate.unwrap_or(UNTOLD_RATE).value();
        (seconds / self.tick.value()).round() as i64
    }

    /// All that was complained of; the program has ended.
    fn complaints(&mut self) -> Complaints {
        self.listener.take().and_then(|listener| listener.join().ok()).unwrap_or_default()
    }

    /// What the end of the clip says of it. A decoder that hides a fault and gives all frames has done its work.
    fn what_was_wrong(&mut self) -> Option<Error> {
        let status = match self.child.wait() {
            Ok(status) => status,
            Err(error) => return Some(error),
        };
        let complaints = self.complaints();
        let count = self.opening.start.index + self.given;
        let is_wished_part = self.opening.start.count.is_some_and(|wished| self.given >= wished);
        let missing = self.opening.length.filter(|length| count < *length && !complaints.is_empty());
        let is_cut_off = ["prematurely", "partial file", "Truncat", "truncat"].iter().any(|words| complaints.say(words));
        if is_wished_part || (status.success() && missing.is_none() && !is_cut_off) {
            return None;
        }
        let mut message = format!("the clip is damaged or cut off: {count} frames could be read");
        if let Some(length) = missing {
            message += &format!(" of the {length} that it tells of");
        }
        if !status.success() && complaints.is_empty() {
            message = format!("ffmpeg ended early ({status}), after {count} frames");
        } else if !complaints.is_empty() {
            message += &format!("; ffmpeg: {}", complaints.shown());
        }
        Some(self.error(ErrorKind::Corrupt, message))
    }

    fn why_nothing_came(&mut self) -> Error {
        let status = self.child.wait();
        let complaints = self.complaints();
        let said = |words: &str| complaints.say(words);
        let index = self.opening.start.index;
        if said("matches no streams") {
            return self.error(ErrorKind::NoFrames, "there are no frames in it, only sound or subtitles");
        }
        if said("max pixel count") || said("Picture size") {
            return self.too_large("more").with_help("make it smaller first: ffmpeg -i CLIP -vf scale=1920:-2 NEW.mp4");
        }
        if said("moov atom not found") && self.is_like_mp4() {
            let error = self.error(ErrorKind::Corrupt, "the clip is cut off: its index, which stands at the end, is missing");
            return error.with_help("copy or record it again; where it comes through a pipe, name the file itself");
        }
        if said("whitelist") {
            return self.error(ErrorKind::Corrupt, "this kind of file is not read as a clip").with_help("convert it to MP4 or MKV first");
        }
        match status {
            Err(error) => error,
            Ok(status) if status.success() && index == 0 => self.error(ErrorKind::NoFrames, "there is no frame in the clip"),
            Ok(status) if status.success() => {
                let error = self.error(ErrorKind::InvalidArgument, "frame").with_expected("one of the clip's");
                error.with_found(format!("{index}, which is behind its end"))
            }
            Ok(status) if complaints.is_empty() => self.error(ErrorKind::Failed, format!("ffmpeg ended without a frame ({status})")),
            Ok(_) => self.error(ErrorKind::Corrupt, format!("this is no clip that can be read; ffmpeg: {}", complaints.shown())),
        }
    }

    /// Files of this kind begin with the length and the word `ftyp`; of a pipe nothing is known.
    fn is_like_mp4(&self) -> bool {
        let Some(path) = &self.path else { return true };
        let mut begin = [0; 8];
        std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut begin)).is_ok() && begin.ends_with(b"ftyp")
    }

    fn error(&self, kind: ErrorKind, message: impl Into<String>) -> Error {
        let error = Error::new(kind, message);
        match &self.path {
            Some(path) => error.at(path),
            None => error,
        }
    }
}

fn check_file(path: &Path) -> Result<()> {
    let facts = std::fs::metadata(path).map_err(|error| Error::io(path, "the clip cannot be read", &error))?;
    if facts.is_file() && facts.len() == 0 {
        return Err(Error::new(ErrorKind::NoFrames, "the file is empty").at(path));
    }
    Ok(())
}

fn command(program: &Program, input: &Input, opening: &Opening) -> Command {
    let mut command = program.command();
    command.args(["-loglevel", "level+info", "-nostdin", "-copyts"]);
    command.args(["-protocol_whitelist", "file,pipe", "-format_whitelist", FORMATS]);
    command.args(["-max_pixels", &opening.most_pixels.min(i32::MAX as u64).to_string()]);
    if let Some(time) = opening.start.time {
        // To the key frame before it, on the clip's own clock; the filter below drops what comes before the frame.
        command.args(["-seek_timestamp", "1", "-noaccurate_seek", "-ss", &format!("{:.6}", time.seconds())]);
    }
    command.arg("-i");
    match input {
        Input::File(path) => command.arg(file_argument(path)),
        Input::Stdin | Input::Reader(_) => command.arg("pipe:0"),
    };
    // `V` is a stream of frames, not the cover of a song.
    command.args(["-map", "0:V:0", "-an", "-sn", "-dn"]);
    let first = match opening.start {
        Start { index: 0, .. } => String::new(),
        Start { time: Some(time), .. } => format!("trim=start_pts={},", time.ticks),
        Start { index, .. } => format!("trim=start_frame={index},"),
    };
    command.arg("-vf").arg(format!("{first}{TO_RGB},showinfo=checksum=0"));
    if let Some(count) = opening.start.count {
        command.args(["-frames:v", &count.to_string()]);
    }
    command.args(program.every_frame()).args(["-f", "rawvideo", "pipe:1"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.stdin(match input {
        Input::File(_) => Stdio::null(),
        Input::Stdin => Stdio::inherit(),
        Input::Reader(_) => Stdio::piped(),
    });
    command
}

/// Pipes bytes on from a thread of its own, until either side ends. A reader that blocks keeps its thread, which holds nothing else.
fn feed(mut reader: Box<dyn Read + Send>, mut piped: ChildStdin) {
    std::thread::spawn(move || std::io::copy(&mut reader, &mut piped));
}
