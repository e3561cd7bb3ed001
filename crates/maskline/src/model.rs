//! A loaded model: its driver, its caches, and what loading it took.

use std::sync::Arc;
use std::time::Instant;

use maskline_models::ModelInfo;
use maskline_runtime::{Lane, Library, ProviderShare};

use crate::cache::Cache;
use crate::drivers::{self, Driver, Encoded, Parts};
use crate::workers::Workers;
use crate::{Bundle, ColdTimings, Delays, LoadOptions, Result};

/// A loaded model. Cheap to clone, and shared between threads: requests queue at its lanes, where those that can run together do.
#[derive(Debug, Clone)]
pub struct Model {
    loaded: Arc<Loaded>,
}

#[derive(Debug)]
struct Loaded {
    name: Arc<str>,
    bundle: Arc<Bundle>,
    driver: Arc<dyn Driver>,
    pictures: Cache<blake3::Hash, Encoded>,
    words: Cache<blake3::Hash, Encoded>,
    cold: ColdTimings,
    was_cached: bool,
    delays: Delays,
    workers: Arc<Workers>,
}

/// What a model is made of.
pub(crate) struct Opening<'a> {
    pub(crate) name: String,
    pub(crate) bundle: Bundle,
    pub(crate) options: &'a LoadOptions,
    /// Who answers what is asked by ticket.
    pub(crate) workers: Arc<Workers>,
    /// What was spent on it before.
    pub(crate) cold: ColdTimings,
    /// When loading it began.
    pub(crate) start: Instant,
}

impl Model {
    pub(crate) fn open(library: &Arc<Library>, opening: Opening<'_>) -> Result<Self> {
        let Opening { name, bundle, options, workers, mut cold, start } = opening;
        let (name, bundle) = (Arc::<str>::from(name), Arc::new(bundle));
        let parts = Parts { library: library.clone(), bundle: bundle.clone(), options: options.clone(), name: name.clone() };
        let driver = drivers::open(parts)?;
        let lanes = driver.lanes();
        cold.session = lanes.iter().map(|lane| lane.cold().create).sum();
        let was_cached = !bundle.built && lanes.first().is_some_and(|lane| lane.cold().from_optimised);
        if options.warm_up {
            let warming = Instant::now();
            driver.warm_up()?;
            cold.warm_up = warming.elapsed();
        }
        // Loading the library came before this load, and belongs to its cost all the same.
        cold.total = start.elapsed() + cold.runtime_fetch + cold.runtime_load;
        let (pictures, words) = (Cache::new(options.embedding_cache), Cache::new(options.word_cache));
        let delays = options.delays;
        Ok(Self { loaded: Arc::new(Loaded { name, bundle, driver, pictures, words, cold, was_cached, delays, workers }) })
    }

    /// A model whose answers come from a driver of a test.
    #[cfg(test)]
    pub(crate) fn of_driver(bundle: Bundle, driver: Arc<dyn Driver>) -> Self {
        let workers = Arc::new(Workers::new(crate::workers::Limits { threads: 1, queue: 1 }));
        let loaded = Loaded {
            name: "test".into(),
            bundle: Arc::new(bundle),
            driver,
            pictures: Cache::new(1 << 20),
            words: Cache::new(1 << 20),
            cold: ColdTimings::default(),
            was_cached: false,
            delays: Delays::default(),
            workers,
        };
        Self { loaded: Arc::new(loaded) }
    }

    /// Short name: file stem or architecture.
    pub fn name(&self) -> &str {
        &self.loaded.name
    }

    /// What the model is.
    pub fn info(&self) -> &ModelInfo {
        self.loaded.bundle.info()
    }

    /// The bundle on disk.
    pub fn bundle(&self) -> &Bundle {
        &self.loaded.bundle
    }

    /// Name of the bundle: what made an embedding.
    pub(crate) fn bundle_name(&self) -> Arc<str> {
        self.bundle().directory.file_name().and_then(|name| name.to_str()).unwrap_or_default().into()
    }

    /// What really runs the network, e.g. `cpu`; several are joined by `+`.
    pub fn provider(&self) -> String {
        let mut names: Vec<&str> = self.provider_shares().iter().map(|share| share.name.as_str()).collect();
        names.dedup();
        names.join("+")
    }

    /// How many nodes of the graph each provider took.
    pub fn provider_shares(&self) -> &[ProviderShare] {
        self.loaded.driver.lanes().first().map_or(&[], |lane| lane.providers())
    }

    /// Requests that wait at the model's lanes now.
    pub fn queued(&self) -> usize {
        self.loaded.driver.lanes().into_iter().map(Lane::queued).sum()
    }

    /// Whether bundle and optimised graph were there already when this model was loaded.
    pub fn was_cached(&self) -> bool {
        self.loaded.was_cached
    }

    /// What loading took.
    pub fn cold(&self) -> &ColdTimings {
        &self.loaded.cold
    }

    /// Bytes of the embeddings that are kept.
    pub fn cached_embedding_bytes(&self) -> usize {
        self.loaded.pictures.bytes()
    }

    /// The sleeps within stages.
    pub(crate) fn delays(&self) -> Delays {
        self.loaded.delays
    }

    pub(crate) fn driver(&self) -> &Arc<dyn Driver> {
        &self.loaded.driver
    }

    /// Embeddings by the content of their picture.
    pub(crate) fn pictures(&self) -> &Cache<blake3::Hash, Encoded> {
        &self.loaded.pictures
    }

    /// Encoded words by their hash.
    pub(crate) fn words(&self) -> &Cache<blake3::Hash, Encoded> {
        &self.loaded.words
    }

    pub(crate) fn workers(&self) -> &Arc<Workers> {
        &self.loaded.workers
    }
}
