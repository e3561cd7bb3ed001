//! What a finder looks for: words (`--text`, `--texts`), examples on other pictures (`--like`) and on the picture itself (`--like-box`,
//! `--unlike-box`), in the order of the command line.

mod example;
mod list;
mod words;

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use clap::ArgMatches;
use maskline::vision::decode::DecodeOptions;
use maskline::{Concept, Error, ErrorKind, Exemplar, Image, Model, Object};
use serde_json::{Value, json};

use crate::args::Run;
use crate::failure::Failure;
use crate::nearest::shortened;
use crate::terminal;
use example::Example;
use words::{Sought, What};

/// What objects are called that boxes on the picture alone show: the reference's word.
const VISUAL: &str = "visual";
/// Phrases that a note names, and letters of each.
const MOST_NAMED: usize = 4;
const LONGEST_NAMED: usize = 40;
/// Bytes of memory that a phrase may take encoded, and an example's picture.
const BYTES_OF_PHRASE: usize = 8 << 10;
const BYTES_OF_PICTURE: usize = 32 << 20;

/// The least scores of `--conf`: one for all, or one per phrase and example.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LeastScores(Vec<f32>);

impl LeastScores {
    /// The one for all.
    pub(crate) fn of_all(&self) -> Option<f32> {
        if let [score] = self.0.as_slice() { Some(*score) } else { None }
    }
}

/// `0.25`, or `0.1,0.3`.
pub(crate) fn parse_least_scores(text: &str) -> Result<LeastScores, String> {
    let number = |part: &str| part.trim().parse().map_err(|_| format!("`{part}` is no number"));
    text.split(',').map(number).collect::<Result<_, _>>().map(LeastScores)
}

/// Scores that objects have to be above where nothing is said: the engine's.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Least {
    /// Said for all.
    said: Option<f32>,
    of_words: f32,
    of_examples: f32,
}

impl Least {
    /// Of a model, with what the command says for all.
    pub(crate) fn of(model: &Model, said: Option<f32>) -> Self {
        let usual = model.usual();
        Self { said, of_words: usual.conf.unwrap_or_default(), of_examples: usual.conf_of_examples.unwrap_or_default() }
    }

    fn for_one(self, concept: &Concept) -> f32 {
        let usual = if concept.exemplars.is_empty() { self.of_words } else { self.of_examples };
        concept.threshold.or(self.said).unwrap_or(usual)
    }
}

/// A concept whose pictures are not read yet.
struct Draft {
    concept: Concept,
    /// The picture that it is an example of.
    example: Option<Example>,
}

/// The concepts of a command, for every picture.
#[derive(Debug, Default)]
pub(crate) struct Concepts {
    list: Vec<Concept>,
    names: Vec<String>,
    files: Vec<PathBuf>,
    asked: String,
}

impl Concepts {
    /// From `--text`, `--texts`, `--like`, `--like-box` and `--unlike-box`; the pictures of examples are read now, once for all. A phrase
    /// that is given twice is one.
    ///
    /// # Errors
    /// `BadInput` for a phrase or a box that means nothing, and for files that cannot be read; `InvalidOption` where `--conf` does not
    /// have a score for each; `OverLimit` for a picture that is too large.
    pub(crate) fn of(matches: &ArgMatches, arguments: &Run) -> Result<Self, Failure> {
        let sought = words::sought(matches, arguments.worded.texts.as_deref())?;
        let scores = scores(arguments.conf.as_ref(), sought.len())?;
        let count = sought.len();
        let drafts = drafts(sought.into_iter().zip(scores))?;
        if drafts.len() < count && !arguments.quiet {
            terminal::say(&format!("phrases that were given before, and are looked for once: {}", count - drafts.len()));
        }
        let mut concepts = Self::default();
        let mut pictures: HashMap<PathBuf, Image> = HashMap::new();
        let limits = DecodeOptions { max_pixels: arguments.max_pixels, ..DecodeOptions::default() };
        for draft in drafts {
            concepts.add(draft, |example| {
                let path = &example.path;
                let image = match pictures.get(path) {
                    Some(image) => image.clone(),
                    None => pictures.entry(path.clone()).or_insert(example.read(&limits)?).clone(),
                };
                example.check_on(image.pixels().width(), image.pixels().height()).map(|()| image)
            })?;
        }
        Ok(concepts)
    }

    fn add(&mut self, draft: Draft, read: impl FnOnce(&Example) -> Result<Image, Error>) -> Result<(), Error> {
        let Draft { mut concept, example } = draft;
        let name = match (&example, &concept.text) {
            (Some(example), _) => self.free(example.stem()),
            (None, Some(text)) => text.clone(),
            (None, None) => self.free(VISUAL.to_owned()),
        };
        let version = |path: &Path| std::fs::metadata(path).ok().map(|facts| (facts.len(), facts.modified().ok()));
        let seen = example.as_ref().map(|example| (example, version(&example.path)));
        let boxes: Vec<_> = concept.exemplars.iter().map(|exemplar| (exemplar.bounds, exemplar.is_negative)).collect();
        self.asked += &format!("{name:?} {:?} {:?} {seen:?} {boxes:?}\n", concept.text, concept.threshold);
        if concept.text.is_none() {
            concept.label = Some(name.clone());
        }
        if let Some(example) = example {
            concept.exemplars = vec![Exemplar::on(read(&example)?, example.bounds)];
            self.files.push(example.path);
        }
        self.names.push(name);
        self.list.push(concept);
        Ok(())
    }

    /// A name that nothing else has: this one, or with a number behind it.
    fn free(&self, name: String) -> String {
        let numbered = (2..).map(|number| format!("{name}-{number}"));
        std::iter::once(name.clone()).chain(numbered).find(|name| !self.names.contains(name)).unwrap_or(name)
    }

    /// Whether nothing is looked for.
    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Whether there are words among them.
    pub(crate) fn has_words(&self) -> bool {
        self.list.iter().any(|concept| concept.text.is_some())
    }

    pub(crate) fn list(&self) -> &[Concept] {
        &self.list
    }

    /// What objects are called, by their class.
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    /// Boxes on the picture that is asked about, as they are told: with the name of what each shows, or shows not.
    pub(crate) fn boxes(&self) -> Vec<Value> {
        let told = self.here().map(|(name, exemplar)| json!({"label": name, "box": exemplar.bounds, "is_negative": exemplar.is_negative}));
        told.collect()
    }

    /// Those of them that show what is looked for.
    pub(crate) fn wanted_boxes(&self) -> Vec<[f32; 4]> {
        self.here().filter(|(_, exemplar)| !exemplar.is_negative).filter_map(|(_, exemplar)| exemplar.bounds).collect()
    }

    fn here(&self) -> impl Iterator<Item = (&str, &Exemplar)> {
        let named = self.list.iter().zip(&self.names);
        named.flat_map(|(concept, name)| {
            let here = concept.exemplars.iter().filter(|exemplar| exemplar.picture.is_none());
            here.map(move |exemplar| (name.as_str(), exemplar))
        })
    }

    /// The pictures that examples are on.
    pub(crate) fn files(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(PathBuf::as_path)
    }

    /// All that answers depend on, as text: phrases, boxes, scores, and which version of its picture an example is on.
    pub(crate) fn asked(&self) -> &str {
        &self.asked
    }

    /// Bytes that they need encoded, for words and for pictures: what is asked of every picture is to be encoded once.
    pub(crate) fn room(&self) -> Room {
        let pictures: HashSet<&PathBuf> = self.files.iter().collect();
        Room { words: self.list.len() * BYTES_OF_PHRASE, pictures: pictures.len() * BYTES_OF_PICTURE }
    }

    /// What is to be said of those that none of these objects is of: `` nothing above 0.1 for `dog`, `cat` ``.
    pub(crate) fn absent<'o>(&self, found: impl IntoIterator<Item = &'o Object>, least: Least) -> Vec<String> {
        let found: HashSet<usize> = found.into_iter().filter_map(|object| object.class_id).collect();
        let mut by_score: Vec<(f32, Vec<&str>)> = Vec::new();
        let absent = self.list.iter().zip(&self.names).enumerate().filter(|(index, _)| !found.contains(index));
        for (_, (concept, name)) in absent {
            let least = least.for_one(concept);
            match by_score.iter_mut().find(|(score, _)| *score == least) {
                Some((_, names)) => names.push(name),
                None => by_score.push((least, vec![name])),
            }
        }
        by_score.iter().map(|(least, names)| format!("nothing above {least} for {}", named(names))).collect()
    }
}

/// What is looked for, each thing with its own least score; phrases that were given before say no more than their boxes.
fn drafts(sought: impl Iterator<Item = (Sought, Option<f32>)>) -> Result<Vec<Draft>, Error> {
    let mut drafts: Vec<Draft> = Vec::new();
    let mut of_text: HashMap<String, usize> = HashMap::new();
    for (Sought { what, boxes }, threshold) in sought {
        let exemplars = boxes.iter().map(|shown| shown.check().map(|()| shown.exemplar())).collect::<Result<Vec<_>, Error>>()?;
        let concept = Concept { threshold, exemplars, ..Concept::default() };
        let draft = match what {
            What::Text(text) => match of_text.get(&text) {
                Some(index) => {
                    drafts[*index].concept.exemplars.extend(concept.exemplars);
                    continue;
                }
                None => {
                    Concept::text(&*text).check().map_err(|error| error.named("--text"))?;
                    of_text.insert(text.clone(), drafts.len());
                    Draft { concept: Concept { text: Some(text), ..concept }, example: None }
                }
            },
            What::Like(example) => {
                example.check()?;
                Draft { concept, example: Some(example) }
            }
            What::Visual => {
                // Boxes are right by now: what is left to be wrong is that all show what is not looked for.
                concept.check().map_err(|error| {
                    let help = "show what is looked for too, with --like-box x1,y1,x2,y2, or say it with --text WORDS";
                    error.named("--unlike-box").with_help(help)
                })?;
                Draft { concept, example: None }
            }
        };
        drafts.push(draft);
    }
    Ok(drafts)
}

/// Memory for what is encoded.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room {
    pub(crate) words: usize,
    pub(crate) pictures: usize,
}

/// The first names, each shortened, and how many there are beside them.
fn named(names: &[&str]) -> String {
    let shown: Vec<String> =
        names.iter().take(MOST_NAMED).map(|name| format!("`{}`", terminal::plain(&shortened(name, LONGEST_NAMED)))).collect();
    let rest = names.len() - shown.len();
    if rest == 0 { shown.join(", ") } else { format!("{} and {rest} more", shown.join(", ")) }
}

/// The least score of each concept, where each has its own.
fn scores(wished: Option<&LeastScores>, count: usize) -> Result<Vec<Option<f32>>, Error> {
    match wished {
        Some(LeastScores(scores)) if scores.len() == count && count > 1 => {
            match scores.iter().find(|score| !(0.0..=1.0).contains(*score)) {
                Some(score) => Err(Error::new(ErrorKind::InvalidOption, "--conf").expecting("numbers from 0 to 1").but_found(score)),
                None => Ok(scores.iter().copied().map(Some).collect()),
            }
        }
        Some(LeastScores(scores)) if scores.len() > 1 => {
            let error = Error::new(ErrorKind::InvalidOption, "--conf").but_found(scores.len());
            Err(match count {
                0 | 1 => error.expecting("one score").with_help("several are for several of --text and --like, one each"),
                count => error.expecting(format!("one score, or {count}, one for each phrase and example")),
            })
        }
        _ => Ok(vec![None; count]),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_for_all_or_for_each() {
        let of = |text: &str, count| scores(Some(&parse_least_scores(text).unwrap()), count);
        assert_eq!(of("0.2", 3).unwrap(), [None; 3]);
        assert_eq!(of("0.2, 0.5", 2).unwrap(), [Some(0.2), Some(0.5)]);
        assert!(of("0.2,0.5", 3).unwrap_err().to_string().contains("expected one score, or 3"));
        assert!(of("0.2,0.5", 0).unwrap_err().to_string().contains("expected one score, found 2"));
        assert!(parse_least_scores("0.2,").is_err() && parse_least_scores("high").is_err());
    }

    #[test]
    fn what_found_nothing_is_told_by_its_score() {
        let threshold = |text: &str, threshold| Concept { threshold, ..Concept::text(text) };
        let names = ["dog", "cat\u{202e}", "cup", "bowl", "fork", "knife", "car"];
        let mut list: Vec<Concept> = names.iter().map(|name| threshold(name, None)).collect();
        list[2].threshold = Some(0.5);
        let concepts = Concepts { list, names: names.map(str::to_owned).into(), ..Concepts::default() };
        let least = |said| Least { said, of_words: 0.1, of_examples: 0.6 };
        let car = Object { class_id: Some(6), ..Object::default() };
        assert_eq!(
            concepts.absent([&car], least(None)),
            ["nothing above 0.1 for `dog`, `cat\\u{202e}`, `bowl`, `fork` and 1 more", "nothing above 0.5 for `cup`"]
        );
        assert_eq!(concepts.absent([&car], least(Some(0.5))).len(), 1);
    }
}
