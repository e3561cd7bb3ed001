//! The requests of a row: made before the calls, so that nothing but sending is in their time.

use maskline::{Error, ErrorKind, Result};

use super::client::{Header, Message};
use super::fresh::Fresh;
use super::server::Metadata;
use crate::report::{EmbeddingState, PromptKind, Prompts, Texts};
use crate::worker::{middle, phrases_of, places};

/// A picture that is sent.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Picture {
    pub(super) file: Vec<u8>,
    /// Width and height.
    pub(super) size: (usize, usize),
    /// The same as many pictures.
    pub(super) fresh: Fresh,
}

/// What is asked about pictures.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    /// Of models that take prompts.
    pub prompts: Prompts,
    /// Of models that take words.
    pub texts: Texts,
    /// The phrases, where they are given.
    pub phrases: Vec<String>,
    /// Whether models that take both are asked by prompts.
    pub is_by_prompts: bool,
}

/// What a model is told beside a picture.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Question {
    /// Clicks, each for an object of its own.
    Clicks(Vec<[f32; 2]>),
    Boxes(Vec<[f32; 4]>),
    Words(Vec<String>),
    Nothing,
}

/// What a model is told by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    Prompts,
    Words,
    Nothing,
}

impl Manner {
    /// Of a model that takes pictures.
    pub(super) fn of(metadata: &Metadata, asked: &Asked) -> Self {
        let takes = |name: &str| metadata.input(name).is_some();
        let takes_prompts = takes("points") || takes("boxes");
        match takes("text") {
            true if !(takes_prompts && asked.is_by_prompts) => Self::Words,
            _ if takes_prompts => Self::Prompts,
            _ => Self::Nothing,
        }
    }

    /// What one of several callers asks about a picture of this width and height.
    pub(super) fn question(self, asked: &Asked, asking: Asking) -> Result<Question> {
        let Prompts { kind, count } = asked.prompts;
        Ok(match self {
            Self::Nothing => Question::Nothing,
            Self::Words => Question::Words(phrases_of(asking.caller, asked.texts, &asked.phrases)?),
            Self::Prompts => {
                let boxes = places(asking.caller * count, count, asking.size);
                match kind {
                    PromptKind::Box => Question::Boxes(boxes),
                    PromptKind::Click => Question::Clicks(boxes.into_iter().map(middle).collect()),
                    PromptKind::Mask => {
                        let error = Error::new(ErrorKind::InvalidOption, "--kind").expecting("click or box beside --url");
                        return Err(error.but_found("mask"));
                    }
                }
            }
        })
    }
}

/// Who asks about what picture.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asking {
    pub(super) caller: usize,
    pub(super) size: (usize, usize),
}

/// A request as it is sent.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Request {
    pub(super) headers: Vec<Header>,
    pub(super) body: Vec<u8>,
    /// Where in the body the picture is that has to be another one in every call.
    pub(super) fresh: Option<Place>,
}

/// A picture in a body.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Place {
    pub(super) picture: Fresh,
    pub(super) at: usize,
}

/// The requests of a row: for each picture one of several askers, who share no prompts.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Requests {
    pub(super) path: String,
    /// By picture, then by asker.
    pub(super) all: Vec<Vec<Request>>,
}

impl Requests {
    /// That of a call.
    pub(super) fn of(&self, request: crate::load::Request) -> Option<&Request> {
        let askers = self.all.get(self.picture(request))?;
        askers.get(request.caller % askers.len().max(1))
    }

    /// Index of its picture.
    pub(super) fn picture(&self, request: crate::load::Request) -> usize {
        request.index % self.all.len().max(1)
    }

    pub(super) fn message<'a>(&'a self, request: &'a Request) -> Message<'a> {
        Message { path: &self.path, headers: &request.headers, body: &request.body }
    }
}

/// Askers with prompts of their own: as many as tell more than one does, but no memory full of pictures.
pub(super) fn askers(state: EmbeddingState) -> usize {
    if state == EmbeddingState::Miss { 4 } else { 16 }
}
