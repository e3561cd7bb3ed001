//! The sessions that answer prompts.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use maskline_models::PromptHead;
use maskline_runtime::{Input, Library, Outputs, Session, SharedTensor, Tensor};

use crate::{Bundle, Error, ErrorKind, LoadOptions, Result, network};

/// Both decoders of a promptable model; the one for mask prompts is opened when it is first needed.
#[derive(Debug)]
pub(crate) struct Decoders {
    pub(crate) head: PromptHead,
    plain: Session,
    masked: Mutex<Option<Arc<Session>>>,
    opening: Opening,
}

#[derive(Debug)]
struct Opening {
    library: Arc<Library>,
    directory: PathBuf,
    masked_file: PathBuf,
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
            options: options.clone(),
        };
        Ok(Self { head, plain, masked: Mutex::new(None), opening })
    }

    /// Prompts that go through the decoder together.
    pub(crate) fn chunk(&self) -> usize {
        4
    }

    pub(crate) fn plain(&self) -> &Session {
        &self.plain
    }

    fn masked(&self) -> Result<Arc<Session>> {
        let mut slot = self.masked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(session) = &*slot {
            return Ok(Arc::clone(session));
        }
        let Opening { library, directory, masked_file, options } = &self.opening;
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
