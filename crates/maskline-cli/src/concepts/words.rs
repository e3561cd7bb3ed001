//! What stands on the command line about what is looked for, in its order.

use std::ffi::OsString;
use std::path::Path;

use clap::ArgMatches;
use maskline::{Concept, Error, Exemplar};

use super::example::Example;
use super::list;
use crate::failure::Failure;

/// One thing that is looked for.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sought {
    pub(super) what: What,
    /// Boxes on the picture that is asked about, which say more of it.
    pub(super) boxes: Vec<Shown>,
}

/// Where a concept comes from.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum What {
    Text(String),
    Like(Example),
    /// Nothing but boxes on the picture that is asked about.
    Visual,
}

/// `--like-box` or `--unlike-box`: a box on the picture that is asked about, in its pixels.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Shown {
    bounds: [f32; 4],
    /// Whether it shows what is not looked for.
    is_negative: bool,
}

impl Shown {
    pub(super) fn exemplar(&self) -> Exemplar {
        Exemplar { is_negative: self.is_negative, ..Exemplar::here(self.bounds) }
    }

    /// The option that it stands behind.
    pub(super) fn flag(&self) -> &'static str {
        if self.is_negative { "--unlike-box" } else { "--like-box" }
    }

    /// Refuses a box without an inside.
    pub(super) fn check(&self) -> Result<(), Error> {
        Concept::like(Exemplar::here(self.bounds)).check().map_err(|error| error.named(self.flag()))
    }
}

/// A word of the command line.
#[derive(Debug, Clone, PartialEq)]
enum Word {
    Text(String),
    Like(Example),
    Shown(Shown),
}

/// What is looked for, in the order of the command line; the phrases of a file stand where it was named.
pub(super) fn sought(matches: &ArgMatches, texts: Option<&Path>) -> Result<Vec<Sought>, Failure> {
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
    for (name, is_negative) in [("like_box", false), ("unlike_box", true)] {
        let boxes = matches.get_many::<[f32; 4]>(name).into_iter().flatten();
        let shown = |bounds: &[f32; 4]| Word::Shown(Shown { bounds: *bounds, is_negative });
        words.extend(places(name).into_iter().zip(boxes.map(shown)));
    }
    if let (Some(path), Some(place)) = (texts, places("texts").first()) {
        words.extend(list::read(path)?.into_iter().map(|text| (*place, Word::Text(text))));
    }
    words.sort_by_key(|(place, _)| *place);
    Ok(gathered(words.into_iter().map(|(_, word)| word)))
}

/// A box says more of the phrase that stands before it, or of the first one where none does; without phrases, all boxes show one thing.
fn gathered(words: impl Iterator<Item = Word>) -> Vec<Sought> {
    let mut all: Vec<Sought> = Vec::new();
    let mut phrase: Option<usize> = None;
    let mut waiting: Vec<Shown> = Vec::new();
    let mut first_box: Option<usize> = None;
    for word in words {
        match (word, phrase) {
            (Word::Shown(shown), Some(phrase)) => all[phrase].boxes.push(shown),
            (Word::Shown(shown), None) => {
                first_box.get_or_insert(all.len());
                waiting.push(shown);
            }
            (Word::Text(text), _) => {
                phrase = Some(all.len());
                all.push(Sought { what: What::Text(text), boxes: std::mem::take(&mut waiting) });
            }
            (Word::Like(example), _) => all.push(Sought { what: What::Like(example), boxes: Vec::new() }),
        }
    }
    if let Some(place) = first_box.filter(|_| !waiting.is_empty()) {
        all.insert(place, Sought { what: What::Visual, boxes: waiting });
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Word {
        Word::Text(text.into())
    }

    fn shown(left: f32) -> Word {
        Word::Shown(Shown { bounds: [left, 0.0, 9.0, 9.0], is_negative: left > 4.0 })
    }

    fn like() -> Word {
        Word::Like(Example { path: "mug.png".into(), bounds: None })
    }

    /// What each thing is called, with the left sides of its boxes.
    fn told(words: &[Word]) -> Vec<String> {
        let tell = |sought: Sought| {
            let name = match sought.what {
                What::Text(text) => text,
                What::Like(_) => "like".into(),
                What::Visual => "visual".into(),
            };
            sought.boxes.iter().fold(name, |name, shown| format!("{name} {}{}", if shown.is_negative { "-" } else { "" }, shown.bounds[0]))
        };
        gathered(words.iter().cloned()).into_iter().map(tell).collect()
    }

    #[test]
    fn boxes_say_more_of_the_phrase_before_them() {
        let (dog, cat) = (text("dog"), text("cat"));
        assert_eq!(told(&[dog.clone(), shown(1.0), cat.clone(), shown(5.0), shown(2.0)]), ["dog 1", "cat -5 2"]);
        assert_eq!(told(&[shown(1.0), shown(6.0), dog.clone(), cat.clone()]), ["dog 1 -6", "cat"]);
        assert_eq!(told(&[shown(1.0), dog.clone(), like(), shown(2.0), cat]), ["dog 1 2", "like", "cat"]);
    }

    #[test]
    fn boxes_without_a_phrase_show_one_thing() {
        assert_eq!(told(&[shown(1.0), shown(6.0), shown(2.0)]), ["visual 1 -6 2"]);
        assert_eq!(told(&[like(), shown(1.0), like(), shown(2.0)]), ["like", "visual 1 2", "like"]);
        assert_eq!(told(&[like()]), ["like"]);
        assert!(told(&[]).is_empty());
    }
}
