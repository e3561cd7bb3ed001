//! What words and examples mean.

use crate::{Concern, Error, ErrorKind, Image, Result};

/// Most concepts of one request.
const MOST_CONCEPTS: usize = 1 << 16;
/// Longest phrase, in bytes; no text encoder reads a hundredth of it.
const LONGEST_PHRASE: usize = 1 << 16;
/// So much of a phrase is shown in errors.
const SHOWN: usize = 60;

/// A kind of object, by words, by examples, or by both.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Concept {
    /// A phrase, such as `a red car`.
    pub text: Option<String>,
    /// Examples of the kind, or of what is not of it.
    pub exemplars: Vec<Exemplar>,
    /// Least score of its objects, instead of [`PredictOptions::conf`](crate::PredictOptions::conf).
    pub threshold: Option<f32>,
    /// What its objects are called; the phrase, where nothing is said.
    pub label: Option<String>,
}

/// An example of a concept.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Exemplar {
    /// The picture that it is on; `None` for the one that is asked about.
    pub picture: Option<Image>,
    /// `[x1, y1, x2, y2]` in pixels of its picture; `None` for all of another picture, of which the model then chooses what stands for it.
    pub bounds: Option<[f32; 4]>,
    /// Whether it is an object that must not be found.
    pub is_negative: bool,
}

impl Concept {
    /// A phrase.
    pub fn text(text: impl Into<String>) -> Self {
        Self { text: Some(text.into()), ..Self::default() }
    }

    /// What an example shows.
    pub fn like(exemplar: Exemplar) -> Self {
        Self { exemplars: vec![exemplar], ..Self::default() }
    }

    /// What objects of it are called.
    pub fn name(&self) -> Option<&str> {
        self.label.as_deref().or(self.text.as_deref())
    }

    /// An error of answering it, by its name. That of examples on other pictures comes back whatever picture is asked about.
    pub(super) fn told(&self, error: Error) -> Error {
        let is_elsewhere = self.exemplars.iter().all(|exemplar| exemplar.picture.is_some());
        let error = if is_elsewhere && error.concerns() == Concern::Picture { error.about(Concern::Options) } else { error };
        match self.name() {
            Some(name) => error.named(format!("`{}`", shown(name))),
            None => error,
        }
    }

    /// Refuses what means nothing, as asking does: nothing to look for, a phrase of spaces, of control characters or without an end, a box
    /// without an inside.
    ///
    /// # Errors
    /// `BadInput`; `InvalidOption` for a threshold outside 0..1.
    pub fn check(&self) -> Result<()> {
        let is_wanted = |exemplar: &Exemplar| !exemplar.is_negative;
        match &self.text {
            Some(text) => check_phrase(text)?,
            None if !self.exemplars.iter().any(is_wanted) => {
                let found = if self.exemplars.is_empty() { "none of them" } else { "only what is not wanted" };
                return Err(Error::new(ErrorKind::BadInput, "concept").expecting("words or an example").but_found(found));
            }
            None => {}
        }
        if let Some(threshold) = self.threshold.filter(|threshold| !(0.0..=1.0).contains(threshold)) {
            return Err(Error::new(ErrorKind::InvalidOption, "threshold").expecting("a number from 0 to 1").but_found(threshold));
        }
        self.exemplars.iter().try_for_each(Exemplar::check)
    }
}

impl Exemplar {
    /// A box on the picture that is asked about.
    pub fn here(bounds: [f32; 4]) -> Self {
        Self { bounds: Some(bounds), ..Self::default() }
    }

    /// Another picture, or what a box on it shows.
    pub fn on(picture: Image, bounds: Option<[f32; 4]>) -> Self {
        Self { picture: Some(picture), bounds, is_negative: false }
    }

    fn check(&self) -> Result<()> {
        let is_box = |bounds: [f32; 4]| bounds.iter().all(|side| side.is_finite()) && bounds[0] < bounds[2] && bounds[1] < bounds[3];
        let error = Error::new(ErrorKind::BadInput, "example");
        match (self.bounds, &self.picture) {
            (Some(bounds), _) if !is_box(bounds) => {
                Err(error.expecting("a box x1, y1, x2, y2 with x1 < x2 and y1 < y2").but_found(format!("{bounds:?}")))
            }
            (None, None) => Err(error.expecting("a box on the picture, or another picture").but_found("neither")),
            _ => Ok(()),
        }
    }
}

fn check_phrase(text: &str) -> Result<()> {
    let error = || Error::new(ErrorKind::BadInput, "phrase");
    if text.trim().is_empty() {
        return Err(error().expecting("words").but_found(if text.is_empty() { "an empty text" } else { "only spaces" }));
    }
    if text.len() > LONGEST_PHRASE {
        return Err(error().expecting(format!("at most {LONGEST_PHRASE} bytes")).but_found(format!("{} in `{}`", text.len(), shown(text))));
    }
    match text.chars().find(|letter| letter.is_control()) {
        Some(control) => Err(error().expecting("letters, no control characters").but_found(format!("{control:?} in `{}`", shown(text)))),
        None => Ok(()),
    }
}

/// The beginning of a text, for people.
fn shown(text: &str) -> String {
    let start: String = text.chars().take(SHOWN).collect();
    let more = if start.len() < text.len() { "…" } else { "" };
    format!("{}{more}", start.escape_debug())
}

/// Refuses more concepts than any list has.
pub(super) fn check_count(concepts: usize) -> Result<()> {
    if concepts <= MOST_CONCEPTS {
        return Ok(());
    }
    let error = Error::new(ErrorKind::OverLimit, "concepts").expecting(format!("at most {MOST_CONCEPTS} in one request"));
    Err(error.but_found(concepts).about(Concern::Options))
}
