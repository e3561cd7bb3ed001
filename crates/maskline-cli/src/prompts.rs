//! Prompts from the command line and from JSON files.
//!
//! On the command line an object's clicks and its box stand together: a second `--box` begins the next object, and so does
//! `--object` anywhere.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use clap::ArgMatches;
use maskline::vision::mask::Rle;
use maskline::{Click, ErrorKind, Image, Mask, MaskPrompt, Prompt};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::failure::Failure;

/// One word of the command line about an object.
#[derive(Debug, Clone, PartialEq)]
enum Word {
    Click(Click),
    Bounds([f32; 4]),
    Mask(PathBuf),
    Label(String),
    Next,
}

/// An object's prompt before its files are read.
#[derive(Debug, Clone, Default, PartialEq)]
struct Draft {
    clicks: Vec<Click>,
    bounds: Option<[f32; 4]>,
    mask: Option<MaskSource>,
    label: Option<String>,
    class_id: Option<usize>,
}

#[derive(Debug, Clone, PartialEq)]
enum MaskSource {
    File(PathBuf),
    Rle(Rle),
}

/// The prompts of a command, for every picture or for pictures by name.
#[derive(Debug, Default)]
pub(crate) struct Prompts {
    all: Vec<Draft>,
    by_picture: HashMap<String, Vec<Draft>>,
}

impl Prompts {
    /// From `--point`, `--box`, `--mask`, `--label` and `--object` in their order, and from `--prompts`.
    pub(crate) fn of(matches: &ArgMatches, file: Option<&Path>) -> Result<Self, Failure> {
        let mut prompts = match file {
            Some(path) => Self::read(path)?,
            None => Self::default(),
        };
        prompts.all.extend(drafts(words(matches)));
        Ok(prompts)
    }

    /// Whether nothing is asked of any picture.
    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty() && self.by_picture.is_empty()
    }

    /// Class numbers and labels of all prompts, in their order; those of single pictures by the pictures' names.
    pub(crate) fn classes(&self) -> impl Iterator<Item = (Option<usize>, Option<&str>)> {
        let mut pictures: Vec<_> = self.by_picture.iter().collect();
        pictures.sort_by_key(|(name, _)| *name);
        let drafts = self.all.iter().chain(pictures.into_iter().flat_map(|(_, drafts)| drafts));
        drafts.map(|draft| (draft.class_id, draft.label.as_deref()))
    }

    /// The prompts for one picture, each by itself; `first` is the number of the first one.
    pub(crate) fn for_picture(&self, (path, image): (&Path, &Image), first: usize) -> Vec<Result<Prompt, maskline::Error>> {
        let names = [path.to_str(), path.file_name().and_then(|name| name.to_str())];
        let own = names.into_iter().flatten().find_map(|name| self.by_picture.get(name));
        let drafts = own.into_iter().flatten().chain(&self.all);
        drafts.enumerate().map(|(index, draft)| draft.finish(first + index, image)).collect()
    }

    fn read(path: &Path) -> Result<Self, Failure> {
        let bad = |why: String| {
            let help = "\n  help: expected {\"prompts\": [{\"box\": [x1, y1, x2, y2], \"points\": [[x, y, 1]]}, …]}, or {\"images\": {\"photo.jpg\": […]}}";
            Failure::new(ErrorKind::BadInput, format!("the prompts cannot be read: {why}\n  in   {}{help}", path.display()))
        };
        let text = std::fs::read(path).map_err(|e| bad(e.to_string()))?;
        let file: Value = serde_json::from_slice(&text).map_err(|e| bad(e.to_string()))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        // A bare list is the prompts of all pictures.
        let file = if file.is_array() { json!({"prompts": file}) } else { file };
        let PromptFile { prompts: all, images: by_picture } = serde_json::from_value(file).map_err(|e| bad(e.to_string()))?;
        let drafts = |list: Vec<Value>| {
            let draft = |(index, json): (usize, Value)| draft_of(json, folder).map_err(|why| bad(format!("prompt {index}: {why}")));
            list.into_iter().enumerate().map(draft).collect::<Result<Vec<_>, Failure>>()
        };
        let by_picture = by_picture.into_iter().map(|(name, list)| Ok((name, drafts(list)?)));
        Ok(Self { all: drafts(all)?, by_picture: by_picture.collect::<Result<_, Failure>>()? })
    }
}

impl Draft {
    fn finish(&self, index: usize, image: &Image) -> Result<Prompt, maskline::Error> {
        let broken =
            |error: maskline::vision::Error| maskline::Error::new(ErrorKind::BadInput, format!("prompt {index}: the mask's {error}"));
        let mask = match &self.mask {
            None => None,
            Some(MaskSource::Rle(rle)) => Some(MaskPrompt::Picture(Mask::from_rle(rle).map_err(broken)?)),
            Some(MaskSource::File(path)) => Some(MaskPrompt::Picture(read_mask(index, path, image.size())?)),
        };
        let Self { clicks, bounds, label, class_id, .. } = self.clone();
        Ok(Prompt { clicks, bounds, mask, label, class_id })
    }
}

/// A mask from a picture: what is brighter than half is set.
fn read_mask(index: usize, path: &Path, (width, height): (usize, usize)) -> Result<Mask, maskline::Error> {
    let picture = Image::open(path).map_err(|error| maskline::Error::new(error.kind(), format!("prompt {index}: {error}")))?;
    if picture.size() != (width, height) {
        let message = format!(
            "prompt {index}: expected a mask of the picture's size {width} × {height}, found {} × {}\n  in   {}",
            picture.size().0,
            picture.size().1,
            path.display()
        );
        return Err(maskline::Error::new(ErrorKind::BadInput, message));
    }
    let rows: Vec<u8> = picture.pixels().pixels.chunks_exact(3).map(|pixel| u8::from(pixel[0].max(pixel[1]).max(pixel[2]) > 127)).collect();
    Ok(Mask::from_rows(width, height, &rows)?)
}

fn words(matches: &ArgMatches) -> Vec<Word> {
    let mut words: Vec<(usize, Word)> = Vec::new();
    fn add<T: Clone + Send + Sync + 'static>(words: &mut Vec<(usize, Word)>, (matches, name): (&ArgMatches, &str), word: fn(T) -> Word) {
        let values = matches.get_many::<T>(name).into_iter().flatten().cloned();
        words.extend(matches.indices_of(name).into_iter().flatten().zip(values.map(word)));
    }
    add(&mut words, (matches, "point"), Word::Click);
    add(&mut words, (matches, "bounds"), Word::Bounds);
    add(&mut words, (matches, "mask"), Word::Mask);
    add(&mut words, (matches, "label"), Word::Label);
    add(&mut words, (matches, "object"), |_: bool| Word::Next);
    words.sort_by_key(|(place, _)| *place);
    words.into_iter().map(|(_, word)| word).collect()
}

fn drafts(words: Vec<Word>) -> Vec<Draft> {
    let mut drafts: Vec<Draft> = Vec::new();
    let mut current = Draft::default();
    for word in words {
        let begins_next = match &word {
            Word::Next => true,
            Word::Bounds(_) => current.bounds.is_some(),
            Word::Mask(_) => current.mask.is_some(),
            Word::Label(_) => current.label.is_some(),
            Word::Click(_) => false,
        };
        if begins_next && current != Draft::default() {
            drafts.push(std::mem::take(&mut current));
        }
        match word {
            Word::Click(click) => current.clicks.push(click),
            Word::Bounds(bounds) => current.bounds = Some(bounds),
            Word::Mask(path) => current.mask = Some(MaskSource::File(path)),
            Word::Label(label) => current.label = Some(label),
            Word::Next => {}
        }
    }
    if current != Draft::default() {
        drafts.push(current);
    }
    drafts
}

/// A prompt file. Prompts are read one by one, so that an error names the one that is wrong.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PromptFile {
    #[serde(default)]
    prompts: Vec<Value>,
    #[serde(default)]
    images: HashMap<String, Vec<Value>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    #[serde(rename = "box")]
    bounds: Option<[f32; 4]>,
    #[serde(default)]
    points: Vec<Vec<f32>>,
    /// 1 or 0 per point, where the points do not carry it themselves.
    labels: Option<Vec<f32>>,
    mask: Option<MaskJson>,
    label: Option<String>,
    class_id: Option<usize>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum MaskJson {
    File(PathBuf),
    Rle { size: [usize; 2], counts: String },
}

/// A prompt: a box, or an object.
fn draft_of(json: Value, folder: &Path) -> Result<Draft, String> {
    if json.is_array() {
        let bounds = serde_json::from_value(json).map_err(|e| format!("expected a box [x1, y1, x2, y2]: {e}"))?;
        return Ok(Draft { bounds: Some(bounds), ..Draft::default() });
    }
    let fields: Fields = serde_json::from_value(json).map_err(|e| e.to_string())?;
    let mut points = fields.points;
    if let Some(labels) = fields.labels {
        if labels.len() != points.len() {
            return Err(format!("expected a label for each of the {} points, found {}", points.len(), labels.len()));
        }
        points.iter_mut().zip(labels).for_each(|(point, label)| point.push(label));
    }
    let click = |numbers: Vec<f32>| match numbers.as_slice() {
        [x, y] => Ok(Click { x: *x, y: *y, is_positive: true }),
        [x, y, label] if *label == 0.0 || *label == 1.0 => Ok(Click { x: *x, y: *y, is_positive: *label == 1.0 }),
        other => Err(format!("expected a point [x, y] or [x, y, 0 or 1], found {other:?}")),
    };
    let mask = match fields.mask {
        None => None,
        Some(MaskJson::File(path)) => Some(MaskSource::File(folder.join(path))),
        Some(MaskJson::Rle { size, counts }) => {
            Some(MaskSource::Rle(Rle::from_coco_string(size, &counts).map_err(|e| format!("the mask's counts: {e}"))?))
        }
    };
    Ok(Draft {
        clicks: points.into_iter().map(click).collect::<Result<_, _>>()?,
        bounds: fields.bounds,
        mask,
        label: fields.label,
        class_id: fields.class_id,
    })
}

/// `x,y` or `x,y,0` (beside the object) or `x,y,1`.
pub(crate) fn parse_click(text: &str) -> Result<Click, String> {
    match numbers(text)?.as_slice() {
        [x, y] => Ok(Click { x: *x, y: *y, is_positive: true }),
        [x, y, label] if *label == 0.0 || *label == 1.0 => Ok(Click { x: *x, y: *y, is_positive: *label == 1.0 }),
        _ => Err("expected x,y or x,y,0 (a click beside the object)".into()),
    }
}

/// `x1,y1,x2,y2`.
pub(crate) fn parse_bounds(text: &str) -> Result<[f32; 4], String> {
    numbers(text)?.try_into().map_err(|_| "expected x1,y1,x2,y2".into())
}

fn numbers(text: &str) -> Result<Vec<f32>, String> {
    text.split(',').map(|number| number.trim().parse().map_err(|_| format!("`{number}` is no number"))).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn grouped(words: &[Word]) -> Vec<(usize, Option<[f32; 4]>)> {
        drafts(words.to_vec()).into_iter().map(|draft| (draft.clicks.len(), draft.bounds)).collect()
    }

    #[test]
    fn a_second_box_or_the_word_object_begins_the_next_object() {
        let click = Word::Click(parse_click("1,2,0").unwrap());
        let (a, b) = ([0.0, 0.0, 5.0, 5.0], [1.0, 1.0, 9.0, 9.0]);
        assert_eq!(grouped(&[Word::Bounds(a), click.clone()]), [(1, Some(a))]);
        assert_eq!(grouped(&[click.clone(), Word::Bounds(a), Word::Bounds(b), click.clone()]), [(1, Some(a)), (1, Some(b))]);
        assert_eq!(grouped(&[click.clone(), Word::Next, click.clone(), click.clone()]), [(1, None), (2, None)]);
        assert_eq!(grouped(&[Word::Next, Word::Next]), []);
    }

    #[test]
    fn words_that_are_no_prompts_are_refused() {
        assert!(parse_click("1").is_err() && parse_click("1,2,3").is_err() && parse_click("1,x").is_err());
        assert!(parse_bounds("1,2,3").is_err() && parse_bounds("").is_err());
        assert_eq!(parse_bounds("1, 2, 3.5,4").unwrap(), [1.0, 2.0, 3.5, 4.0]);
    }
}
