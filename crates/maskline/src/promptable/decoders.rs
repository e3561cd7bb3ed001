//! The sessions that answer prompts.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use maskline_models::PromptHead;
use maskline_models::sam::kind;
use maskline_runtime::{Input, Library, Outputs, Session, SharedTensor, Tensor, device_key};

use super::chunk::{CHUNKS, Chosen, DEFAULT_CHUNK, ROUNDS, Remembered};
use crate::timings::Work;
use crate::{Bundle, Error, ErrorKind, LoadOptions, Result, network};

/// Both decoders of a promptable model; the one for mask prompts is opened when it is first needed.
#[derive(Debug)]
pub(crate) struct Decoders {
    pub(crate) head: PromptHead,
    plain: Session,
    masked: Mutex<Option<Arc<Session>>>,
    /// 0 until it is measured.
    chunk: AtomicUsize,
    /// Whether this process has measured, or found what another one measured to be true.
    is_tuned: AtomicBool,
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
        let remembered = Remembered::read(&opening.chunk_file);
        let chunk = AtomicUsize::new(remembered.map_or(0, |remembered| remembered.chunk));
        Ok(Self { head, plain, masked: Mutex::new(None), chunk, is_tuned: AtomicBool::new(false), opening })
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

    /// Measures which chunk is fastest on this machine, once in this process. What an earlier process remembered is taken if a run with it
    /// does not contradict it; what is measured is remembered if it repeats itself (see [`chunk`](super::chunk)).
    pub(crate) fn tune(&self, embedding: &[SharedTensor]) -> Result<()> {
        if self.is_tuned.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        let run = |chunk: usize| -> Result<f64> {
            let (_, work) = self.ask(embedding, Tokens::boxes(chunk, self.head.space as f32))?;
            Ok(work.network.as_secs_f64() * 1e3 / chunk as f64)
        };
        let file = &self.opening.chunk_file;
        if let Some(remembered) = Remembered::read(file) {
            // The first run of a shape also plans its memory.
            run(remembered.chunk)?;
            if !remembered.is_contradicted(run(remembered.chunk)?) {
                return Ok(());
            }
        }
        CHUNKS.into_iter().try_for_each(|chunk| run(chunk).map(drop))?;
        let mut rounds = [[0.0; CHUNKS.len()]; ROUNDS];
        for round in &mut rounds {
            for (time, chunk) in round.iter_mut().zip(CHUNKS) {
                *time = run(chunk)?;
            }
        }
        let chosen = Chosen::of(&rounds);
        self.chunk.store(chosen.best.chunk, Ordering::Relaxed);
        chosen.remember(file);
        Ok(())
    }

    pub(crate) fn plain(&self) -> &Session {
        &self.plain
    }

    /// The decoder for mask prompts, and what opening it (or waiting for another thread that does) took.
    fn masked(&self) -> Result<(Arc<Session>, Work)> {
        let start = Instant::now();
        let mut slot = self.masked.lock().unwrap_or_else(PoisonError::into_inner);
        let queue = start.elapsed();
        if let Some(session) = &*slot {
            return Ok((Arc::clone(session), Work { queue, ..Work::default() }));
        }
        let Opening { library, directory, masked_file, options, .. } = &self.opening;
        let session = Arc::new(network::open(library, (PromptHead::MASKED_DECODER, masked_file, directory), options)?);
        *slot = Some(Arc::clone(&session));
        Ok((session, Work { queue, open: start.elapsed() - queue, ..Work::default() }))
    }

    /// Runs the decoder for one picture; `embedding` in the order of [`PromptHead::embedding`].
    pub(crate) fn run(&self, embedding: &[SharedTensor], tokens: Tokens) -> Result<Outputs> {
        Ok(self.ask(embedding, tokens)?.0)
    }

    /// As [`Decoders::run`], with what it took.
    pub(crate) fn ask(&self, embedding: &[SharedTensor], tokens: Tokens) -> Result<(Outputs, Work)> {
        let Tokens { prompts, points, coords, kinds, masks } = tokens;
        let mut inputs: Vec<(&str, Input)> = vec![
            (PromptHead::COORDS, Tensor::new([prompts, points, 2], coords)?.into()),
            (PromptHead::KINDS, Tensor::new([prompts, points], kinds)?.into()),
        ];
        let mut work = Work::default();
        let masked = match masks {
            None => None,
            Some(masks) => {
                let side = self.head.mask_side();
                inputs.push((PromptHead::MASK, Tensor::new([prompts, 1, side, side], masks)?.into()));
                let (session, opening) = self.masked()?;
                work = opening;
                Some(session)
            }
        };
        let session = masked.as_deref().unwrap_or(&self.plain);
        for (name, tensor) in self.head.embedding().iter().zip(embedding) {
            // A decoder with masks projects its own cells.
            if session.inputs().iter().any(|port| port.name == *name) {
                inputs.push((name, tensor.clone().into()));
            }
        }
        let start = Instant::now();
        let outputs = session.run(inputs)?;
        work += Work::of_run(start.elapsed(), &outputs);
        Ok((outputs, work))
    }
}
