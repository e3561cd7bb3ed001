//! What can be swept.

use std::str::FromStr;

use maskline::{Error, ErrorKind, Kernels, Result};

use super::{Setting, Takes};
use crate::report::{Precision, PromptKind, TextKind, Texts};
use crate::worker::most_phrases;

/// Values of one parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sweep {
    /// Side of the network's input.
    Size(Vec<usize>),
    /// Number of prompts.
    Prompts(Vec<usize>),
    /// Question in words: one word, a phrase, several objects.
    Complexity(Vec<TextKind>),
    /// Kind of prompt.
    Kind(Vec<PromptKind>),
    /// Number of phrases.
    Text(Vec<usize>),
    /// Pictures per call.
    Batch(Vec<usize>),
    /// Threads.
    Threads(Vec<usize>),
    /// What runs the network. `all` alone stands for those that are here: whoever makes the plan puts these in its place.
    Provider(Vec<String>),
    /// Of the arithmetic.
    Precision(Vec<Precision>),
    /// Layers of image encoders.
    Kernels(Vec<Kernels>),
}

/// In place of the names of providers.
const EVERY: &str = "all";

/// What can be swept, for messages.
const AXES: &str = "size, prompts, kind, text, batch, threads, provider, precision or kernels";

impl Sweep {
    /// Whether it is over all providers that are here.
    pub fn is_every_provider(&self) -> bool {
        matches!(self, Self::Provider(values) if values == &[EVERY])
    }

    /// Name of the parameter.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Size(_) => "size",
            Self::Prompts(_) | Self::Complexity(_) => "prompts",
            Self::Kind(_) => "kind",
            Self::Text(_) => "text",
            Self::Batch(_) => "batch",
            Self::Threads(_) => "threads",
            Self::Provider(_) => "provider",
            Self::Precision(_) => "precision",
            Self::Kernels(_) => "kernels",
        }
    }

    /// Number of values.
    pub fn count(&self) -> usize {
        match self {
            Self::Size(values) | Self::Prompts(values) | Self::Text(values) | Self::Batch(values) | Self::Threads(values) => values.len(),
            Self::Kind(values) => values.len(),
            Self::Complexity(values) => values.len(),
            Self::Provider(values) => values.len(),
            Self::Precision(values) => values.len(),
            Self::Kernels(values) => values.len(),
        }
    }

    /// Sets a value; what it is called, and the number that it is.
    pub(super) fn apply(&self, index: usize, setting: &mut Setting) -> (String, Option<f64>) {
        let number = |value: usize| (value.to_string(), Some(value as f64));
        let word = |value: &str| (value.to_owned(), None);
        match self {
            Self::Size(values) => {
                setting.compute.size = Some(values[index]);
                number(values[index])
            }
            Self::Prompts(values) => {
                setting.prompts.count = values[index];
                number(values[index])
            }
            Self::Complexity(values) => {
                let kind = values[index];
                setting.texts = Texts { kind, count: most_phrases(kind) };
                word(kind.name())
            }
            Self::Kind(values) => {
                setting.prompts.kind = values[index];
                word(values[index].name())
            }
            Self::Text(values) => {
                setting.texts.count = values[index];
                number(values[index])
            }
            Self::Batch(values) => {
                setting.batch = values[index];
                number(values[index])
            }
            Self::Threads(values) => {
                setting.compute.threads = values[index];
                number(values[index])
            }
            Self::Provider(values) => {
                setting.compute.provider.clone_from(&values[index]);
                word(&values[index])
            }
            Self::Precision(values) => {
                setting.compute.precision = values[index];
                word(values[index].name())
            }
            Self::Kernels(values) => {
                setting.compute.kernels = values[index];
                word(values[index].name())
            }
        }
    }

    /// Whether it means something to a model.
    pub(super) fn concerns(&self, takes: Takes) -> bool {
        match self {
            Self::Prompts(_) | Self::Kind(_) => takes == Takes::Prompts,
            Self::Text(_) | Self::Complexity(_) => takes == Takes::Words,
            Self::Batch(_) => takes == Takes::Nothing,
            // Nothing else has an encoder of pictures.
            Self::Kernels(_) => takes != Takes::Nothing,
            _ => true,
        }
    }

    /// Why no model takes it.
    pub(super) fn refusal(&self) -> Error {
        let message = match self {
            Self::Batch(_) => {
                "batch: a model that encodes pictures takes one at a time\n  help: its batch is --sweep prompts, or --sweep text"
            }
            Self::Text(_) | Self::Complexity(_) => "expected a model that is told by words what to find, found only such as take no words",
            Self::Kernels(_) => "expected a model with an image encoder, found only such as have none",
            _ => "expected a promptable model, found only such as take no prompts",
        };
        Error::new(ErrorKind::InvalidOption, format!("--sweep {}: {message}", self.name()))
    }
}

impl FromStr for Sweep {
    type Err = String;

    /// `NAME=VALUE,VALUE,…`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (name, values) = text.split_once('=').ok_or_else(|| format!("expected NAME=VALUE,VALUE with {AXES} as the name"))?;
        let words: Vec<&str> = values.split(',').map(str::trim).filter(|word| !word.is_empty()).collect();
        if words.is_empty() {
            return Err(format!("{name}: expected values with commas between, found none"));
        }
        if let Some(twice) = words.iter().enumerate().find(|(i, word)| words[..*i].contains(word)) {
            return Err(format!("{name}: {} is there twice", twice.1));
        }
        let numbers = || words.iter().map(|word| positive(name, word)).collect::<Result<Vec<usize>, String>>();
        match name {
            "size" => Ok(Self::Size(numbers()?)),
            "prompts" if words.iter().any(|word| complexity(word).is_some()) => {
                let kind = |word: &&str| complexity(word).ok_or_else(|| format!("prompts: expected word, phrase or objects, found {word}"));
                words.iter().map(kind).collect::<Result<_, _>>().map(Self::Complexity)
            }
            "prompts" => Ok(Self::Prompts(numbers()?)),
            "text" => Ok(Self::Text(numbers()?)),
            "batch" => Ok(Self::Batch(numbers()?)),
            "threads" => Ok(Self::Threads(numbers()?)),
            "kind" => words.iter().map(|word| word.parse()).collect::<Result<_, _>>().map(Self::Kind),
            "precision" => words.iter().map(|word| word.parse()).collect::<Result<_, _>>().map(Self::Precision),
            "kernels" => words.iter().map(|word| word.parse()).collect::<Result<_, _>>().map(Self::Kernels),
            "provider" if words == [EVERY] => Ok(Self::Provider(vec![EVERY.to_owned()])),
            "provider" if words.contains(&EVERY) => Err("provider: all stands alone, without names of others".to_owned()),
            "provider" => words.iter().map(|word| provider(word)).collect::<Result<_, _>>().map(Self::Provider),
            _ => Err(format!("expected {AXES}, found {name}")),
        }
    }
}

/// How simple or hard a question in words is.
fn complexity(word: &str) -> Option<TextKind> {
    TextKind::BY_COMPLEXITY.into_iter().find(|kind| kind.name() == word)
}

fn positive(name: &str, word: &str) -> Result<usize, String> {
    word.parse().ok().filter(|number| *number > 0).ok_or_else(|| format!("{name}: expected a whole number from 1 up, found {word}"))
}

fn provider(word: &str) -> Result<String, String> {
    word.parse::<maskline::Provider>().map(|provider| provider.to_string()).map_err(|error| error.to_string())
}
