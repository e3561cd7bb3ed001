//! A loaded model: its sessions, and what loading it took.

use std::sync::Arc;
use std::time::{Duration, Instant};

use maskline_models::{ModelInfo, Output};
use maskline_runtime::{Library, Outputs, ProviderShare, Session};

use crate::promptable::{Answerer, Decoders, EmbeddingCache, Viewer};
use crate::timings::Work;
use crate::{Bundle, ColdTimings, Delays, Error, ErrorKind, LoadOptions, Result, limits, network};

/// A loaded model. It can be shared between threads; requests queue at its session.
#[derive(Debug)]
pub struct Model {
    name: String,
    bundle: Bundle,
    session: Arc<Session>,
    answerer: Option<Answerer>,
    embeddings: EmbeddingCache,
    cold: ColdTimings,
    delays: Delays,
}

/// What a model is made of.
pub(crate) struct Opening<'a> {
    pub(crate) name: String,
    pub(crate) bundle: Bundle,
    pub(crate) options: &'a LoadOptions,
    /// What was spent on it before.
    pub(crate) cold: ColdTimings,
    /// When loading it began.
    pub(crate) start: Instant,
}

impl Model {
    pub(crate) fn open(library: &Arc<Library>, opening: Opening<'_>) -> Result<Self> {
        let Opening { name, bundle, options, mut cold, start } = opening;
        let (part, file) = bundle
            .parts()
            .next()
            .map(|(part, file)| (part.to_string(), file))
            .ok_or_else(|| Error::new(ErrorKind::Failed, format!("{}: the bundle has no part", bundle.directory.display())))?;
        let session = Arc::new(network::open(library, (&part, &file, &bundle.directory), options)?);
        let mut decoders_session = Duration::ZERO;
        let answerer = match &bundle.info().output {
            Output::Promptable(head) => {
                let decoders = Decoders::open(library, (&bundle, head.clone()), options)?;
                decoders_session = decoders.plain().cold().create;
                Some(Answerer::Decoders(Arc::new(decoders)))
            }
            Output::Looks(head) => Some(Answerer::Viewer(Arc::new(Viewer::new(Arc::clone(&session), (&bundle.directory, head))))),
            _ => None,
        };
        cold.session = session.cold().create + decoders_session;
        let embeddings = EmbeddingCache::new(options.embedding_cache);
        let mut model = Self { name, bundle, session, answerer, embeddings, cold, delays: options.delays };
        if options.warm_up {
            model.cold.warm_up = model.warm_up()?;
        }
        // Loading the library came before this load, and belongs to its cost all the same.
        model.cold.total = start.elapsed() + cold.runtime_fetch + cold.runtime_load;
        Ok(model)
    }

    /// Runs the network on an empty input of the default size; promptable models also measure how many prompts to take together.
    fn warm_up(&self) -> Result<Duration> {
        let start = Instant::now();
        if let Some(Answerer::Viewer(viewer)) = &self.answerer {
            viewer.warm_up()?;
            return Ok(start.elapsed());
        }
        let [height, width] = self.info().fixed_size.unwrap_or([self.info().default_size; 2]);
        let batch = self.info().fixed_batch.unwrap_or(1);
        let length = limits::input_length([batch, height, width])?;
        let mut outputs = self.run(vec![0.0; length], [batch, height, width])?;
        if let Some(Answerer::Decoders(decoders)) = &self.answerer {
            let embedding = decoders.head.embedding().iter().map(|name| Ok(outputs.take(name)?)).collect::<Result<Vec<_>>>()?;
            decoders.tune(&embedding)?;
        }
        Ok(start.elapsed())
    }

    /// Short name: file stem or architecture.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the model is.
    pub fn info(&self) -> &ModelInfo {
        self.bundle.info()
    }

    /// The bundle on disk.
    pub fn bundle(&self) -> &Bundle {
        &self.bundle
    }

    /// What really runs the network, e.g. `cpu`; several are joined by `+`.
    pub fn provider(&self) -> String {
        let mut names: Vec<&str> = self.session.providers().iter().map(|share| share.name.as_str()).collect();
        names.dedup();
        names.join("+")
    }

    /// How many nodes of the graph each provider took.
    pub fn provider_shares(&self) -> &[ProviderShare] {
        self.session.providers()
    }

    /// The sleeps within stages.
    pub(crate) fn delays(&self) -> Delays {
        self.delays
    }

    /// Whether bundle and optimised graph were there already when this model was loaded.
    pub fn was_cached(&self) -> bool {
        !self.bundle.built && self.session.cold().from_optimised
    }

    /// What loading took.
    pub fn cold(&self) -> &ColdTimings {
        &self.cold
    }

    pub(crate) fn embeddings(&self) -> &EmbeddingCache {
        &self.embeddings
    }

    /// Bytes of the embeddings that are kept.
    pub fn cached_embedding_bytes(&self) -> usize {
        self.embeddings.bytes()
    }

    /// Whether the model answers prompts.
    pub(crate) fn is_promptable(&self) -> bool {
        self.answerer.is_some()
    }

    /// What answers prompts.
    pub(crate) fn answerer(&self) -> Result<&Answerer> {
        let message = || format!("{}: a {} takes no prompts", self.name, self.info().architecture);
        self.answerer.as_ref().ok_or_else(|| Error::new(ErrorKind::InvalidOption, message()))
    }

    /// The sessions that read embeddings.
    pub(crate) fn decoders(&self) -> Result<&Arc<Decoders>> {
        match self.answerer()? {
            Answerer::Decoders(decoders) => Ok(decoders),
            Answerer::Viewer(_) => Err(Error::new(ErrorKind::InvalidOption, format!("{}: there is no embedding to decode", self.name))),
        }
    }

    /// The network that looks at pictures.
    pub(crate) fn viewer(&self) -> Result<&Viewer> {
        match self.answerer()? {
            Answerer::Viewer(viewer) => Ok(viewer),
            Answerer::Decoders(_) => Err(Error::new(ErrorKind::InvalidOption, format!("{}: it does not look at pictures", self.name))),
        }
    }

    pub(crate) fn run(&self, values: Vec<f32>, shape: [usize; 3]) -> Result<Outputs> {
        Ok(self.ask(values, shape)?.0)
    }

    /// Runs the network on a batch [batch, 3, height, width], of which `shape` is [batch, height, width], and tells what that took.
    pub(crate) fn ask(&self, values: Vec<f32>, shape: [usize; 3]) -> Result<(Outputs, Work)> {
        let input = network::input(values, shape)?;
        let start = Instant::now();
        let outputs = self.session.run(vec![(self.info().input.as_str(), input)])?;
        let work = Work::of_run(start.elapsed(), &outputs);
        Ok((outputs, work))
    }
}
