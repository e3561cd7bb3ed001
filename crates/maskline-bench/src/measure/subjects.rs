//! The subjects of a run: every combination, with its process and its kinds of calls.

use maskline::{ModelSource, Result};

use super::Running;
use super::plan::{Combination, Plan, Takes};
use crate::report::{Curve, CurvePoint, EmbeddingState, ModelIdentity, Provider, Steady, Subject, Sweep, TextState, Unit};
use crate::worker::{Share, Sought, Track};

/// All subjects of a run.
pub(super) struct Subjects {
    pub(super) all: Vec<One>,
}

/// One of them.
pub(super) struct One {
    pub(super) subject: Subject,
    /// Index of its process.
    pub(super) process: usize,
    /// Its kinds of calls, by the name of the row.
    pub(super) tracks: Vec<(String, Track)>,
    combination: Combination,
}

impl Subjects {
    pub(super) fn of(plan: &Plan, running: &[Running]) -> Result<Self> {
        let takes: Vec<Takes> = (0..plan.models.len())
            .map(|model| {
                let process = running.iter().find(|one| one.process.model == model);
                process.map_or(Takes::Nothing, |one| Takes::of(&one.started.facts))
            })
            .collect();
        let combinations = plan.combinations(&takes)?;
        let hashes = plan.models.iter().map(|(_, source)| source.weights_sha256()).collect::<Result<Vec<_>>>()?;
        let make = |combination: Combination| {
            let model = combination.model;
            let compute = &combination.setting.compute;
            let process = running.iter().position(|one| one.process.model == model && one.process.compute == *compute).unwrap_or(0);
            let facts = &running[process].started.facts;
            let (name, source) = &plan.models[model];
            let values: String = combination.values.iter().map(|(parameter, value, _)| format!(" {parameter}={value}")).collect();
            let identity = ModelIdentity {
                name: name.clone(),
                sha256: hashes[model].clone(),
                generated_from_seed: match source {
                    ModelSource::Synthetic { seed, .. } => Some(*seed),
                    _ => None,
                },
                bundle: facts.bundle.clone(),
                family: facts.family.clone(),
                architecture: facts.architecture.clone(),
                precision: Some(compute.precision),
                kernels: facts.kernels.map(|kernels| kernels.name().to_owned()),
            };
            let [height, width] = facts.input;
            let subject = Subject {
                name: format!("{name}{values}"),
                model: identity,
                provider: Provider {
                    asked: compute.provider.clone(),
                    actual: facts.provider.clone(),
                    fallback_share: fallback(&facts.shares, &compute.provider),
                },
                threads: Some(compute.threads),
                batch: combination.setting.batch,
                image_size: (height == width).then_some(height),
                prompts: facts.is_promptable.then_some(combination.setting.prompts),
                texts: facts.takes_words.then_some(combination.setting.texts),
                server: None,
                effort: None,
            };
            let tracks = tracks(&subject, plan);
            One { subject, process, tracks, combination }
        };
        Ok(Self { all: combinations.into_iter().map(make).collect() })
    }

    pub(super) fn described(&self) -> Vec<Subject> {
        self.all.iter().map(|one| one.subject.clone()).collect()
    }

    /// The first subject of the same question: same model, size and prompts. `None` for that subject itself.
    pub(super) fn reference(&self, index: usize) -> Option<usize> {
        let question = |one: &One| {
            let (subject, model) = (&one.subject, one.combination.model);
            (model, subject.image_size, subject.batch, subject.prompts, subject.texts)
        };
        let own = question(&self.all[index]);
        self.all.iter().position(|one| question(one) == own).filter(|first| *first != index)
    }

    /// The first subject of a process.
    pub(super) fn first_of(&self, process: usize) -> Option<&One> {
        self.all.iter().find(|one| one.process == process)
    }

    /// A curve per parameter that was swept, with all others held.
    pub(super) fn sweeps(&self, rows: &[Steady]) -> Vec<Sweep> {
        let mut parameters: Vec<&str> = Vec::new();
        for (name, ..) in self.all.iter().flat_map(|one| &one.combination.values) {
            if !parameters.contains(name) {
                parameters.push(name);
            }
        }
        let mut origins: Vec<Origin> = Vec::new();
        for origin in rows.iter().map(Origin::of) {
            if !origins.contains(&origin) {
                origins.push(origin);
            }
        }
        let sweeps = parameters.iter().flat_map(|parameter| origins.iter().map(|origin| self.sweep(parameter, *origin, rows)));
        sweeps.filter(|sweep| sweep.curves.iter().any(|curve| curve.points.len() > 1)).collect()
    }

    fn sweep(&self, parameter: &str, origin: Origin, rows: &[Steady]) -> Sweep {
        let is_rate = parameter == "batch";
        let mut places: Vec<String> = Vec::new();
        let mut curves: Vec<Curve> = Vec::new();
        for one in &self.all {
            let Some((_, word, number)) = one.combination.values.iter().find(|(name, ..)| *name == parameter) else { continue };
            let row = rows.iter().find(|row| row.subject == one.subject.name && Origin::of(row) == origin);
            let Some(figure) = row.and_then(|row| row.summary.p50_ms) else { continue };
            let figure = if is_rate { figure.per_second(one.subject.batch) } else { figure };
            let at = number.unwrap_or_else(|| {
                places.iter().position(|place| place == word).unwrap_or_else(|| {
                    places.push(word.clone());
                    places.len() - 1
                }) as f64
            });
            let others = one.combination.values.iter().filter(|(name, ..)| *name != parameter);
            let name = one.subject.model.name.clone() + &others.map(|(name, word, _)| format!(" {name}={word}")).collect::<String>();
            match curves.iter_mut().find(|curve| curve.name == name) {
                Some(curve) => curve.points.push(CurvePoint { at, figure }),
                None => curves.push(Curve { name, points: vec![CurvePoint { at, figure }] }),
            }
        }
        curves.iter_mut().for_each(|curve| curve.points.sort_by(|a, b| a.at.total_cmp(&b.at)));
        let embedding = origin.embedding.map_or_else(String::new, |state| format!(", embedding {}", state.name()));
        let text = origin.text.map_or_else(String::new, |state| format!(", text {}", state.name()));
        Sweep {
            name: format!("{parameter}{embedding}{text}"),
            parameter: parameter.to_owned(),
            places: (!places.is_empty()).then_some(places),
            unit: if is_rate { Unit::ImagesPerSecond } else { Unit::Milliseconds },
            curves,
        }
    }
}

/// Where the embeddings of a row's calls come from.
#[derive(Clone, Copy, PartialEq)]
struct Origin {
    embedding: Option<EmbeddingState>,
    text: Option<TextState>,
}

impl Origin {
    fn of(row: &Steady) -> Self {
        Self { embedding: row.embedding, text: row.text }
    }
}

/// Kinds of calls, by the names of their rows.
fn tracks(subject: &Subject, plan: &Plan) -> Vec<(String, Track)> {
    let Subject { name, batch, .. } = subject;
    let plain = Track { batch: *batch, asked: None, sought: None };
    if let Some(prompts) = subject.prompts {
        let asked = |state: &EmbeddingState| (format!("{name}, {}", state.name()), Track { asked: Some((prompts, *state)), ..plain });
        return plan.embeddings.iter().map(asked).collect();
    }
    let Some(texts) = subject.texts else { return vec![(name.clone(), plain)] };
    let mut tracks = Vec::new();
    for embedding in &plan.embeddings {
        for text in &plan.texts {
            let sought = Some(Sought { texts, embedding: *embedding, text: *text });
            tracks.push((format!("{name}, {}, text {}", embedding.name(), text.name()), Track { sought, ..plain }));
        }
    }
    tracks
}

/// Share of the nodes that went to the CPU though another provider was asked for; `None` where nothing else can run them.
fn fallback(shares: &[Share], asked: &str) -> Option<f64> {
    let nodes = shares.iter().map(|share| share.nodes).sum::<Option<usize>>().filter(|nodes| *nodes > 0)?;
    let fallen: usize = shares.iter().filter(|share| share.name == "cpu" && asked != "cpu").filter_map(|share| share.nodes).sum();
    Some(fallen as f64 / nodes as f64)
}
