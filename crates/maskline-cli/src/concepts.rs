//! What a finder looks for: words (`--text`, `--texts`) and examples (`--like`), in the order of the command line.

mod example;
mod list;

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::ArgMatches;
use maskline::vision::decode::DecodeOptions;
use maskline::{Concept, Error, ErrorKind, Exemplar, Image, Object};

use crate::args::Run;
use crate::failure::Failure;
use crate::nearest::shortened;
use crate::terminal;
use example::Example;

/// Scores that words have to be above, and that examples have to reach, where nothing is said: the engine's.
const LEAST_OF_WORDS: f32 = 0.1;
const LEAST_OF_EXAMPLES: f32 = 0.6;
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

/// Where a concept comes from.
#[derive(Debug, Clone, PartialEq)]
enum Word {
    Text(String),
    Like(Example),
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
    /// From `--text`, `--texts` and `--like`; the pictures of examples are read now, once for all. A phrase that is given twice is one.
    ///
    /// # Errors
    /// `BadInput` for a phrase or a box that means nothing, and for files that cannot be read; `InvalidOption` where `--conf` does not
    /// have a score for each; `OverLimit` for a picture that is too large.
    pub(crate) fn of(matches: &ArgMatches, arguments: &Run) -> Result<Self, Failure> {
        let words = words(matches, arguments.worded.texts.as_deref())?;
        let scores = scores(arguments.conf.as_ref(), words.len())?;
        let (mut concepts, mut seen) = (Self::default(), HashSet::new());
        let mut drafts: Vec<(Concept, Option<Example>)> = Vec::new();
        let count = words.len();
        for (word, threshold) in words.into_iter().zip(scores) {
            let (concept, example) = match word {
                Word::Text(text) if !seen.insert(text.clone()) => continue,
                Word::Text(text) => (Concept::text(text), None),
                Word::Like(example) => (Concept::like(Exemplar { bounds: example.bounds, ..Exemplar::default() }), Some(example)),
            };
            let concept = Concept { threshold, ..concept };
            match &example {
                Some(example) => example.check()?,
                None => concept.check().map_err(|error| error.named("--text"))?,
            }
            drafts.push((concept, example));
        }
        if drafts.len() < count && !arguments.quiet {
            terminal::say(&format!("phrases that were given before, and are looked for once: {}", count - drafts.len()));
        }
        let mut pictures: HashMap<PathBuf, Image> = HashMap::new();
        let limits = DecodeOptions { max_pixels: arguments.max_pixels, ..DecodeOptions::default() };
        for (concept, example) in drafts {
            concepts.add(concept, example, |example| {
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

    fn add(
        &mut self,
        mut concept: Concept,
        example: Option<Example>,
        read: impl FnOnce(&Example) -> Result<Image, Error>,
    ) -> Result<(), Error> {
        let name = match &example {
            Some(example) => {
                let stem = example.stem();
                let numbered = (2..).map(|number| format!("{stem}-{number}"));
                std::iter::once(stem.clone()).chain(numbered).find(|name| !self.names.contains(name)).unwrap_or(stem)
            }
            None => concept.text.clone().unwrap_or_default(),
        };
        let version = |path: &Path| std::fs::metadata(path).ok().map(|facts| (facts.len(), facts.modified().ok()));
        let seen = example.as_ref().map(|example| (example, version(&example.path)));
        self.asked += &format!("{name:?} {:?} {:?} {seen:?}\n", concept.text, concept.threshold);
        if let Some(example) = example {
            concept.exemplars = vec![Exemplar::on(read(&example)?, example.bounds)];
            concept.label = Some(name.clone());
            self.files.push(example.path);
        }
        self.names.push(name);
        self.list.push(concept);
        Ok(())
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
    pub(crate) fn absent<'o>(&self, found: impl IntoIterator<Item = &'o Object>, conf: Option<f32>) -> Vec<String> {
        let found: HashSet<usize> = found.into_iter().filter_map(|object| object.class_id).collect();
        let mut by_score: Vec<(f32, Vec<&str>)> = Vec::new();
        let absent = self.list.iter().zip(&self.names).enumerate().filter(|(index, _)| !found.contains(index));
        for (_, (concept, name)) in absent {
            let usual = if concept.exemplars.is_empty() { LEAST_OF_WORDS } else { LEAST_OF_EXAMPLES };
            let least = concept.threshold.or(conf).unwrap_or(usual);
            match by_score.iter_mut().find(|(score, _)| *score == least) {
                Some((_, names)) => names.push(name),
                None => by_score.push((least, vec![name])),
            }
        }
        by_score.iter().map(|(least, names)| format!("nothing above {least} for {}", named(names))).collect()
    }
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

/// The concepts in the order of the command line; the phrases of a file stand where it was named.
fn words(matches: &ArgMatches, texts: Option<&Path>) -> Result<Vec<Word>, Failure> {
    let places = |name: &str| matches.indices_of(name).into_iter().flatten().collect::<Vec<usize>>();
    let mut words: Vec<(usize, Word)> = Vec::new();
    for (place, text) in places("text").into_iter().zip(matches.get_many::<String>("text").into_iter().flatten()) {
        // What is nothing but spaces is told as that.
        let text = if text.trim().is_empty() { text } else { text.trim() };
        words.push((place, Word::Text(text.to_owned())));
    }
    for (place, like) in places("like").into_iter().zip(matches.get_many::<OsString>("like").into_iter().flatten()) {
        words.push((place, Word::Like(Example::parse(like)?)));
    }
    if let (Some(path), Some(place)) = (texts, places("texts").first()) {
        words.extend(list::read(path)?.into_iter().map(|text| (*place, Word::Text(text))));
    }
    words.sort_by_key(|(place, _)| *place);
    Ok(words.into_iter().map(|(_, word)| word).collect())
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
        let car = Object { class_id: Some(6), ..Object::default() };
        assert_eq!(
            concepts.absent([&car], None),
            ["nothing above 0.1 for `dog`, `cat\\u{202e}`, `bowl`, `fork` and 1 more", "nothing above 0.5 for `cup`"]
        );
        assert_eq!(concepts.absent([&car], Some(0.5)).len(), 1);
    }
}
