//! What a model does not answer is refused by name, with the way out.

use maskline_models::ModelInfo;

use crate::{Error, ErrorKind};

/// Who refuses.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    /// The model's name and architecture.
    who: String,
}

impl Refusal {
    pub(crate) fn new(name: &str, info: &ModelInfo) -> Self {
        Self { who: format!("{name}: a {}", info.architecture) }
    }

    /// Of clicks, boxes, masks, and of everything mode, which asks by clicks.
    pub(crate) fn prompts(&self) -> Error {
        self.of("takes no prompts")
    }

    /// Of words and examples.
    pub(crate) fn concepts(&self) -> Error {
        self.of("takes no words and no examples").with_help("ask a model that does, or say where the object is: a click, a box, a mask")
    }

    /// Of finding things unasked.
    pub(crate) fn detection(&self) -> Error {
        self.of("answers prompts and finds nothing by itself").with_help("give it clicks, boxes or masks")
    }

    /// Of finding things without being told which.
    pub(crate) fn unasked(&self) -> Error {
        self.of("finds what words or examples say, and nothing by itself").with_help("say what to look for, in words or by an example")
    }

    /// Of following objects through time.
    pub(crate) fn video(&self) -> Error {
        self.of("follows nothing through time").with_help("use a model with a memory, a SAM 2.1")
    }

    fn of(&self, what: &str) -> Error {
        Error::new(ErrorKind::InvalidOption, format!("{} {what}", self.who))
    }
}
