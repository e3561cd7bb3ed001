//! What is said of which object on which frame.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};

use clap::ArgMatches;
use maskline::{Click, Error, ErrorKind, Image, ObjectId, Prompt};

use super::arguments::{At, Named};
use crate::failure::Failure;
use crate::prompts::{Draft, InOrder, MaskSource, Prompts};

/// Name and class of an object.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Title {
    pub(super) label: Option<String>,
    pub(super) class_id: Option<usize>,
}

/// One object's prompt.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) object: ObjectId,
    pub(super) prompt: Prompt,
}

/// The prompts of a clip by frame, whose masks are not read yet.
#[derive(Debug, Default)]
pub(super) struct Drafts {
    /// By frame, then in the order in which objects were named.
    frames: BTreeMap<usize, Vec<(ObjectId, Draft)>>,
    pub(super) titles: HashMap<ObjectId, Title>,
}

/// One word of the command line.
#[derive(Debug, Clone, PartialEq)]
enum Word {
    Click(At<Click>),
    Bounds(At<[f32; 4]>),
    Mask(At<PathBuf>),
    Label(String),
    Object(Named),
}

impl Drafts {
    /// From the options in their order, and before them from `--prompts`. What names no frame is about `first`, where there is such a frame.
    ///
    /// # Errors
    /// `BadInput` for a file that cannot be read; `InvalidOption` for two boxes or masks of one object on one frame, and where a frame is
    /// not known.
    pub(super) fn of(matches: &ArgMatches, file: Option<&Path>, first: Option<usize>) -> Result<Self, Failure> {
        let of_file = file.map(Prompts::of_clip).transpose()?.unwrap_or_default();
        Ok(Self::gathered(of_file, &words(matches), first)?)
    }

    fn gathered(of_file: Vec<Draft>, words: &[Word], first: Option<usize>) -> Result<Self, Error> {
        let numbered = words.iter().filter_map(|word| if let Word::Object(Named::Number(number)) = word { Some(*number) } else { None });
        let taken: HashSet<ObjectId> = of_file.iter().filter_map(|draft| draft.object).chain(numbered).collect();
        let mut free = (1..).filter(|number| !taken.contains(number));
        let mut drafts = Self::default();
        for draft in of_file {
            let Some(object) = draft.object.or_else(|| free.next()) else { continue };
            drafts.add(object, known(draft.frame.or(first))?, draft)?;
        }
        let mut current = Current::default();
        for word in words {
            current.begin(word, &mut free);
            let Some(object) = current.object else { continue };
            let (frame, draft) = match word {
                Word::Click(At { value, frame }) => (*frame, Draft { clicks: vec![*value], ..Draft::default() }),
                Word::Bounds(At { value, frame }) => (*frame, Draft { bounds: Some(*value), ..Draft::default() }),
                Word::Mask(At { value, frame }) => (*frame, Draft { mask: Some(MaskSource::File(value.clone())), ..Draft::default() }),
                Word::Label(label) => {
                    drafts.titles.entry(object).or_default().label = Some(label.clone());
                    continue;
                }
                Word::Object(_) => continue,
            };
            drafts.add(object, known(frame.or(first))?, draft)?;
        }
        Ok(drafts)
    }

    /// Joins what is said of one object on one frame.
    fn add(&mut self, object: ObjectId, frame: usize, more: Draft) -> Result<(), Error> {
        let title = self.titles.entry(object).or_default();
        title.label = title.label.take().or_else(|| more.label.clone());
        title.class_id = title.class_id.or(more.class_id);
        let asked = self.frames.entry(frame).or_default();
        let Some((_, draft)) = asked.iter_mut().find(|(id, _)| *id == object) else {
            asked.push((object, more));
            return Ok(());
        };
        let twice = |what: &str| {
            let error = Error::new(ErrorKind::InvalidOption, format!("object {object} has two {what} on frame {frame}"));
            Err(error.with_help("begin the next object with --object, or correct this one on another frame: @FRAME"))
        };
        if draft.bounds.is_some() && more.bounds.is_some() {
            return twice("boxes");
        }
        if draft.mask.is_some() && more.mask.is_some() {
            return twice("masks");
        }
        draft.clicks.extend(more.clicks);
        draft.bounds = draft.bounds.or(more.bounds);
        draft.mask = draft.mask.take().or(more.mask);
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// The first and the last frame of which something is said.
    pub(super) fn span(&self) -> Option<(usize, usize)> {
        Some((*self.frames.first_key_value()?.0, *self.frames.last_key_value()?.0))
    }

    /// The frames of which something is said.
    pub(super) fn frames(&self) -> impl Iterator<Item = usize> + '_ {
        self.frames.keys().copied()
    }

    /// The highest number of an object.
    pub(super) fn highest(&self) -> ObjectId {
        self.frames.values().flatten().map(|(object, _)| *object).max().unwrap_or(0)
    }

    /// The files that masks are read from.
    pub(super) fn mask_files(&self) -> impl Iterator<Item = &Path> {
        self.frames.values().flatten().filter_map(|(_, draft)| match &draft.mask {
            Some(MaskSource::File(path)) => Some(path.as_path()),
            _ => None,
        })
    }

    /// The prompts with their masks, once it is known how large frames are: what is wrong with one is told before the first is answered.
    ///
    /// # Errors
    /// `BadInput` for a mask that cannot be read or has another size, and for a click or box outside the frame.
    pub(super) fn finish(&self, image: &Image) -> Result<BTreeMap<usize, Vec<Asked>>, Error> {
        let mut finished: BTreeMap<usize, Vec<Asked>> = BTreeMap::new();
        for (frame, drafts) in &self.frames {
            for (index, (object, draft)) in drafts.iter().enumerate() {
                let prompt = draft.finish(index, image).and_then(|prompt| check(&prompt, image.size()).map(|()| prompt));
                let prompt = prompt.map_err(|error| error.named(format!("object {object} on frame {frame}")))?;
                finished.entry(*frame).or_default().push(Asked { object: *object, prompt });
            }
        }
        Ok(finished)
    }
}

/// The frame of a prompt.
fn known(frame: Option<usize>) -> Result<usize, Error> {
    frame.ok_or_else(|| {
        let error = Error::new(ErrorKind::InvalidOption, "--direction backward").expecting("the frame that each prompt is about");
        error.but_found("a prompt without one").with_help("say it behind the prompt: --point X,Y@FRAME, or for all of them: --from FRAME")
    })
}

/// Refuses what lies outside the frame; the tracker looks at all the rest.
fn check(prompt: &Prompt, (width, height): (usize, usize)) -> Result<(), Error> {
    let (right, bottom) = (width as f32, height as f32);
    let wrong = |what: &str, found: String| {
        let error = Error::new(ErrorKind::BadInput, "");
        Err(error.expecting(format!("a {what} inside the frame of {width} × {height}")).but_found(found))
    };
    if let Some(click) = prompt.clicks.iter().find(|click| !(0.0..=right).contains(&click.x) || !(0.0..=bottom).contains(&click.y)) {
        return wrong("click", format!("{}, {}", click.x, click.y));
    }
    match prompt.bounds {
        Some([x1, y1, x2, y2]) if !(x1 < x2 && y1 < y2 && x2 > 0.0 && y2 > 0.0 && x1 < right && y1 < bottom) => {
            wrong("box", format!("{x1}, {y1}, {x2}, {y2}"))
        }
        _ => Ok(()),
    }
}

/// The object that words are about.
#[derive(Debug, Default)]
struct Current {
    object: Option<ObjectId>,
    /// Whether it was named by its number, so that all that follows is about it.
    is_named: bool,
    has_box: bool,
    has_mask: bool,
    has_label: bool,
}

impl Current {
    /// Begins another object where a word says so.
    fn begin(&mut self, word: &Word, free: &mut impl Iterator<Item = ObjectId>) {
        let begins = match word {
            Word::Object(Named::Number(number)) => {
                *self = Self { object: Some(*number), is_named: true, ..Self::default() };
                return;
            }
            Word::Object(Named::Next) => {
                // Nothing was said yet: the next one is the first.
                *self = Self::default();
                return;
            }
            Word::Bounds(_) => std::mem::replace(&mut self.has_box, true),
            Word::Mask(_) => std::mem::replace(&mut self.has_mask, true),
            Word::Label(_) => std::mem::replace(&mut self.has_label, true),
            Word::Click(_) => false,
        };
        if (begins && !self.is_named) || self.object.is_none() {
            *self = Self {
                object: free.next(),
                is_named: false,
                has_box: matches!(word, Word::Bounds(_)),
                has_mask: matches!(word, Word::Mask(_)),
                has_label: matches!(word, Word::Label(_)),
            };
        }
    }
}

fn words(matches: &ArgMatches) -> Vec<Word> {
    let mut words = InOrder::of(matches);
    words.add("point", Word::Click);
    words.add("bounds", Word::Bounds);
    words.add("mask", Word::Mask);
    words.add("label", Word::Label);
    words.add("object", Word::Object);
    words.sorted()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn click(frame: Option<usize>) -> Word {
        Word::Click(At { value: Click { x: 1.0, y: 2.0, is_positive: true }, frame })
    }

    fn bounds(frame: Option<usize>) -> Word {
        Word::Bounds(At { value: [0.0, 0.0, 5.0, 5.0], frame })
    }

    /// Frame, object, clicks and whether there is a box, of each prompt.
    fn gathered(words: &[Word]) -> Vec<(usize, ObjectId, usize, bool)> {
        let drafts = Drafts::gathered(Vec::new(), words, Some(3)).unwrap();
        let one = |frame: usize, (object, draft): &(ObjectId, Draft)| (frame, *object, draft.clicks.len(), draft.bounds.is_some());
        drafts.frames.iter().flat_map(|(frame, drafts)| drafts.iter().map(|draft| one(*frame, draft)).collect::<Vec<_>>()).collect()
    }

    #[test]
    fn words_are_grouped_as_run_groups_them() {
        assert_eq!(gathered(&[click(None), click(Some(9)), click(None)]), [(3, 1, 2, false), (9, 1, 1, false)]);
        assert_eq!(gathered(&[bounds(None), click(None), bounds(Some(9))]), [(3, 1, 1, true), (9, 2, 0, true)]);
        let next = Word::Object(Named::Next);
        assert_eq!(gathered(&[next.clone(), click(None), next.clone(), next, click(None)]), [(3, 1, 1, false), (3, 2, 1, false)]);
    }

    #[test]
    fn objects_with_a_number_can_be_spoken_of_again() {
        let object = |number| Word::Object(Named::Number(number));
        let words = [click(None), object(1), click(None), object(7), bounds(None), object(1), bounds(Some(5)), bounds(Some(6))];
        let wished = [(3, 2, 1, false), (3, 1, 1, false), (3, 7, 0, true), (5, 1, 0, true), (6, 1, 0, true)];
        assert_eq!(gathered(&words), wished, "a number that is given is nobody else's");
        let twice = Drafts::gathered(Vec::new(), &[object(1), bounds(None), bounds(None)], Some(0)).unwrap_err();
        assert_eq!(twice.kind(), ErrorKind::InvalidOption);
    }

    #[test]
    fn labels_belong_to_the_object_on_all_frames() {
        let label = |text: &str| Word::Label(text.into());
        let drafts = Drafts::gathered(Vec::new(), &[label("cat"), click(None), label("dog"), click(Some(4))], Some(0)).unwrap();
        let title = |object: ObjectId| drafts.titles[&object].label.clone().unwrap();
        assert_eq!((title(1), title(2), drafts.span()), ("cat".into(), "dog".into(), Some((0, 4))));
    }
}
