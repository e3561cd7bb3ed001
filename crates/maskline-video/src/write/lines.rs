//! COCO run lengths, a line of JSON per frame: what was found, and a journal of what is done.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use maskline_vision::Mask;
use serde::{Deserialize, Serialize, Serializer};

use super::documents::{unwritable, write_whole};
use super::{FrameMasks, ObjectMask};
use crate::time::{Ratio, Time};
use crate::{Error, ErrorKind, Result};

/// A file of JSON lines, one per frame: `{"frame", "time", "ticks", "tick", "width", "height", "objects": [{"id", "label", "class_id",
/// "score", "box", "area", "segmentation"}]}`.
///
/// `time` is in seconds, and exactly `ticks × tick`. `segmentation` is COCO's compressed RLE, `box` is `[x1, y1, x2, y2]` around it; an
/// object that is not seen has an empty one, and no box.
#[derive(Debug)]
pub struct MaskLines {
    path: PathBuf,
    file: File,
    length: u64,
    /// Where each frame's line is; of two, the later.
    places: BTreeMap<usize, Place>,
    /// Whether the lines are one per frame, in the order of the frames.
    is_in_order: bool,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    start: u64,
    bytes: usize,
}

#[derive(Serialize, Deserialize)]
struct Line {
    frame: usize,
    time: f64,
    ticks: i64,
    tick: String,
    width: usize,
    height: usize,
    objects: Vec<LineObject>,
}

#[derive(Serialize, Deserialize)]
struct LineObject {
    id: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    label: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    class_id: Option<usize>,
    score: f64,
    #[serde(rename = "box", default, skip_serializing_if = "Option::is_none")]
    bounds: Option<[usize; 4]>,
    #[serde(default)]
    area: u64,
    segmentation: Mask,
}

impl MaskLines {
    /// Begins a file anew.
    ///
    /// # Errors
    /// `Io`.
    pub fn create(path: &Path) -> Result<Self> {
        let file = File::options().create(true).truncate(true).read(true).write(true).open(path);
        let file = file.map_err(|error| unwritable(path, &error))?;
        Ok(Self { path: path.to_path_buf(), file, length: 0, places: BTreeMap::new(), is_in_order: true })
    }

    /// Goes on with a file, or begins one that is missing. A last line that is cut off is taken away; a line that is none of ours is an
    /// error.
    ///
    /// # Errors
    /// `Io`; `Corrupt` for a file of something else.
    pub fn resume(path: &Path) -> Result<Self> {
        if !path.exists() {
            return Self::create(path);
        }
        let failed = |error: std::io::Error| unwritable(path, &error);
        let file = File::options().read(true).write(true).open(path).map_err(failed)?;
        let mut lines = Self { path: path.to_path_buf(), file, length: 0, places: BTreeMap::new(), is_in_order: true };
        let mut reader = BufReader::new(File::open(path).map_err(failed)?);
        let mut text = Vec::new();
        while reader.read_until(b'\n', &mut text).map_err(failed)? > 0 && text.ends_with(b"\n") {
            let frame = serde_json::from_slice::<Line>(&text).map_err(|error| lines.not_ours(&error))?.frame;
            lines.note(frame, text.len());
            text.clear();
        }
        lines.file.set_len(lines.length).map_err(failed)?;
        lines.file.seek(SeekFrom::Start(lines.length)).map_err(failed)?;
        Ok(lines)
    }

    /// Adds a frame: whole, or on an error (a full disk) nothing.
    ///
    /// # Errors
    /// `Io`.
    pub fn append(&mut self, masks: &FrameMasks) -> Result<()> {
        let broken = |error: serde_json::Error| Error::invalid(format!("the masks of frame {} are no JSON: {error}", masks.index));
        let mut text = serde_json::to_vec(masks).map_err(broken)?;
        text.push(b'\n');
        if let Err(error) = self.file.write_all(&text) {
            // If the end cannot be taken back either, the next reader finds a line that is cut off; the error is told in any case.
            let _ = self.file.set_len(self.length).and_then(|()| self.file.seek(SeekFrom::Start(self.length)));
            return Err(unwritable(&self.path, &error));
        }
        self.note(masks.index, text.len());
        Ok(())
    }

    fn note(&mut self, frame: usize, bytes: usize) {
        self.is_in_order &= self.places.last_key_value().is_none_or(|(last, _)| *last < frame);
        self.places.insert(frame, Place { start: self.length, bytes });
        self.length += bytes as u64;
    }

    /// Whether a frame is written whole.
    pub fn has(&self, frame: usize) -> bool {
        self.places.contains_key(&frame)
    }

    /// The frames that are written whole, in rising order.
    pub fn frames(&self) -> impl DoubleEndedIterator<Item = usize> + '_ {
        self.places.keys().copied()
    }

    /// How many frames there are.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there is no frame.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The masks of a frame; `None` where it is not written.
    ///
    /// # Errors
    /// `Io`; `Corrupt` where somebody else has changed the file.
    pub fn read(&self, frame: usize) -> Result<Option<FrameMasks>> {
        let Some(place) = self.places.get(&frame) else { return Ok(None) };
        let text = self.text(*place)?;
        let line: Line = serde_json::from_slice(&text).map_err(|error| self.not_ours(&error))?;
        let tick: Ratio = line.tick.parse().map_err(|error: Error| error.at(&self.path))?;
        let object = |object: LineObject| {
            let LineObject { id, label, class_id, score, segmentation, .. } = object;
            ObjectMask { id, score: score as f32, label, class_id, mask: segmentation }
        };
        let objects: Vec<ObjectMask> = line.objects.into_iter().map(object).collect();
        let time = Time { ticks: line.ticks, tick };
        Ok(Some(FrameMasks { index: line.frame, time, size: (line.width, line.height), objects }))
    }

    /// All frames in rising order, one at a time.
    pub fn iter(&self) -> impl Iterator<Item = Result<FrameMasks>> + '_ {
        self.frames().filter_map(|frame| self.read(frame).transpose())
    }

    fn text(&self, place: Place) -> Result<Vec<u8>> {
        let mut text = vec![0; place.bytes];
        let read = File::open(&self.path).and_then(|mut file| {
            file.seek(SeekFrom::Start(place.start))?;
            file.read_exact(&mut text)
        });
        read.map_err(|error| Error::io(&self.path, "cannot be read", &error))?;
        Ok(text)
    }

    /// Brings the lines into the order of the frames, one per frame; returns the file. Frames can be added afterwards too.
    ///
    /// # Errors
    /// `Io`.
    pub fn finish(&mut self) -> Result<PathBuf> {
        if !self.is_in_order {
            write_whole(&self.path, |out| {
                self.places
                    .values()
                    .try_for_each(|place| out.write_all(&self.text(*place)?).map_err(|error| unwritable(&self.path, &error)))
            })?;
            *self = Self::resume(&self.path)?;
        }
        Ok(self.path.clone())
    }

    fn not_ours(&self, error: &serde_json::Error) -> Error {
        let error = Error::new(ErrorKind::Corrupt, format!("this is no line of masks: {error}")).at(&self.path);
        error.with_help("write elsewhere, or begin anew without going on")
    }
}

/// As a line of [`MaskLines`].
impl Serialize for FrameMasks {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        line_of(self).serialize(serializer)
    }
}

fn line_of(masks: &FrameMasks) -> Line {
    let object = |object: &ObjectMask| LineObject {
        id: object.id,
        label: object.label.clone(),
        class_id: object.class_id,
        score: (f64::from(object.score) * 1e5).round() / 1e5,
        bounds: object.mask.bounds(),
        area: object.mask.area(),
        segmentation: object.mask.clone(),
    };
    Line {
        frame: masks.index,
        time: (masks.time.seconds() * 1e6).round() / 1e6,
        ticks: masks.time.ticks,
        tick: masks.time.tick.to_string(),
        width: masks.size.0,
        height: masks.size.1,
        objects: masks.objects.iter().map(object).collect(),
    }
}
