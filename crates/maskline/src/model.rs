//! A loaded model: its driver, its caches, and what loading it took.

use std::sync::Arc;
use std::time::Instant;

use maskline_models::{ModelInfo, PictureReader};
use maskline_runtime::{Lane, Library, ProviderShare, Tally};

use crate::cache::Cache;
use crate::drivers::{self, Driver, Encoded, Parts};
use crate::workers::Workers;
use crate::{Bundle, ColdTimings, Degradation, Delays, Error, ErrorKind, LoadOptions, Part, Preprocessing, Result, part};

/// A loaded model. Cheap to clone, and shared between threads: requests queue at its lanes, where those that can run together do.
#[derive(Debug, Clone)]
pub struct Model {
    loaded: Arc<Loaded>,
}

#[derive(Debug)]
struct Loaded {
    parts: Parts,
    driver: Arc<dyn Driver>,
    pictures: Cache<blake3::Hash, Encoded>,
    words: Cache<blake3::Hash, Encoded>,
    cold: ColdTimings,
    was_cached: bool,
    delays: Delays,
    workers: Workers,
}

/// Refuses a model whose pictures only the host prepares.
fn check_preprocessing(info: &ModelInfo, wished: Preprocessing) -> Result<()> {
    if wished == Preprocessing::Host || PictureReader::graph(&info.preprocess, 1)?.is_some() {
        return Ok(());
    }
    let message = format!("preprocess: pictures for a {} are prepared by the host, found device", info.architecture);
    Err(Error::new(ErrorKind::InvalidOption, message).with_help("leave it out"))
}

/// What a model is made of.
pub(crate) struct Opening<'a> {
    pub(crate) name: String,
    pub(crate) bundle: Bundle,
    pub(crate) options: &'a LoadOptions,
    /// Who answers what is asked by ticket.
    pub(crate) workers: Workers,
    /// What was spent on it before.
    pub(crate) cold: ColdTimings,
    /// When loading it began.
    pub(crate) start: Instant,
}

impl Model {
    pub(crate) fn open(library: &Arc<Library>, opening: Opening<'_>) -> Result<Self> {
        let Opening { name, bundle, options, workers, mut cold, start } = opening;
        check_preprocessing(bundle.info(), options.preprocessing)?;
        let parts = Parts::new(library, bundle, options, &name);
        let driver = drivers::open(parts.clone())?;
        let open = parts.all_open();
        cold.session = open.iter().flat_map(|lanes| lanes.iter()).map(|lane| lane.cold().create).sum();
        let first = open.first().map(|lanes| lanes.first().cold());
        let was_cached = !parts.bundle.built && first.is_some_and(|cold| cold.from_optimised || !cold.is_kept);
        if options.warm_up {
            let warming = Instant::now();
            driver.warm_up()?;
            cold.warm_up = warming.elapsed();
        }
        // Loading the library came before this load, and belongs to its cost all the same.
        cold.total = start.elapsed() + cold.runtime_fetch + cold.runtime_load;
        let (pictures, words) = (Cache::new(options.embedding_cache), Cache::new(options.word_cache));
        let delays = options.delays;
        Ok(Self { loaded: Arc::new(Loaded { parts, driver, pictures, words, cold, was_cached, delays, workers }) })
    }

    /// A model whose answers come from a driver of a test.
    #[cfg(test)]
    pub(crate) fn of_driver(bundle: Bundle, driver: Arc<dyn Driver>) -> Self {
        let workers = Workers::new(crate::workers::Limits { threads: 1, queue: 1 });
        let library = maskline_runtime::load(&maskline_runtime::LibraryOptions::from_env()).expect("tests have ONNX Runtime");
        let loaded = Loaded {
            parts: Parts::new(&library, bundle, &LoadOptions::default(), "test"),
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
        self.loaded.parts.name()
    }

    /// What the model is.
    pub fn info(&self) -> &ModelInfo {
        self.loaded.parts.info()
    }

    /// The bundle on disk.
    pub fn bundle(&self) -> &Bundle {
        &self.loaded.parts.bundle
    }

    /// Name of the bundle: what made an embedding.
    pub(crate) fn bundle_name(&self) -> Arc<str> {
        self.bundle().directory.file_name().and_then(|name| name.to_str()).unwrap_or_default().into()
    }

    /// Names of the networks that it is made of, in the order of the bundle.
    pub fn part_names(&self) -> Vec<&str> {
        self.bundle().parts().map(|(name, _)| name).collect()
    }

    /// One of the networks, to be asked with tensors: opened now where no question needed it yet, and the same sessions that answer
    /// questions.
    ///
    /// # Errors
    /// `InvalidOption` if the model has no part of this name, `Unavailable` if the provider is not there.
    pub fn part(&self, name: &str) -> Result<Part> {
        let names = self.part_names();
        if !names.contains(&name) {
            let error = Error::new(ErrorKind::InvalidOption, format!("part of {}", self.name()));
            return Err(error.expecting(names.join(", ")).but_found(name));
        }
        Part::of(self.loaded.parts.open(name)?)
    }

    /// Opens all parts and runs each network, so that no question of any kind finds something that is yet to be opened or run:
    /// [`LoadOptions::warm_up`] runs what most questions need, and leaves the rest (a decoder of mask prompts, say) until it is needed. What
    /// a provider compiles for ranges of shapes (TensorRT) is compiled for those of usual questions.
    ///
    /// # Errors
    /// `Unavailable` if the provider is not there, `Failed` where a network fails.
    pub fn warm_all(&self) -> Result<()> {
        let Loaded { parts, driver, .. } = &*self.loaded;
        if !parts.options.warm_up {
            driver.warm_up()?;
        }
        self.part_names().into_iter().try_for_each(|name| parts.open(name)?.warm_up())
    }

    /// What really runs the networks now, e.g. `cpu`; several are joined by `+`.
    pub fn provider(&self) -> String {
        part::joined(self.loaded.parts.all_open().iter().flat_map(|lanes| lanes.providers()).collect())
    }

    /// Whether the CPU stands in for the provider that was wished for, at the first of the parts where that is so.
    pub fn degraded(&self) -> Option<Degradation> {
        self.loaded.parts.all_open().iter().find_map(|lanes| lanes.degraded())
    }

    /// How many nodes of the first part's graph each provider took.
    pub fn provider_shares(&self) -> Vec<ProviderShare> {
        self.loaded.parts.all_open().first().map_or_else(Vec::new, |lanes| lanes.first().providers())
    }

    /// Requests that wait at the model's lanes now.
    pub fn queued(&self) -> usize {
        self.loaded.parts.all_open().iter().flat_map(|lanes| lanes.iter()).map(Lane::queued).sum()
    }

    /// Whether the bundle, and what of it is kept in optimised form, were there already when this model was loaded.
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

    /// Counts the runs of its networks.
    pub(crate) fn tally(&self) -> &Tally {
        &self.loaded.parts.tally
    }

    pub(crate) fn workers(&self) -> &Workers {
        &self.loaded.workers
    }
}
