//! The clip with its masks painted over it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Stdio};
use std::sync::mpsc::channel;
use std::thread::JoinHandle;

use maskline_vision::draw::{DrawOptions, Marks, annotate_prompted};
use maskline_vision::{Object, RgbImage};
use tempfile::TempPath;

use super::documents::{aside, unwritable};
use super::{FrameMasks, MaskSink, ObjectMask, matroska};
use crate::ffmpeg::{Child, Complaints, Pipes, Program, file_argument, listen, spawn};
use crate::time::Time;
use crate::{Error, ErrorKind, Result};

/// H.264 has colours for two pixels at a time: one more column and row where needed. Its numbers say which colours they are.
const TO_H264: &str = "pad=ceil(iw/2)*2:ceil(ih/2)*2,scale=out_color_matrix=bt709:out_range=tv:flags=accurate_rnd+full_chroma_int+bicubic,\
     format=yuv420p";

/// Options of [`Overlay`].
#[derive(Debug, Clone)]
pub struct OverlayOptions {
    /// How masks are drawn. By default without boxes.
    pub draw: DrawOptions,
    /// Constant quality of H.264, 0 (lossless) to 51. Default 20.
    pub quality: u8,
}

impl Default for OverlayOptions {
    fn default() -> Self {
        Self { draw: DrawOptions { boxes: false, ..DrawOptions::default() }, quality: 20 }
    }
}

/// An MP4 of H.264 with a translucent mask and the number of each object. Frames are shown when those of the clip are, counted from the
/// first; an odd size grows by one. The file is there once it is finished.
#[derive(Debug)]
pub struct Overlay {
    path: PathBuf,
    options: OverlayOptions,
    /// Place of each object in the list that colours follow: that in which they appeared.
    places: HashMap<i64, usize>,
    encoder: Option<Encoder>,
}

#[derive(Debug)]
struct Encoder {
    child: Child,
    input: ChildStdin,
    listener: JoinHandle<Complaints>,
    aside: TempPath,
    size: (usize, usize),
    first: Time,
    last: Time,
}

impl Overlay {
    /// An overlay that will be at `path`; nothing is written before the first frame.
    ///
    /// # Errors
    /// `Unavailable` without `ffmpeg`; `InvalidArgument` for a quality above 51.
    pub fn open(path: &Path, options: OverlayOptions) -> Result<Self> {
        if options.quality > 51 {
            return Err(Error::invalid("quality of H.264").with_expected("0 to 51").with_found(options.quality.to_string()));
        }
        Program::find()?;
        Ok(Self { path: path.to_path_buf(), options, places: HashMap::new(), encoder: None })
    }

    /// The frame with its masks.
    fn drawn(&mut self, image: &RgbImage, masks: &FrameMasks) -> RgbImage {
        for object in &masks.objects {
            let next = self.places.len();
            self.places.entry(object.id).or_insert(next);
        }
        // Objects that are not in this frame keep their colours, so that their places stay empty.
        let mut listed = vec![Object { bounds: [f32::NAN; 4], ..Object::default() }; self.places.len()];
        for object in masks.objects.iter().filter(|object| !object.mask.is_empty()) {
            listed[self.places[&object.id]] = shown(object);
        }
        annotate_prompted(image, &listed, &Marks::default(), &self.options.draw)
    }
}

/// An object under its number.
fn shown(object: &ObjectMask) -> Object {
    let label = object.label.as_ref().map_or_else(|| object.id.to_string(), |label| format!("{label} {}", object.id));
    let bounds = object.mask.bounds().map_or([f32::NAN; 4], |bounds| bounds.map(|side| side as f32));
    Object { label: Some(label), score: object.score, bounds, mask: Some(object.mask.clone()), ..Object::default() }
}

impl MaskSink for Overlay {
    /// Frames come in the order of their times.
    fn put(&mut self, image: &RgbImage, masks: &FrameMasks) -> Result<()> {
        let drawn = self.drawn(image, masks);
        let encoder = match self.encoder.take() {
            Some(encoder) => encoder,
            None => Encoder::start(&self.path, image.size(), masks.time, self.options.quality)?,
        };
        let encoder = self.encoder.insert(encoder);
        encoder.check(image.size(), masks.time)?;
        if let Err(error) = encoder.write(&drawn, masks.time) {
            return Err(self.encoder.take().map_or(error, |encoder| encoder.failed(&self.path)));
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<Option<PathBuf>> {
        let Some(encoder) = self.encoder else { return Ok(None) };
        encoder.finish(&self.path)?;
        Ok(Some(self.path))
    }
}

impl Encoder {
    fn start(path: &Path, size: (usize, usize), first: Time, quality: u8) -> Result<Self> {
        let program = Program::find()?;
        let aside = aside(path, ".mp4")?.into_temp_path();
        let mut command = program.command();
        command.args(["-loglevel", "level+error", "-y", "-f", "matroska", "-i", "pipe:0"]);
        command.args(["-vf", TO_H264, "-c:v", "libx264", "-preset", "veryfast", "-crf", &quality.to_string()]);
        command.args(["-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709"]);
        // The clip's own clock, on which its times are whole.
        let (above, below) = (first.tick.above(), first.tick.below());
        command.args(["-enc_time_base", &format!("{above}/{below}"), "-video_track_timescale", &below.to_string()]);
        command.args(program.every_frame()).args(["-movflags", "+faststart", "-f", "mp4"]).arg(file_argument(&aside));
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let (Pipes { input, told, .. }, child) = spawn(&mut command)?;
        let unpiped = || Error::new(ErrorKind::Failed, "ffmpeg started without its pipes");
        let (mut input, told) = input.zip(told).ok_or_else(unpiped)?;
        let listener = std::thread::spawn(move || listen(told, &channel().0));
        let begun = matroska::write_header(&mut input, size);
        let encoder = Self { child, input, listener, aside, size, first, last: first };
        if begun.is_err() { Err(encoder.failed(path)) } else { Ok(encoder) }
    }

    fn check(&mut self, size: (usize, usize), time: Time) -> Result<()> {
        if size != self.size {
            let ((width, height), (wide, high)) = (self.size, size);
            let error = Error::invalid("frame of an overlay").with_expected(format!("{width} × {height}"));
            return Err(error.with_found(format!("{wide} × {high}")));
        }
        if time != self.first && time.nanoseconds() <= self.last.nanoseconds() {
            let error = Error::invalid("frame of an overlay").with_expected(format!("a time after {} s", self.last.seconds()));
            return Err(error.with_found(format!("{} s", time.seconds())));
        }
        self.last = time;
        Ok(())
    }

    fn write(&mut self, drawn: &RgbImage, time: Time) -> Result<()> {
        let nanoseconds = u64::try_from(time.nanoseconds().saturating_sub(self.first.nanoseconds())).unwrap_or(0);
        let failed = |error: std::io::Error| Error::new(ErrorKind::Failed, format!("ffmpeg takes no more frames: {error}"));
        matroska::write_frame(&mut self.input, nanoseconds, drawn.pixels()).map_err(failed)
    }

    fn finish(self, path: &Path) -> Result<()> {
        let Self { child, input, listener, aside, .. } = self;
        drop(input);
        let status = child.wait()?;
        let complaints = listener.join().unwrap_or_default();
        if !status.success() {
            return Err(why(path, &complaints));
        }
        aside.persist(path).map_err(|error| unwritable(path, &error.error))
    }

    /// What ended the program.
    fn failed(self, path: &Path) -> Error {
        let Self { child, input, listener, .. } = self;
        drop(input);
        let ended = child.wait();
        let complaints = listener.join().unwrap_or_default();
        ended.err().unwrap_or_else(|| why(path, &complaints))
    }
}

fn why(path: &Path, complaints: &Complaints) -> Error {
    if complaints.say("Unknown encoder") {
        let error = Error::new(ErrorKind::Unavailable, "this ffmpeg cannot write H.264: it was built without libx264");
        return error.with_help("install one that has it, or leave the overlay out");
    }
    let kind = if complaints.say("No space left") { ErrorKind::Io } else { ErrorKind::Failed };
    Error::new(kind, format!("the overlay cannot be written; ffmpeg: {}", complaints.shown())).at(path)
}
