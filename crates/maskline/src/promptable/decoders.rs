//! The sessions that answer prompts.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use maskline_models::PromptHead;
use maskline_models::sam::kind;
use maskline_runtime::{Input, Library, Outputs, Session, SharedTensor, Tensor, device_key};

use crate::{Bundle, Error, ErrorKind, LoadOptions, Result, network};

/// Both decoders of a promptable model; the one for mask prompts is opened when it is first needed.
#[derive(Debug)]
pub(crate) struct Decoders {
    pub(crate) head: PromptHead,
    plain: Session,
    masked: Mutex<Option<Arc<Session>>>,
    /// 0 until it is measured.
    chunk: AtomicUsize,
    opening: Opening,
}

#[derive(Debug)]
struct Opening {
    library: Arc<Library>,
    directory: PathBuf,
    masked_file: PathBuf,
    /// Where the fastest chunk is remembered.
    chunk_file: PathBuf,
    options: LoadOptions,
}

/// Prompts of one token count, ready for a decoder.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tokens {
    /// Number of prompts.
    pub(crate) prompts: usize,
    /// Tokens of each prompt.
    pub(crate) points: usize,
    /// x, y of each token in pixels of the prompt square.
    pub(crate) coords: Vec<f32>,
    /// Kind of each token, see [`maskline_models::sam::kind`].
    pub(crate) kinds: Vec<i64>,
    /// Mask logits of each prompt, where they have some.
    pub(crate) masks: Option<Vec<f32>>,
}

impl Tokens {
    /// Boxes of about a quarter of the picture.
    fn boxes(count: usize, space: f32) -> Self {
        let bounds = [0.25, 0.25, 0.75, 0.75].map(|share| share * space);
        Self {
            prompts: count,
            points: 2,
            coords: bounds.repeat(count),
            kinds: [kind::TOP_LEFT, kind::BOTTOM_RIGHT].repeat(count),
            masks: None,
        }
    }
}

/// Chunks that are tried.
const CHUNKS: [usize; 4] = [1, 2, 4, 8];
/// Where nothing was measured.
const DEFAULT_CHUNK: usize = 4;

impl Decoders {
    pub(crate) fn open(library: &Arc<Library>, (bundle, head): (&Bundle, PromptHead), options: &LoadOptions) -> Result<Self> {
        let file = |name: &str| {
            let missing = || Error::new(ErrorKind::Failed, format!("{}: the bundle has no part `{name}`", bundle.directory.display()));
            bundle.parts().find(|(part, _)| *part == name).map(|(_, file)| file).ok_or_else(missing)
        };
        let plain = network::open(library, (PromptHead::DECODER, &file(PromptHead::DECODER)?, &bundle.directory), options)?;
        let opening = Opening {
            library: Arc::clone(library),
            directory: bundle.directory.clone(),
            masked_file: file(PromptHead::MASKED_DECODER)?,
            chunk_file: bundle.directory.join(format!("chunk.{}.{}.txt", device_key(&options.provider, library), options.threads)),
            options: options.clone(),
        };
        let remembered = std::fs::read_to_string(&opening.chunk_file).ok().and_then(|text| text.trim().parse().ok());
        let chunk = AtomicUsize::new(remembered.filter(|chunk| CHUNKS.contains(chunk)).unwrap_or(0));
        Ok(Self { head, plain, masked: Mutex::new(None), chunk, opening })
    }

    /// Name of the bundle: what made an embedding.
    pub(crate) fn bundle(&self) -> &str {
        self.opening.directory.file_name().and_then(|name| name.to_str()).unwrap_or_default()
    }

    /// Shape of one tensor of an embedding, as the decoder takes it.
    pub(crate) fn embedding_shape(&self, name: &str) -> Option<Vec<usize>> {
        self.plain.inputs().iter().find(|port| port.name == name)?.shape.iter().copied().collect()
    }

    /// Prompts that go through the decoder together: what was measured to be fastest on this machine, else [`DEFAULT_CHUNK`].
    pub(crate) fn chunk(&self) -> usize {
        match self.chunk.load(Ordering::Relaxed) {
            0 => DEFAULT_CHUNK,
            chunk => chunk,
        }
    }

    /// Measures which chunk is fastest on this machine, unless that is known already, and remembers it with the bundle.
    pub(crate) fn tune(&self, embedding: &[SharedTensor]) -> Result<()> {
        if self.chunk.load(Ordering::Relaxed) > 0 {
            return Ok(());
        }
        let mut best = (f64::INFINITY, DEFAULT_CHUNK);
        for chunk in CHUNKS {
            let boxes = || Tokens::boxes(chunk, self.head.space as f32);
            // The first run of a shape also plans its memory.
            self.run(embedding, boxes())?;
            let mut times = Vec::new();
            // Long runs scatter less, and this is time that somebody waits.
            for _ in 0..if chunk < 4 { 2 } else { 1 } {
                let start = Instant::now();
                self.run(embedding, boxes())?;
                times.push(start.elapsed().as_secs_f64() / chunk as f64);
            }
            let fastest = times.into_iter().fold(f64::INFINITY, f64::min);
            // Larger chunks take more memory: they must be worth it.
            if fastest < 0.97 * best.0 {
                best = (fastest, chunk);
            }
        }
        self.chunk.store(best.1, Ordering::Relaxed);
        // Not to remember costs a measurement next time, and nothing else.
        let _ = std::fs::write(&self.opening.chunk_file, best.1.to_string());
        Ok(())
    }

    pub(crate) fn plain(&self) -> &Session {
        &self.plain
    }

    fn masked(&self) -> Result<Arc<Session>> {
        let mut slot = self.masked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(session) = &*slot {
            return Ok(Arc::clone(session));
        }
        let Opening { library, directory, masked_file, options, .. } = &self.opening;
        let session = Arc::new(network::open(library, (PromptHead::MASKED_DECODER, masked_file, directory), options)?);
        *slot = Some(Arc::clone(&session));
        Ok(session)
    }

    /// Runs the decoder for one picture; `embedding` in the order of [`PromptHead::embedding`].
    pub(crate) fn run(&self, embedding: &[SharedTensor], tokens: Tokens) -> Result<Outputs> {
        let Tokens { prompts, points, coords, kinds, masks } = tokens;
        let mut inputs: Vec<(&str, Input)> = vec![
            (PromptHead::COORDS, Tensor::new([prompts, points, 2], coords)?.into()),
            (PromptHead::KINDS, Tensor::new([prompts, points], kinds)?.into()),
        ];
        let masked = match masks {
            None => None,
            Some(masks) => {
                let side = self.head.mask_side();
                inputs.push((PromptHead::MASK, Tensor::new([prompts, 1, side, side], masks)?.into()));
                Some(self.masked()?)
            }
        };
        let session = masked.as_deref().unwrap_or(&self.plain);
        for (name, tensor) in self.head.embedding().iter().zip(embedding) {
            // A decoder with masks projects its own cells.
            if session.inputs().iter().any(|port| port.name == *name) {
                inputs.push((name, tensor.clone().into()));
            }
        }
        Ok(session.run(inputs)?)
    }
}
