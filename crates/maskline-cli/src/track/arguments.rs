//! Arguments of `track`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use maskline::{Click, ObjectId};
use maskline_video::Ratio;

use crate::args::{Compute, ModelOptions};
use crate::prompts;

/// Which model, which clip, and what is followed through it.
#[derive(Debug, Args)]
#[command(allow_negative_numbers = true)]
pub(crate) struct Track {
    /// Promptable model with a memory: checkpoint, name of a pulled model, or with --synthetic of an architecture; or a detector and such a
    /// model joined by `+`, which follows what the detector finds on the first frame.
    pub(crate) model: OsString,
    /// Clip that ffmpeg reads, folder of pictures of one size, or - for a stream on standard input.
    pub(crate) clip: PathBuf,
    #[command(flatten)]
    pub(crate) options: ModelOptions,
    #[command(flatten)]
    pub(crate) compute: Compute,
    /// Folder for what is written. [default: maskline-out/<name of the clip>]
    #[arg(short, long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
    /// What is written; may be given several times or with commas. [default: overlay and davis, with --json nothing]
    #[arg(short, long, value_delimiter = ',', value_name = "FORMAT")]
    pub(crate) format: Vec<ClipFormat>,
    /// Print one JSON object per frame and line, and a summary on the last line.
    #[arg(long)]
    pub(crate) json: bool,
    /// Replace files that maskline did not write (never those that this run reads).
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// Go on with a folder: frames that the same command has written stay. A clip that was done to its end is left out.
    #[arg(long)]
    pub(crate) resume: bool,
    /// Say nothing but errors.
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// Most pixels of a frame.
    #[arg(long, default_value_t = 100_000_000)]
    pub(crate) max_pixels: u64,
    #[command(flatten)]
    pub(crate) asked: Asked,
    #[command(flatten)]
    pub(crate) way: Way,
    #[command(flatten)]
    pub(crate) memory: Memory,
}

/// A value, and the frame that it is about.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct At<T> {
    pub(crate) value: T,
    pub(crate) frame: Option<usize>,
}

/// The object that follows on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Named {
    /// One that nothing was said of yet.
    Next,
    Number(ObjectId),
}

/// What is followed.
#[derive(Debug, Args)]
#[command(next_help_heading = "Prompts")]
pub(crate) struct Asked {
    /// A click on the object, or with a 0 beside it; on the frame where tracking begins, or on frame @FRAME, counted from 0. All clicks are
    /// about one object until a second --box, --mask or --label, or --object, begins the next.
    #[arg(long, value_name = "X,Y[,0][@FRAME]", value_parser = parse_click, allow_hyphen_values = true)]
    pub(crate) point: Vec<At<Click>>,
    /// A box around the object.
    #[arg(long = "box", id = "bounds", value_name = "X1,Y1,X2,Y2[@FRAME]", value_parser = parse_bounds, allow_hyphen_values = true)]
    pub(crate) bounds: Vec<At<[f32; 4]>>,
    /// The mask of the object: a picture of the frame's size, white on black.
    #[arg(long, value_name = "FILE[@FRAME]", value_parser = parse_file)]
    pub(crate) mask: Vec<At<PathBuf>>,
    /// Name of the object.
    #[arg(long, value_name = "TEXT")]
    pub(crate) label: Vec<String>,
    /// What follows is about this object, which may have been spoken of before; without a number, about the next one.
    #[arg(long, value_name = "NUMBER", num_args = 0..=1, default_missing_value = "", value_parser = parse_object, action = clap::ArgAction::Append)]
    pub(crate) object: Vec<Named>,
    /// Prompts as JSON: a list of boxes or of {"object", "frame", "box", "points", "mask", "label"}.
    #[arg(long, value_name = "FILE")]
    pub(crate) prompts: Option<PathBuf>,
    /// Least score of the detector's boxes. [default: 0.25]
    #[arg(long, value_name = "SCORE")]
    pub(crate) conf: Option<f32>,
    /// Overlap above which the worse of two of the detector's boxes goes. [default: 0.7]
    #[arg(long)]
    pub(crate) iou: Option<f32>,
    /// Only these classes of the detector, by index or name, with commas.
    #[arg(long, value_name = "CLASS,…")]
    pub(crate) classes: Vec<String>,
}

/// How the clip is gone through.
#[derive(Debug, Args)]
#[command(next_help_heading = "Clip")]
pub(crate) struct Way {
    /// Which way: forward from where tracking begins; backward from the last prompt; or forward from the first prompt to the end, and then
    /// backward from it.
    #[arg(long, value_enum, default_value_t = Direction::Forward)]
    pub(crate) direction: Direction,
    /// The frame where tracking begins. [default: the clip's first; backward that of the last prompt, both that of the first]
    #[arg(long, value_name = "FRAME")]
    pub(crate) from: Option<usize>,
    /// Most frames that are looked at, in each direction.
    #[arg(long, value_name = "COUNT")]
    pub(crate) frames: Option<usize>,
    /// Look at every so-and-so-many-th frame only.
    #[arg(long, default_value_t = 1, value_name = "COUNT")]
    pub(crate) every: usize,
    /// The stream has raw frames of R, G, B bytes of this width and height.
    #[arg(long, value_name = "WIDTHxHEIGHT", value_parser = parse_size)]
    pub(crate) raw: Option<(usize, usize)>,
    /// Frames per second of raw frames and pictures. [default: 30]
    #[arg(long, value_name = "RATE")]
    pub(crate) rate: Option<Ratio>,
    /// Live: frames come at their own pace, and one that cannot be answered within so many milliseconds of its coming is skipped.
    #[arg(long, value_name = "MS")]
    pub(crate) realtime: Option<u64>,
}

/// What is remembered, and how. The defaults are those of the official predictor.
#[derive(Debug, Args)]
#[command(next_help_heading = "Memory")]
pub(crate) struct Memory {
    /// Numbers in which memories are kept: bf16 as the official code, or f32.
    #[arg(long, value_enum, default_value_t = Precision::Bf16)]
    pub(crate) memory: Precision,
    /// Most prompted frames of an object that are kept and looked at. [default: all]
    #[arg(long, value_name = "COUNT")]
    pub(crate) keep_conditioning: Option<usize>,
    /// A frame that is corrected after it was tracked counts as prompted from then on.
    #[arg(long)]
    pub(crate) corrections_condition: bool,
    /// Each pixel is one object's alone.
    #[arg(long)]
    pub(crate) non_overlapping: bool,
    /// Fill holes of at most so many pixels of the low-resolution mask.
    #[arg(long, default_value_t = 8, value_name = "AREA")]
    pub(crate) hole_area: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Direction {
    Forward,
    Backward,
    Both,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Precision {
    Bf16,
    F32,
}

/// What is written of a clip.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ClipFormat {
    /// The clip with masks painted over it, H.264: overlay.mp4.
    Overlay,
    /// A picture of object numbers per frame, with DAVIS's palette: davis/00000.png.
    Davis,
    /// A black and white picture per object and frame, as SA-V has them: sa-v/001/00000.png.
    SaV,
    /// COCO run lengths, a line of JSON per frame: masks.jsonl.
    CocoRle,
    /// MOTS text: mots.txt.
    Mots,
    /// YouTube-VIS results: youtube-vis.json.
    YoutubeVis,
}

fn parse_click(text: &str) -> Result<At<Click>, String> {
    at(text, prompts::parse_click)
}

fn parse_bounds(text: &str) -> Result<At<[f32; 4]>, String> {
    at(text, prompts::parse_bounds)
}

fn parse_file(text: &str) -> Result<At<PathBuf>, String> {
    // A file may be called so.
    if std::path::Path::new(text).exists() {
        return Ok(At { value: text.into(), frame: None });
    }
    at(text, |name| Ok(PathBuf::from(name)))
}

/// A value with `@FRAME` behind it, or alone.
fn at<T>(text: &str, parse: impl Fn(&str) -> Result<T, String>) -> Result<At<T>, String> {
    let Some((value, frame)) = text.rsplit_once('@') else { return Ok(At { value: parse(text)?, frame: None }) };
    let frame = frame.parse().map_err(|_| format!("expected the number of a frame behind @, counted from 0, found `{frame}`"))?;
    Ok(At { value: parse(value)?, frame: Some(frame) })
}

fn parse_object(text: &str) -> Result<Named, String> {
    if text.is_empty() {
        return Ok(Named::Next);
    }
    text.parse().map(Named::Number).map_err(|_| format!("expected the number of an object, found `{text}`"))
}

fn parse_size(text: &str) -> Result<(usize, usize), String> {
    let sides = text.split_once('x').and_then(|(width, height)| Some((width.parse().ok()?, height.parse().ok()?)));
    sides.filter(|(width, height)| *width > 0 && *height > 0).ok_or_else(|| "expected WIDTHxHEIGHT in pixels, such as 640x480".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_stand_behind_what_is_said_of_them() {
        let click = |x, y, is_positive| Click { x, y, is_positive };
        assert_eq!(parse_click("1,2"), Ok(At { value: click(1.0, 2.0, true), frame: None }));
        assert_eq!(parse_click("1,2,0@30"), Ok(At { value: click(1.0, 2.0, false), frame: Some(30) }));
        assert_eq!(parse_bounds("1,2,3,4@0"), Ok(At { value: [1.0, 2.0, 3.0, 4.0], frame: Some(0) }));
        assert_eq!(parse_file("a@b.png@7"), Ok(At { value: "a@b.png".into(), frame: Some(7) }));
        for wrong in ["1,2@", "1,2@-1", "1,2@x", "@3", "1@2,3"] {
            assert!(parse_click(wrong).is_err(), "{wrong}");
        }
        assert_eq!((parse_object(""), parse_object("4")), (Ok(Named::Next), Ok(Named::Number(4))));
        assert_eq!(parse_size("640x480"), Ok((640, 480)));
        assert!(parse_size("640").is_err() && parse_size("0x1").is_err());
    }
}
