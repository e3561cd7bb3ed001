//! What `track` writes into its folder.
//!
//! A frame's line is its last file: a frame that has one is written whole. All documents are made from the lines when the work ends, however
//! it ends.

use std::collections::HashSet;
use std::ops::Range;
use std::path::{Path, PathBuf};

use maskline::vision::write::{mask_png, write_atomically};
use maskline::{Error, RgbImage};
use maskline_video::write::{
    FrameMasks, MaskLines, MaskSink, MotsOptions, Overlay, OverlayOptions, YoutubeVisOptions, frame_name, palette_png, write_mots,
    write_whole, write_youtube_vis,
};
use serde::{Deserialize, Serialize};

use super::arguments::ClipFormat;
use super::fault;
use crate::failure::Failure;
use crate::output::{About, Inputs, Place};
use crate::terminal;

/// What all files are about, in the folder's journal.
const STEM: &str = "clip";
/// Frames by line, where they are wished for.
const LINES: &str = "masks.jsonl";
/// What was asked, in maskline's own folder.
const ASKED: &str = "clip.json";

/// What is written, and where.
pub(super) struct Plan<'a> {
    pub(super) folder: &'a Path,
    pub(super) formats: &'a [ClipFormat],
    pub(super) inputs: Inputs,
    pub(super) overwrite: bool,
    pub(super) resume: bool,
    /// A hash of all that the answers depend on.
    pub(super) asked: String,
}

/// What the folder was made for.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Origin {
    asked: String,
    /// Whether the clip was done to its end.
    is_whole: bool,
}

/// The files of one clip.
pub(super) struct ClipFiles {
    place: Place,
    formats: Vec<ClipFormat>,
    lines: MaskLines,
    /// The overlay, where frames come in the order of their times.
    overlay: Option<Box<Overlay>>,
    asked: String,
    /// Pictures of an earlier run that this one has not written again.
    stale: HashSet<String>,
    was_whole: bool,
    /// Frames of the clip, where that is known.
    pub(super) length: Option<usize>,
}

impl ClipFormat {
    fn name(self) -> &'static str {
        match self {
            Self::Overlay => "overlay",
            Self::Davis => "davis",
            Self::SaV => "sa-v",
            Self::CocoRle => "coco-rle",
            Self::Mots => "mots",
            Self::YoutubeVis => "youtube-vis",
        }
    }

    /// The one file of a format that has one.
    fn file(self) -> Option<&'static str> {
        match self {
            Self::Overlay => Some("overlay.mp4"),
            Self::CocoRle => Some(LINES),
            Self::Mots => Some("mots.txt"),
            Self::YoutubeVis => Some("youtube-vis.json"),
            Self::Davis | Self::SaV => None,
        }
    }

    fn about(self) -> About<'static> {
        About { stem: Some(STEM), format: self.name() }
    }
}

impl ClipFiles {
    /// Makes the folder, and tells at once what may not be written into it.
    pub(super) fn open(plan: Plan<'_>) -> Result<Self, Failure> {
        let place = Place::open(plan.folder, plan.inputs, plan.overwrite)?;
        plan.formats.iter().filter_map(|format| format.file()).try_for_each(|name| place.may_write(name, Some(STEM)))?;
        let old = origin(&place);
        let goes_on = plan.resume && old.asked == plan.asked;
        if plan.resume && !goes_on && old != Origin::default() {
            terminal::say("--resume: the folder's frames were asked for in another way: all are done anew");
        }
        let pictures = [ClipFormat::Davis, ClipFormat::SaV].map(|format| place.files_of(STEM, format.name()));
        let stale = if goes_on { HashSet::new() } else { pictures.concat().into_iter().collect() };
        let is_shown = plan.formats.contains(&ClipFormat::CocoRle);
        let path = if is_shown { place.path_of(LINES) } else { place.own().join(LINES) };
        let lines = if goes_on { MaskLines::resume(&path) } else { MaskLines::create(&path) };
        let mut files = Self {
            lines: lines.map_err(fault::of_files)?,
            place,
            formats: plan.formats.to_vec(),
            overlay: None,
            asked: plan.asked,
            stale,
            was_whole: goes_on && old.is_whole,
            length: None,
        };
        if is_shown {
            files.place.note_growing(LINES, ClipFormat::CocoRle.about())?;
        }
        if !files.was_whole {
            files.note_origin(false)?;
        }
        Ok(files)
    }

    /// Whether the clip was done to its end before.
    pub(super) fn was_whole(&self) -> bool {
        self.was_whole
    }

    /// How many frames are written whole.
    pub(super) fn count(&self) -> usize {
        self.lines.len()
    }

    /// Whether an overlay is wished for.
    pub(super) fn wants_overlay(&self) -> bool {
        self.formats.contains(&ClipFormat::Overlay)
    }

    /// Begins the overlay: from now on frames come in the order of their times.
    pub(super) fn begin_overlay(&mut self) -> Result<(), Error> {
        if self.wants_overlay() {
            let path = self.place.path_of(ClipFormat::Overlay.file().unwrap_or_default());
            self.overlay = Some(Box::new(Overlay::open(&path, OverlayOptions::default()).map_err(fault::of_files)?));
        }
        Ok(())
    }

    /// Paints a frame's masks over it.
    pub(super) fn paint(&mut self, image: &RgbImage, masks: &FrameMasks) -> Result<(), Error> {
        self.overlay.as_mut().map_or(Ok(()), |overlay| overlay.put(image, masks).map_err(fault::of_files))
    }

    /// From the first frame that is written to the last.
    pub(super) fn span(&self) -> Option<Range<usize>> {
        let mut frames = self.lines.frames();
        let first = frames.next()?;
        Some(first..frames.next_back().unwrap_or(first) + 1)
    }

    /// The masks of a frame that is written.
    pub(super) fn masks(&self, frame: usize) -> Result<Option<FrameMasks>, Error> {
        self.lines.read(frame).map_err(fault::of_files)
    }

    /// Writes a frame, unless it is written already.
    pub(super) fn write(&mut self, masks: &FrameMasks) -> Result<(), Error> {
        if self.lines.has(masks.index) {
            return Ok(());
        }
        let frame = frame_name(masks.index);
        if self.formats.contains(&ClipFormat::Davis) {
            self.picture(&format!("davis/{frame}.png"), ClipFormat::Davis, &palette_png(masks).map_err(fault::of_files)?)?;
        }
        if self.formats.contains(&ClipFormat::SaV) {
            for object in &masks.objects {
                self.picture(&format!("sa-v/{:03}/{frame}.png", object.id), ClipFormat::SaV, &mask_png(&object.mask, None, u8::MAX)?)?;
            }
        }
        self.lines.append(masks).map_err(fault::of_files)
    }

    fn picture(&mut self, name: &str, format: ClipFormat, bytes: &[u8]) -> Result<(), Error> {
        self.place.may_write(name, Some(STEM))?;
        self.place.put(name, format.about(), |out| out.write_all(bytes))?;
        self.stale.remove(name);
        Ok(())
    }

    /// Writes all that is made of the lines; returns the files and folders, and what went wrong with others.
    pub(super) fn finish(mut self, is_whole: bool) -> Vec<Result<PathBuf, Error>> {
        let mut written = Vec::new();
        for format in self.formats.clone() {
            match format {
                ClipFormat::Overlay => written.extend(self.end_overlay().transpose()),
                ClipFormat::Mots | ClipFormat::YoutubeVis => written.push(self.document(format)),
                ClipFormat::Davis | ClipFormat::SaV => {
                    let folder = self.place.path_of(format.name());
                    written.extend((folder.is_dir() && !self.lines.is_empty()).then_some(Ok(folder)));
                }
                // Last, for the others are made of them.
                ClipFormat::CocoRle => {}
            }
        }
        for name in std::mem::take(&mut self.stale) {
            written.extend(self.place.remove(&name).err().map(Err));
        }
        let is_whole = is_whole && written.iter().all(Result::is_ok);
        written.extend(self.end_lines(is_whole).transpose());
        written
    }

    fn end_overlay(&mut self) -> Result<Option<PathBuf>, Error> {
        let Some(overlay) = self.overlay.take() else { return Ok(None) };
        let Some(path) = overlay.finish().map_err(fault::of_files)? else { return Ok(None) };
        self.note_final(ClipFormat::Overlay)?;
        Ok(Some(path))
    }

    fn document(&mut self, format: ClipFormat) -> Result<PathBuf, Error> {
        let path = self.place.path_of(format.file().unwrap_or_default());
        let lines = &self.lines;
        let filled = write_whole(&path, |out| match format {
            ClipFormat::Mots => write_mots(out, &path, lines, MotsOptions::default()),
            _ => write_youtube_vis(out, &path, lines, YoutubeVisOptions { length: self.length, ..YoutubeVisOptions::default() }),
        });
        filled.map_err(fault::of_files)?;
        self.note_final(format)?;
        Ok(path)
    }

    /// The lines' file, where it was wished for.
    fn end_lines(&mut self, is_whole: bool) -> Result<Option<PathBuf>, Error> {
        let is_shown = self.formats.contains(&ClipFormat::CocoRle);
        let path = self.lines.finish().map_err(fault::of_files)?;
        if is_shown {
            self.note_final(ClipFormat::CocoRle)?;
        }
        self.note_origin(is_whole)?;
        Ok(is_shown.then_some(path))
    }

    fn note_final(&mut self, format: ClipFormat) -> Result<(), Error> {
        format.file().map_or(Ok(()), |name| self.place.note_final(name, format.about()))
    }

    fn note_origin(&self, is_whole: bool) -> Result<(), Error> {
        let origin = serde_json::json!(Origin { asked: self.asked.clone(), is_whole });
        Ok(write_atomically(&self.place.own().join(ASKED), origin.to_string().as_bytes())?)
    }
}

/// What an earlier run made the folder for; nothing where none did.
fn origin(place: &Place) -> Origin {
    let text = std::fs::read(place.own().join(ASKED)).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}
