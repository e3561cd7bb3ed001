//! YouTube-VIS: one entry per object, with its masks in all frames.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use serde_json::json;

use super::MaskLines;
use super::documents::unwritable;
use crate::Result;

/// Options of [`write_youtube_vis`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct YoutubeVisOptions {
    /// The clip's id in the data set. Default 1.
    pub video_id: i64,
    /// How many frames the clip has, where that is more than were written.
    pub length: Option<usize>,
}

impl Default for YoutubeVisOptions {
    fn default() -> Self {
        Self { video_id: 1, length: None }
    }
}

/// What is known of an object over all frames.
#[derive(Debug, Default)]
struct Track {
    class_id: Option<usize>,
    scores: f64,
    seen: usize,
}

/// Writes a list of results: `{"video_id", "category_id", "segmentations": […], "score"}` per object.
///
/// `segmentations` has a place for every frame of the clip: compressed RLE, or `null` where the object is not seen. `category_id` is the
/// class index plus 1, and 1 without a class. `score` is the mean over the frames in which the object is seen; one that is never seen has
/// no entry.
///
/// # Errors
/// `Io`, naming `path`.
pub fn write_youtube_vis(out: &mut dyn Write, path: &Path, lines: &MaskLines, options: YoutubeVisOptions) -> Result<()> {
    let mut put = |text: &str| out.write_all(text.as_bytes()).map_err(|error| unwritable(path, &error));
    let length = options.length.unwrap_or(0).max(lines.frames().next_back().map_or(0, |last| last + 1));
    let mut is_first = true;
    put("[")?;
    // One object at a time: what a long clip holds is never in memory at once.
    for (id, track) in tracks(lines)? {
        let category = track.class_id.map_or(1, |class| class + 1);
        put(if is_first { "\n" } else { ",\n" })?;
        put(&format!(r#"{{"video_id":{},"category_id":{category},"segmentations":["#, options.video_id))?;
        for frame in 0..length {
            let masks = lines.read(frame)?;
            let found = masks.as_ref().and_then(|masks| masks.objects.iter().find(|object| object.id == id && !object.mask.is_empty()));
            let entry = found.map_or_else(|| "null".into(), |object| json!(object.mask).to_string());
            put(if frame == 0 { "" } else { "," })?;
            put(&entry)?;
        }
        put(&format!(r#"],"score":{}}}"#, json!((track.scores / track.seen as f64 * 1e5).round() / 1e5)))?;
        is_first = false;
    }
    put("\n]\n")
}

/// The objects that are seen at all.
fn tracks(lines: &MaskLines) -> Result<BTreeMap<i64, Track>> {
    let mut tracks: BTreeMap<i64, Track> = BTreeMap::new();
    for masks in lines.iter() {
        for object in masks?.objects.iter().filter(|object| !object.mask.is_empty()) {
            let track = tracks.entry(object.id).or_default();
            track.class_id = track.class_id.or(object.class_id);
            track.scores += f64::from(object.score);
            track.seen += 1;
        }
    }
    Ok(tracks)
}
