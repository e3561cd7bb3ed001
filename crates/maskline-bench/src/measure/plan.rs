//! What is to be measured: models, and the cross product of all that is swept.

use std::path::PathBuf;
use std::str::FromStr;

use maskline::{Error, ErrorKind, ModelSource, Result};

use crate::load::Arrivals;
use crate::peers::{EnvironmentOptions, Program};
use crate::report::{EmbeddingState, Precision, PromptKind, Prompts};
use crate::worker::{Compute, Place};

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
    /// Most combinations, all models together.
    pub limit: usize,
    /// The pictures.
    pub pictures: Pictures,
    /// Where the embeddings of promptable models come from: one row each.
    pub embeddings: Vec<EmbeddingState>,
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
}

/// Options that not every model takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Given {
    /// Number of prompts.
    Prompts,
    /// Kind of prompt.
    Kind,
    /// Where the embeddings come from.
    Embedding,
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
            Self::Batch => "batch",
        }
    }

    /// Whether it means something to a model.
    fn concerns(self, is_promptable: bool) -> bool {
        (self == Self::Batch) != is_promptable
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

/// Values of one parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sweep {
    /// Side of the network's input.
    Size(Vec<usize>),
    /// Number of prompts.
    Prompts(Vec<usize>),
    /// Kind of prompt.
    Kind(Vec<PromptKind>),
    /// Pictures per call.
    Batch(Vec<usize>),
    /// Threads.
    Threads(Vec<usize>),
    /// What runs the network.
    Provider(Vec<String>),
    /// Of the arithmetic.
    Precision(Vec<Precision>),
}

/// What can be swept, for messages.
const AXES: &str = "size, prompts, kind, batch, threads, provider or precision";

impl Sweep {
    /// Name of the parameter.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Size(_) => "size",
            Self::Prompts(_) => "prompts",
            Self::Kind(_) => "kind",
            Self::Batch(_) => "batch",
            Self::Threads(_) => "threads",
            Self::Provider(_) => "provider",
            Self::Precision(_) => "precision",
        }
    }

    /// Number of values.
    pub fn count(&self) -> usize {
        match self {
            Self::Size(values) | Self::Prompts(values) | Self::Batch(values) | Self::Threads(values) => values.len(),
            Self::Kind(values) => values.len(),
            Self::Provider(values) => values.len(),
            Self::Precision(values) => values.len(),
        }
    }

    /// Sets a value; what it is called, and the number that it is.
    fn apply(&self, index: usize, setting: &mut Setting) -> (String, Option<f64>) {
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
            Self::Kind(values) => {
                setting.prompts.kind = values[index];
                word(values[index].name())
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
        }
    }

    /// Whether it means something to a model.
    fn concerns(&self, is_promptable: bool) -> bool {
        match self {
            Self::Prompts(_) | Self::Kind(_) => is_promptable,
            Self::Batch(_) => !is_promptable,
            _ => true,
        }
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
            "prompts" => Ok(Self::Prompts(numbers()?)),
            "batch" => Ok(Self::Batch(numbers()?)),
            "threads" => Ok(Self::Threads(numbers()?)),
            "kind" => words.iter().map(|word| word.parse()).collect::<Result<_, _>>().map(Self::Kind),
            "precision" => words.iter().map(|word| word.parse()).collect::<Result<_, _>>().map(Self::Precision),
            "provider" => words.iter().map(|word| provider(word)).collect::<Result<_, _>>().map(Self::Provider),
            _ => Err(format!("expected {AXES}, found {name}")),
        }
    }
}

fn positive(name: &str, word: &str) -> Result<usize, String> {
    word.parse().ok().filter(|number| *number > 0).ok_or_else(|| format!("{name}: expected a whole number from 1 up, found {word}"))
}

fn provider(word: &str) -> Result<String, String> {
    word.parse::<maskline::Provider>().map(|provider| provider.to_string()).map_err(|error| error.to_string())
}

/// A process that a plan needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Process {
    /// Index of the model.
    pub(super) model: usize,
    /// What runs it.
    pub(super) compute: Compute,
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
        for combination in self.product(|_| true) {
            let process = Process { model: combination.model, compute: combination.setting.compute };
            if !found.contains(&process) {
                found.push(process);
            }
        }
        Ok(found)
    }

    /// All combinations; `is_promptable` tells of each model.
    pub(super) fn combinations(&self, is_promptable: &[bool]) -> Result<Vec<Combination>> {
        self.refuse_given(is_promptable)?;
        for sweep in &self.sweeps {
            if !is_promptable.iter().any(|is_promptable| sweep.concerns(*is_promptable)) {
                let message = match sweep {
                    Sweep::Batch(_) => "batch: a promptable model takes one picture at a time\n  help: its batch is --sweep prompts",
                    _ => "expected a promptable model, found only such as take no prompts",
                };
                return Err(Error::new(ErrorKind::InvalidOption, format!("--sweep {}: {message}", sweep.name())));
            }
        }
        Ok(self.product(|model| is_promptable[model]))
    }

    /// Refuses what was asked for and no model takes.
    fn refuse_given(&self, is_promptable: &[bool]) -> Result<()> {
        let is_refused = |given: &&Given| !is_promptable.iter().any(|is_promptable| given.concerns(*is_promptable));
        let Some(given) = self.given.iter().find(is_refused) else { return Ok(()) };
        let models: Vec<&str> = self.models.iter().map(|(name, _)| name.as_str()).collect();
        let (verb, own) = if models.len() == 1 { ("takes", "its") } else { ("take", "their") };
        let why = match given {
            Given::Batch => format!("{verb} one picture at a time\n  help: leave it out; {own} batch is --prompts"),
            _ => format!("{verb} no prompts\n  help: leave it out"),
        };
        let message = format!("--{} does not apply to {}, which {why}", given.name(), models.join(" and "));
        Err(Error::new(ErrorKind::InvalidOption, message))
    }

    /// Whether a parameter was given one value that a sweep of it would not use.
    fn is_overruled(&self, sweep: &Sweep) -> bool {
        matches!(sweep, Sweep::Size(_)) && self.setting.compute.size.is_some()
            || self.given.iter().any(|given| given.name() == sweep.name())
    }

    fn check(&self) -> Result<()> {
        let invalid = |message: String| Err(Error::new(ErrorKind::InvalidOption, message));
        if let Some(sweep) = self.sweeps.iter().find(|sweep| self.is_overruled(sweep)) {
            let name = sweep.name();
            return invalid(format!("--{name} does not apply beside --sweep {name}, which has the values\n  help: leave it out"));
        }
        let is_twice = |(index, state): &(usize, &EmbeddingState)| self.embeddings[..*index].contains(state);
        if let Some((_, state)) = self.embeddings.iter().enumerate().find(is_twice) {
            return invalid(format!("--embedding: {} is there twice", state.name()));
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

    fn product(&self, is_promptable: impl Fn(usize) -> bool) -> Vec<Combination> {
        let mut all = Vec::new();
        for model in 0..self.models.len() {
            let sweeps: Vec<&Sweep> = self.sweeps.iter().filter(|sweep| sweep.concerns(is_promptable(model))).collect();
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

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(models: usize, sweeps: &[&str]) -> Plan {
        Plan {
            models: (0..models).map(|i| (format!("m{i}"), ModelSource::Nano)).collect(),
            setting: Setting {
                compute: Compute { provider: "cpu".into(), precision: Precision::F32, threads: 2, size: None },
                batch: 1,
                prompts: Prompts { kind: PromptKind::Click, count: 1 },
            },
            given: vec![],
            sweeps: sweeps.iter().map(|text| text.parse().expect("a sweep")).collect(),
            limit: 24,
            pictures: Pictures::Generated,
            embeddings: vec![EmbeddingState::Miss],
            cold: Cold { runs: 0, empty: false, present: false },
            seconds: 1.0,
            loads: vec![],
            against: None,
            ceilings: false,
            seed: 0,
            place: Place::default(),
            arguments: vec![],
        }
    }

    #[test]
    fn every_combination_once() {
        let plan = plan(2, &["size=512,1024", "prompts=1,8,47"]);
        let all = plan.combinations(&[true, true]).expect("12 of 24");
        let names: Vec<String> =
            all.iter().map(|c| c.model.to_string() + &c.values.iter().map(|(_, word, _)| format!(" {word}")).collect::<String>()).collect();
        let first = ["0 512 1", "0 512 8", "0 512 47", "0 1024 1", "0 1024 8", "0 1024 47", "1 512 1"];
        assert_eq!(names[..7], first);
        assert_eq!((all.len(), plan.processes().expect("fine").len()), (12, 4));
        assert_eq!((all[5].setting.compute.size, all[5].setting.prompts.count), (Some(1024), 47));
    }

    #[test]
    fn a_parameter_that_means_nothing_to_a_model_is_left_out() {
        let plan = plan(2, &["prompts=1,8", "batch=1,2,4"]);
        let all = plan.combinations(&[true, false]).expect("one promptable, one not");
        let counts = [0, 1].map(|model| all.iter().filter(|c| c.model == model).count());
        assert_eq!(counts, [2, 3]);
        let error = plan.combinations(&[false, false]).expect_err("nobody takes prompts");
        assert!(error.to_string().contains("--sweep prompts"), "{error}");
        assert!(plan.combinations(&[true, true]).is_err(), "nobody takes batches");
    }

    #[test]
    fn what_no_model_takes_is_refused() {
        let refused = |models: &[bool], given: Given| {
            let plan = Plan { given: vec![given], ..plan(models.len(), &[]) };
            plan.combinations(models).err().map(|error| error.to_string())
        };
        for given in [Given::Prompts, Given::Kind, Given::Embedding] {
            let message = refused(&[false], given).expect("a detector takes no prompts");
            assert!(message.contains(&format!("--{} does not apply to m0", given.name())) && message.contains("help: leave it out"));
            assert_eq!((refused(&[true], given), refused(&[false, true], given)), (None, None));
        }
        let message = refused(&[true, true], Given::Batch).expect("nobody takes batches");
        assert!(message.contains("m0 and m1, which take one picture at a time") && message.contains("--prompts"), "{message}");
        assert_eq!((refused(&[false], Given::Batch), refused(&[false, true], Given::Batch)), (None, None));
    }

    #[test]
    fn what_would_be_ignored_is_refused() {
        let refused = |plan: Plan| plan.processes().expect_err("ignored").to_string();
        let swept = Plan { given: vec![Given::Prompts], ..plan(1, &["prompts=1,8"]) };
        assert!(refused(swept).contains("--prompts does not apply beside --sweep prompts"));
        let mut sized = plan(1, &["size=64,128"]);
        sized.setting.compute.size = Some(96);
        assert!(refused(sized).contains("--sweep size"));
        let twice = Plan { embeddings: vec![EmbeddingState::Held, EmbeddingState::Held], ..plan(1, &[]) };
        assert!(refused(twice).contains("held is there twice"));
    }

    #[test]
    fn what_is_wrong_is_said() {
        let words = |text: &str| text.parse::<Sweep>().expect_err(text);
        assert!(words("size").contains("NAME=VALUE"));
        assert!(words("size=").contains("found none"));
        assert!(words("size=512,0").contains("found 0"));
        assert!(words("size=512,512").contains("twice"));
        assert!(words("colour=red").contains("found colour"));
        assert!(words("provider=tpu").contains("tpu"));
        assert!(words("kind=wish").contains("wish"));
        assert!(words("precision=f8").contains("f8"));
        let over = plan(3, &["size=1,2,3", "prompts=1,2,3"]).processes().expect_err("27 of 24");
        assert_eq!(over.kind(), ErrorKind::OverLimit);
        let twice = plan(1, &["size=1,2", "size=3"]).processes().expect_err("twice");
        assert!(twice.to_string().contains("found twice"), "{twice}");
    }
}
