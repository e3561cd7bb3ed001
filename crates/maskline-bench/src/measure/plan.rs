//! What is to be measured: models, and the cross product of all that is swept.

mod sweep;

use std::path::PathBuf;

use maskline::{Error, ErrorKind, ModelSource, Result};

pub use self::sweep::Sweep;
use super::providers::Absent;
use crate::load::Arrivals;
use crate::peers::{EnvironmentOptions, Program};
use crate::report::{EmbeddingState, Prompts, TextState, Texts};
use crate::worker::{Compute, Facts, Place, most_phrases};

/// A run of the benchmark.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The models, with the names that rows give them.
    pub models: Vec<(String, ModelSource)>,
    /// What is not swept.
    pub setting: Setting,
    /// What of it was asked for, of that which not every model takes: such as no model takes is refused.
    pub given: Vec<Given>,
    /// What is swept; every combination is measured.
    pub sweeps: Vec<Sweep>,
    /// Providers that were to be swept and are not here, for the report.
    pub absent: Vec<Absent>,
    /// Most combinations, all models together.
    pub limit: usize,
    /// The pictures.
    pub pictures: Pictures,
    /// Where the embeddings of pictures come from, of models that take prompts or words: one row each.
    pub embeddings: Vec<EmbeddingState>,
    /// Where the embeddings of phrases come from, of models that take words: one row each, with each of those of pictures.
    pub texts: Vec<TextState>,
    /// The phrases, where they are given.
    pub phrases: Vec<String>,
    /// Cold starts.
    pub cold: Cold,
    /// Least length of a steady row, in seconds; 0 for none.
    pub seconds: f64,
    /// Loads: a point each.
    pub loads: Vec<Load>,
    /// Other programs to measure beside.
    pub against: Option<Against>,
    /// Whether to measure the machine and count operations.
    pub ceilings: bool,
    /// Seed of turns and arrivals.
    pub seed: u64,
    /// Where things are.
    pub place: Place,
    /// The command's arguments, for the report.
    pub arguments: Vec<String>,
}

/// All that is swept, at one value each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// What runs the network.
    pub compute: Compute,
    /// Pictures per call.
    pub batch: usize,
    /// What is asked of promptable models.
    pub prompts: Prompts,
    /// What pictures are searched for by models that take words.
    pub texts: Texts,
}

/// Options that not every model takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Given {
    /// Number of prompts.
    Prompts,
    /// Kind of prompt.
    Kind,
    /// Where the embeddings of pictures come from.
    Embedding,
    /// Phrases.
    Text,
    /// Kind of made-up phrases.
    Phrases,
    /// Where the embeddings of phrases come from.
    TextCache,
    /// Pictures per call.
    Batch,
}

impl Given {
    /// Name of the option, without its dashes.
    pub fn name(self) -> &'static str {
        match self {
            Self::Prompts => "prompts",
            Self::Kind => "kind",
            Self::Embedding => "embedding",
            Self::Text => "text",
            Self::Phrases => "phrases",
            Self::TextCache => "text-cache",
            Self::Batch => "batch",
        }
    }

    /// Whether it means something to a model.
    fn concerns(self, takes: Takes) -> bool {
        match self {
            Self::Prompts | Self::Kind => takes == Takes::Prompts,
            Self::Embedding => takes != Takes::Nothing,
            Self::Text | Self::Phrases | Self::TextCache => takes == Takes::Words,
            Self::Batch => takes == Takes::Nothing,
        }
    }

    /// Why a model does not take it, behind `take` or `takes`, and the way out.
    fn refusal(self, takes: &[Takes]) -> &'static str {
        match self {
            Self::Batch if takes.contains(&Takes::Prompts) => "one picture at a time\n  help: leave it out; a batch is --prompts",
            Self::Batch => "one picture at a time\n  help: leave it out; a batch is --text, given several times, or --sweep text",
            Self::Text | Self::Phrases | Self::TextCache => "no words\n  help: leave it out",
            Self::Prompts | Self::Kind if takes.contains(&Takes::Words) => "no prompts beside words\n  help: leave it out",
            Self::Prompts | Self::Kind | Self::Embedding => "no prompts\n  help: leave it out",
        }
    }
}

/// Refuses what was asked for and none of the models takes.
pub(crate) fn refuse_given(given: &[Given], models: &[&str], takes: &[Takes]) -> Result<()> {
    let is_refused = |given: &&Given| !takes.iter().any(|takes| given.concerns(*takes));
    let Some(given) = given.iter().find(is_refused) else { return Ok(()) };
    let verb = if models.len() == 1 { "takes" } else { "take" };
    let (name, models) = (given.name(), models.join(" and "));
    let message = format!("--{name} does not apply to {models}, which {verb} {}", given.refusal(takes));
    Err(Error::new(ErrorKind::InvalidOption, message))
}

/// What a model is told beside a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Takes {
    Nothing,
    Prompts,
    Words,
}

impl Takes {
    pub(super) fn of(facts: &Facts) -> Self {
        match (facts.is_promptable, facts.takes_words) {
            (true, _) => Self::Prompts,
            (false, true) => Self::Words,
            (false, false) => Self::Nothing,
        }
    }
}

/// The pictures that are used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pictures {
    /// Files.
    Files(Vec<PathBuf>),
    /// Made up.
    Generated,
}

/// Other programs.
#[derive(Debug, Clone)]
pub struct Against {
    /// Which.
    pub programs: Vec<Program>,
    /// Where their packages are.
    pub environment: EnvironmentOptions,
}

/// Cold starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cold {
    /// Starts per row; 0 for none. Eleven are needed for a median.
    pub runs: usize,
    /// With an empty cache.
    pub empty: bool,
    /// With the bundle of an earlier start.
    pub present: bool,
}

/// Calls at once.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Load {
    /// So many callers that wait for their answers.
    Closed {
        /// How many.
        callers: usize,
    },
    /// Requests that come whatever the model does.
    Open {
        /// Per second.
        rate: f64,
        /// How they come.
        arrivals: Arrivals,
    },
}

/// A process that a plan needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Process {
    /// Index of the model.
    pub(super) model: usize,
    /// What runs it.
    pub(super) compute: Compute,
}

impl Process {
    /// Whether it computes on a card of NVIDIA's.
    pub(super) fn is_on_card(&self) -> bool {
        ["cuda", "tensorrt"].contains(&self.compute.provider.as_str())
    }
}

/// One combination of values.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Combination {
    /// Index of the model.
    pub(super) model: usize,
    pub(super) setting: Setting,
    /// Of every parameter that is swept and concerns the model: its name, the value's name, and the number that it is.
    pub(super) values: Vec<(&'static str, String, Option<f64>)>,
}

impl Plan {
    /// Distinct models with what runs them: a process each, in the order of the combinations.
    pub(super) fn processes(&self) -> Result<Vec<Process>> {
        self.check()?;
        let mut found: Vec<Process> = Vec::new();
        for combination in self.product(|_, _| true) {
            let process = Process { model: combination.model, compute: combination.setting.compute };
            if !found.contains(&process) {
                found.push(process);
            }
        }
        Ok(found)
    }

    /// All combinations; `takes` tells of each model.
    pub(super) fn combinations(&self, takes: &[Takes]) -> Result<Vec<Combination>> {
        refuse_given(&self.given, &self.models.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), takes)?;
        if let Some(sweep) = self.sweeps.iter().find(|sweep| !takes.iter().any(|takes| sweep.concerns(*takes))) {
            return Err(sweep.refusal());
        }
        Ok(self.product(|sweep, model| sweep.concerns(takes[model])))
    }

    /// The option that gave one value, which a sweep would not use.
    fn overruled(&self, sweep: &Sweep) -> Option<&'static str> {
        if matches!(sweep, Sweep::Size(_)) && self.setting.compute.size.is_some() {
            return Some("size");
        }
        let is_other = |given: &Given| match sweep {
            Sweep::Complexity(_) => matches!(given, Given::Text | Given::Phrases | Given::Prompts),
            _ => given.name() == sweep.name(),
        };
        self.given.iter().copied().find(is_other).map(Given::name)
    }

    /// Whether models that take words and prompts are asked by prompts: where only these are spoken of.
    pub(super) fn is_by_prompts(&self) -> bool {
        let is_any =
            |given: &[Given], swept: fn(&Sweep) -> bool| self.given.iter().any(|one| given.contains(one)) || self.sweeps.iter().any(swept);
        is_any(&[Given::Prompts, Given::Kind], |sweep| matches!(sweep, Sweep::Prompts(_) | Sweep::Kind(_)))
            && !is_any(&[Given::Text, Given::Phrases, Given::TextCache], |sweep| matches!(sweep, Sweep::Text(_) | Sweep::Complexity(_)))
    }

    fn check(&self) -> Result<()> {
        let invalid = |message: String| Err(Error::new(ErrorKind::InvalidOption, message));
        if let Some((option, sweep)) = self.sweeps.iter().find_map(|sweep| Some((self.overruled(sweep)?, sweep.name()))) {
            return invalid(format!("--{option} does not apply beside --sweep {sweep}, which has the values\n  help: leave it out"));
        }
        let has = |swept: fn(&Sweep) -> bool| self.sweeps.iter().any(swept);
        if has(|sweep| matches!(sweep, Sweep::Complexity(_))) && has(|sweep| matches!(sweep, Sweep::Text(_))) {
            let message = "--sweep text does not apply beside --sweep prompts, which has the phrases\n  help: leave one of them out";
            return invalid(message.to_owned());
        }
        if let Some(state) = twice(&self.embeddings) {
            return invalid(format!("--embedding: {} is there twice", state.name()));
        }
        if let Some(state) = twice(&self.texts) {
            return invalid(format!("--text-cache: {} is there twice", state.name()));
        }
        if let Some(phrase) = twice(&self.phrases) {
            return invalid(format!("--text: `{phrase}` is there twice"));
        }
        let counts = self.sweeps.iter().flat_map(|sweep| if let Sweep::Text(counts) = sweep { counts.as_slice() } else { &[] });
        let (most, kind) = (most_phrases(self.setting.texts.kind), self.setting.texts.kind.name());
        if let Some(count) = counts.chain([&self.setting.texts.count]).find(|count| **count > most) {
            return invalid(format!(
                "text: expected at most {most}, as many {kind} as there are, found {count}\n  help: give your own: --text"
            ));
        }
        if self.against.is_some() && self.seconds <= 0.0 {
            return invalid("--against does not apply to --time 0, which measures no calls\n  help: leave one of them out".to_owned());
        }
        for (index, sweep) in self.sweeps.iter().enumerate() {
            if self.sweeps[..index].iter().any(|other| other.name() == sweep.name()) {
                return invalid(format!("--sweep {}: expected once, found twice", sweep.name()));
            }
        }
        let count = self.sweeps.iter().map(Sweep::count).fold(self.models.len(), usize::saturating_mul);
        if count > self.limit {
            let message = format!("the sweeps make {count} combinations, and at most {} are measured", self.limit);
            return Err(Error::new(ErrorKind::OverLimit, message + "\n  help: give fewer values, or raise --limit"));
        }
        if !(self.seconds.is_finite() && self.seconds >= 0.0) {
            return invalid(format!("seconds: expected 0 or more, found {}", self.seconds));
        }
        Ok(())
    }

    /// Every combination of what concerns each model.
    fn product(&self, concerns: impl Fn(&Sweep, usize) -> bool) -> Vec<Combination> {
        let mut all = Vec::new();
        for model in 0..self.models.len() {
            let sweeps: Vec<&Sweep> = self.sweeps.iter().filter(|sweep| concerns(sweep, model)).collect();
            let count: usize = sweeps.iter().map(|sweep| sweep.count()).product();
            for number in 0..count {
                let mut combination = Combination { model, setting: self.setting.clone(), values: Vec::new() };
                // The last parameter changes fastest.
                let mut left = count;
                for sweep in &sweeps {
                    left /= sweep.count();
                    let (word, value) = sweep.apply(number / left % sweep.count(), &mut combination.setting);
                    combination.values.push((sweep.name(), word, value));
                }
                all.push(combination);
            }
        }
        all
    }
}

/// The first that is there twice.
fn twice<T: PartialEq>(values: &[T]) -> Option<&T> {
    values.iter().enumerate().find(|(index, value)| values[..*index].contains(value)).map(|(_, value)| value)
}

#[cfg(test)]
mod tests;
