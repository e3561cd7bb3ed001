//! Prompts from the command line and from JSON files.
//!
//! On the command line an object's clicks and its box stand together: a second `--box` begins the next object, and so does
//! `--object` anywhere.

mod file;
mod keys;
mod mask;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use clap::ArgMatches;
use maskline::vision::write::GivenClass;
use maskline::{Click, Error, ErrorKind, Image, MaskPrompt, Prompt};

use crate::failure::Failure;
use crate::nearest::shortened;
use crate::pictures::Picture;
use crate::terminal;
pub(crate) use mask::MaskSource;

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
pub(crate) struct Draft {
    pub(crate) clicks: Vec<Click>,
    pub(crate) bounds: Option<[f32; 4]>,
    pub(crate) mask: Option<MaskSource>,
    pub(crate) label: Option<String>,
    pub(crate) class_id: Option<usize>,
    /// Number of the object that it is about, in a clip.
    pub(crate) object: Option<i64>,
    /// The frame that it is about, in a clip.
    pub(crate) frame: Option<usize>,
    /// The file that it stands in.
    pub(crate) file: Option<PathBuf>,
}

/// The prompts of a command, for every picture or for pictures by name.
#[derive(Debug, Default)]
pub(crate) struct Prompts {
    all: Vec<Draft>,
    /// Those of one picture, by the key that names it in the file.
    own: Vec<Own>,
    /// Which of them each picture has, by its path.
    of_picture: HashMap<PathBuf, Vec<usize>>,
}

/// The prompts of a picture that a file names.
#[derive(Debug)]
struct Own {
    key: String,
    drafts: Vec<Draft>,
}

impl Prompts {
    /// From `--point`, `--box`, `--mask`, `--label` and `--object` in their order, and from `--prompts`, for these pictures. What names
    /// none of them is said.
    ///
    /// # Errors
    /// `BadInput` for a file that cannot be read or is no prompt file.
    pub(crate) fn of(matches: &ArgMatches, file: Option<&Path>, pictures: &[Picture]) -> Result<Self, Failure> {
        let mut prompts = match file {
            Some(path) => file::read(path)?,
            None => Self::default(),
        };
        if let Some(path) = file {
            let keys: Vec<&str> = prompts.own.iter().map(|own| own.key.as_str()).collect();
            let bound = keys::bind(&keys, path.parent().unwrap_or(Path::new("")), pictures);
            prompts.refuse_frames(path)?;
            bound.warnings(path).iter().for_each(|warning| terminal::say(warning));
            prompts.of_picture = bound.of_picture;
        }
        prompts.all.extend(drafts(words(matches)));
        Ok(prompts)
    }

    /// Those of a clip, which a file gives object by object.
    ///
    /// # Errors
    /// As [`of`](Self::of), and for prompts of pictures by name.
    pub(crate) fn of_clip(file: &Path) -> Result<Vec<Draft>, Failure> {
        let prompts = file::read(file)?;
        match prompts.own.first() {
            None => Ok(prompts.all),
            Some(own) => {
                let error = Error::new(ErrorKind::BadInput, format!("prompts of the picture `{}`", shortened(&own.key, 100))).at(file);
                Err(error.expecting("prompts of a clip").with_help("name the frame in the prompt: {\"frame\": 12, \"box\": […]}").into())
            }
        }
    }

    /// Pictures have no frames, and their objects no numbers.
    fn refuse_frames(&self, file: &Path) -> Result<(), Error> {
        if self.drafts().all(|draft| draft.frame.is_none() && draft.object.is_none()) {
            return Ok(());
        }
        let error = Error::new(ErrorKind::BadInput, "`frame` and `object` in a prompt are about clips").at(file);
        Err(error.with_help("leave them out, or follow objects through a clip with `maskline track`"))
    }

    /// Whether nothing is asked of any picture.
    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty() && self.own.is_empty()
    }

    /// Class numbers and labels of all prompts, those for all pictures first.
    pub(crate) fn classes(&self) -> impl Iterator<Item = GivenClass<'_>> {
        self.drafts().map(|draft| GivenClass { id: draft.class_id, label: draft.label.as_deref() })
    }

    /// The files that masks are read from.
    pub(crate) fn mask_files(&self) -> impl Iterator<Item = &Path> {
        self.drafts().filter_map(|draft| match &draft.mask {
            Some(MaskSource::File(path)) => Some(path.as_path()),
            _ => None,
        })
    }

    /// What is asked of every picture, object by object.
    pub(crate) fn for_all(&self) -> &impl std::fmt::Debug {
        &self.all
    }

    fn drafts(&self) -> impl Iterator<Item = &Draft> {
        self.all.iter().chain(self.own.iter().flat_map(|own| &own.drafts))
    }

    /// The prompts for one picture, each by itself; `first` is the number of the first one.
    pub(crate) fn for_picture(&self, path: &Path, image: &Image, first: usize) -> Vec<Result<Prompt, maskline::Error>> {
        let own = self.of_picture.get(path).into_iter().flatten().flat_map(|index| &self.own[*index].drafts);
        let drafts = own.chain(&self.all);
        drafts.enumerate().map(|(index, draft)| draft.finish(first + index, image)).collect()
    }
}

impl Draft {
    /// With its mask, which is read.
    pub(crate) fn finish(&self, index: usize, image: &Image) -> Result<Prompt, maskline::Error> {
        let mask = match &self.mask {
            None => None,
            Some(source) => {
                let mask = source.read(image);
                Some(MaskPrompt::Picture(mask.map_err(|error| mask::of_prompt(error, index, self.file.as_deref()))?))
            }
        };
        let Self { clicks, bounds, label, class_id, .. } = self.clone();
        Ok(Prompt { clicks, bounds, mask, label, class_id })
    }
}

fn words(matches: &ArgMatches) -> Vec<Word> {
    let mut words = InOrder::of(matches);
    words.add("point", Word::Click);
    words.add("bounds", Word::Bounds);
    words.add("mask", Word::Mask);
    words.add("label", Word::Label);
    words.add("object", |_: bool| Word::Next);
    words.sorted()
}

/// Arguments of several kinds in the order in which they stand on the command line.
pub(crate) struct InOrder<'a, W> {
    matches: &'a ArgMatches,
    words: Vec<(usize, W)>,
}

impl<'a, W> InOrder<'a, W> {
    pub(crate) fn of(matches: &'a ArgMatches) -> Self {
        Self { matches, words: Vec::new() }
    }

    /// All values of an argument.
    pub(crate) fn add<T: Clone + Send + Sync + 'static>(&mut self, name: &str, word: fn(T) -> W) {
        let values = self.matches.get_many::<T>(name).into_iter().flatten().cloned();
        self.words.extend(self.matches.indices_of(name).into_iter().flatten().zip(values.map(word)));
    }

    pub(crate) fn sorted(mut self) -> Vec<W> {
        self.words.sort_by_key(|(place, _)| *place);
        self.words.into_iter().map(|(_, word)| word).collect()
    }
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

/// `x,y` or `x,y,0` (beside the object) or `x,y,1`.
pub(crate) fn parse_click(text: &str) -> Result<Click, String> {
    match numbers(text).map_err(|why| format!("expected x,y or x,y,0: {why}"))?.as_slice() {
        [x, y] => Ok(Click { x: *x, y: *y, is_positive: true }),
        [x, y, label] if *label == 0.0 || *label == 1.0 => Ok(Click { x: *x, y: *y, is_positive: *label == 1.0 }),
        _ => Err("expected x,y or x,y,0 (a click beside the object)".into()),
    }
}

/// `x1,y1,x2,y2`.
pub(crate) fn parse_bounds(text: &str) -> Result<[f32; 4], String> {
    let numbers = numbers(text).map_err(|why| format!("expected x1,y1,x2,y2: {why}"))?;
    numbers.try_into().map_err(|_| "expected x1,y1,x2,y2".into())
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
